"""The market of five languages: agents begun, built, tested and signed by the program, then trading, one replaced."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support import ROOT, need, tickwork
from tickwork.driver.look import messages_between

MARKET = ROOT / "examples" / "market"
TOOLS = {"c": "zig", "cpp": "zig", "rust": "rust", "assemblyscript": "asc", "python": "python-base"}
MODULES = ROOT / ".cache" / "python-base" / "modules"
"""Where the base module's compiled form is kept, which would else be made anew in every test's own home."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TICKWORK_CACHE", str(MODULES))
    return tmp_path


def document(*arguments: str | Path, cwd: Path) -> dict[str, object]:
    done = tickwork(*arguments, "-o", "json", cwd=cwd, check=True, timeout=300)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "language",
    [pytest.param(name, marks=pytest.mark.thorough) if name in ("python", "rust") else name for name in TOOLS],
)
def test_a_new_agent_of_every_language_is_built_tested_signed_and_run(language: str, folder: Path) -> None:
    need(TOOLS[language])
    tickwork("agent", "new", language, "mine", cwd=folder, check=True)
    project = folder / "mine"
    package = project / str(document("agent", "build", cwd=project)["package"])
    tickwork("agent", "test", cwd=project, check=True, timeout=300)
    tickwork("agent", "keygen", "own.key", cwd=folder, check=True)
    before = tickwork("agent", "verify", package, cwd=project, check=True).stdout
    tickwork("agent", "sign", package, "--key", folder / "own.key", cwd=project, check=True)
    assert tickwork("agent", "verify", package, cwd=project).returncode == 4, "nobody believes that key yet"
    assert tickwork("run", "world.toml", cwd=project, timeout=300).returncode == 4
    tickwork("agent", "sign", package, cwd=project, check=True)
    assert tickwork("agent", "verify", package, cwd=project, check=True).stdout == before
    assert document("run", "world.toml", cwd=project)["status"] == "complete"


@pytest.mark.slow
def test_five_languages_trade_and_one_takes_over_from_another(folder: Path) -> None:
    for tool in TOOLS.values():
        need(tool)
    market = shutil.copytree(MARKET, folder / "market", ignore=shutil.ignore_patterns("*.bundle", "node_modules"))
    tickwork("agent", "build", "python", cwd=market, check=True)
    journal = market / "five.twk"
    done = document("run", "five.toml", "--journal", journal, cwd=market)
    assert (done["status"], done["failed_turns"]) == ("complete", 0)
    assert document("replay", journal, cwd=market)["head"] == done["head"]
    checked = document("verify", journal, "--workers", "2", cwd=market)
    assert (checked["equal"], checked["head"]) == (True, done["head"])
    frame = document("show", journal, "frame", "--tick", "100", cwd=market)
    assert any(str(text).startswith("swapped c migrate") for text in list(frame["derived"]))  # type: ignore[call-overload]
    metrics = [m for m in messages_between(journal, 200, 999) if m.kind == "metric"]
    assert {m.source for m in metrics} == {"c", "cpp", "rust", "assemblyscript", "python"}
    held = {name: sum(_value(m.body, name) for m in metrics) for name in ("cash", "stock")}
    assert held == {"cash": 5 * 10_000, "stock": 5 * 100}, "what one pays another gets, across the replacement too"
    books = {_value(m.body, "trades") for m in metrics if m.body.startswith("trades=")}
    assert len(books) == 1, "everybody counted the same trades"
    assert books.pop() > 10


def _value(body: str, name: str) -> int:
    found = re.fullmatch(rf"{name}=(-?\d+)", body)
    return int(found[1]) if found else 0
