"""Modules that mean harm: none ends this process, each comes to what its table says, its neighbours notice nothing."""

import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.hostile.beside import Said, calm, judge, well
from tests.hostile.bombs import COMPILING, PLACING, READING, STACK
from tests.hostile.case import Case
from tests.hostile.forms import FORMS
from tests.hostile.turns import TURNS
from tickwork.errors import ModuleRefused
from tickwork.sandbox import admission, gate
from tickwork.sandbox.compile_child import ADDRESS_SPACE_BYTES, CPU_SECONDS

CASE_SECONDS = 10
"""What any module may take of the processor before it is refused; the gate takes about a fortieth of that."""

GATE_BYTES = 100 << 20
CHILD_SECONDS_HERE = 1
"""Compiling is stopped earlier here than in a run, so that the suite is short; what follows is the same."""


COSTLY = [*STACK, *PLACING]


def rest_of(cases: Sequence[Case]) -> list[Case]:
    """Return the two thirds that are not in the sample of every third."""
    return [case for place, case in enumerate(cases) if place % 3]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def undisturbed(cache: Path) -> Said:
    said = calm(cache)
    assert len(said) > 8
    return said


def check(case: Case, cache: Path, undisturbed: Said) -> None:
    before = used()
    wrong = well(case, judge(case, cache), undisturbed)
    assert not wrong, wrong
    seconds, peak = used()
    assert seconds - before[0] < CPU_SECONDS + 1
    # The greatest of all children so far may be another test's; this case has not made a greater one then.
    assert peak < ADDRESS_SPACE_BYTES or peak == before[1]


def used() -> tuple[float, int]:
    """Return the processor seconds and the greatest memory of all children so far."""
    if sys.platform != "linux":
        return 0.0, 0
    import resource

    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime, found.ru_maxrss * 1024


@pytest.mark.parametrize("case", FORMS, ids=str)
def test_a_file_that_is_no_agent_is_refused(case: Case, cache: Path, undisturbed: Said) -> None:
    check(case, cache, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [*TURNS[::3], *(pytest.param(case, marks=pytest.mark.thorough) for case in rest_of(TURNS))], ids=str
)
def test_an_agent_that_misbehaves_fails_alone(case: Case, cache: Path, undisturbed: Said) -> None:
    check(case, cache, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [*COSTLY[::3], *(pytest.param(case, marks=pytest.mark.thorough) for case in rest_of(COSTLY))],
    ids=str,
)
def test_what_costs_stack_or_room_is_refused_or_ends_by_its_count(case: Case, cache: Path, undisturbed: Said) -> None:
    check(case, cache, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("case", COMPILING, ids=str)
def test_compiling_has_a_bound(case: Case, cache: Path, undisturbed: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "CPU_SECONDS", CHILD_SECONDS_HERE)
    check(case, cache, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("case", READING, ids=str)
def test_reading_has_a_bound(case: Case) -> None:
    data = case.make()
    assert len(data) <= gate.MODULE_BYTES
    began = time.process_time()
    with pytest.raises(ModuleRefused):
        gate.check(data, "m.wasm")
    assert time.process_time() - began < CASE_SECONDS
    tracemalloc.start()
    with pytest.raises(ModuleRefused):
        gate.check(data, "m.wasm")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < GATE_BYTES


def test_every_case_has_a_name_of_its_own() -> None:
    names = [str(case) for case in (*FORMS, *TURNS, *STACK, *PLACING, *COMPILING, *READING)]
    assert len(set(names)) == len(names) > 250
