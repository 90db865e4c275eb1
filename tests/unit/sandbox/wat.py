"""Small agents that speak the ABI, made from text: one skeleton, and behaviours to put in it.

    agent(step=MIX)                  # evolves memory and globals, sends 24 bytes each turn
    agent(step="(unreachable)")      # traps in its first turn
    agent(whole=False)               # no tw_turn: the host calls agent_receive and agent_step

A behaviour is the body of ``agent_step``: it leaves an i32. It may use ``$context``, the functions ``$emit``
and ``$deep``, the globals ``$state``, ``$double``, ``$single``, ``$count``, and memory from ``SCRATCH`` on.
"""

import functools

import wasmtime

from tickwork.codec import encode_frame
from tickwork.records import DIRECT, FrameKind, Limits, Operation, Turn
from tickwork.sandbox.compile_child import Request, describe, prepare, translate
from tickwork.sandbox.pool import Program

CONTEXT = 64
DESCRIPTOR = 16
INBOX = 65536
OUTBOX = 131072
SCRATCH = 196608
CAPACITY = 65536
UNTIL_MESSAGE = 0x7FFFFFFF

QUIET = "(i32.const 0)"
TRAP = "(unreachable)"
DIVIDE = "(i32.div_s (i32.const 1) (i32.const 0))"
OUT_OF_BOUNDS = "(i32.load (i32.const -8))"
SPIN = "(loop $again (br $again)) (i32.const 0)"
RECURSE = "(call $deep (i32.const 0x7fffffff))"
GROW = """(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
  (memory.size)"""
FAIL = "(global.set $count (i32.add (global.get $count) (i32.const 1))) (i32.const -2)"
OUTBOX_TOO_LONG = f"(i32.store offset=44 (local.get $context) (i32.const {CAPACITY + 8})) (i32.const 0)"
OUTBOX_BAD_FRAME = f"""(i32.store (i32.const {OUTBOX}) (i32.const 31))
  (i32.store offset=44 (local.get $context) (i32.const 32))
  (i32.store offset=48 (local.get $context) (i32.const 1)) (i32.const 0)"""
OUTBOX_BAD_COUNT = f"""(call $emit (i32.const 1) (i32.const 0) (i32.const {SCRATCH}) (i32.const 8))
  (i32.store offset=48 (local.get $context) (i32.const 2)) (i32.const 0)"""
OUTBOX_FULL = f"""(call $emit (i32.const 1) (i32.const 0) (i32.const {SCRATCH}) (i32.const 8)) (i32.const -7)"""

COUNT = f"""(global.set $count (i32.add (global.get $count) (i32.const 1)))
  (i32.store (i32.const {SCRATCH}) (global.get $count))
  (call $emit (i32.const 1) (i32.const 0) (i32.const {SCRATCH}) (i32.const 4)) (i32.const 0)"""

MIX = f"""
  (global.set $state (i64.xor (global.get $state) (i64.shl (global.get $state) (i64.const 13))))
  (global.set $state (i64.xor (global.get $state) (i64.shr_u (global.get $state) (i64.const 7))))
  (global.set $state (i64.xor (global.get $state) (i64.shl (global.get $state) (i64.const 17))))
  (global.set $state (i64.add (global.get $state) (i64.load offset=8 (local.get $context))))
  (global.set $double (f64.div (f64.convert_i64_s (global.get $state))
    (f64.sub (global.get $double) (global.get $double))))
  (global.set $single (f32.reinterpret_i32 (i32.wrap_i64 (global.get $state))))
  (global.set $count (call $deep (i32.and (i32.wrap_i64 (global.get $state)) (i32.const 63))))
  (i64.store (i32.add (i32.const {SCRATCH}) (i32.and (i32.wrap_i64 (global.get $state)) (i32.const 0xfff8)))
    (global.get $state))
  (if (i64.eqz (i64.and (global.get $state) (i64.const 0x1f))) (then (drop (memory.grow (i32.const 1)))))
  (i64.store (i32.const 1024) (global.get $state))
  (f64.store (i32.const 1032) (global.get $double))
  (i32.store (i32.const 1040) (memory.size))
  (i32.store (i32.const 1044) (global.get $count))
  (call $emit (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 24)) (i32.const 0)"""

ECHO = """(global.set $count (i32.add (global.get $count) (i32.const 1)))
  (call $emit (i32.const 1) (i32.load offset=8 (local.get $message))
    (i32.add (local.get $message) (i32.const 32))
    (i32.sub (i32.load (local.get $message)) (i32.const 32)))
  (i32.const 0)"""

