"""One instance and its turns: every outcome there is."""

import pytest

from tests.unit.sandbox import wat
from tickwork.codec import decode_frames
from tickwork.errors import InternalError, ModuleRefused
from tickwork.records import UNTIL_MESSAGE, Limits, Operation, Outcome, Status
from tickwork.sandbox.engine import TrapNumber
from tickwork.sandbox.image import Image
from tickwork.sandbox.instance import Instance, OutOfBounds, StartFault, guest_slice, load


def outcome(
    step: str, *bodies: bytes, whole: bool = True, receive: str = wat.QUIET, memory_pages: int = 256, depth: int = 2500
) -> Outcome:
    limits = Limits(memory_pages=memory_pages, depth=depth)
    instance = Instance(load(wat.compiled(wat.agent(step=step, receive=receive, whole=whole))), limits)
    result = instance.run(wat.turn(0, 3, *bodies))
    instance.close()
    return result


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        (wat.QUIET, Status.OK, 0),
        (f"(i32.const {UNTIL_MESSAGE})", Status.OK, UNTIL_MESSAGE),
        (wat.OUTBOX_FULL, Status.OK, -7),
        (wat.FAIL, Status.FAILED, -2),
        ("(i32.const -5000)", Status.FAILED, -5000),
        (wat.TRAP, Status.TRAP, TrapNumber.UNREACHABLE),
        (wat.DIVIDE, Status.TRAP, TrapNumber.INTEGER_DIVISION_BY_ZERO),
        ("(i32.div_s (i32.const 0x80000000) (i32.const -1))", Status.TRAP, TrapNumber.INTEGER_OVERFLOW),
        ("(i32.trunc_f32_s (f32.const nan))", Status.TRAP, TrapNumber.BAD_CONVERSION_TO_INTEGER),
        (wat.OUT_OF_BOUNDS, Status.TRAP, TrapNumber.MEMORY_OUT_OF_BOUNDS),
        (wat.SPIN, Status.OUT_OF_FUEL, 0),
        (wat.RECURSE, Status.DEPTH_LIMIT, 0),
        (wat.OUTBOX_TOO_LONG, Status.ABI_VIOLATION, 0),
        (wat.OUTBOX_BAD_FRAME, Status.ABI_VIOLATION, 0),
        (wat.OUTBOX_BAD_COUNT, Status.ABI_VIOLATION, 0),
    ],
)
def test_every_outcome_has_its_status_and_code(step: str, status: Status, code: int) -> None:
    result = outcome(step)
    assert (result.status, result.code) == (status, code)
    assert bool(result.detail) == (status not in (Status.OK, Status.FAILED))
    assert result.outbox == b"" or status == Status.OK


def test_indirect_calls_that_fail_have_their_own_numbers() -> None:
    extra = "(table 2 funcref) (elem (i32.const 0) $deep) (type $none (func))"
    for call, number in (
        ("(call_indirect (type $none) (i32.const 0))", TrapNumber.BAD_SIGNATURE),
        ("(call_indirect (type $none) (i32.const 1))", TrapNumber.INDIRECT_CALL_TO_NULL),
        ("(call_indirect (type $none) (i32.const 2))", TrapNumber.TABLE_OUT_OF_BOUNDS),
    ):
        instance = Instance(load(wat.compiled(wat.agent(step=f"{call} (i32.const 0)", extra=extra))), Limits())
        assert instance.run(wat.turn()).code == number
        instance.close()


def test_a_turn_without_fuel_uses_all_of_it() -> None:
    assert outcome(wat.SPIN).fuel == 10_000_000


def test_memory_grows_to_the_quota_and_no_further() -> None:
    assert outcome(wat.GROW, memory_pages=16).code == 16
    assert outcome(wat.GROW, memory_pages=5).code == 5
    assert outcome(wat.GROW, memory_pages=4000).code == 64


def test_a_memory_larger_than_the_quota_is_refused() -> None:
    with pytest.raises(ModuleRefused, match="quota is 3 pages"):
        Instance(load(wat.compiled(wat.agent())), Limits(memory_pages=3))


def test_native_overflow_is_a_depth_limit_too() -> None:
    assert outcome(wat.RECURSE, depth=2**31 - 1).status in (Status.DEPTH_LIMIT, Status.OUT_OF_FUEL)


def test_the_outbox_comes_back_as_the_guest_left_it() -> None:
    result = outcome(wat.QUIET, b"one", b"", b"a longer message", receive=wat.ECHO)
    assert [message.body for message in decode_frames(result.outbox)] == [b"one", b"", b"a longer message"]
    assert [message.tick for message in decode_frames(result.outbox)] == [3, 3, 3]


