"""Pages as programs: the fenced blocks of a page, executed in order in one folder.

The word after the language says what a block is:

    ```python            run as a program of its own; a following ```output block is what it prints
    ```console           lines that begin with "$ " are run; below each is its output, "..." stands for anything
    ```LANG file=NAME    written to NAME in the page's folder
    ```LANG no-run       shown only
    ```toml, ```json     parsed
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support import environment

RUNNABLE = {"console", "json", "python", "toml"}
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


class BlockError(AssertionError):
    """A block that does not do what the page says."""


class Block(NamedTuple):
    """A fenced block: its language, the words after it, its text and the line it begins at."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str:
        """The name the block is written to; empty for none."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), "")

    @property
    def runs(self) -> bool:
        """Whether there is anything to do for it."""
        return "no-run" not in self.words and (self.language in RUNNABLE or self.file != "")


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    for found in FENCE.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        yield Block(found[1], tuple(found[2].split()), found[3], line)


def execute(page: str, folder: Path) -> int:
    """Run every block of a page; return how many there were to run.

    Raises:
        BlockError: A block failed, or printed something else than the page shows.
    """
    ran, todo = 0, list(blocks(page))
    for index, block in enumerate(todo):
        if not block.runs:
            continue
        ran += 1
        if block.file:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            following = todo[index + 1] if index + 1 < len(todo) else None
            expected = following.text if following is not None and following.language == "output" else None
            _run_python(block, expected, folder)
        elif block.language == "console":
            _run_console(block, folder)
        elif block.language == "toml":
            tomllib.loads(block.text)
        else:
            json.loads(block.text)
    return ran


def _run_python(block: Block, expected: str | None, folder: Path) -> None:
    result = _child([sys.executable, "-W", "error", "-c", block.text], folder)
    if result.returncode != 0:
        raise BlockError(f"line {block.line}: the block failed\n{result.stderr}")
    if expected is not None:
        _compare(block.line, "the block", expected, result.stdout)


def _run_console(block: Block, folder: Path) -> None:
    for command, expected, status in _commands(block.text):
        words = shlex.split(command)
        if words[0] == "tickwork":
            words = [sys.executable, "-m", *words]
        elif words[0] in {"python", "python3"}:
            words[0] = sys.executable
        else:
            raise BlockError(
                f"line {block.line}: only tickwork and python can be run here, mark the block no-run: {command}"
            )
        result = _child(words, folder)
        if result.returncode != status:
            said = f"{result.stdout}\n{result.stderr}"
            raise BlockError(f"line {block.line}: {command} exited {result.returncode}, not {status}\n{said}")
        if expected:
            _compare(block.line, command, expected, result.stdout + result.stderr)


def _commands(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield each command, the output the page shows for it and the exit status a comment behind it names."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    for part in parts:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = command[:-1] + more.strip()
        status = re.search(r"\s+# exits (\d+)$", command)
        yield re.sub(r"\s+# .*$", "", command), output, int(status[1]) if status else 0


def _compare(line: int, what: str, expected: str, actual: str) -> None:
    """Compare output with what a page shows: "..." in a line stands for any text, alone in a line for any lines."""
    pattern = ""
    for shown in expected.rstrip().splitlines():
        if shown.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in shown.rstrip().split("...")) + r"[ \t]*\n"
    if not re.fullmatch(pattern, actual.rstrip() + "\n"):
        raise BlockError(f"line {line}: {what} printed\n{actual}\nand the page shows\n{expected}")


def _child(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env=environment(COLUMNS="120", NO_COLOR="1"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
