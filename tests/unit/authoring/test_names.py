"""authoring/names.py: what a module's functions are called."""

from tests.unit.sdk.seat import ROOT
from tickwork.authoring.names import function_names
from tickwork.sandbox import wasm
from tickwork.sandbox.wasm import CUSTOM, encode_name, encode_section, leb


def test_names_come_from_exports_and_from_the_debug_companion() -> None:
    module = wasm.parse((ROOT / "tests" / "tour" / "c" / "tour-c.wasm").read_bytes())
    names = function_names(module)
    assert "agent_step" in names.values()
    section = encode_section(CUSTOM, encode_name("name") + b"\x01" + leb(7) + b"\x01\x00" + encode_name("first"))
    debug = wasm.parse(module.data + section)
    assert function_names(module, debug)[0] in {"first", "tw_desc"}
    damaged = wasm.parse(module.data + encode_section(CUSTOM, encode_name("name") + b"\x01\xff"))
    assert function_names(module, damaged) == names
