"""authoring/report.py: what is said of a package before anything of it runs."""

import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sandbox.wat import agent, assemble
from tests.unit.sdk.seat import MODULES
from tickwork.authoring.listing import list_functions
from tickwork.authoring.names import function_names
from tickwork.authoring.report import Finding, Report, examine
from tickwork.authoring.sections import without_custom_sections
from tickwork.keys import generate_key
from tickwork.packages.bundle import pack_bundle
from tickwork.packages.signature import sign_module
from tickwork.sandbox import wasm
from tickwork.sandbox.manifest import Capabilities, Manifest, ManifestLimits, append_manifest, encode_manifest
from tickwork.sandbox.wasm import CUSTOM, Malformed, encode_name, encode_section

MANIFEST = Manifest(name="m", version="1.0.0", capabilities=Capabilities(publish=("a",)))
SECONDS_PER_MB = 0.5


def said(report: Report, level: str) -> list[str]:
    return [finding.what for finding in report.findings if finding.level == level]


SAVE = '(func (export "agent_save") (param i32 i32) (result i32) (i32.const 0))'
LOAD = '(func (export "agent_load") (param i32 i32) (result i32) (i32.const 0))'
LISTED = '(func (export "tw_windows") (result i32) (i32.const 0))'


def plain(extra: str = "") -> bytes:
    """Return a module without the names that the assembler adds."""
    return without_custom_sections(agent(extra=extra))


def test_a_whole_signed_module_gives_no_cause_for_complaint() -> None:
    report = examine(sign_module(append_manifest(plain(SAVE + LOAD), MANIFEST), generate_key()), "m.wasm")
    assert (report.findings, report.missing, report.refused) == ((), (), False)
    assert report.signed
    assert report.manifest == MANIFEST
    assert report.kind == "module"
    assert report.parts[0].name == "signature"
    assert report.functions > 5
    assert report.largest_function <= report.code_bytes


def test_everything_that_is_refused_is_told_at_once_with_the_nearest_names() -> None:
    text = """(module (import "env" "abrt" (func (param i32))) (memory (export "memory") 1)
      (func (export "agent_steps") (param i32) (result i32) (i32.const 0))
      (func (export "agent_init") (param i32) (result i32) (i32.const 0)))"""
    report = examine(assemble(text), "m.wasm")
    told = " ".join(said(report, "refused"))
    for wanted in ("'env.abrt'", "declares no maximum", "'tw_desc'"):
        assert wanted in told
    assert report.refused
    assert [link.note for link in report.imports] == ["no host offers it; the nearest is env.abort"]
    notes = {link.name: link.note for link in report.exports}
    assert notes["agent_steps"] == "did you mean agent_step?"
    assert notes["agent_init"] == "the ABI has it as () -> i32"
    missing = {link.name: link.note for link in report.missing}
    assert missing["agent_step"] == "required; nearest: agent_steps"
    assert missing["tw_turn"] == "optional"
    assert "tw_windows" not in missing


def test_an_instruction_that_is_refused_is_told() -> None:
    report = examine(agent(extra="(table $t 1 funcref) (func (table.set $t (i32.const 0) (ref.null func)))"), "m.wasm")
    assert any("table.set" in (finding.why or "") for finding in report.findings if finding.level == "refused")


@pytest.mark.parametrize("data", [b"", b"no module", b"\0asm\x01\0\0\0\x01\x7f"])
def test_what_is_no_module_is_one_refusal(data: bytes) -> None:
    [finding] = examine(data, "m.wasm").findings
    assert (finding.level, finding.code) == ("refused", "TW3001")


def test_a_byte_that_changed_after_signing_is_told() -> None:
    signed = bytearray(sign_module(append_manifest(agent(), MANIFEST), generate_key()))
    signed[-3] ^= 1
    assert any(finding.code in {"TW3201", "TW3006"} for finding in examine(bytes(signed), "m.wasm").findings)


def hazards(manifest: Manifest | None, data: bytes | None = None) -> list[str]:
    data = agent() if data is None else data
    return said(examine(data if manifest is None else append_manifest(data, manifest), "m.wasm"), "hazard")


