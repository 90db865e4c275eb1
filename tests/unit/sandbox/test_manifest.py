"""The manifest section: canonical, bounded, checked."""

import json

import pytest

from tests.unit.sandbox import wat
from tickwork.errors import ModuleManifestInvalid, ModuleRefused
from tickwork.sandbox.manifest import (
    SECTION,
    Capabilities,
    Manifest,
    ManifestLimits,
    append_manifest,
    decode_manifest,
    encode_manifest,
    read_manifest,
)
from tickwork.sandbox.wasm import encode_name, encode_section

FULL = Manifest(
    "stätion",
    "1.2.0",
    language="c",
    sdk="0.1",
    capabilities=Capabilities(publish=("sensor_data", "alarms"), send=("report",), clock=True),
    limits=ManifestLimits(fuel=1000),
    source="ab" * 32,
)


def with_section(content: bytes) -> bytes:
    return wat.agent() + encode_section(0, encode_name(SECTION) + content)


def test_a_manifest_survives_the_round_trip_and_keeps_the_order_of_names() -> None:
    assert read_manifest(append_manifest(wat.agent(), FULL)) == FULL


def test_a_module_without_the_section_has_no_manifest() -> None:
    assert read_manifest(wat.agent()) is None


def test_appending_replaces_an_older_manifest_and_nothing_else() -> None:
    older = append_manifest(wat.agent(), Manifest("old", "1"))
    assert append_manifest(older, FULL) == append_manifest(wat.agent(), FULL)
    assert older.startswith(wat.agent())


def test_the_json_is_canonical() -> None:
    encoded = encode_manifest(FULL)
    document = json.loads(encoded)
    assert list(document) == sorted(document)
    assert "stätion".encode() in encoded
    assert b" " not in encoded.replace("stätion".encode(), b"")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"name":1}',
        b"\xff",
        encode_manifest(FULL).replace(b",", b", ", 1),
        encode_manifest(FULL) + b" ",
        encode_manifest(FULL).replace(b'"language"', b'"lingo"'),
        encode_manifest(FULL).replace(b'"1.2.0"', b'""'),
        encode_manifest(FULL).replace(b'"1.0"', b'"1"'),
        encode_manifest(FULL).replace(b'"1.0"', b'"one.two"'),
        encode_manifest(FULL).replace(b'"1.0"', b'"01.0"'),
        encode_manifest(FULL).replace(b'"alarms"', b'"sensor_data"'),
        encode_manifest(FULL).replace(b"1000", b"1000.5"),
        encode_manifest(FULL).replace(b'"fuel":1000', b'"fuel":1000,"fuel":1000'),
        encode_manifest(FULL).replace(b'"fuel":1000', b'"fuel":-1000'),
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ModuleManifestInvalid):
        read_manifest(with_section(content))


def test_two_sections_and_a_huge_one_are_refused() -> None:
    once = append_manifest(wat.agent(), FULL)
    with pytest.raises(ModuleManifestInvalid, match="invalid"):
        read_manifest(once + encode_section(0, encode_name(SECTION) + encode_manifest(FULL)))
    with pytest.raises(ModuleManifestInvalid):
        append_manifest(wat.agent(), Manifest("big", "1", source="x" * 70_000))


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(ModuleRefused):
        append_manifest(b"(module)", FULL)


def test_decoding_agrees_with_encoding() -> None:
    assert decode_manifest(encode_manifest(FULL), "m") == FULL
    assert FULL.version_pair() == (1, 0)
