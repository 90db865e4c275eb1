"""What a compiled function takes of the native stack, beside what its weight accounts for."""

import pytest

from tests.hostile.bombs import STACK
from tests.unit.sandbox import wat
from tickwork.driver.tables import LimitsTable
from tickwork.errors import ModuleRefused
from tickwork.records import Limits, Outcome, Status
from tickwork.sandbox.compile_child import Request, prepare, translate
from tickwork.sandbox.engine import MAX_WASM_STACK
from tickwork.sandbox.frames import LEAF_STACK, READABLE, STACK_PER_WEIGHT, heavy_function, stack_bytes
from tickwork.sandbox.instance import Instance, load

DEEPEST = 5_000
NAMED = {case.name: case for case in STACK}


def code(wasm: bytes, opt_level: str = "speed") -> dict[int, int]:
    request = Request("m.wasm", opt_level, wasm)
    return stack_bytes(translate(request, prepare(request)[1]).serialize())


def ran(wasm: bytes, opt_level: str) -> Outcome:
    agent = Instance(load(wat.compiled(wasm, opt_level)), Limits(depth=DEEPEST))
    outcome = agent.run(wat.turn(fuel=100_000_000))
    agent.close()
    return outcome


def test_the_greatest_depth_fits_the_native_stack() -> None:
    assert DEEPEST * STACK_PER_WEIGHT + LEAF_STACK < MAX_WASM_STACK
    assert "le=5000" in str(LimitsTable.__annotations__["depth"])


@pytest.mark.parametrize("opt_level", ["speed", "none"])
def test_every_counted_function_says_what_it_takes(opt_level: str) -> None:
    request = Request("m.wasm", opt_level, wat.agent(step=wat.MIX))
    _, rewritten = prepare(request)
    compiled = translate(request, rewritten).serialize()
    taken = stack_bytes(compiled)
    if not READABLE:
        assert not taken
        return
    assert all(16 < taken[wrapped.wrapper] <= 200 for wrapped in rewritten.wrapped)
    assert all(16 < taken[wrapped.body] <= 200 for wrapped in rewritten.wrapped)
    assert heavy_function(rewritten, compiled) is None


def test_a_frame_grows_with_what_a_function_keeps() -> None:
    small, large = code(wat.agent()), code(NAMED["recursion with 300 operands"].make(), "none")
    assert not READABLE or max(large.values()) - max(small.values()) > 300 * 4


@pytest.mark.parametrize(
    "name",
    ["direct recursion", "mutual recursion", "indirect recursion", "recursion with 500 locals",
     "recursion with 300 operands", "recursion with a hundred results"],
)  # fmt: skip
def test_a_recursion_ends_by_its_count_and_at_the_same_place_at_every_level(name: str) -> None:
    wasm = NAMED[name].make()
    one, other = ran(wasm, "speed"), ran(wasm, "none")
    assert one == other
    assert (one.status, one.detail) == (Status.DEPTH_LIMIT, f"calls nest deeper than {DEEPEST}")


def test_a_function_that_keeps_more_than_it_says_is_refused() -> None:
    if not READABLE:
        wat.compiled(NAMED["recursion that keeps 2,000 hoisted values"].make())
        return
    with pytest.raises(ModuleRefused) as caught:
        wat.compiled(NAMED["recursion that keeps 2,000 hoisted values"].make())
    assert "bytes on the stack" in caught.value.what
    assert "split the function" in caught.value.fix
