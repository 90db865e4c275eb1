"""cli/output.py and cli/screen.py: what is printed, and where."""

import io
import json

import msgspec
import pytest
from rich.console import Console

from tickwork.cli.output import printable, requested_format, write_facts, write_rows
from tickwork.cli.screen import console, make_table
from tickwork.errors import UsageFault


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        ([], "text"),
        (["run", "-o", "json"], "json"),
        (["run", "-ojsonl"], "jsonl"),
        (["run", "--output=json", "x"], "json"),
        (["run", "--output", "yaml"], "text"),
        (["run", "-o"], "text"),
        (["run", "--out", "json"], "text"),
    ],
)
def test_the_format_is_known_before_the_command_line_is_understood(arguments: list[str], form: str) -> None:
    assert requested_format(arguments) == form


def test_nothing_reaches_a_terminal_that_could_command_it() -> None:
    assert printable("a\x1b[2Jb\u202ec\nd") == "a\\x1b[2Jb\\u202ec\nd"
    assert printable("Grüße\n") == "Grüße\n"
    assert printable("a\u3164b\U000e0101") == "a\\u3164b\\U000e0101"


def test_a_value_of_several_lines_is_taken_for_no_other_value(capsys: pytest.CaptureFixture[str]) -> None:
    write_facts([("message", "Send it?\nskill  harmless@1"), ("skill", "send@1")])
    assert capsys.readouterr().out == "message  Send it?\n         skill  harmless@1\nskill    send@1\n"


def test_a_table_shows_cells_as_they_are() -> None:
    stream = io.StringIO()
    console(stream).print(make_table(("name", "#count"), [("[red]x[/] :smile: \x1b[31m", 12), (None, 1)]))
    lines = stream.getvalue().splitlines()
    assert "[red]x[/] :smile: \\x1b[31m" in lines[2]
    assert lines[2].endswith("   12")
    assert "\x1b" not in stream.getvalue()


def test_a_table_is_not_cut_where_no_terminal_limits_it() -> None:
    stream = io.StringIO()
    console(stream).print(make_table(("a", "b"), [("x" * 200, "y" * 200)]))
    assert "x" * 200 + "   " + "y" * 200 in stream.getvalue()


def narrow_table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=40).print(make_table(columns, rows, 40))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_table_on_a_narrow_terminal_leaves_out_what_says_nothing() -> None:
    lines = narrow_table(
        ("agent", "status", "#failures", "task", "code"), [("trader", "active", 0, "", "d418d071f4c9")]
    )
    assert lines[0] == "agent   status  code"
    assert lines[2] == "trader  active  d418d071f4c9"


def test_a_table_on_a_narrow_terminal_breaks_between_words() -> None:
    lines = narrow_table(("agent", "#fuel", "detail"), [("trader", 12345, "out of bounds memory access in step")])
    assert lines[0] == "agent    fuel  detail"
    assert lines[2:] == ["trader  12345  out of bounds memory", "               access in step"]


def test_a_table_far_too_wide_still_shows_everything() -> None:
    names = tuple(f"column{number}" for number in range(9))
    text = "".join("".join(narrow_table(names, [tuple("x" * 12 for _ in names)])).split())
    assert text.count("x") == 12 * len(names)


def test_facts_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    write_facts([("a", 1), ("long", "two")])
    assert capsys.readouterr().out == "a     1\nlong  two\n"


def test_rows_are_one_document_or_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    class Row(msgspec.Struct):
        number: int

    rows = [Row(1), Row(2)]
    write_rows(rows, "rows", {"tick": 3}, "json")
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "tick": 3,
        "rows": [{"number": 1}, {"number": 2}],
    }
    write_rows(rows, "rows", {"tick": 3}, "jsonl")
    assert capsys.readouterr().out == '{"number":1}\n{"number":2}\n'


def test_an_error_says_what_why_and_how_to_go_on() -> None:
    error = UsageFault("it is wrong", where="here", why="because", fix="do this")
    assert str(error).splitlines() == ["TW1001: it is wrong", "  where: here", "  why:   because", "  fix:   do this"]
