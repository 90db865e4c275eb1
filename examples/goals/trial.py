"""What the examples share: a work folder is set up, a goal is given, and what people are asked is told or granted.

Everything is done by the command ``tickwork`` in that folder, so that whoever reads along can type the same.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tickwork.cli.app import run_command_line

WAITING: Final = 6
"""Exit status of a command whose run waits for people."""


class Example(NamedTuple):
    """One of the examples.

    Attributes:
        folder: Where its files lie.
        goal: What is asked where nothing is said.
        prepare: Puts what it works on into the work folder.
        reports: The folder of the work folder that it may write in.
    """

    folder: Path
    goal: str
    prepare: Callable[["Desk"], None]
    reports: str

    @property
    def name(self) -> str:
        """Return the name of its folder, which is that of its profile too."""
        return self.folder.name


class Desk(NamedTuple):
    """A work folder, in which ``tickwork`` is called."""

    folder: Path

    def tickwork(self, *words: str) -> int:
        """Call a command, told before, and return its exit status."""
        shown = " ".join(word if word and " " not in word else f'"{word}"' for word in words)
        sys.stdout.write(f"\n$ tickwork {shown}\n")
        sys.stdout.flush()
        with contextlib.chdir(self.folder):
            return run_command_line(words)

    def quietly(self, *words: str) -> tuple[int, str]:
        """Call a command, and return its exit status and all that it said."""
        said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.chdir(self.folder):
            status = run_command_line(words)
        said.seek(0)
        return status, said.read()

    def must(self, *words: str) -> None:
        """Call a command that has to succeed; the program ends where it does not."""
        status, said = self.quietly(*words)
        if status:
            sys.stderr.write(said)
            raise SystemExit(status)

    def approvals(self) -> list[str]:
        """Return what people are asked here, by id."""
        return [str(one["id"]) for one in json.loads(self.quietly("approval", "list", "-o", "json")[1])["approvals"]]

    def copy(self, source: Path, to: str) -> None:
        """Copy a file or a folder."""
        target = self.folder / to
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)


def main(example: Example, arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit status."""
    parser = argparse.ArgumentParser(prog=f"python examples/goals/{example.name}")
    parser.add_argument("goal", nargs="?", default=example.goal, help=f"by default: {example.goal}")
    parser.add_argument("--work", type=Path, default=Path(".tickwork") / "goals" / example.name, help="work folder")
    parser.add_argument("--yes", action="store_true", help="grant what people are asked")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="an input of the plan")
    parser.add_argument("--again", action="store_true", help="a run of its own, although there is one for this goal")
    given = parser.parse_args(arguments)
    desk = Desk(given.work.absolute())
    os.environ["TICKWORK_MODELS"] = str(desk.folder / "models")
    set_up(example, desk)
    # The same key is the same run: whoever ends this program and calls it again goes on with what there is.
    told = "\n".join([given.goal, *given.input])
    key = [] if given.again else ["--key", hashlib.sha256(told.encode()).hexdigest()[:12]]
    inputs = [word for one in given.input for word in ("--input", one)]
    status = desk.tickwork("goal", given.goal, *inputs, "--profile", example.name, *key)
    if status == WAITING and given.yes:
        for approval in desk.approvals():
            status = desk.tickwork("approval", "grant", approval, "--comment", "granted with --yes")
    tell(example, desk, status)
    return status


def set_up(example: Example, desk: Desk) -> None:
    """Copy what the example works with, and add its profile. Done twice it changes nothing."""
    desk.folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"work folder: {shown(desk.folder)}\n")
    desk.copy(example.folder / "plans", ".tickwork/plans")
    desk.copy(example.folder / "profile.toml", "profile.toml")
    if (example.folder / "skills.toml").is_file():
        desk.copy(example.folder / "skills.toml", ".tickwork/skills.toml")
    (desk.folder / example.reports).mkdir(exist_ok=True)
    example.prepare(desk)
    # Settings name files that are executed: they hold once they are allowed as they are, and these are copies of ours.
    desk.must("allow")
    if desk.quietly("profile", "add", "profile.toml")[0]:
        desk.must("profile", "set", "profile.toml")


def tell(example: Example, desk: Desk, status: int) -> None:
    """Say where the report is, and what can be done next."""
    say = sys.stdout.write
    if status == WAITING:
        say(f"\nNothing was written yet. Grant it with --yes, or: cd {shown(desk.folder)}\n")
        for approval in desk.approvals():
            say(f"  tickwork approval show {approval}\n  tickwork approval grant {approval}\n")
    elif status == 0:
        for report in sorted((desk.folder / example.reports).iterdir()):
            say(f"\nwritten: {shown(report)}\n")
        say(f"\nLook closer: cd {shown(desk.folder)}; tickwork runs; tickwork show RUN; tickwork artifact list\n")


def shown(path: Path) -> str:
    """Return a path as people type it here."""
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else str(path)
