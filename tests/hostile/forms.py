"""Files that are no agent: wrong bytes, lying lengths, proposals that are off, types that abort the binding."""

from functools import partial
from typing import Final

from tests.hostile.case import Case, code, extended, replaced, with_custom, with_functions, with_manifest
from tests.unit.sandbox import wat
from tickwork.sandbox import wasm
from tickwork.sandbox.manifest import SECTION
from tickwork.sandbox.wasm import MAGIC, encode_name, encode_section, encode_vector, leb

BODY: Final = b"\x02\0\x0b"
ESCAPES: Final = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\r\n\x9b31m\u202e"
ABORTING: Final = {
    "v128 parameter": b"\x60\1\x7b\0",
    "v128 result": b"\x60\0\1\x7b",
    "funcref parameter": b"\x60\1\x70\0",
    "externref parameter": b"\x60\1\x6f\0",
    "anyref parameter": b"\x60\1\x6e\0",
    "eqref parameter": b"\x60\1\x6d\0",
    "i31ref parameter": b"\x60\1\x6c\0",
    "structref parameter": b"\x60\1\x6b\0",
    "exnref parameter": b"\x60\1\x69\0",
    "typed function reference": b"\x60\1\x63\0\0",
    "typed reference that is not null": b"\x60\1\x64\0\0",
    "struct type": b"\x5f\0",
    "array type": b"\x5e\x7f\0",
    "recursive group": b"\x4e\1\x60\0\0",
    "subtype": b"\x50\0\x60\0\0",
    "continuation type": b"\x5d\0",
}
GLOBALS: Final = {
    "exported v128 global": b"\x7b\0\xfd\x0c" + bytes(16) + b"\x0b",
    "exported funcref global": b"\x70\0\xd0\x70\x0b",
    "exported exnref global": b"\x69\0\xd0\x69\x0b",
    "exported i31ref global": b"\x6c\0\xd0\x6c\x0b",
    "mutable externref global": b"\x6f\1\xd0\x6f\x0b",
}
OPCODES: Final = {
    "atomic wait": b"\x41\0\x41\0\x42\x7f\xfe\x01\2\0\x1a",
    "atomic fence": b"\xfe\x03\0",
    "relaxed swizzle": b"\xfd\x80\2",
    "tail call": b"\x12\0",
    "indirect tail call": b"\x41\0\x13\0\0",
    "throw": b"\x08\0",
    "try table": b"\x1f\x40\0\x0b",
    "try and catch": b"\x06\x40\x19\x0b",
    "struct.new": b"\xfb\0\0\x1a",
    "call of a reference": b"\x14\0",
    "wide arithmetic": b"\x42\0\x42\0\x42\0\x42\0\xfc\x13\x1a\x1a",
    "unknown opcode": b"\xff",
    "unknown opcode after a prefix": b"\xfc\xff\xff\3",
    "data.drop": b"\xfc\x09\0",
    "elem.drop": b"\xfc\x0d\0",
    "table.set": b"\x41\0\xd0\x70\x26\0",
    "table.grow": b"\xd0\x70\x41\1\xfc\x0f\0\x1a",
    "table.fill": b"\x41\0\xd0\x70\x41\0\xfc\x11\0",
    "table.copy": b"\x41\0\x41\0\x41\0\xfc\x0e\0\0",
    "table.init": b"\x41\0\x41\0\x41\0\xfc\x0c\0\0",
}


def _exported(kind: bytes) -> bytes:
    """Return an agent that exports a function of that type."""
    base = wat.agent()
    module = wasm.parse(base)
    export = encode_name("f") + b"\0" + leb(len(module.functions))
    return extended(
        base,
        {
            wasm.TYPE: [kind],
            wasm.FUNCTION: [leb(len(module.types))],
            wasm.EXPORT: [export],
            wasm.CODE: [b"\3\0\0\x0b"],
        },
    )


