"""Base modules as instances see them: the source they run is given before the first turn."""

import pytest

from tests.unit.sandbox import wat
from tickwork.records import Limits, Status
from tickwork.sandbox.instance import Instance, StartFault, load
from tickwork.sandbox.pool import InlinePool, ProcessPool, Program

PLACE = 40_000
ROOM = f'(func (export "tw_source") (param i32) (result i32) (i32.const {PLACE}))'
FIRST = f"(i32.load8_u (i32.const {PLACE}))"
SOURCE = b"*source"


def module(place: str) -> bytes:
    return wat.agent(step=FIRST, extra=f'(func (export "tw_source") (param i32) (result i32) {place})')


def test_a_base_reads_its_source_where_it_asked_for_it() -> None:
    instance = Instance(load(wat.compiled(wat.agent(step=FIRST, extra=ROOM))), Limits(), None, SOURCE)
    assert instance.run(wat.turn()).code == SOURCE[0]
    image = instance.take_image()
    instance.close()
    # An image holds the source already.
    again = Instance(load(wat.compiled(wat.agent(step=FIRST, extra=ROOM))), Limits(), image)
    assert again.run(wat.turn()).code == SOURCE[0]
    again.close()


@pytest.mark.parametrize("place", ["(i32.const 0)", "(i32.const -4)", "(i32.const 0x7fffffff)"])
def test_a_place_that_cannot_hold_a_source_is_a_fault_before_the_first_turn(place: str) -> None:
    with pytest.raises(StartFault) as told:
        Instance(load(wat.compiled(module(place))), Limits(), None, SOURCE)
    assert told.value.fault.status == Status.ABI_VIOLATION
    assert "tw_source" in told.value.fault.detail


@pytest.mark.slow
def test_both_pools_give_each_agent_its_own_source() -> None:
    compiled = wat.compiled(wat.agent(step=FIRST, extra=ROOM))
    for pool in (InlinePool(), ProcessPool(1)):
        for number, source in enumerate((b"a", b"b")):
            pool.place(Program(number, compiled, Limits(), source))
        outcomes = pool.compute([wat.turn(0), wat.turn(1)])
        pool.close()
        assert [outcome.code for outcome in outcomes] == [97, 98]
