"""Carrying state: what one version saves, another loads, wherever they run."""

import os
import signal
from collections.abc import Iterator

import msgspec
import pytest

from tests.unit.sandbox import wat
from tickwork.errors import ModuleRefused, WorkerLost
from tickwork.records import Limits, Operation, Outcome, Refusal, Status, Turn
from tickwork.sandbox.image import encode_image
from tickwork.sandbox.pool import Pool, ProcessPool, Program, open_pool


def exports(save: str = "", load: str = "") -> str:
    """Return the two exports; an empty text leaves one out."""
    made = f'(func (export "agent_save") (param $to i32) (param $capacity i32) (result i32) {save})' if save else ""
    return made + (
        f'(func (export "agent_load") (param $from i32) (param $length i32) (result i32) {load})' if load else ""
    )


SAVE = "(i32.store (local.get $to) (global.get $count)) (i32.const 4)"
LOAD = """(if (i32.ne (local.get $length) (i32.const 4)) (then (return (i32.const -9))))
  (global.set $count (i32.load (local.get $from))) (i32.const 0)"""
OLD = wat.agent(step=wat.COUNT, extra=exports(SAVE, LOAD))
NEW = wat.agent(step=wat.COUNT.replace("(i32.const 1)))", "(i32.const 10)))", 1), pages=5, extra=exports(SAVE, LOAD))


