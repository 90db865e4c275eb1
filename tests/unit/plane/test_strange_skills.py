"""Skills that break every rule: each call comes to its own answer, and the rest of the plan goes on."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.plane.engines import Deeds, begin, engine_in, plan_of, status_of, step, waiting
from tests.unit.plane.skills.calling import CLOCK
from tests.unit.plane.skills.test_performing import Made, perform
from tickwork.clock import SteppedClock
from tickwork.errors import JournalBusy
from tickwork.kinds import EffectClass
from tickwork.plane.calls import SkillCall, Usage
from tickwork.plane.errors import SkillFailed, StoreFailed
from tickwork.plane.skills.performing import Kept, Ports
from tickwork.plane.waits import Looked, Waits


class Odd(BaseException):
    """Not even an ``Exception``."""


class Mute(Exception):
    """Says nothing, whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    def __reduce__(self) -> Any:
        raise TypeError("not to be packed")


class Wrong(SkillFailed):
    """An error of ours whose text is none."""

    def __init__(self) -> None:
        super().__init__("x")
        self.what = 5  # type: ignore[assignment]


def deep() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def _raise(error: BaseException) -> Any:
    raise error


def _recurse() -> Any:
    return _recurse()


STRANGE: dict[str, Callable[[], Any]] = {
    "exits": lambda: sys.exit(3),
    "odd": lambda: _raise(Odd("x")),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "generator": lambda: _raise(GeneratorExit()),
    "mute": lambda: _raise(Mute()),
    "wrong": lambda: _raise(Wrong()),
    "huge": lambda: _raise(SkillFailed("x" * 10_000_000)),
    "surrogates": lambda: _raise(SkillFailed("\ud800" * 10)),
    "memory": lambda: _raise(MemoryError()),
    "group": lambda: _raise(BaseExceptionGroup("g", [Odd()])),
    "deep": deep,
    "recursion": _recurse,
    "ten_megabytes": lambda: "x" * 10_000_000,
    "lone_surrogate": lambda: "\ud800",
    "stop": lambda: _raise(StopIteration(1)),
}


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("name", sorted(set(STRANGE)))
def test_whatever_a_skill_does_its_call_has_an_answer(name: str, inline: bool) -> None:
    if inline and name == "interrupt":
        return  # It is whoever works here that is interrupted then.
    failure = perform(Made(lambda _given, _context: STRANGE[name](), inline=inline)).failure
    assert failure is not None
    assert failure.code in ("TW7008", "TW7007", "TW7029")
    assert len(failure.message) <= 2000


def _set(**values: Any) -> Callable[[Any, Any], Any]:
    def does(_given: Any, context: Any) -> Any:
        for name, value in values.items():
            setattr(context, name, value)
        return 1

    return does


@pytest.mark.parametrize(
    "values",
    [
        {"usage": "much"},
        {"usage": None},
        {"usage": Usage(cost_micros=-5)},
        {"usage": Usage(tokens_in=1 << 70)},
        {"usage": Usage(model=object())},  # type: ignore[arg-type]
        {"labels": {1, "a"}},
        {"labels": None},
        {"transcript": "text"},
        {"kept": [1]},
    ],
)
def test_what_a_skill_leaves_beside_its_result_has_to_fit_too(values: dict[str, Any]) -> None:
    answer = perform(Made(_set(**values)))
    assert answer.failure is not None
    assert answer.failure.code == "TW7007"
    assert answer.usage.cost_micros >= 0


def _seven(_given: object, _context: object) -> int:
    return 7


class Broken:
    """A purse and a cache over a store that refuses, at the moments that it is told."""

    def __init__(self, *moments: str) -> None:
        self.moments = moments

    def _at(self, moment: str) -> None:
        if moment in self.moments:
            raise StoreFailed("it is locked")

    def reserve(self, key: str, micros: int, step: str, skill: str, *, metered: bool = False) -> bytes:
        self._at("reserve")
        return b""

    def settle(self, key: str, micros: int, usage: Usage, answer: bytes = b"") -> None:
        self._at("settle")

    def look(self, skill: bytes, key: str, newest_ms: int) -> Kept | None:
        self._at("look")
        return None

    def keep(self, skill: bytes, key: str, value: Kept, for_ms: int) -> None:
        self._at("keep")


@pytest.mark.parametrize("moment", ["settle", "look", "keep"])
def test_what_was_done_is_answered_for_although_the_store_refuses(moment: str) -> None:
    broken, skill = Broken(moment), Made(_seven)
    answer = perform(skill, ports=Ports(CLOCK, purse=broken, cache=broken), reserved_micros=5, cache_ms=1000)
    assert (answer.failure, answer.output, len(skill.seen)) == (None, b"7", 1)


def test_a_call_whose_money_could_not_be_set_aside_was_not_made_and_may_be_tried_again() -> None:
    skill = Made(_seven, effect_class=EffectClass.UNSAFE)
    answer = perform(skill, ports=Ports(CLOCK, purse=Broken("reserve")), reserved_micros=5)
    assert answer.failure is not None
    assert (answer.failure.code, answer.failure.retryable, skill.seen) == ("TW7018", True, [])


@pytest.mark.parametrize("ordering", ["issue", "arrival"])
@pytest.mark.parametrize("inline", [True, False])
def test_what_performs_a_call_may_break_and_no_other_call_pays_for_it(
    tmp_path: Path, ordering: str, inline: bool
) -> None:
    def breaks(call: SkillCall, _key: str) -> Any:
        raise SystemExit(f"{call.path} broke")

    steps = (step("good"), step("bad", on_error="continue"), step("after", "idempotent", 0))
    plan = plan_of(*steps, outputs=["${steps.good.output}", "${steps.after.output}"], ordering=ordering)
    deeds = Deeds({"bad": breaks, "good": lambda _call, _key: 1, "after": lambda _call, _key: 2}, inline=inline)
    with engine_in(tmp_path, deeds) as engine:
        run_id = begin(engine, plan)
        engine.work()
        ending = engine.outcomes[run_id].ending
        assert ending is not None
        assert (ending.status, dict(ending.steps)) == ("partially_succeeded", {"failed": 1, "succeeded": 2})
        assert msgspec.json.decode(ending.output) == [1, 2]


def test_a_wait_whose_row_cannot_be_read_for_a_while_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, left = Waits.look, [2]

    def refuse(self: Waits, *arguments: Any) -> Looked:
        left[0] -= 1
        if left[0] >= 0:
            raise StoreFailed("it is locked") from JournalBusy("it is locked")
        return look(self, *arguments)

    monkeypatch.setattr(Waits, "look", refuse)
    plan = plan_of(waiting("a", kind="timer", timer_ms=1))
    with engine_in(tmp_path, Deeds(), clock=SteppedClock(step_us=20_000)) as engine:
        run_id = begin(engine, plan)
        engine.work()
        assert status_of(engine, run_id) == "succeeded"
