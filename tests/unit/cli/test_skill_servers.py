"""Plans whose skills are offered by servers that misbehave."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.unit.cli.program import call

STRANGE = [sys.executable, "-I", "-S", str(ROOT / "tests" / "servers" / "strange.py")]
STEP = """
[[steps]]
id = "{id}"
skill = "{id}.echo"
params = {{ text = "hello" }}
timeout = "{timeout}"
on_error = "continue"
"""


@pytest.mark.slow
def test_a_server_that_breaks_its_word_fails_its_own_step_and_the_others_go_on(folder: Path) -> None:
    ways = ("dies", "misfits", "shifts", "hangs", "plain")
    own = folder / ".tickwork"
    own.mkdir(exist_ok=True)
    servers = "".join(f"[servers.{way}]\ncommand = {json.dumps([*STRANGE, way])}\n" for way in ways)
    (own / "skills.toml").write_text(servers)
    assert call("allow").status == 0
    steps = "".join(STEP.format(id=way, timeout="200ms" if way == "hangs" else "20s") for way in ways)
    said = 'said = "${steps.plain.output.text}"'
    (folder / "all.toml").write_text(f'name = "all"\ngoal = "Say it everywhere"\n{steps}\n[outputs]\n{said}\n')
    assert call("profile", "add", "clerk", *(word for way in ways for word in ("--allow", f"{way}.*"))).status == 0
    ran = call("plan", "run", "all.toml", "--profile", "clerk", "-o", "json")
    assert ran.status == 0, ran.err
    told: Any = ran.document()
    run_id: str = told["run_id"]
    assert (told["status"], told["output"]) == ("partially_succeeded", {"said": "hello"})
    shown: Any = call("show", run_id, "-o", "json").document()
    faults = {step["path"]: (step["error"] or {}).get("code") for step in shown["steps"]}
    assert faults == {"dies": "TW7026", "misfits": "TW7007", "shifts": "TW7026", "hangs": "TW7026", "plain": None}
    # What a server that is gone has said stands in the journal.
    (own / "skills.toml").unlink()
    assert call("verify", run_id).status == 0
