"""Agents that are admitted and then misbehave: in their turns, in their buffers, in what they tell the host."""

from functools import partial
from typing import Final

from tests.hostile.case import CAPACITY, Case, behaves, with_manifest
from tests.unit.sandbox import wat

CONTEXT, OUTBOX, INBOX, SCRATCH = wat.CONTEXT, wat.OUTBOX, wat.INBOX, wat.SCRATCH


def _out(length: int, count: int) -> str:
    return (
        f"(i32.store offset=44 (i32.const {CONTEXT}) (i32.const {length}))"
        f"(i32.store offset=48 (i32.const {CONTEXT}) (i32.const {count}))"
    )


def _frame(kind: int, destination: int = 0, length: int = 8) -> str:
    return f"(call $emit (i32.const {kind}) (i32.const {destination}) (i32.const {SCRATCH}) (i32.const {length}))"


def _size(at: int, size: int) -> str:
    return f"(i32.store (i32.const {OUTBOX + at}) (i32.const {size}))"


ZERO: Final = "(i32.const 0)"

LOOPS: Final = [
    *[Case("loop", f"in {part}", partial(wat.agent, **{part: wat.SPIN}), "OUT_OF_FUEL")
      for part in ("init", "receive", "step", "shutdown")],
    Case("loop", "in tw_desc", lambda: wat.assemble(wat.source().replace(
        f'(result i32) (i32.const {wat.DESCRIPTOR}))', "(result i32) (loop (br 0)) (i32.const 0))")), "TW3003"),
    Case("loop", "in _initialize", lambda: wat.agent(extra='(func (export "_initialize") (loop (br 0)))'), "TW3003"),
    Case("loop", "in tw_windows", lambda: with_manifest(
        wat.agent(extra='(func (export "tw_windows") (result i32) (loop (br 0)) (i32.const 0))'),
        capabilities={"windows": ["a"]}), "TW3003"),
]  # fmt: skip

MEMORY = behaves(
    "memory",
    "TRAP",
    load_below_zero="(i32.load (i32.const -1))",
    store_past_the_end="(i64.store (i32.const 0x7ffffff8) (i64.const 1)) (i32.const 0)",
    offset_that_wraps="(i32.load offset=4294967295 (i32.const -1))",
    fill_past_the_end="(memory.fill (i32.const 1) (i32.const 0) (i32.const -1)) (i32.const 0)",
    copy_below_zero="(memory.copy (i32.const -8) (i32.const 0) (i32.const 64)) (i32.const 0)",
    division_by_zero=wat.DIVIDE,
    overflow="(i32.div_s (i32.const 0x80000000) (i32.const -1))",
    bad_conversion="(i32.trunc_f32_s (f32.const nan))",
    unreachable=wat.TRAP,
)
MEMORY += [
    Case("memory", "call of null", lambda: wat.agent(
        step="(call_indirect (type $x) (i32.const 0)) (i32.const 0)", extra="(type $x (func)) (table 1 funcref)"),
        "TRAP"),
    Case("memory", "growing without end", partial(wat.agent, step=wat.GROW), ""),
    Case("memory", "growing by four billion", lambda: wat.agent(
        step="(drop (memory.grow (i32.const -1))) (i32.const 0)"), ""),
    Case("memory", "fill of 4 MiB under little fuel", lambda: wat.agent(
        step="(memory.fill (i32.const 196608) (i32.const 1) (i32.const 3000000)) (i32.const 0)", pages=64),
        "OUT_OF_FUEL", 100_000),
    Case("memory", "copies of 2 MiB under little fuel", lambda: wat.agent(
        step="(loop (memory.copy (i32.const 196608) (i32.const 2200000) (i32.const 1900000)) (br 0)) (i32.const 0)",
        pages=64), "OUT_OF_FUEL", 100_000),
    Case("memory", "init past its segment", lambda: wat.agent(
        step="(memory.init $d (i32.const 0) (i32.const 0) (i32.const 5)) (i32.const 0)", extra='(data $d "text")'),
        "TRAP"),
    Case("memory", "everything overwritten", lambda: wat.agent(
        step="(memory.fill (i32.const 0) (i32.const 255) (i32.const 262144)) (i32.const 0)"), "ABI_VIOLATION"),
]  # fmt: skip


def _described(**parts: int) -> bytes:
    fields = {"major": 1, "inbox": INBOX, "in_size": CAPACITY, "outbox": OUTBOX, "out_size": CAPACITY}
    fields |= {"context": CONTEXT, "flags": 1} | parts
    raw = b"TWA1" + b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in fields.values())
    return wat.agent(described="".join(f"\\{byte:02x}" for byte in raw))


def _pointer(value: str) -> bytes:
    old = f"(result i32) (i32.const {wat.DESCRIPTOR}))"
    return wat.assemble(wat.source().replace(old, f"(result i32) {value})"))


