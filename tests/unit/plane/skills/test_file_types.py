"""plane/skills/file_types.py: names tell types, the same ones on every machine."""

import pytest

from tickwork.plane.skills.file_types import BYTES, TYPES, type_of


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("a.csv", b"a,b", "text/csv"),
        ("REPORT.PDF", b"%PDF", "application/pdf"),
        ("chart.svg", b"<svg/>", "image/svg+xml"),
        ("data.tar.gz", b"\x1f\x8b", "application/gzip"),
        ("server.log", "später".encode(), "text/plain"),
        ("notes", b"", "text/plain"),
        (".json", b"\xff", BYTES),
        ("core.dump", b"a\0b", BYTES),
        ("blob.bin", b"\xff\xfe", BYTES),
    ],
)
def test_a_name_tells_the_type_and_else_the_bytes_do(name: str, raw: bytes, told: str) -> None:
    assert type_of(name, raw) == told


def test_endings_are_small_letters_and_types_have_two_parts() -> None:
    assert all(ending == ending.lower() and "." not in ending for ending in TYPES)
    assert all(kind.count("/") == 1 for kind in TYPES.values())