def _global(item: bytes) -> bytes:
    base = wat.agent()
    export = encode_name("g") + b"\3" + leb(len(wasm.parse(base).globals))
    return extended(base, {wasm.GLOBAL: [item], wasm.EXPORT: [export]})


def _memory(limits: bytes) -> bytes:
    return replaced(wat.agent(), wasm.MEMORY, limits)


def _cut(kind: int) -> bytes:
    """Return an agent that ends in the middle of a section."""
    base = wat.agent()
    section = wasm.parse(base).section(kind)
    assert section is not None
    return base[: (section.start + section.end) // 2]


def _first(kind: int, payload: bytes) -> bytes:
    return MAGIC + encode_section(kind, payload)


def _section(kind: int, length: bytes) -> bytes:
    return MAGIC + bytes((kind,)) + length


def _export(name: str, kind: int = 0, index: int = 0) -> bytes:
    return encode_name(name) + bytes((kind,)) + leb(index)


def _twice(kind: int) -> bytes:
    base = wat.agent()
    section = wasm.parse(base).section(kind)
    assert section is not None
    return base + encode_section(kind, base[section.start : section.end])


def _import(text: str) -> bytes:
    return wat.agent(imports=text)


def _raw(name: str, expects: str, data: bytes, kind: str = "form") -> Case:
    return Case(kind, name, lambda: data, expects)


_WASI: Final = "wasi_snapshot_preview1"
_WRITE: Final = f'(import "{_WASI}" "fd_write" (func (param i32 i32 i32 i32) (result i32)))'

FORMS: Final = [
    _raw("empty file", "TW3001", b""),
    _raw("text format", "TW3001", wat.source().encode()),
    _raw("text format behind spaces", "TW3001", b"  \n(module)"),
    _raw("component", "TW3001", b"\0asm\x0d\0\1\0"),
    _raw("version 2", "TW3001", b"\0asm\2\0\0\0"),
    _raw("program for Linux", "TW3001", b"\x7fELF" + bytes(100)),
    _raw("only the magic bytes", "TW3001", MAGIC),
    _raw("section longer than the file", "TW3001", _section(1, b"\xff\xff\xff\xff\x0f")),
    _raw("length of six bytes", "TW3001", _section(1, b"\x80\x80\x80\x80\x80\0")),
    _raw("length above 32 bits", "TW3001", _section(1, b"\xff\xff\xff\xff\x7f")),
    _raw("length that is cut off", "TW3001", _section(1, b"\x80")),
    _raw("count above 32 bits", "TW3001", _first(1, b"\xff\xff\xff\xff\x7f")),
    _raw("four billion types", "TW3001", _first(1, b"\xff\xff\xff\xff\x0f")),
    _raw("four billion functions", "TW3001", _first(3, b"\xff\xff\xff\xff\x0f")),
    _raw("four billion bodies", "TW3001", _first(10, b"\xff\xff\xff\xff\x0f")),
    _raw("four billion exports", "TW3001", _first(7, b"\xff\xff\xff\xff\x0f")),
    _raw("four billion data segments", "TW3001", _first(11, b"\xff\xff\xff\xff\x0f")),
    _raw("name of four billion bytes", "TW3001", _first(7, b"\1\xff\xff\xff\xff\x0f")),
    _raw("bytes left over in a section", "TW3001", _first(1, b"\0\0\0")),
    _raw("padded number", "TW3001", _first(1, b"\x80\x80\x80\x80\0")),
    *[Case("form", f"cut in the {wasm.SECTION_NAMES[kind]} section", partial(_cut, kind), "TW3001")
      for kind in (wasm.TYPE, wasm.FUNCTION, wasm.GLOBAL, wasm.EXPORT, wasm.CODE, wasm.DATA)],
    *[Case("form", f"two {wasm.SECTION_NAMES[kind]} sections", partial(_twice, kind), "TW3001")
      for kind in (wasm.TYPE, wasm.MEMORY, wasm.CODE, wasm.DATA)],
    *[_raw(f"section {kind}", "TW3001", _first(kind, b"\0")) for kind in (13, 14, 127, 255)],
    _raw("sections out of order", "TW3001", _first(3, b"\0") + encode_section(1, b"\0")),
    Case("form", "fewer bodies than functions", lambda: extended(wat.agent(), {wasm.FUNCTION: [b"\0"]}), "TW3001"),
    Case("form", "more bodies than functions", lambda: extended(wat.agent(), {wasm.CODE: [BODY]}), "TW3001"),
    Case("form", "function of no type", lambda: extended(
        wat.agent(), {wasm.FUNCTION: [b"\x63"], wasm.CODE: [BODY]}), "TW3001"),
    Case("form", "body without an end", lambda: with_functions(b"\2\0\1"), "TW3005"),
    Case("form", "body that ends early", lambda: with_functions(b"\4\0\x0b\1\x0b"), "TW3001"),
    Case("form", "body that lies about its length", lambda: with_functions(b"\x70\0\x0b"), "TW3001"),
    Case("form", "instruction cut off", lambda: with_functions(b"\3\0\x41\x80"), "TW3001"),
    Case("form", "four billion locals", lambda: with_functions(b"\x08\1\xff\xff\xff\xff\x0f\x7f\x0b"), "TW3005"),
    Case("form", "locals beyond 32 bits", lambda: with_functions(
        b"\x0e\2\xff\xff\xff\xff\x0f\x7f\xff\xff\xff\xff\x0f\x7f\x0b"), "TW3005"),
    Case("form", "branch table that lies", lambda: with_functions(b"\x08\0\x41\0\x0e\xff\xff\3\x0b"), "TW3001"),
    Case("form", "call of function 4 billion", lambda: with_functions(b"\x08\0\x10\xff\xff\xff\xff\x0f\x0b"), "TW3001"),
    Case("form", "operand stack below zero", lambda: with_functions(b"\4\0\x1a\x1a\x0b"), "TW3005"),
    Case("form", "export of nothing", lambda: extended(wat.agent(), {wasm.EXPORT: [_export("x", 0, 9999)]}), "TW3001"),
    Case("form", "export of one name twice", lambda: extended(
        wat.agent(), {wasm.EXPORT: [_export("x"), _export("x")]}), "TW3001"),
    Case("form", "export of a name of the rewriter", lambda: extended(
        wat.agent(), {wasm.EXPORT: [_export("__tw_depth", 3)]}), "TW3001"),
    Case("form", "export with a name that is no text", lambda: extended(
        wat.agent(), {wasm.EXPORT: [b"\2\xff\xfe\0\0"]}), "TW3001"),
    Case("form", "start section", lambda: replaced(wat.agent(), wasm.START, b"\0"), "TW3001"),
    Case("form", "start section that loops", lambda: wat.agent(
        extra="(func $s (loop (br 0))) (start $s)"), "TW3001"),
    Case("form", "giant custom section", lambda: with_custom("note", bytes(7 << 20)), ""),
    Case("form", "giant name section", lambda: with_custom("name", b"\1\xff\xff\x7f" + bytes(6 << 20)), ""),
    Case("form", "custom section with a name of a megabyte", lambda: with_custom("n" * (1 << 20), b""), "TW3001"),
    Case("form", "2,000 custom sections", lambda: wat.agent() + b"\0\1\0" * 2_000, "TW3001"),
    Case("form", "file of 9 MiB", lambda: with_custom("note", bytes(9 << 20)), "TW3001"),
    *[Case("aborting type", name, partial(_exported, kind), "TW3001") for name, kind in ABORTING.items()],
    *[Case("aborting type", name, partial(_global, item), "TW3001") for name, item in GLOBALS.items()],
    *[Case("proposal", name, partial(with_functions, code(body)), "TW3001")
      for name, body in OPCODES.items()],
    Case("proposal", "shared memory", lambda: _memory(b"\1\3\4\x40"), "TW3001"),
    Case("proposal", "memory64", lambda: _memory(b"\1\5\4\x40"), "TW3001"),
    Case("proposal", "pages of one byte", lambda: _memory(b"\1\x09\4\x40\0"), "TW3001"),
    Case("proposal", "two memories", lambda: _memory(b"\2\1\4\x40\1\4\x40"), "TW3001"),
    Case("proposal", "a hundred thousand memories", lambda: _memory(
        encode_vector([b"\1\0\1"] * 100_000)), "TW3001"),
    Case("proposal", "memory without a maximum", lambda: _memory(b"\1\0\4"), "TW3001"),
    Case("proposal", "memory of 4 GiB from the start", lambda: _memory(b"\1\1\x80\x80\4\x80\x80\4"), "TW3001"),
    Case("proposal", "memory above 4 GiB", lambda: _memory(b"\1\1\4\x81\x80\4"), "TW3001"),
    Case("proposal", "memory whose maximum is below its minimum", lambda: _memory(b"\1\1\4\3"), "TW3001"),
    Case("proposal", "tag section", lambda: MAGIC + encode_section(13, b"\1\0\0"), "TW3001"),
    Case("import", "unknown function", lambda: _import('(import "env" "system" (func (param i32)))'), "TW3002"),
    Case("import", "memory", lambda: _import('(import "env" "memory" (memory 1 1))'), "TW3002"),
    Case("import", "global", lambda: _import('(import "env" "abort" (global (mut i32)))'), "TW3002"),
    Case("import", "abort of another type", lambda: _import('(import "env" "abort" (func))'), "TW3002"),
    Case("import", "terminal escapes in a name", lambda: extended(
        MAGIC + encode_section(1, b"\1\x60\0\0"),
        {wasm.IMPORT: [encode_name(ESCAPES) + encode_name(ESCAPES) + b"\0\0"]}), "TW3002"),
    Case("import", "a thousand functions", lambda: _import(
        "".join(f'(import "env" "f{i}" (func))' for i in range(1000))), "TW3001"),
    Case("import", "WASI that the manifest does not ask for", lambda: _import(_WRITE), "TW3002"),
    Case("import", "WASI of another type", lambda: with_manifest(
        _import(f'(import "{_WASI}" "fd_write" (func))'), wasi="virtual"), "TW3002"),
    Case("import", "unknown function of WASI", lambda: with_manifest(
        _import(f'(import "{_WASI}" "fd_writes" (func))'), wasi="virtual"), "TW3002"),
    Case("manifest", "two of them", lambda: with_custom(SECTION, b"{}", with_custom(SECTION, b"{}")), "TW3006"),
    Case("manifest", "not JSON", lambda: with_custom(SECTION, b"\xff\0"), "TW3006"),
    Case("manifest", "terminal escapes", lambda: with_custom(SECTION, ESCAPES.encode()), "TW3006"),
    Case("manifest", "nested 60,000 deep", lambda: with_custom(SECTION, b"[" * 60_000), "TW3006"),
    Case("manifest", "8 MiB", lambda: with_custom(SECTION, b" " * (7 << 20)), "TW3006"),
    Case("manifest", "unknown field", lambda: with_custom(SECTION, b'{"name":"a","run":"rm"}'), "TW3006"),
    Case("manifest", "number of 60,000 digits", lambda: with_custom(
        SECTION, b'{"limits":{"fuel":' + b"9" * 60_000 + b"}}"), "TW3006"),
    Case("manifest", "another ABI than the descriptor's", lambda: with_manifest(wat.agent(), abi="0.9"), "TW3003"),
    Case("manifest", "windows without regions", lambda: with_manifest(
        wat.agent(), capabilities={"windows": ["a"]}), "TW3003"),
    Case("manifest", "unknown WASI", lambda: with_custom(
        SECTION, b'{"name":"a","version":"1","wasi":"all"}'), "TW3006"),
]  # fmt: skip