DESCRIPTOR: Final = [
    *[Case("descriptor", name, partial(_pointer, value), "TW3003") for name, value in {
        "below zero": "(i32.const -1)",
        "past the end": "(i32.const 262140)",
        "over nothing": "(i32.const 200000)",
        "trap": "(unreachable)",
    }.items()],
    *[Case("descriptor", name, partial(_described, **parts), "TW3003") for name, parts in {
        "another major version": {"major": 2},
        "a minor version to come": {"major": 1 | 9 << 16},
        "inbox below zero": {"inbox": -8},
        "inbox past the end": {"inbox": 262_136},
        "inbox of 4 GiB": {"in_size": -8},
        "inbox of no size": {"in_size": 0},
        "outbox of odd size": {"out_size": CAPACITY - 4},
        "outbox over the inbox": {"outbox": INBOX + 8},
        "context in the outbox": {"context": OUTBOX + 8},
        "context past the end": {"context": 262_120},
    }.items()],
    Case("descriptor", "whole turns that are not exported", lambda: wat.agent(
        whole=False, described=wat.descriptor(flags=1)), "TW3001"),
    Case("descriptor", "overwritten after the start", lambda: wat.agent(
        step=f"(memory.fill (i32.const {wat.DESCRIPTOR}) (i32.const 255) (i32.const 32)) {ZERO}"), ""),
    Case("descriptor", "another one at every call", lambda: _pointer(
        f"(global.set $count (i32.add (global.get $count) (i32.const 1))) (i32.const {wat.DESCRIPTOR})"), ""),
]  # fmt: skip

OUTBOXES = behaves(
    "outbox",
    "ABI_VIOLATION",
    longer_than_its_region=f"{_out(CAPACITY + 8, 1)} {ZERO}",
    length_below_zero=f"{_out(-8, 1)} {ZERO}",
    length_of_half_a_frame=f"{_frame(13)} {_out(16, 1)} {ZERO}",
    length_that_is_odd=f"{_frame(13)} {_out(41, 1)} {ZERO}",
    count_too_high=f"{_frame(13)} {_out(40, 2)} {ZERO}",
    count_below_zero=f"{_frame(13)} {_out(40, -1)} {ZERO}",
    count_without_frames=f"{_out(0, 7)} {ZERO}",
    frames_without_count=f"{_frame(13)} {_out(40, 0)} {ZERO}",
    frame_of_no_size=f"{_frame(13)} {_size(0, 0)} {ZERO}",
    frame_of_size_31=f"{_frame(13)} {_size(0, 31)} {ZERO}",
    frame_of_four_billion=f"{_frame(13)} {_size(0, -1)} {ZERO}",
    frame_that_wraps=f"{_frame(13)} {_frame(13)} {_size(0, -8)} {ZERO}",
    frame_over_the_next=f"{_frame(13)} {_frame(13)} {_size(0, 56)} {ZERO}",
    frame_past_the_end=f"{_frame(13)} {_frame(13)} {_size(40, 4000)} {ZERO}",
    unknown_kind=f"{_frame(31)} {ZERO}",
    kind_of_the_host=f"{_frame(38)} {ZERO}",
    handle_of_no_topic=f"{_frame(2, 99)} {ZERO}",
    handle_of_no_agent=f"{_frame(1, 99)} {ZERO}",
    spawn_of_nothing=f"{_frame(6, 99)} {ZERO}",
    call_of_no_skill=f"{_frame(11, 99)} {ZERO}",
    model_that_is_not_there=f"{_frame(10, 99)} {ZERO}",
    window_that_is_not_there=f"{_frame(12, 99, 48)} {ZERO}",
    window_without_a_body=f"{_frame(12, 0, 0)} {ZERO}",
)
OUTBOXES += behaves("outbox", "FAILED", lowest_code="(i32.const 0x80000000)", unknown_code="(i32.const -999)")
OUTBOXES += behaves(
    "outbox",
    "",
    full_without_a_frame="(i32.const -7)",
    again_for_ever="(i32.const 0x7ffffffe)",
    asleep_for_ever="(i32.const 0x7fffffff)",
    terminal_escapes_in_a_log=f'(i64.store (i32.const {SCRATCH}) (i64.const 0x6d31335b1b324a5b)) {_frame(13)} {ZERO}',
    two_thousand_frames=f"(loop $more {_frame(13, 0, 0)} (br_if $more (i32.lt_u (i32.load offset=48 (i32.const"
    f" {CONTEXT})) (i32.const 2000)))) {ZERO}",
    context_overwritten=f"(memory.fill (i32.const {CONTEXT}) (i32.const 255) (i32.const 40)) {ZERO}",
    inbox_overwritten=f"(memory.fill (i32.const {INBOX}) (i32.const 255) (i32.const {CAPACITY})) {ZERO}",
)  # fmt: skip


def _saving(save: str, load: str = "(i32.const 0)") -> bytes:
    return wat.agent(extra=f'(func (export "agent_save") (param i32 i32) (result i32) {save})'
                     f'(func (export "agent_load") (param i32 i32) (result i32) {load})')  # fmt: skip


