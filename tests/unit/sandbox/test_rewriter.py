"""The rewriter: behaves as the original, counts depth exactly, gives state away."""

import pytest
from wasmtime import Engine, Instance, Module, Store

from tests.unit.sandbox import wat
from tickwork.records import Limits, Status
from tickwork.sandbox.engine import TrapNumber
from tickwork.sandbox.instance import Instance as Agent
from tickwork.sandbox.instance import load
from tickwork.sandbox.rewriter import DEPTH, rewrite
from tickwork.sandbox.scan import scan
from tickwork.sandbox.wasm import parse

NESTED = """(module (memory (export "memory") 1 1) (table 3 funcref) (elem (i32.const 0) $add $sub $fib)
  (type $binary (func (param i64 i64) (result i64))) (type $unary (func (param i64) (result i64)))
  (global $calls (mut i32) (i32.const 0)) (global $constant i32 (i32.const 41))
  (global $f (mut f32) (f32.const nan:0x200001))
  (func $add (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1)))
  (func $sub (param i64 i64) (result i64) (i64.sub (local.get 0) (local.get 1)))
  (func $fib (param i64) (result i64)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (result i64) (i64.lt_u (local.get 0) (i64.const 2)) (then (local.get 0))
      (else (i64.add (call $fib (i64.sub (local.get 0) (i64.const 1)))
        (call_indirect (type $unary) (i64.sub (local.get 0) (i64.const 2)) (i32.const 2))))))
  (func $pair (param f64 i32) (result i32 f64) (local.get 1) (local.get 0))
  (func (export "swap") (param f64 i32) (result i32 f64) (call $pair (local.get 0) (local.get 1)))
  (func (export "apply") (param i32 i64 i64) (result i64)
    (call_indirect (type $binary) (local.get 1) (local.get 2) (local.get 0)))
  (func (export "fib") (param i64) (result i64) (call $fib (local.get 0)))
  (func (export "calls") (result i32) (i32.add (global.get $calls) (global.get $constant))))"""


def answers(wasm: bytes, *, depth: int | None) -> list[object]:
    engine = Engine()
    store = Store(engine)
    exports = Instance(store, Module(engine, wasm), []).exports(store)
    if depth is not None:
        exports[DEPTH].set_value(store, depth)  # type: ignore[union-attr]
    calls = (("fib", 15), ("apply", 0, 5, 6), ("apply", 1, 5, 6), ("swap", 1.5, 3), ("fib", 16), ("calls",))
    return [exports[name](store, *arguments) for name, *arguments in calls]  # type: ignore[operator]


def test_a_rewritten_module_answers_as_the_plain_one() -> None:
    plain = wat.assemble(NESTED)
    module = parse(plain)
    rewritten = rewrite(module, scan(module))
    assert answers(rewritten.data, depth=1000) == answers(plain, depth=None)


def test_state_is_exported_and_constants_are_not() -> None:
    module = parse(wat.assemble(NESTED))
    rewritten = rewrite(module, scan(module))
    assert rewritten.globals == (0, 2)
    names = [export.name for export in parse(rewritten.data).exports]
    assert names[-5:] == ["__tw_g0", "__tw_g2", "__tw_t0", "__tw_depth", "__tw_flag"]


def test_leaves_are_not_wrapped() -> None:
    module = parse(wat.assemble(NESTED))
    measures = scan(module)
    callers = sum(measure.calls for measure in measures)
    assert callers == 4
    assert len(parse(rewrite(module, measures).data).functions) == len(module.functions) + callers


def test_a_module_without_globals_gets_its_counters() -> None:
    module = parse(wat.assemble("(module (func $f (call $f)))"))
    assert len(parse(rewrite(module, scan(module)).data).globals) == 2


def test_custom_sections_are_left_out() -> None:
    wasm = wat.agent() + b"\0\5\4note"
    module = parse(wasm)
    assert any(section.name == "note" for section in module.sections)
    assert all(section.kind for section in parse(rewrite(module, scan(module)).data).sections)


@pytest.mark.parametrize("opt_level", ["speed", "none"])
def test_the_depth_at_which_a_turn_is_stopped_is_exact(opt_level: str) -> None:
    """The entry, the step and $deep each weigh 1, so that depth d allows d - 2 calls of $deep."""
    for levels, status in ((97, Status.OK), (98, Status.DEPTH_LIMIT)):
        wasm = wat.agent(step=f"(drop (call $deep (i32.const {levels}))) (i32.const 0)")
        agent = Agent(load(wat.compiled(wasm, opt_level)), Limits(depth=100))
        assert agent.run(wat.turn()).status == status
        agent.close()


def test_many_locals_weigh_more() -> None:
    local = "(local " + "i64 " * 160 + ")"
    heavy = f"(func $heavy {local} (call $light)) (func $light)"
    wasm = wat.agent(step="(call $heavy) (i32.const 0)", extra=heavy)
    for depth, status in ((28, Status.DEPTH_LIMIT), (29, Status.OK)):
        agent = Agent(load(wat.compiled(wasm)), Limits(depth=depth))
        assert agent.run(wat.turn()).status == status
        agent.close()


def test_abort_becomes_a_trap_with_its_text() -> None:
    def text(content: str) -> str:
        encoded = content.encode("utf-16-le")
        whole = len(encoded).to_bytes(4, "little") + encoded
        return "".join(f"\\{byte:02x}" for byte in whole)

    message, file = text("Index out of range \x1b[31m"), text("~lib/array.ts")
    wasm = wat.agent(
        imports='(import "env" "abort" (func $abort (param i32 i32 i32 i32)))',
        step="(call $abort (i32.const 2052) (i32.const 2308) (i32.const 78) (i32.const 41)) (i32.const 0)",
        extra=f'(data (i32.const 2048) "{message}") (data (i32.const 2304) "{file}")',
    )
    agent = Agent(load(wat.compiled(wasm)), Limits())
    outcome = agent.run(wat.turn())
    assert (outcome.status, outcome.code) == (Status.TRAP, TrapNumber.ABORT)
    assert outcome.detail == "abort: Index out of range \\x1b[31m (~lib/array.ts:78:41)"
    agent.close()


def test_abort_with_wild_pointers_is_still_a_trap() -> None:
    wasm = wat.agent(
        imports='(import "env" "abort" (func $abort (param i32 i32 i32 i32)))',
        step="(call $abort (i32.const -2) (i32.const 0) (i32.const 1) (i32.const 2)) (i32.const 0)",
    )
    agent = Agent(load(wat.compiled(wasm)), Limits())
    assert agent.run(wat.turn()).detail == "abort:  (:1:2)"
    agent.close()