def test_hazards_are_told() -> None:
    assert hazards(MANIFEST) == []
    assert hazards(None) == ["it has no manifest"]
    small = msgspec.structs.replace(MANIFEST, limits=ManifestLimits(memory_pages=1))
    assert "its manifest allows 1" in hazards(small)[0]
    windows = msgspec.structs.replace(MANIFEST, capabilities=Capabilities(windows=("w",)))
    assert "exports no tw_windows" in hazards(windows)[0]
    listing = plain(LISTED)
    assert "does not name" in hazards(MANIFEST, listing)[0]
    assert hazards(msgspec.structs.replace(MANIFEST, language="assemblyscript"), listing) == [], "its SDK always does"
    assert any("1 windows" in finding.what for finding in examine(append_manifest(agent(), windows), "m").findings)
    assert hazards(MANIFEST, plain(SAVE)) == ["it exports agent_save without the other"]
    assert "may grow to 4,096 pages" in hazards(MANIFEST, (MODULES / "rogue.wasm").read_bytes())[0]


def test_advice_is_told() -> None:
    wide = msgspec.structs.replace(MANIFEST, capabilities=Capabilities(send=("*",)))
    data = append_manifest(agent(whole=False) + encode_section(CUSTOM, encode_name(".debug_x") + bytes(50)), wide)
    told = said(examine(data, "m.wasm"), "advice")
    for wanted in ("never read", "only begin anew", "cost more", "every agent", "nobody signed"):
        assert any(wanted in line for line in told)


def test_a_bundle_is_told_with_its_files() -> None:
    files = {"manifest.json": encode_manifest(MANIFEST), "agent.py": b"x = 1\n"}
    report = examine(pack_bundle(files), "m.bundle")
    assert (report.kind, report.manifest, report.refused) == ("bundle", MANIFEST, False)
    assert {part.name: part.bytes for part in report.parts} == {name: len(body) for name, body in files.items()}
    assert said(report, "advice") == ["nobody signed it"]
    assert examine(pack_bundle({"agent.py": b""}), "m.bundle").refused
    assert examine(pack_bundle(files)[:-1], "m.bundle").refused


def test_a_finding_can_be_told_to_programs() -> None:
    encoded = msgspec.json.encode(examine(agent(), "m.wasm"))
    assert msgspec.json.decode(encoded, type=Report).findings[0] == Finding(
        "hazard",
        "it has no manifest",
        "nothing says what it may use; a world has to name every topic, peer and skill in the right order",
        "build it from a project: tickwork agent build",
    )


@pytest.mark.slow
def test_a_report_takes_less_than_half_a_second_for_each_megabyte() -> None:
    body = "(local i32) " + "(local.set 0 (i32.add (local.get 0) (i32.const 77)))" * 10_000
    data = agent(extra=f"(func {body})" * 14)
    assert len(data) > 1_000_000
    best = 9.0
    for _ in range(3):
        began = time.process_time()
        assert not examine(data, "large.wasm").refused
        best = min(best, time.process_time() - began)
    assert best / (len(data) / 1e6) <= SECONDS_PER_MB


def test_the_modules_of_this_repository_are_told_without_a_refusal() -> None:
    for path in (*MODULES.glob("*.wasm"), *(Path(__file__).parents[3] / "examples").rglob("*.wasm")):
        if not path.name.endswith(".debug.wasm"):
            assert said(examine(path.read_bytes(), path.name), "refused") == [], path


@given(
    at=st.lists(st.integers(8, 700), min_size=1, max_size=4),
    byte=st.integers(0, 255),
    cut=st.integers(0, 4),
    name=st.sampled_from(["echo", "timers", "tasks"]),
)
def test_no_damage_makes_a_report_or_a_listing_fail(at: list[int], byte: int, cut: int, name: str) -> None:
    data = bytearray((MODULES / f"{name}.wasm").read_bytes())
    for place in at:
        data[place : place + 1 + cut] = bytes((byte,))
    report = examine(bytes(data), "damaged.wasm")
    assert all(finding.what for finding in report.findings)
    try:
        module = wasm.parse(bytes(data))
        lines = list(list_functions(module, function_names(module), None))
    except Malformed:
        return
    assert sum(line.text.startswith("(func") for line in lines) == len(module.bodies)


def test_an_export_that_points_nowhere_is_refused_and_shown() -> None:
    data = assemble('(module (memory (export "memory") 1 1) (func (export "x")))')
    at = data.index(b"\x01x\x00\x00") + 3
    report = examine(data[:at] + b"\x63" + data[at + 1 :], "m.wasm")
    assert any("points nowhere" in what for what in said(report, "refused"))
    assert ("x", "a function") in {(link.name, link.type) for link in report.exports}
