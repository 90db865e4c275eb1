"""authoring/listing.py and opcodes.py: a module's code as text."""

import pytest
import wasmtime

from tests.unit.sandbox.wat import assemble
from tests.unit.sdk.seat import MODULES
from tickwork.authoring import opcodes
from tickwork.authoring.listing import Line, list_functions, pick_function
from tickwork.authoring.names import function_names
from tickwork.errors import UsageFault
from tickwork.sandbox import wasm
from tickwork.sandbox.wasm import Malformed, leb

ARGUMENTS = {
    opcodes.INDEX: "0", opcodes.LABEL: "0", opcodes.I32: "1", opcodes.I64: "1", opcodes.F32: "1", opcodes.F64: "1",
    opcodes.LABELS: "0 0", opcodes.TYPES: "(result i32)", opcodes.INDIRECT: "(type 0)", opcodes.REFERENCE: "func",
    opcodes.LANE: "0", opcodes.MEMORY_LANE: "0",
}  # fmt: skip
ODD = {"memory.init": "0", "v128.const": "i32x4 1 2 3 4", "i8x16.shuffle": " ".join("0" * 16), "table.init": "0 0"}
ODD |= {"table.copy": "0 0"}


def named() -> list[tuple[str, bytes, int]]:
    """Return every instruction with its bytes, and what follows it."""
    rows = [(name, bytes((number,)), opcodes.FOLLOWS.get(number, 0)) for number, name in opcodes.NAMES.items()]
    for prefix, names, follows in (
        (opcodes.MISC, opcodes.MISC_NAMES, opcodes.MISC_FOLLOWS),
        (opcodes.SIMD, opcodes.SIMD_NAMES, opcodes.SIMD_FOLLOWS),
    ):
        rows += [(name, bytes((prefix,)) + leb(number), follows.get(number, 0)) for number, name in names.items()]
    return [row for row in rows if row[0] not in {"else", "end"}]


def alone(name: str, follows: int, *, number: int = -1) -> str:
    """Return the text of a module that holds an instruction behind one that makes anything valid."""
    closing = "end" if follows == opcodes.BLOCK else ""
    given = ODD.get(name, "" if name == "select" and number == 0x1B else ARGUMENTS.get(follows, ""))
    return f"""(module (type (func)) (table 1 funcref) (memory 1) (global (mut i32) (i32.const 0)) (elem func) (data "")
      (elem declare func 0) (func (local i32) unreachable {name} {given} {closing} unreachable))"""


def listing(data: bytes) -> list[Line]:
    module = wasm.parse(data)
    return list(list_functions(module, function_names(module), None))


def test_every_name_is_the_one_of_its_number_and_what_follows_it_is_passed_over() -> None:
    for name, code, follows in named():
        data = bytes(wasmtime.wat2wasm(alone(name, follows, number=code[0])))
        assert b"\0" + code in data, name
        texts = [line.text.strip().split(" ")[0] for line in listing(data)]
        between = [name, "end"] if follows == opcodes.BLOCK else [name]
        assert texts == ["(func", "(local", "unreachable", *between, "unreachable", "end", ")"], name


def test_a_listing_reads_like_the_text_format() -> None:
    text = """(module (import "env" "abort" (func (param i32 i32 i32 i32))) (memory (export "memory") 1 1)
      (func $helped (param i32) (result i32) (local i64 i64)
        (if (result i32) (local.get 0) (then (i32.const -7)) (else (i32.load8_u offset=4 (i32.const 300))))
        (block (br_table 0 0 (i32.const 1))))
      (func (export "run") (drop (call $helped (i32.const 1))) (drop (f64.const 1.5))))"""
    lines = [line.text for line in listing(assemble(text))]
    assert lines[0].startswith("(func 1 $helped (param i32) (result i32)  ;; ")
    assert lines[1:] == [
        "  (local i64 i64)",
        "  local.get 0",
        "  if (result i32)",
        "    i32.const -7",
        "  else",
        "    i32.const 300",
        "    i32.load8_u offset=4 align=1",
        "  end",
        "  block",
        "    i32.const 1",
        "    br_table 0 0",
        "  end",
        "end",
        ")",
        lines[15],
        "  i32.const 1",
        "  call 1 $helped",
        "  drop",
        "  f64.const 1.5",
        "  drop",
        "end",
        ")",
    ]
    assert lines[15].startswith('(func 2 $run (export "run")  ;; ')


def test_each_line_stands_at_its_byte() -> None:
    data = (MODULES / "probe.wasm").read_bytes()
    lines = listing(data)
    for line in lines:
        if line.text.strip().startswith("i32.const"):
            assert data[line.at] == 0x41
    offsets = [line.at for line in lines if line.at >= 0]
    assert offsets == sorted(set(offsets))


def test_a_function_is_picked_by_its_name_or_its_number() -> None:
    module = wasm.parse((MODULES / "echo.wasm").read_bytes())
    names = function_names(module)
    number = pick_function(module, names, "agent_step")
    assert pick_function(module, names, str(number)) == number


@pytest.mark.parametrize("wanted", ["nobody", "99", "-1", "²", "9" * 5000])
def test_a_function_that_is_not_there_is_named_with_those_that_are(wanted: str) -> None:
    module = wasm.parse((MODULES / "echo.wasm").read_bytes())
    with pytest.raises(UsageFault, match="no function") as caught:
        pick_function(module, function_names(module), wanted)
    assert "agent_step" in caught.value.why


def test_code_that_cannot_be_read_is_malformed() -> None:
    data = bytearray(assemble('(module (func (export "x") (nop) (nop)))'))
    data[data.index(b"\x01\x01\x0b")] = 0x06
    with pytest.raises(Malformed, match="0x06"):
        listing(bytes(data))
