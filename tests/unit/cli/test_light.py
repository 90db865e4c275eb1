"""What commands load: whoever asks for help, or has a plan checked, does not wait for what that needs nothing of."""

import subprocess
import sys
from pathlib import Path

import pytest

from tickwork.cli.app import build_app, command_words

HEAVY = ("sqlalchemy", "apsw.ext", "pydantic", "jsonschema", "httpx2", "tickwork.plane.engine", "tickwork.plane.store")

ASK = """
import contextlib, io, sys
from tickwork.cli.app import run_command_line
for line in sys.stdin.read().splitlines():
    with contextlib.redirect_stdout(io.StringIO()):
        status = run_command_line(line.split())
    print(line, status, *(name for name in {heavy!r} if name in sys.modules))
"""


def loaded(*lines: str) -> list[str]:
    """Return, for command lines carried out in one new process, what came of each and what heavy was loaded by then."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK.format(heavy=HEAVY)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout.splitlines()


@pytest.mark.slow
def test_help_loads_neither_the_store_nor_the_engine() -> None:
    lines = [" ".join([*words, "--help"]) for words in command_words(build_app())]
    assert loaded(*lines) == [f"{line} 0" for line in lines]


@pytest.mark.slow
def test_a_plan_for_nobody_is_checked_shown_and_drawn_without_the_store(folder: Path) -> None:
    (folder / "p.toml").write_text('name = "p"\n[[steps]]\nid = "a"\nskill = "json_transform"\nparams = {}\n')
    lines = [f"plan {verb} p.toml" for verb in ("schema", "validate", "show", "graph", "dry-run")]
    for told in loaded(*lines):
        assert "sqlalchemy" not in told
        assert "engine" not in told
