"""What the static gate refuses, and with which words."""

import pytest

from tests.unit.sandbox import wat
from tickwork.errors import ModuleAbiMismatch, ModuleImportRefused, ModuleRefused
from tickwork.sandbox import gate
from tickwork.sandbox.wasm import MAGIC, encode_name, encode_section, encode_vector, leb


def refused(wasm: bytes) -> ModuleRefused:
    with pytest.raises(ModuleRefused) as caught:
        gate.check(wasm, "m.wasm")
    return caught.value


def test_a_plain_agent_passes() -> None:
    module = gate.check(wat.agent(), "m.wasm")
    assert len(module.functions) == len(module.bodies)
    assert {"memory", "tw_desc", "tw_turn"} <= {export.name for export in module.exports}


@pytest.mark.parametrize("wasm", [b"", b"(module)", b"\0asm\x02\0\0\0", b"\x7fELF" + bytes(60), MAGIC[:7]])
def test_a_file_without_the_magic_bytes_is_refused_before_it_could_be_read_as_text(wasm: bytes) -> None:
    assert "magic" in refused(wasm).why


@pytest.mark.parametrize("cut", range(8, len(wat.agent()), 7))
def test_a_module_cut_off_anywhere_is_refused_and_never_a_crash(cut: int) -> None:
    with pytest.raises((ModuleRefused, ModuleAbiMismatch)):
        gate.check(wat.agent()[:cut], "m.wasm")


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"\xe8\x07", "claims 1000 elements"),
        (b"\x80\x80\x80\x80\x80\x00", "longer than 5 bytes"),
        (b"\xff\xff\xff\xff\x7f", "exceeds 32 bits"),
        (b"\x01\x5f\x00", "no function type"),
        (b"\x01\x60\x01\x63\x00", "value type 0x63"),
        (b"\x00\x00", "left over"),
    ],
)
def test_a_lying_type_section_is_refused(payload: bytes, says: str) -> None:
    assert says in refused(MAGIC + encode_section(1, payload)).why


def test_sections_out_of_order_are_refused() -> None:
    wasm = MAGIC + encode_section(3, b"\0") + encode_section(1, b"\0")
    assert "out of order" in refused(wasm).why
    assert "belongs to a proposal" in refused(MAGIC + encode_section(13, b"\0")).why


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"maximum": ""}, "declares no maximum"),
        ({"maximum": "64 shared"}, "shared or 64-bit"),
        ({"extra": "(memory 1 1)"}, "2 memories"),
        ({"extra": "(func $go) (start $go)"}, "start section"),
        ({"extra": "(global (mut v128) (v128.const i64x2 0 0))"}, "mutable vector"),
        ({"extra": "(global (mut funcref) (ref.null func))"}, "mutable vector or reference"),
        ({"extra": '(global (export "v") v128 (v128.const i64x2 0 0))'}, "holds a vector"),
        ({"extra": '(func (export "f") (param v128))'}, "holds a vector"),
        ({"extra": '(func (export "f") (result funcref) (ref.null func))'}, "holds a vector or a reference"),
        ({"extra": '(func (export "__tw_g0"))'}, "names with __tw_"),
        ({"extra": "(table 1 funcref)" * 5}, "5 tables"),
        ({"extra": "(func)" * 20_001}, "functions"),
        ({"extra": "".join(f'(func (export "f{i}"))' for i in range(1001))}, "exports"),
        ({"extra": f"(func (param {'i32 ' * 101}))"}, "parameters in one type"),
        ({"extra": f"(func {'nop ' * (128 << 10)})"}, "bytes in one function"),
        ({"extra": '(data (i32.const 0) "")' * 10_001}, "segments"),
        ({"extra": f'(func (export "{"n" * 1001}"))'}, "bytes in one name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_could_not_be_run_or_restored_is_refused(parts: dict[str, str], says: str) -> None:
    error = refused(wat.agent(**parts))
    assert says in str(error)
    assert error.fix


def test_too_large_a_file_is_refused_unparsed() -> None:
    assert "8,388,609 bytes" in refused(bytes(gate.MODULE_BYTES + 1)).what


def test_an_unknown_import_is_refused_and_the_nearest_allowed_one_named() -> None:
    wasm = wat.agent(imports='(import "env" "abort_" (func (param i32 i32 i32 i32)))')
    with pytest.raises(ModuleImportRefused) as caught:
        gate.check(wasm, "m.wasm")
    assert "env.abort_" in caught.value.what
    assert "'env.abort'" in caught.value.why


@pytest.mark.parametrize(
    "text",
    [
        '(import "env" "abort" (func (param i32)))',
        '(import "env" "abort" (global i32))',
        '(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32) (result i32)))',
        '(import "wasi_snapshot_preview2" "fd_write" (func (param i32 i32 i32 i32) (result i32)))',
        '(import "env" "memory" (memory 1 1))',
        '(import "env" "abort" (func (param i32 i32 i32 i32)))' * 2,
    ],
)
def test_other_imports_are_refused(text: str) -> None:
    with pytest.raises((ModuleImportRefused, ModuleRefused)):
        gate.check(wat.agent(imports=text), "m.wasm")


def test_the_import_of_abort_is_allowed() -> None:
    gate.check(wat.agent(imports='(import "env" "abort" (func (param i32 i32 i32 i32)))'), "m.wasm")


def test_a_missing_export_is_named_with_the_nearest_one() -> None:
    text = wat.source().replace('"agent_step"', '"agent_stepp"')
    with pytest.raises(ModuleAbiMismatch) as caught:
        gate.check(wat.assemble(text), "m.wasm")
    assert "'agent_step'" in caught.value.what
    assert "'agent_stepp'" in caught.value.why


def test_an_export_of_another_type_is_refused_with_both_types() -> None:
    text = wat.source().replace('(export "agent_init") (result i32)', '(export "agent_init") (result i64)')
    text = text.replace("(result i64) (i32.const 0)", "(result i64) (i64.const 0)")
    with pytest.raises(ModuleAbiMismatch) as caught:
        gate.check(wat.assemble(text), "m.wasm")
    assert "() -> i64" in caught.value.what
    assert "() -> i32" in caught.value.why


def test_a_function_called_memory_is_no_memory() -> None:
    text = wat.source(extra='(func (export "memory"))').replace('(memory (export "memory")', "(memory")
    with pytest.raises(ModuleAbiMismatch, match="memory"):
        gate.check(wat.assemble(text), "m.wasm")


def test_names_from_a_module_cannot_drive_a_terminal() -> None:
    wasm = wat.agent(imports='(import "\\1b[31mred" "x\\nline" (func))')
    with pytest.raises(ModuleImportRefused) as caught:
        gate.check(wasm, "\x1b]0;title\x07.wasm")
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


def test_shown_text_is_cut() -> None:
    assert len(gate.escape("\x1b" * 100_000)) == gate.TEXT_CHARACTERS
    assert gate.escape("short\n") == "short\n"


def test_an_export_that_points_nowhere_is_refused() -> None:
    types = encode_section(1, encode_vector([b"\x60\0\0"]))
    memory = encode_section(5, encode_vector([b"\1\1\1"]))
    exports = encode_section(7, encode_vector([encode_name("f") + b"\0" + leb(9)]))
    assert "points nowhere" in refused(MAGIC + types + memory + exports).what
