"""What the engine must do before anything runs on it: behaviour is probed, not believed.

The probes cost some milliseconds and run once per process, when an engine is first asked for.
"""

import functools
import struct
from typing import Final

from ..errors import EngineUnsuitable
from ..records import ENGINE_PROFILE, Status
from .engine import PAGE, WASMTIME_VERSION, Cell, Engine, EngineError, EngineProfile, Fault, assemble

_BEHAVIOUR: Final = """(module
  (memory (export "memory") 1 5)
  (global (export "single") (mut f32) (f32.const 0))
  (global (export "double") (mut f64) (f64.const 0))
  (func (export "divide")
    (global.set 0 (f32.div (f32.const 0) (f32.const 0)))
    (global.set 1 (f64.div (f64.const 0) (f64.const 0))))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "spin") (loop (br 0)))
  (func $deep (export "deep") (call $deep) (i32.store (i32.const 0) (i32.const 1))))"""

_REFUSED: Final = {
    "threads": "(module (memory 1 1 shared))",
    "atomics": "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))",
    "relaxed SIMD": "(module (func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0))))",
    "memory64": "(module (memory i64 1))",
    "multi-memory": "(module (memory 1) (memory 1))",
    "tail calls": "(module (func $f (return_call $f)))",
    "exceptions": "(module (tag))",
    "garbage collection": "(module (type (struct)))",
    "function references": "(module (type $t (func)) (func (param (ref $t))))",
    "wide arithmetic": "(module (func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1))))",
    "custom page sizes": "(module (memory 1 (pagesize 1)))",
}
_ACCEPTED: Final = {
    "SIMD": "(module (func (param v128 v128) (result v128) (f32x4.add (local.get 0) (local.get 1))))",
    "bulk memory": "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))",
    "sign extension": "(module (func (param i32) (result i32) (i32.extend8_s (local.get 0))))",
    "saturating conversion": "(module (func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0))))",
    "multi-value": "(module (func (result i32 i32) (i32.const 0) (i32.const 0)))",
    "reference types": "(module (table 1 funcref) (table 1 funcref) (func (drop (table.size 1))))",
}

_SINGLE_NAN: Final = struct.pack("<I", 0x7FC00000)
_DOUBLE_NAN: Final = struct.pack("<Q", 0x7FF8000000000000)


@functools.cache
def ready_engine(opt_level: str) -> Engine:
    """Return this process's engine for an optimisation level, probed.

    Raises:
        EngineUnsuitable: TW3101, it does not behave as the profile needs.
    """
    engine = Engine(EngineProfile(opt_level))
    probe(engine)
    return engine


def probe(engine: Engine) -> None:
    """Refuse an engine that does not behave as the profile needs.

    Raises:
        EngineUnsuitable: TW3101, naming the first probe that failed.
    """
    for name, text in _REFUSED.items():
        _expect(not engine.validates(assemble(text)), f"accepts a module that uses {name}")
    for name, text in _ACCEPTED.items():
        _expect(engine.validates(assemble(text)), f"refuses a module that uses {name}")
    try:
        code = engine.compile(assemble(_BEHAVIOUR))
        _probe_calls(Cell(engine.load(code.serialize()), memory_bytes=3 * PAGE, fuel=0))
    except EngineError as error:
        _expect(False, f"failed: {error}")


def _probe_calls(cell: Cell) -> None:
    cell.refuel(1_000)
    _expect(isinstance(cell.call(cell.function("divide")), int), "traps on a division of floats")
    _expect(cell.read_raw(cell.variable("single"))[:4] == _SINGLE_NAN, "does not canonicalize a 32-bit NaN")
    _expect(cell.read_raw(cell.variable("double")) == _DOUBLE_NAN, "does not canonicalize a 64-bit NaN")
    cell.write_raw(cell.variable("double"), 3, b"\1\2\3\4\5\6\7\x7f")
    _expect(cell.read_raw(cell.variable("double")) == b"\1\2\3\4\5\6\7\x7f", "changes the bits of a global")
    base = cell.memory_address()
    grown = [cell.call(cell.function("grow"), pages) for pages in (1, 2, 1, 1)]
    _expect(grown == [1, -1, 2, -1], f"grows a memory beyond its limit: {grown}")
    _expect(cell.memory_address() == base and cell.memory_bytes() == 3 * PAGE, "moves a memory that grows")
    cell.refuel(1_000)
    spun = cell.call(cell.function("spin"))
    _expect(isinstance(spun, Fault) and spun.status == Status.OUT_OF_FUEL, "does not stop a loop without fuel")
    _expect(cell.fuel() == 0, "leaves fuel after running out of it")
    cell.refuel(100_000_000)
    deep = cell.call(cell.function("deep"))
    _expect(isinstance(deep, Fault) and deep.status == Status.DEPTH_LIMIT, "does not stop a recursion")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise EngineUnsuitable(
            f"the WebAssembly engine {what}",
            why=f"profile {ENGINE_PROFILE} needs wasmtime {WASMTIME_VERSION} as it is published",
            fix=f"reinstall wasmtime=={WASMTIME_VERSION}",
        )