@pytest.fixture(params=[0, 2], ids=["inline", "process"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """An empty pool of each kind."""
    pool = open_pool(request.param)
    yield pool
    pool.close()


def begun(pool: Pool, wasm: bytes = OLD, turns: int = 3) -> None:
    """Place agent 0 and let it have turns."""
    pool.place(wat.program(0, wasm))
    pool.compute([wat.turn(0, 0, operation=Operation.INIT)])
    for tick in range(1, turns + 1):
        (outcome,) = pool.compute([wat.turn(0, tick)])
        assert outcome.status == Status.OK


def carried(pool: Pool, wasm: bytes, fuel: int = 1_000_000, limits: Limits | None = None) -> tuple[Outcome, bytes]:
    """Hand agent 0's state to another version; return the outcome and the image, encoded."""
    turn = Turn(0, Operation.INIT, 9, 0, fuel, 0, 0, b"")
    outcome, image = pool.carry(turn, wat.program(0, wasm, limits=limits))
    return outcome, encode_image(image) if image is not None else b""


def adopt(pool: Pool, program: Program) -> None:
    """Put another version in the place of agent 0."""
    outcome, image = pool.carry(Turn(0, Operation.INIT, 9, 0, 1_000_000, 0, 0, b""), program)
    assert (outcome.status, image is not None) == (Status.OK, True)
    pool.retire([0])
    pool.place(program)
    assert image is not None
    pool.restore(0, image)


def counted(pool: Pool, tick: int = 10) -> int:
    (outcome,) = pool.compute([wat.turn(0, tick)])
    return int.from_bytes(outcome.outbox[32:36], "little")


def test_the_new_version_goes_on_with_what_the_old_one_saved(pool: Pool) -> None:
    begun(pool)
    adopt(pool, wat.program(0, NEW))
    assert counted(pool) == 13


def test_carrying_changes_nothing_of_the_agent(pool: Pool) -> None:
    begun(pool, wat.agent(step=wat.COUNT, extra=exports("(global.set $count (i32.const 77)) (i32.const 0)")))
    before = pool.image(0)
    outcome, _ = carried(pool, wat.agent(step=wat.COUNT, extra=exports(load="(i32.const 0)")))
    assert outcome.status == Status.OK
    assert pool.image(0) == before
    assert counted(pool) == 4


def test_every_pool_makes_the_same_image() -> None:
    found = set[bytes]()
    for workers in (0, 1, 2):
        pool = open_pool(workers)
        begun(pool)
        found.add(carried(pool, NEW)[1])
        pool.close()
    assert len(found) == 1


REFUSING = {
    "save refuses": (exports("(i32.const -9)"), exports(load=LOAD), "agent_save returned -9, bad_state"),
    "save traps": (exports(wat.TRAP), exports(load=LOAD), "agent_save came to trap"),
    "save lies": (exports("(i32.const 65537)"), exports(load=LOAD), "agent_save came to abi_violation"),
    "save spins": (exports(wat.SPIN), exports(load=LOAD), "agent_save came to out_of_fuel"),
    "load refuses": (exports("(i32.const 3)"), exports(load=LOAD), "agent_load returned -9, bad_state"),
    "load says a number": (exports(SAVE), exports(load="(i32.const 7)"), "agent_load returned 7"),
    "load traps": (exports(SAVE), exports(load=wat.DIVIDE), "agent_load came to trap"),
    "no save": ("", exports(load=LOAD), "agent_save came to abi_violation: the module does not export it"),
    "no load": (exports(SAVE), "", "agent_load came to abi_violation: the module does not export it"),
}


@pytest.mark.parametrize("case", list(REFUSING))
def test_a_call_that_fails_is_named_and_the_agent_stays(pool: Pool, case: str) -> None:
    save, load, text = REFUSING[case]
    begun(pool, wat.agent(step=wat.COUNT, extra=save))
    outcome, image = carried(pool, wat.agent(step=wat.COUNT, extra=load), limits=Limits(fuel=1_000_000))
    assert outcome.status != Status.OK
    assert outcome.detail.startswith(text)
    assert image == b""
    assert counted(pool) == 4


def test_a_state_larger_than_the_other_inbox_is_too_big(pool: Pool) -> None:
    begun(pool, wat.agent(step=wat.COUNT, extra=exports("(i32.const 8192)")))
    small = wat.agent(step=wat.COUNT, described=wat.descriptor(capacity=4096), extra=exports(load="(i32.const 0)"))
    outcome, _ = carried(pool, small)
    assert (outcome.status, outcome.code) == (Status.FAILED, Refusal.TOO_BIG)


def test_an_empty_state_is_a_state(pool: Pool) -> None:
    load = "(if (local.get $length) (then (return (i32.const -1)))) (global.set $count (i32.const 50)) (i32.const 0)"
    begun(pool, wat.agent(step=wat.COUNT, extra=exports("(i32.const 0)")))
    adopt(pool, wat.program(0, wat.agent(step=wat.COUNT, extra=exports(load=load))))
    assert counted(pool) == 51


def test_both_versions_see_the_agent_and_the_tick(pool: Pool) -> None:
    tell = f"""(i32.store (local.get $to) (i32.load offset=32 (i32.const {wat.CONTEXT})))
      (i32.store offset=4 (local.get $to) (i32.load (i32.const {wat.CONTEXT}))) (i32.const 8)"""
    hear = f"""(global.set $count (i32.add (i32.mul (i32.const 100) (i32.load offset=4 (local.get $from)))
      (i32.load (i32.const {wat.CONTEXT})))) (i32.const 0)"""
    begun(pool, wat.agent(step=wat.COUNT, extra=exports(tell)))
    adopt(pool, wat.program(0, wat.agent(step=wat.COUNT, extra=exports(load=hear))))
    assert counted(pool) == 910


def test_the_new_version_is_restored_from_its_image_after_a_failed_turn(pool: Pool) -> None:
    begun(pool)
    adopt(pool, wat.program(0, wat.agent(step=wat.COUNT, receive=wat.TRAP, extra=exports(SAVE, LOAD))))
    assert counted(pool) == 4
    (failed,) = pool.compute([wat.turn(0, 11, b"!")])
    assert failed.status == Status.TRAP
    assert counted(pool, 12) == 5


def test_a_restart_after_a_swap_begins_the_new_version(pool: Pool) -> None:
    begun(pool)
    adopt(pool, wat.program(0, NEW))
    pool.reset([0])
    pool.compute([wat.turn(0, 10, operation=Operation.INIT)])
    assert counted(pool, 11) == 10


def test_a_version_that_begins_larger_than_its_quota_is_refused(pool: Pool) -> None:
    begun(pool)
    with pytest.raises(ModuleRefused):
        carried(pool, NEW, limits=Limits(memory_pages=4))


def kill(pool: ProcessPool) -> None:
    for pid in pool.worker_pids():
        os.kill(pid, signal.SIGKILL)


def test_a_worker_that_dies_around_a_swap_changes_nothing() -> None:
    pool = ProcessPool(1)
    begun(pool)
    kill(pool)
    adopt(pool, wat.program(0, NEW))
    kill(pool)
    assert counted(pool) == 13
    kill(pool)
    assert counted(pool, 11) == 23
    pool.close()


@pytest.mark.slow
def test_a_save_that_hangs_a_worker_is_given_up() -> None:
    pool = ProcessPool(1, patience_s=1)
    begun(pool, wat.agent(step=wat.COUNT, extra=exports(wat.SPIN)))
    turn = Turn(0, Operation.INIT, 9, 0, 1 << 60, 0, 0, b"")
    pool._watchdog.allow = lambda _seconds, allow=pool._watchdog.allow: allow(1)  # type: ignore[method-assign,misc]
    with pytest.raises(WorkerLost):
        pool.carry(turn, msgspec.structs.replace(wat.program(0, NEW), limits=Limits(fuel=1000)))
    pool.close()
