"""cli/profile*.py: agents are added, changed, paused and listed."""

from pathlib import Path

import pytest

from tests.unit.cli.program import call

TOML = """
name = "analyst"
owner = "ann"
[skills]
allow = ["sql_query"]
[spending]
day_usd = "5"
"""


def _names() -> list[object]:
    profiles = call("profile", "list", "-o", "json").rows("profiles")
    return [one["name"] for one in profiles]


def test_the_default_profile_is_listed_in_an_empty_folder() -> None:
    answer = call("profile", "list")
    assert answer.status == 0
    assert answer.out.splitlines()[2].split()[:3] == ["default", "1", "active"]
    assert call("profile", "show", "default").status == 0


def test_options_say_what_a_file_says(folder: Path) -> None:
    (folder / "analyst.toml").write_text(TOML, encoding="utf-8")
    one = call("profile", "add", "analyst.toml", "-o", "json").document()
    options = ("--owner", "ann", "--allow", "sql_query", "--day-usd", "5")
    assert call("profile", "add", "analyst", *options, "-o", "json").document() == one
    assert (one["version"], one["status"]) == (1, "active")


def test_every_option_is_a_key_of_the_table() -> None:
    given = {
        "description": "d", "owner": "ann", "allow": "a", "deny": "b", "host": "x.example.com", "read": "in",
        "write": "out", "database": "w.db", "writable": "w.db", "secret": "KEY", "planner": "llm", "model": "small",
        "rate": "10/1h", "burst": "2", "budget-usd": "1", "soft-usd": "0.5", "tokens": "100", "calls": "9",
        "day-usd": "2", "month-usd": "3", "total-usd": "4", "tainted": "notify", "approver": "bob",
        "context-tokens": "500",
    }  # fmt: skip
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    answer = call("profile", "add", "full", *words, "--loopback", "--no-recall", "--no-remember", "-o", "json")
    assert answer.status == 0, answer.err
    assert answer.document()["table"] == {
        "name": "full",
        "description": "d",
        "owner": "ann",
        "skills": {"allow": ["a"], "deny": ["b"]},
        "grants": {
            "hosts": ["x.example.com"],
            "loopback": True,
            "read": ["in"],
            "write": ["out"],
            "databases": ["w.db"],
            "writable": ["w.db"],
            "secrets": ["KEY"],
        },
        "planner": {"kind": "llm", "model": "small"},
        "rate": {"runs": 10, "per": "1h", "burst": 2},
        "budget": {"usd": "1", "soft_usd": "0.5", "tokens": 100, "calls": 9},
        "spending": {"day_usd": "2", "month_usd": "3", "total_usd": "4"},
        "tainted": ["notify"],
        "approvers": ["bob"],
        "memory": {"recall": False, "remember": False, "tokens": 500},
    }
    shown = call("profile", "show", "full").out
    for words_shown in ("10 runs in 1h", "2 USD a day", "x.example.com, also on this machine", "is not read", "w.db"):
        assert words_shown in shown


def test_a_change_is_a_version_and_can_be_looked_at(folder: Path) -> None:
    call("profile", "add", "analyst", "--allow", "sql_query")
    changed = call("profile", "set", "analyst", "--allow", "sql_query", "--allow", "notify", "--by", "ann")
    assert changed.status == 0
    assert "nothing changes" in call("profile", "set", "analyst", "--allow", "sql_query", "--allow", "notify").err
    listed = call("profile", "versions", "analyst", "-o", "json").rows("versions")
    assert [(one["version"], one["by"], one["table"]["skills"]["allow"]) for one in listed] == [
        (1, "", ["sql_query"]),
        (2, "ann", ["sql_query", "notify"]),
    ]
    assert len(call("profile", "versions", "analyst").out.splitlines()) == 4
    assert call("profile", "show", "analyst", "--version", "1", "-o", "json").document()["version"] == 1
    (folder / "analyst.toml").write_text(TOML, encoding="utf-8")
    assert call("profile", "set", "analyst.toml", "-o", "json").document()["version"] == 3


def test_a_profile_is_paused_resumed_and_disabled() -> None:
    call("profile", "add", "analyst")
    for word, status in (("pause", "paused"), ("resume", "active"), ("disable", "disabled")):
        assert call("profile", word, "analyst", "-o", "json").document()["status"] == status
    assert _names() == ["default"]
    assert "analyst" in call("profile", "list", "--disabled").out
    assert "disabled" in call("profile", "disable", "analyst").out


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("show", "ghost"), 8, "TW7014"),
        (("pause", "ghost"), 8, "TW7014"),
        (("set", "ghost", "--owner", "x"), 8, "TW7014"),
        (("versions", "ghost"), 8, "TW7014"),
        (("add", "Bad Name"), 78, "TW7015"),
        (("add", "absent.toml"), 78, "TW7015"),
        (("add", "x", "--rate", "often"), 2, "TW1001"),
        (("add", "x", "--day-usd", "1,5"), 78, "TW7015"),
        (("add", "x", "--planner", "llm"), 78, "TW7015"),
        (("add", "x", "--context-tokens", "-1"), 78, "TW7015"),
        (("set", "default", "--allow", "NOPE"), 78, "TW7015"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_kept(words: tuple[str, ...], status: int, code: str) -> None:
    answer = call("profile", *words)
    assert (answer.status, answer.err.split(":")[0], answer.out) == (status, code, "")
    assert _names() == ["default"]


def test_another_profile_of_a_name_is_refused() -> None:
    call("profile", "add", "analyst")
    answer = call("profile", "add", "analyst", "--owner", "ann")
    assert answer.status == 78
    assert "tickwork profile set analyst" in answer.err
