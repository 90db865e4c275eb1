"""The modules of a run, and those that swaps bring."""

import msgspec
import pytest

from tests.unit.driver.successors import counting, options, version
from tickwork import codec
from tickwork.driver.crew import open_versions
from tickwork.driver.judging import Judge
from tickwork.driver.versions import Versions
from tickwork.errors import AgentCodeMissing, ModuleUnsigned
from tickwork.records import AgentSpec

pytestmark = pytest.mark.slow

FIRST, TWO = version(subscribe=("counts",)), version("2.0.0", by=10, subscribe=("counts",))


def opened(*, unsigned: bool = True) -> tuple[Versions, AgentSpec]:
    """Return the modules of a run of counters, and one of its agents with another version."""
    world = counting(one=FIRST)
    strict = msgspec.structs.replace(
        world.header, allow_unsigned=unsigned, agents=() if not unsigned else world.header.agents
    )
    _, versions = open_versions(strict, world.modules.__getitem__, options(), Judge(strict, options()))
    return versions, msgspec.structs.replace(world.header.agents[0], digest=codec.digest(TWO))


def test_a_module_of_the_header_is_there() -> None:
    versions, spec = opened()
    old = msgspec.structs.replace(spec, digest=codec.digest(FIRST))
    assert versions.body(old.digest) == FIRST
    assert versions.version(old).admitted.digest == codec.digest(FIRST)


def test_a_module_that_is_brought_is_admitted_when_it_is_asked_for() -> None:
    versions, spec = opened()
    with pytest.raises(AgentCodeMissing, match=spec.digest.hex()):
        versions.admitted(spec)
    versions.bring({spec.digest: TWO})
    found = versions.version(spec)
    assert (found.wasm, found.admitted.digest) == (TWO, spec.digest)
    assert versions.admitted(spec) is found.admitted, "once"
    versions.note()


def test_a_module_that_is_not_believed_is_not_admitted() -> None:
    versions, spec = opened(unsigned=False)
    versions.bring({spec.digest: TWO})
    with pytest.raises(ModuleUnsigned):
        versions.admitted(spec)
