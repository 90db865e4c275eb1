"""cli/app.py and __main__.py: the program as a whole, its help, its errors and its exit statuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import environment, python, tickwork
from tests.unit.cli.program import call
from tickwork import __version__
from tickwork.__main__ import main
from tickwork.cli import agent, app
from tickwork.cli.app import COMMANDS

VERSION_SECONDS = 0.060


def test_the_version_is_told() -> None:
    assert tickwork("--version").stdout == f"tickwork {__version__}\n"
    assert call("--version").out == f"tickwork {__version__}\n"


def test_the_version_is_told_before_anything_is_imported() -> None:
    code = (
        "import sys, resource, tickwork.__main__ as m; sys.argv = ['tickwork', '--version']; m.main();"
        "spent = resource.getrusage(resource.RUSAGE_SELF);"
        "print([n for n in sys.modules if n.split('.')[0] in ('cyclopts', 'rich', 'msgspec', 'apsw', 'wasmtime')]);"
        "print(spent.ru_utime + spent.ru_stime)"
    )
    answers = [python(code).stdout.splitlines() for _ in range(5)]
    assert all(answer[1] == "[]" for answer in answers)
    # The best of five, since a busy machine only ever adds.
    assert min(float(answer[2]) for answer in answers) <= VERSION_SECONDS


def test_without_a_command_the_program_teaches() -> None:
    for answer in (call(), call("--help"), call("-h")):
        assert answer.status == 0
        assert all(name in answer.out for name in COMMANDS)
        assert "tickwork demo" in answer.out


WORDS = [" ".join(words) for words in app.command_words(app.build_app())]
ASKING = {"agent debug"}
"""Commands that talk with a person and have one form of output."""


@pytest.mark.parametrize("command", WORDS)
def test_every_command_teaches_by_example(command: str) -> None:
    answer = call(*command.split(), "--help")
    assert answer.status == 0
    line = " ".join(answer.out.split())
    assert " ".join({**COMMANDS, **AGENT_LINES}.get(command, "").split()) in line
    assert f"Examples: tickwork {command}" in line
    assert ("--output" in line) == (command not in ASKING)


AGENT_LINES = {f"agent {name}": line for name, line in agent.COMMANDS.items()}


@pytest.mark.parametrize("group", sorted({words.split()[0] for words in WORDS if " " in words}))
def test_a_group_of_commands_lists_them(group: str) -> None:
    for answer in (call(group), call(group, "--help")):
        assert answer.status == 0
        assert all(words.split()[1] in answer.out for words in WORDS if words.startswith(f"{group} "))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "Did you mean"),
        (["run", "world.toml", "--tikcs", "3"], "Did you mean --ticks"),
        (["run", "world.toml", "--ticks", "many"], "--ticks"),
        (["diff", "one.twk"], "OTHER"),
        (["verify", "a.twk", "--output", "yaml"], "json"),
        (["fork", "a.twk"], "--at"),
        (["agent", "bulid"], "Did you mean"),
        (["agent", "new", "cobol", "x"], "see `tickwork agent new --help`"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_what_is_wrong(arguments: list[str], said: str) -> None:
    answer = call(*arguments)
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("TW1001: ")
    assert said in answer.err


@pytest.mark.parametrize("option", [["-o", "json"], ["--output=json"], ["-ojson"], ["--output", "jsonl"]])
def test_an_error_is_one_document_where_documents_are_asked_for(option: list[str]) -> None:
    answer = call("replay", "none.twk", *option)
    problem = answer.document()
    assert answer.status == problem["exit_status"] == 8
    assert problem["code"] == "TW2001"
    assert answer.err == ""


def test_a_wrong_command_line_is_a_document_too() -> None:
    answer = call("run", "--nothing", "-o", "json")
    assert (answer.status, answer.document()["code"]) == (2, "TW1001")


def test_a_defect_ends_with_70_and_is_reported_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("nobody expected this")

    monkeypatch.setattr(app, "build_app", broken)
    answer = call("run", "-o", "json")
    assert (answer.status, answer.document()["code"]) == (70, "TW9001")
    assert "Traceback" in answer.err
    assert "nobody expected this" in answer.err


def test_an_interrupt_outside_a_run_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "build_app", interrupted)
    assert call("doctor") == (130, "", "")


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error(journal: Path) -> None:
    command = [sys.executable, "-m", "tickwork", "show", str(journal), "messages", "--tick", "0", "--last", "19"]
    child = subprocess.Popen(
        [*command, "-o", "jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    with child.stderr:
        said = child.stderr.read()
    assert (child.wait(), said) == (141, b"")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json"])
def test_an_output_on_a_full_disk_is_no_defect(form: str) -> None:
    code = (
        "import errno, sys\nfrom tickwork.cli import app\n"
        "def full():\n    raise OSError(errno.ENOSPC, 'No space left on device')\n"
        f"app.flush = full\nsys.exit(app.run_command_line(['doctor', '-o', {form!r}]))"
    )
    child = python(code)
    assert child.returncode == 69
    assert child.stderr.startswith("TW3103: ")
    assert "Traceback" not in child.stderr


@pytest.mark.slow
def test_a_closed_output_is_no_defect(journal: Path) -> None:
    show = f"run_command_line(['show', {str(journal)!r}])"
    code = f"import sys; from tickwork.cli.app import run_command_line; sys.stdout = None; sys.exit({show})"
    child = python(code)
    assert (child.returncode, child.stderr) == (0, "")


def test_help_into_a_pipe_without_reader_is_no_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def left() -> None:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            raise SystemExit(1)  # noqa: B904 - as the table writer does it.

    monkeypatch.setattr(app, "build_app", left)
    assert call("--help").status == 141


def test_an_interrupt_while_loading_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "run_command_line", interrupted)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130


def test_every_line_of_jsonl_is_an_object(journal: Path) -> None:
    lines: list[list[str | Path]] = [["doctor"], ["replay", journal], ["verify", journal]]
    lines += [["show", journal, view, "--tick", "4"] for view in ("state", "agents", "messages", "frame")]
    for arguments in lines:
        answer = call(*arguments, "-o", "jsonl")
        rows = answer.out.splitlines()
        assert rows
        assert all(isinstance(json.loads(row), dict) for row in rows)


OF_PLANS = {"allow", "cancel", "cost", "goal", "pack", "rerun", "runs", "signal", "work"}
"""Commands about runs of plans, which have tests of their own."""


def test_every_command_prints_one_document_with_json(journal: Path, world: Path) -> None:
    lines: list[list[str | Path]] = [
        ["run", world],
        ["replay", journal],
        ["verify", journal],
        ["verify", journal, "--chain-only"],
        ["show", journal],
        ["show", journal, "agents"],
        ["show", journal, "messages"],
        ["show", journal, "frame"],
        ["diff", journal, journal],
        ["fork", journal, "--at", "5"],
        ["doctor"],
    ]
    assert {str(line[0]) for line in lines} | {"demo"} == {words for words in WORDS if " " not in words} - OF_PLANS
    for line in lines:
        answer = call(*line, "-o", "json")
        assert answer.status == 0, answer
        answer.document()
        assert answer.err == ""
