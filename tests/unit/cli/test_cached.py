"""Outputs that are kept are not a way around a profile's grants."""

from pathlib import Path

from tests.unit.cli.program import call

PLAN = """
name = "peek"
goal = "Read it"
[[steps]]
id = "read"
skill = "file_read@1"
params = { path = "private/note.txt" }
cache = { ttl = "1h" }
[outputs]
text = "${steps.read.output.text}"
"""


def test_what_one_profile_has_read_is_not_given_to_another(folder: Path) -> None:
    (folder / "private").mkdir()
    (folder / "private" / "note.txt").write_text("canary")
    (folder / "plan.toml").write_text(PLAN)
    assert call("profile", "add", "may", "--allow", "file_read", "--read", "private").status == 0
    assert call("profile", "add", "maynot", "--allow", "file_read").status == 0
    assert "canary" in call("plan", "run", "plan.toml", "--profile", "may").out
    refused = call("plan", "run", "plan.toml", "--profile", "maynot")
    assert refused.status != 0
    assert "canary" not in refused.out
