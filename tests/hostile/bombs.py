"""Modules that cost much: to read, to compile, to make an instance of, and to keep on the stack."""

from functools import partial
from typing import Final

from tests.hostile.case import Case, code, extended, with_functions
from tests.unit.sandbox import wat
from tickwork.sandbox import wasm
from tickwork.sandbox.frames import READABLE
from tickwork.sandbox.wasm import CAPS, MAGIC, encode_name, encode_section, encode_vector, leb

BODY: Final = CAPS.body_bytes - 64
FILE: Final = 8 << 20


def _filled(piece: bytes, *, before: bytes = b"", after: bytes = b"", size: int = BODY) -> bytes:
    """Return a body as large as one may be."""
    return code(before + piece * ((size - len(before) - len(after)) // len(piece)) + after)


def _many(body: bytes, count: int = 62, kind: bytes = b"\x60\0\0") -> bytes:
    """Return as many bodies as a file may hold."""
    return with_functions(*[body] * min(count, (FILE - 20_000) // len(body)), kind=kind)


def _nested(count: int) -> bytes:
    return with_functions(code(b"\3\x40" * count + b"\x0b" * count))


def _section_of(kind: int, item: bytes, count: int) -> bytes:
    return MAGIC + encode_section(kind, leb(count) + item * count)


def _to_the_brim(kind: int, item: bytes) -> bytes:
    """Return a file of 8 MiB that is one section of equal items."""
    return _section_of(kind, item, (FILE - 32) // len(item))


def _types(count: int) -> bytes:
    """Return an agent with types that all differ."""
    values = (0x7F, 0x7E, 0x7D, 0x7C)
    kinds = [
        b"\x60" + leb(8) + bytes(values[number >> 2 * place & 3] for place in range(8)) + b"\0"
        for number in range(count)
    ]
    return extended(wat.agent(), {wasm.TYPE: kinds})


def _start(step: str, extra: str) -> bytes:
    return wat.agent(step=f"{step} (i32.const 0)", extra=extra)


def _operands(count: int) -> str:
    """Return a recursion that keeps that many values on the operand stack."""
    push = "".join(f"(i32.xor (local.get 0) (i32.const {number * 7919}))" for number in range(count))
    return f"(func $f (param i32) (result i32) {push} (call $f (local.get 0)) {'i32.add ' * count})"


def _hoisted(count: int) -> str:
    """Return a recursion whose compiler keeps values that no operand stack ever held at once."""
    uses = "".join(
        f"(drop (call $h (i32.mul (i32.xor (local.get 0) (i32.const {number * 7919 + 1})) (i32.const {number + 3}))))"
        for number in range(count)
    )
    return f"(func $h (param i32) (result i32) (loop {uses} (br_if 0 (local.get 0))) (local.get 0))"


_FILLING: Final = f"""(func (export "_initialize") (local $at i32) (local.set $at (i32.const {wat.SCRATCH}))
  (loop $again (i32.store8 (local.get $at) (i32.const 1)) (local.set $at (i32.add (local.get $at) (i32.const 4096)))
    (br_if $again (i32.lt_u (local.get $at) (i32.mul (i32.sub (memory.size) (i32.const 1)) (i32.const 65536))))))"""
"""Start code that touches every page of the memory."""

READING = [
    Case("reading", f"8 MiB of {what}", partial(_to_the_brim, kind, item), "TW3001")
    for what, kind, item in (
        ("types", wasm.TYPE, b"\x60\0\0"),
        ("types of 100 parameters", wasm.TYPE, b"\x60\x64" + b"\x7f" * 100 + b"\0"),
        ("imports", wasm.IMPORT, b"\0\0\0\0"),
        ("functions", wasm.FUNCTION, b"\0"),
        ("tables", wasm.TABLE, b"\x70\0\0"),
        ("memories", wasm.MEMORY, b"\0\0"),
        ("globals", wasm.GLOBAL, b"\x7f\0\x41\0\x0b"),
        ("exports", wasm.EXPORT, b"\1x\0\0"),
        ("bodies", wasm.CODE, b"\2\0\x0b"),
    )
]
READING += [
    Case("reading", "8 MiB of empty custom sections", lambda: MAGIC + b"\0\1\0" * (FILE // 3 - 8), "TW3001"),
    Case("reading", "a constant of 8 MiB", lambda: MAGIC + encode_section(
        wasm.GLOBAL, b"\1\x7f\0" + b"\x41\0" * (FILE // 2 - 16)), "TW3001"),
    Case("reading", "a type of 8 million parameters", lambda: MAGIC + encode_section(
        wasm.TYPE, b"\1\x60" + leb(8_000_000) + b"\x7f" * 8_000_000 + b"\0"), "TW3001"),
    Case("reading", "every count at its cap", lambda: MAGIC + b"".join((
        encode_section(wasm.TYPE, encode_vector([b"\x60\x64" + b"\x7f" * 100 + b"\x64" + b"\x7f" * 100] * CAPS.types)),
        encode_section(wasm.FUNCTION, encode_vector([b"\0"] * CAPS.functions)),
        encode_section(wasm.GLOBAL, encode_vector([b"\x7f\0\x41\0\x0b"] * CAPS.globals)),
        encode_section(wasm.EXPORT, encode_vector([encode_name("n" * 994 + f"{i:06}") + b"\0\0" for i in range(1000)])),
        encode_section(wasm.CODE, encode_vector([b"\2\0\x0b"] * CAPS.functions)),
        b"\0\4\3abc" * 990)), "TW3001"),
]  # fmt: skip

COMPILING: Final = [
    Case("compiling", name, make, "TW3001 TW3005")
    for name, make in {
        "30,000 nested loops": lambda: _nested(30_000),
        "25,000 ifs in a row": lambda: with_functions(_filled(b"\x41\0\x04\x40\x0b")),
        "blocks that each branch out": lambda: with_functions(_filled(b"\2\x40\x41\1\x0d\0\x0b")),
        "20,000 functions": lambda: with_functions(*[code(b"")] * 19_980),
        "8 MiB of constants": lambda: _many(_filled(b"\x41\1\x1a")),
        "8 MiB of calls": lambda: _many(_filled(b"\x41\0\x10\1\x1a")),
        "8 MiB of loads": lambda: _many(_filled(b"\x41\0\x28\2\0\x1a")),
        "8 MiB of stores": lambda: _many(_filled(b"\x41\0\x41\0\x36\2\0")),
        "8 MiB of fills": lambda: _many(_filled(b"\x41\0\x41\0\x41\0\xfc\x0b\0")),
        "8 MiB of float divisions": lambda: _many(_filled(b"\x43\0\0\0\0\x95", before=b"\x43\0\0\0\0", after=b"\x1a")),
        "8 MiB of growing": lambda: _many(_filled(b"\x41\0\x40\0\x1a")),
        "62 stacks of 40,000 operands": lambda: _many(code(b"\x41\1" * 40_000 + b"\x6a" * 39_999 + b"\x1a")),
        "10,000 different types": lambda: _types(9_980),
        "50,000 locals in each function": lambda: with_functions(*[code(b"", b"\1\xd0\x86\3\x7f")] * 2_000),
        "a branch table of 65,000": lambda: with_functions(
            code(b"\2\x40\x41\0\x0e" + leb(65_000) + b"\0" * 65_001 + b"\x0b")),
        "hundred parameters and results": lambda: with_functions(
            *[code(b"\x20\0" * 100)] * 500, kind=b"\x60\x64" + b"\x7f" * 100 + b"\x64" + b"\x7f" * 100),
        "10,000 globals": lambda: extended(wat.agent(), {wasm.GLOBAL: [b"\x7f\1\x41\0\x0b"] * 9_990}),
        "10,000 data segments": lambda: extended(wat.agent(), {wasm.DATA: [b"\0\x41\0\x0b\1x"] * 9_990}),
        "8 MiB of vector code": lambda: _many(_filled(
            b"\xfd\x0c" + bytes(16) + b"\xfd\xce\1", before=b"\xfd\x0c" + bytes(16), after=b"\x1a")),
        "a thousand exports": lambda: extended(wat.agent(), {wasm.EXPORT: [
            encode_name(f"f{i}") + b"\0\0" for i in range(CAPS.exports - 20)]}),
    }.items()
]  # fmt: skip
"""What is compiled in time runs; what is not is stopped. Both are well."""

PLACING: Final = [
    Case("placing", "a table of a billion", lambda: _start("", "(table 1000000000 funcref)"), "TW3001"),
    Case("placing", "four tables of ten million", lambda: _start("", "(table 10000000 funcref)" * 4), "TW3001"),
    Case("placing", "a memory beyond the quota", lambda: wat.agent(pages=8_000, maximum="65536"), "TW3001"),
    Case("placing", "a memory of 4 GiB that is filled at the start", lambda: wat.agent(
        extra=_FILLING, pages=60_000, maximum="65536"), "TW3001"),
    Case("placing", "as much memory as may be, filled at the start", lambda: wat.agent(
        extra=_FILLING, pages=8_192, maximum="65536"), "TW3001 TW3003"),
    Case("placing", "a data segment past the end", lambda: _start("", '(data (i32.const -4) "text")'), "TW3003"),
    Case("placing", "an element past the end", lambda: _start(
        "", "(table 1 funcref) (elem (i32.const 1) $step)"), "TW3003"),
]  # fmt: skip

STACK: Final = [
    Case("stack", "direct recursion", lambda: wat.agent(step=wat.RECURSE), "DEPTH_LIMIT"),
    Case("stack", "mutual recursion", lambda: _start(
        "(call $a)", "(func $a (call $b)) (func $b (call $c)) (func $c (call $a))"), "DEPTH_LIMIT"),
    Case("stack", "indirect recursion", lambda: _start(
        "(call $a)",
        "(table 1 funcref) (elem (i32.const 0) $a) (type $t (func)) (func $a (call_indirect (type $t) (i32.const 0)))",
    ), "DEPTH_LIMIT"),
    Case("stack", "recursion through the step itself", lambda: wat.agent(
        step="(call $step (local.get $context))"), "DEPTH_LIMIT"),
    Case("stack", "recursion with 500 locals", lambda: _start(
        "(call $a)", f"(func $a (local {'i64 ' * 500}) (call $a) (local.set 0 (i64.const 1)))"), "DEPTH_LIMIT"),
    Case("stack", "recursion with 300 operands", lambda: _start(
        "(drop (call $f (i32.const 1)))", _operands(300)), "DEPTH_LIMIT"),
    Case("stack", "recursion that keeps 2,000 hoisted values", lambda: _start(
        "(drop (call $h (i32.const 1)))", _hoisted(2_000)), "TW3001" if READABLE else "DEPTH_LIMIT"),
    Case("stack", "recursion with a hundred results", lambda: _start(
        f"(call $r) {'drop ' * 100}",
        f"(func $r (result {'i64 ' * 100}) (call $r))"), "DEPTH_LIMIT"),
    Case("stack", "recursion in tw_desc", lambda: wat.assemble(wat.source().replace(
        f'(func (export "tw_desc") (result i32) (i32.const {wat.DESCRIPTOR}))',
        '(func $d (export "tw_desc") (result i32) (call $d))')), "TW3003"),
    Case("stack", "recursion in _initialize", lambda: wat.agent(
        extra='(func $i (export "_initialize") (call $i))'), "TW3003"),
]  # fmt: skip

BOMBS: Final = [*READING, *COMPILING, *PLACING, *STACK]
