"""The world outside a simulated run."""

from collections.abc import Sequence

import pytest

from tickwork import codec
from tickwork.records import Derived, DerivedKind, Effect, EffectClass, Frame
from tickwork.sim.disk import Disk
from tickwork.sim.faults import Fate
from tickwork.sim.outside import Manner, Outside


def effect(number: int = 5, kind: EffectClass = EffectClass.IDEMPOTENT, body: bytes = b"do") -> Effect:
    return Effect(number, 0, 0, "skill", kind, codec.digest(b"%d" % number), 0, body)


def disk(records: Sequence[Derived], *, durable: bool = True) -> Disk:
    found = Disk(b"", b"", (), Fate())
    found.append(Frame(0, b"\x90", b"", codec.encode_derived(records), b"", bytes(32), bytes(32)))
    found.flush(durable=durable)
    return found


def outside(*records: Derived, durable: bool = True) -> Outside:
    found = Outside(Manner(1), Fate())
    found.begin_life(disk(records, durable=durable))
    return found


def intent(wanted: Effect) -> Derived:
    return Derived(DerivedKind.EFFECT, 0, 0, wanted.number, wanted.skill, wanted.key)


def test_an_effect_whose_intent_is_durable_leaves_without_fault() -> None:
    found = outside(intent(effect()))
    future = found.executor().submit(found.perform, effect())
    assert future.result().number == 5
    assert found.faults == []


@pytest.mark.parametrize("durable", [False, True])
def test_an_effect_that_leaves_too_early_is_noticed(durable: bool) -> None:
    found = outside(*([] if durable else [intent(effect())]), durable=durable)
    found.executor().submit(found.perform, effect())
    assert "released before its intent was durable" in found.faults[0]


def test_a_pure_effect_may_leave_early_and_ask_for_something_else_after_its_intent_was_lost() -> None:
    found = outside(durable=False)
    pure = effect(kind=EffectClass.PURE)
    found.executor().submit(found.perform, pure).result()
    found.begin_life(disk([]))
    found.perform(effect(kind=EffectClass.PURE, body=b"do something else"))
    assert found.faults == []
    assert found.binding == set()


def test_an_effect_performed_twice_by_one_process_is_noticed_and_by_two_it_is_not() -> None:
    found = outside()
    found.perform(effect())
    found.begin_life(disk([]))
    found.perform(effect())
    assert found.faults == []
    found.perform(effect())
    assert "twice by one process" in found.faults[0]


def test_a_key_that_asks_for_two_things_is_noticed() -> None:
    found = outside()
    found.perform(effect())
    found.begin_life(disk([]))
    found.perform(effect(body=b"do something else"))
    assert "two different effects" in found.faults[0]


def test_an_effect_whose_result_is_known_is_not_performed_again_without_notice() -> None:
    found = outside(intent(effect()), Derived(DerivedKind.EFFECT_SETTLED, -1, 0, 5, "skill"))
    found.perform(effect())
    assert "its result is in the journal" in found.faults[0]


def test_an_unsafe_effect_goes_out_again_as_often_as_an_operator_has_said() -> None:
    found = outside()
    unsafe = effect(kind=EffectClass.UNSAFE)
    found.perform(unsafe)
    found.allowed[unsafe.number] = 1
    found.begin_life(disk([]))
    found.perform(unsafe)
    assert found.faults == []
    found.begin_life(disk([]))
    found.perform(unsafe)
    assert "nobody had decided" in found.faults[0]


def test_a_result_depends_on_the_key_alone() -> None:
    one, other = outside(), outside()
    assert [one.perform(effect(n)) for n in range(9)] == [other.perform(effect(n)) for n in reversed(range(9))][::-1]
