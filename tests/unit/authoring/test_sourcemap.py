"""authoring/sourcemap.py: an offset in a module, and the line it comes from."""

import json

import pytest

from tickwork.authoring.sourcemap import Place, SourceMap


def source_map(mappings: str, version: int = 3) -> bytes:
    return json.dumps({"version": version, "sources": ["a.ts", "b.ts"], "names": [], "mappings": mappings}).encode()


def test_an_offset_belongs_to_the_mapping_before_it() -> None:
    # Offset 8 is a.ts 1:1; 10 is b.ts 17:3; 11 is no source; 14 is a.ts 16:3.
    read = SourceMap(source_map("QAAA,ECgBE,C,GDDA"))
    assert read.find(7) is None
    assert read.find(8) == read.find(9) == Place("a.ts", 1, 1)
    assert read.find(10) == Place("b.ts", 17, 3)
    assert read.find(11) is None
    assert read.find(13) is None
    assert read.find(14) == read.find(1 << 30) == Place("a.ts", 16, 3)
    assert str(read.find(10)) == "b.ts:17:3"


def test_numbers_have_as_many_digits_as_they_need_and_names_are_passed_over() -> None:
    read = SourceMap(source_map("gggCAggB0hBA;AAAA"))
    assert read.find(1 << 15) == Place("a.ts", 513, 539)


def test_an_empty_map_knows_nothing() -> None:
    assert SourceMap(source_map("")).find(0) is None


@pytest.mark.parametrize(
    "text",
    [
        b"no map",
        b"{}",
        source_map("QAAA", version=2),
        source_map("QA"),
        source_map("QAAAAA"),
        source_map("QEAA"),
        source_map("QDAA"),
        source_map("Q*AA"),
        source_map("QAAg"),
        source_map("g" * 1_000_000 + "A"),
    ],
)
def test_what_is_no_source_map_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        SourceMap(text)