SAVING: Final = [
    Case("saving", "length beyond its region", lambda: _saving("(i32.const 0x7fffffff)"), "save: ABI_VIOLATION"),
    Case("saving", "length below zero", lambda: _saving("(i32.const -1)"), "save: FAILED"),
    Case("saving", "loop", lambda: _saving("(loop (br 0)) (i32.const 0)"), "save: OUT_OF_FUEL"),
    Case("saving", "trap", lambda: _saving("(unreachable)"), "save: TRAP"),
    Case("saving", "recursion", lambda: _saving(wat.RECURSE), "save: DEPTH_LIMIT"),
    Case("saving", "loading that fails", lambda: _saving("(i32.const 8)", "(i32.const 5)"), "load: FAILED"),
    Case("saving", "loading that loops", lambda: _saving("(i32.const 8)", "(loop (br 0)) (i32.const 0)"),
         "load: OUT_OF_FUEL"),
    Case("saving", "loading that traps", lambda: _saving("(i32.const 8)", "(unreachable)"), "load: TRAP"),
]  # fmt: skip


def _windows(regions: list[tuple[int, int]], pointer: str = "(i32.const 512)", step: str = ZERO) -> bytes:
    raw = b"".join(
        at.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little") for at, size in regions
    )  # fmt: skip
    text = "".join(f"\\{byte:02x}" for byte in raw)
    module = wat.agent(
        step=step, extra=f'(data (i32.const 512) "{text}") (func (export "tw_windows") (result i32) {pointer})'
    )
    return with_manifest(module, capabilities={"windows": [f"w{index}" for index in range(len(regions))]})


WINDOWS: Final = [
    Case("windows", name, make, "TW3003") for name, make in {
        "pointer past the end": lambda: _windows([(SCRATCH, 64)], "(i32.const 262140)"),
        "pointer below zero": lambda: _windows([(SCRATCH, 64)], "(i32.const -1)"),
        "trap": lambda: _windows([(SCRATCH, 64)], "(unreachable)"),
        "region past the end": lambda: _windows([(262_136, 64)]),
        "region of 4 GiB": lambda: _windows([(SCRATCH, -1)]),
        "region over the inbox": lambda: _windows([(INBOX, 64)]),
        "regions over each other": lambda: _windows([(SCRATCH, 64), (SCRATCH + 8, 64)]),
    }.items()
]  # fmt: skip

_WASI: Final = "wasi_snapshot_preview1"


def _wasi(name: str, types: str, call: str, extra: str = "") -> bytes:
    text = f'(import "{_WASI}" "{name}" (func $w {types}))'
    return with_manifest(wat.agent(imports=text, step=f"{call} {ZERO}", extra=extra), wasi="virtual")


_WRITE: Final = "(param i32 i32 i32 i32) (result i32)"
_PAIR: Final = "(param i32 i32) (result i32)"


def _write(stream: int, vector: int, count: int, written: int) -> str:
    numbers = " ".join(f"(i32.const {number})" for number in (stream, vector, count, written))
    return f"(drop (call $w {numbers}))"


WASI: Final = [
    Case("wasi", "proc_exit", lambda: _wasi(
        "proc_exit", "(param i32)", "(call $w (i32.const 3))"), "TRAP"),
    Case("wasi", "vector past the end", lambda: _wasi("fd_write", _WRITE, _write(1, 262_140, 1, 0)), "TRAP"),
    Case("wasi", "buffer past the end", lambda: _wasi(
        "fd_write", _WRITE, f"(i64.store (i32.const {SCRATCH}) (i64.const 0x10_7ffffff0)) "
        + _write(1, SCRATCH, 1, 0)), "TRAP"),
    Case("wasi", "count of four billion", lambda: _wasi(
        "fd_write", _WRITE, _write(1, SCRATCH, -1, 0)), "TRAP"),
    Case("wasi", "result past the end", lambda: _wasi("fd_write", _WRITE, _write(1, SCRATCH, 0, -2)), "TRAP"),
    Case("wasi", "written behind a lying outbox", lambda: _wasi(
        "fd_write", _WRITE, f"(i64.store (i32.const {SCRATCH}) (i64.const 0x8_00030000)) {_out(CAPACITY - 40, 9)} "
        + _write(1, SCRATCH, 1, SCRATCH + 16)), "ABI_VIOLATION"),
    Case("wasi", "random bytes without end", lambda: _wasi(
        "random_get", _PAIR, "(drop (call $w (i32.const 0) (i32.const -1)))"), "OUT_OF_FUEL TRAP"),
    Case("wasi", "a file", lambda: _wasi(
        "path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
        "(if (i32.ne (i32.const 52) (call $w (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 0)"
        " (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 0))) (then (unreachable)))"), ""),
    Case("wasi", "a connection", lambda: _wasi(
        "sock_accept", "(param i32 i32 i32) (result i32)",
        "(if (i32.ne (i32.const 52) (call $w (i32.const 3) (i32.const 0) (i32.const 0))) (then (unreachable)))"), ""),
]  # fmt: skip

TURNS: Final = [*LOOPS, *MEMORY, *DESCRIPTOR, *OUTBOXES, *SAVING, *WINDOWS, *WASI]