_EMIT = f"""(func $emit (param $kind i32) (param $destination i32) (param $from i32) (param $length i32) (local $at i32)
  (local.set $at (i32.add (i32.const {OUTBOX}) (i32.load offset=44 (i32.const {CONTEXT}))))
  (i32.store (local.get $at) (i32.add (i32.const 32) (local.get $length)))
  (i32.store16 offset=4 (local.get $at) (local.get $kind))
  (i32.store16 offset=6 (local.get $at) (i32.const 0))
  (i32.store offset=8 (local.get $at) (i32.load offset=32 (i32.const {CONTEXT})))
  (i32.store offset=12 (local.get $at) (local.get $destination))
  (i64.store offset=16 (local.get $at) (i64.const 0))
  (i64.store offset=24 (local.get $at) (i64.load (i32.const {CONTEXT})))
  (memory.copy (i32.add (local.get $at) (i32.const 32)) (local.get $from) (local.get $length))
  (memory.fill (i32.add (i32.add (local.get $at) (i32.const 32)) (local.get $length)) (i32.const 0)
    (i32.and (i32.sub (i32.const 0) (local.get $length)) (i32.const 7)))
  (i32.store offset=44 (i32.const {CONTEXT}) (i32.add (i32.load offset=44 (i32.const {CONTEXT}))
    (i32.and (i32.add (local.get $length) (i32.const 39)) (i32.const -8))))
  (i32.store offset=48 (i32.const {CONTEXT}) (i32.add (i32.load offset=48 (i32.const {CONTEXT})) (i32.const 1))))"""

_DEEP = """(func $deep (param $levels i32) (result i32)
  (if (result i32) (i32.eqz (local.get $levels))
    (then (i32.const 0))
    (else (i32.add (i32.const 1) (call $deep (i32.sub (local.get $levels) (i32.const 1)))))))"""

_TURN = f"""(func $turn (export "tw_turn") (param $context i32) (result i32)
  (local $at i32) (local $left i32) (local $code i32)
  (local.set $at (i32.const {INBOX}))
  (local.set $left (i32.load offset=40 (local.get $context)))
  (block $done (loop $next
    (br_if $done (i32.eqz (local.get $left)))
    (local.set $code (call $receive (local.get $at)))
    (if (i32.lt_s (local.get $code) (i32.const 0)) (then (return (local.get $code))))
    (local.set $at (i32.add (local.get $at)
      (i32.and (i32.add (i32.load (local.get $at)) (i32.const 7)) (i32.const -8))))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br $next)))
  (call $step (local.get $context)))"""


def descriptor(
    *, magic: str = "TWA1", major: int = 1, minor: int = 0, inbox: int = INBOX, capacity: int = CAPACITY, flags: int = 1
) -> str:
    """Return the 32 bytes of a descriptor as a WAT string."""
    numbers = [major | minor << 16, inbox, capacity, OUTBOX, capacity, CONTEXT, flags]
    return magic + "".join(f"\\{byte:02x}" for number in numbers for byte in number.to_bytes(4, "little"))


def source(
    *,
    step: str = QUIET,
    receive: str = QUIET,
    init: str = QUIET,
    shutdown: str = QUIET,
    whole: bool = True,
    pages: int = 4,
    maximum: str = "64",
    described: str = "",
    imports: str = "",
    extra: str = "",
) -> str:
    """Return the text of an agent. Every argument but ``whole`` and ``pages`` is WAT."""
    return f"""(module {imports}
  (memory (export "memory") {pages} {maximum})
  (data (i32.const {DESCRIPTOR}) "{described or descriptor(flags=int(whole))}")
  (global $state (mut i64) (i64.const 88172645463325252))
  (global $double (mut f64) (f64.const 0))
  (global $single (mut f32) (f32.const 0))
  (global $count (export "count") (mut i32) (i32.const 0))
  {_EMIT} {_DEEP}
  (func (export "tw_desc") (result i32) (i32.const {DESCRIPTOR}))
  (func (export "agent_init") (result i32) {init})
  (func $receive (export "agent_receive") (param $message i32) (result i32) {receive})
  (func $step (export "agent_step") (param $context i32) (result i32) {step})
  (func (export "agent_shutdown") (result i32) {shutdown})
  {_TURN if whole else ""}
  {extra})"""


@functools.cache
def assemble(text: str) -> bytes:
    """Return the binary form."""
    return bytes(wasmtime.wat2wasm(text))


def agent(**parts: object) -> bytes:
    """Return the module of ``source(**parts)``."""
    return assemble(source(**parts))  # type: ignore[arg-type]


@functools.cache
def compiled(wasm: bytes, opt_level: str = "speed") -> bytes:
    """Return what admission would make of a module, made in this process."""
    request = Request("test", opt_level, wasm)
    module, rewritten = prepare(request)
    return describe(request, module, rewritten, translate(request, rewritten))


def program(number: int, wasm: bytes, *, opt_level: str = "speed", limits: Limits | None = None) -> Program:
    """Return how an agent's instance is made."""
    return Program(number, compiled(wasm, opt_level), limits or Limits())


def turn(
    agent: int = 0,
    tick: int = 0,
    *bodies: bytes,
    operation: int = Operation.STEP,
    fuel: int = 10_000_000,
    seed: int = 7,
) -> Turn:
    """Return a turn with one message per body."""
    frames = [encode_frame(FrameKind.MESSAGE, 0, 3, DIRECT, seq, tick, body) for seq, body in enumerate(bodies)]
    return Turn(agent, operation, tick, seed + tick, fuel, 0, len(bodies), b"".join(frames))
