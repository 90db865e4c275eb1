"""What a command prints: documents on stdout, talk on stderr.

Invariants:
    * stdout holds data only: with ``json`` exactly one document, with ``jsonl`` one object a line.
    * A document names its ``schema_version``; a key keeps its name and meaning within one.
    * What a journal or a world file says reaches a terminal only as printable characters.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter

from ..errors import OutputLost, TickworkError

SCHEMA_VERSION: Final = 1

Format = Literal["text", "json", "jsonl"]
Output = Annotated[
    Format,
    Parameter(name=["--output", "-o"], help="text for people, json for one document, jsonl for one object a line."),
]
"""The option every command has."""

Document = Mapping[str, object]

LOST_OUTPUT: Final = frozenset({errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EBADF, errno.EDQUOT})
"""What the system says when stdout takes nothing more, beside a pipe without reader."""


def prepare_streams() -> None:
    """Make stdout and stderr take every character, whatever encoding the terminal has."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is where the caller has closed it.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="backslashreplace")
            else:
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def abandon_output() -> None:
    """Send what is still buffered for stdout nowhere, since its reader or its disk is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def output_lost(error: OSError) -> OutputLost:
    """Return the error of a stdout that takes nothing more."""
    return OutputLost(
        "standard output cannot be written",
        why=error.strerror or "",
        fix="make room where it goes and give the command again; what the journal has acknowledged is safe",
    )


def requested_format(arguments: Sequence[str]) -> Format:
    """Return the format a command line asks for, also where the rest of it is wrong: errors are printed in it too."""
    words = list(arguments)
    for index, word in enumerate(words):
        name, _, value = word.partition("=")
        if name in ("-o", "--output"):
            value = value or "".join(words[index + 1 : index + 2])
        elif word.startswith("-o") and not word.startswith("--"):
            value = word[2:]
        else:
            continue
        return "json" if value == "json" else "jsonl" if value == "jsonl" else "text"
    return "text"


NEWLINE: Final = "\n"
UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that count as printable and are not seen. Source: Unicode, Default_Ignorable_Code_Point; and the
blank of Braille."""


def printable(text: str) -> str:
    """Return ``text`` with what is not printable or not seen, save newlines, written as escapes."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    shown = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), shown)


def write_document(document: Document, form: Format) -> None:
    """Print one document as JSON."""
    encoded = msgspec.json.encode({"schema_version": SCHEMA_VERSION, **document})
    if form == "json":
        encoded = msgspec.json.format(encoded, indent=2)
    sys.stdout.write(encoded.decode() + "\n")


def write_rows(rows: Iterable[object], name: str, around: Document, form: Format) -> None:
    """Print many rows: one document that holds them under ``name``, or with ``jsonl`` each on its own line."""
    if form == "jsonl":
        for row in rows:
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
    else:
        write_document({**around, name: list(rows)}, form)


def write_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print named values one below the other, for people. What follows a line break can be taken for no other value."""
    shown = [(name, printable(str(value))) for name, value in facts]
    width = max((len(name) for name, _ in shown), default=0)
    margin = "\n" + " " * (width + 2)
    sys.stdout.writelines(f"{name:<{width}}  {value.replace(NEWLINE, margin)}\n" for name, value in shown)


def write_line(text: str) -> None:
    """Print one line of data, for people."""
    sys.stdout.write(printable(text) + "\n")


def talk(text: str) -> None:
    """Say something that is no data."""
    sys.stderr.write(printable(text) + "\n")


def write_problem(error: TickworkError, form: Format) -> int:
    """Print an error where the format puts it and return its exit status."""
    if form == "text":
        talk(str(error))
    else:
        write_document(error.problem(), form)
        flush()
    return error.exit_status


def flush() -> None:
    """Hand what was printed to the system, so that a closed pipe is noticed here and not at the end of the process."""
    sys.stdout.flush()