@pytest.mark.parametrize("receive", [wat.ECHO, wat.FAIL, wat.TRAP, wat.OUTBOX_FULL, wat.SPIN])
@pytest.mark.parametrize("step", [wat.COUNT, wat.QUIET, wat.FAIL])
def test_a_module_without_tw_turn_comes_to_the_same(receive: str, step: str) -> None:
    whole = outcome(step, b"a", b"bb", receive=receive)
    apart = outcome(step, b"a", b"bb", receive=receive, whole=False)
    if receive == wat.OUTBOX_FULL:
        assert apart.code == (-2 if step == wat.FAIL else -7)
        return
    assert (whole.status, whole.code, whole.outbox) == (apart.status, apart.code, apart.outbox)


def test_init_and_shutdown_call_their_exports() -> None:
    wasm = wat.agent(init="(i32.const 5)", shutdown="(i32.const -12)")
    instance = Instance(load(wat.compiled(wasm)), Limits())
    assert instance.run(wat.turn(operation=Operation.INIT)).code == 5
    assert instance.run(wat.turn(operation=Operation.SHUTDOWN)).code == -12
    instance.close()


def test_the_context_carries_what_the_turn_says() -> None:
    step = """(memory.copy (i32.const 1024) (local.get $context) (i32.const 44))
      (call $emit (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 44)) (i32.const 0)"""
    (message,) = decode_frames(outcome(step, b"12345").outbox)
    fields = [int.from_bytes(message.body[at : at + 8], "little") for at in range(0, 32, 8)]
    assert fields == [3, 10, 10_000_000, 0]
    assert [int.from_bytes(message.body[at : at + 4], "little") for at in (32, 36, 40)] == [0, 40, 1]


def test_start_code_runs_once_before_the_first_turn() -> None:
    wasm = wat.agent(step=wat.COUNT, extra='(func (export "_initialize") (global.set $count (i32.const 41)))')
    instance = Instance(load(wat.compiled(wasm)), Limits())
    (message,) = decode_frames(instance.run(wat.turn()).outbox)
    assert message.body == (42).to_bytes(4, "little")
    image = instance.take_image()
    again = Instance(load(wat.compiled(wasm)), Limits(), image)
    assert again.take_image() == image
    instance.close()
    again.close()


def test_start_code_that_needs_more_depth_than_the_agent_has_fails_the_start() -> None:
    wasm = wat.agent(extra='(func (export "_initialize") (drop (call $deep (i32.const 200))))')
    with pytest.raises(StartFault) as caught:
        Instance(load(wat.compiled(wasm)), Limits(depth=100))
    assert caught.value.fault.status == Status.DEPTH_LIMIT


def test_guest_addresses_are_unsigned_and_bounded() -> None:
    memory = memoryview(bytearray(65536))
    assert len(guest_slice(memory, 65528, 8)) == 8
    for pointer, length in ((65529, 8), (-16, 8), (0, -1), (2**32 - 1, 1)):
        with pytest.raises(OutOfBounds):
            guest_slice(memory, pointer, length)


def test_nan_bits_are_the_same_everywhere() -> None:
    step = """(f64.store (i32.const 1024) (f64.div (f64.const 0) (f64.const 0)))
      (call $emit (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 8)) (i32.const 0)"""
    (message,) = decode_frames(outcome(step).outbox)
    assert message.body.hex() == "000000000000f87f"


@pytest.mark.parametrize("change", ["longer", "shorter", "another count of globals"])
def test_an_image_of_another_form_is_refused_before_it_is_written(change: str) -> None:
    loaded = load(wat.compiled(wat.agent()))
    made = Instance(loaded, Limits())
    whole = made.take_image()
    made.close()
    memory = {"longer": whole.memory + bytes(4096), "shorter": whole.memory[:-4096]}.get(change, whole.memory)
    variables = whole.globals[16:] if change == "another count of globals" else whole.globals
    with pytest.raises(InternalError, match="an image belongs to another module"):
        Instance(loaded, Limits(), Image(memory, variables))


@pytest.mark.parametrize(("at", "value"), [(12, 4096), (24, 1 << 17), (0, 0)])
def test_buffers_do_not_move_when_a_base_has_its_source(at: int, value: int) -> None:
    moving = f"""(func (export "tw_source") (param i32) (result i32)
      (i32.store (i32.const {wat.DESCRIPTOR + at}) (i32.const {value})) (i32.const {wat.SCRATCH}))"""
    loaded = load(wat.compiled(wat.agent(extra=moving)))
    Instance(loaded, Limits()).close()
    with pytest.raises(StartFault, match="something else than at admission"):
        Instance(loaded, Limits(), source=b"source")
