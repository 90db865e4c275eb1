"""cli/skill and its commands."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.unit.cli.program import call

PAIR = json.dumps({"value": [1, 2], "expression": "[1]"})


def document(*words: str) -> Any:
    return call(*words, "-o", "json").document()


def configure(folder: Path, text: str) -> None:
    (folder / ".tickwork").mkdir(exist_ok=True)
    (folder / ".tickwork" / "skills.toml").write_text(text)
    assert call("allow").status == 0


def test_the_list_names_what_can_be_used_and_what_cannot(folder: Path) -> None:
    answer = call("skill", "list")
    assert answer.status == 0
    assert "json_transform@1" in answer.out
    assert "notify cannot be used" in answer.err
    configure(folder, '[skills.hook]\nkind = "notify"\nurl = "https://a.example/"\n')
    listed = {row["name"]: row for row in document("skill", "list")["skills"]}
    assert listed["hook"]["side_effects"] is True
    assert listed["json_transform"]["effect_class"] == "pure"
    assert listed["notify"]["unusable"]["code"] == "TW7004"


def test_a_skill_is_shown_with_its_schemas() -> None:
    answer = call("skill", "show", "text_search")
    assert answer.status == 0
    assert '"query"' in answer.out
    shown = document("skill", "show", "text_search@1")
    assert set(shown["input"]["required"]) == {"query", "texts"}
    assert len(shown["digest"]) == 64


def test_a_skill_is_called(folder: Path) -> None:
    assert call("skill", "call", "json_transform", "--params", PAIR).out == "2\n"
    (folder / "given.json").write_text(PAIR)
    made = document("skill", "call", "json_transform", "--params", "@given.json")
    assert (made["output"], made["failure"], made["labels"]) == (2, None, [])


def test_a_call_reaches_what_its_options_grant(folder: Path) -> None:
    (folder / "docs").mkdir()
    (folder / "docs" / "a.md").write_text("alpha")
    given = '{"path": "docs/a.md"}'
    refused = call("skill", "call", "file_read", "--params", given)
    assert (refused.status, refused.out) == (1, "")
    assert "TW7025" in refused.err
    granted = document("skill", "call", "file_read", "--params", given, "--read", "docs")
    assert granted["output"]["text"] == "alpha"
    assert document("skill", "call", "file_read", "--params", given)["failure"]["code"] == "TW7025"


@pytest.mark.slow
def test_a_call_reaches_what_a_profile_grants(folder: Path) -> None:
    (folder / "docs").mkdir()
    (folder / "docs" / "a.md").write_text("alpha")
    given = '{"path": "docs/a.md"}'
    assert call("profile", "add", "reader", "--allow", "file_read", "--read", "docs").status == 0
    words = ("skill", "call", "file_read", "--params", given, "--profile", "reader")
    assert "alpha" in call(*words).out
    refused = call("skill", "call", "json_transform", "--params", PAIR, "--profile", "reader")
    assert (refused.status, refused.err.split(":")[0]) == (4, "TW7005")
    assert call(*words, "--read", "docs").status == 2
    assert call(*words[:-1], "nobody").status == 8


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("show", "none"), 8, "TW7003"),
        (("call", "json_transform@9"), 8, "TW7003"),
        (("call", "json_transform", "--params", "{"), 2, "TW1001"),
        (("call", "json_transform", "--params", '{"a":1,"a":2}'), 2, "TW1001"),
        (("call", "json_transform", "--params", "@none.json"), 2, "TW1001"),
        (("call", "json_transform", "--params", "{}"), 1, "TW7006"),
        (("call", "notify"), 78, "TW7004"),
    ],
)
def test_a_bad_line_is_refused(folder: Path, words: tuple[str, ...], status: int, code: str) -> None:
    answer = call("skill", *words)
    assert (answer.status, answer.err.split(":")[0]) == (status, code)


def test_a_bad_file_is_told_with_its_line(folder: Path) -> None:
    configure(folder, "\n[tools.a]\n")
    answer = call("skill", "list")
    assert (answer.status, answer.err.split(":")[0]) == (78, "TW7004")
    assert "skills.toml:2" in answer.err


def test_a_secret_of_the_environment_is_put_in_and_taken_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.plane.skills.calling import Server, reply

    monkeypatch.setenv("TICKWORK_SECRET_TOKEN", "tok-0123456")
    with Server(reply(b"you said tok-0123456")) as server:
        given = json.dumps({"url": f"http://{server.place}/", "headers": {"x-token": "secret:TOKEN"}})
        words = ("skill", "call", "http_call", "--params", given, "--host", server.place, "--loopback")
        assert "TW7005" in call(*words).err
        answer = call(*words, "--secret", "TOKEN")
    assert "you said secret:TOKEN" in answer.out
    assert b"x-token: tok-0123456" in server.heard[0]


@pytest.mark.slow
def test_what_a_server_offers_is_accepted_by_name(folder: Path) -> None:
    script = ROOT / "tests" / "servers" / "strange.py"
    server = "[servers.s]\ncommand = {}\n"
    configure(folder, server.format(json.dumps([sys.executable, "-I", "-S", str(script), "plain"])))
    assert [row["name"] for row in document("skill", "list", "--servers")["skills"]].count("s.echo") == 1
    assert call("skill", "accept", "s").out == "nothing has changed\n"
    configure(folder, server.format(json.dumps([sys.executable, "-I", "-S", str(script), "other"])))
    assert call("skill", "show", "s.echo").status == 69
    assert document("skill", "accept", "s")["changes"][0] == "b is new"
    assert call("skill", "show", "s.echo").status == 0
    assert call("skill", "accept", "t").status == 8
    configure(folder, server.format(json.dumps([sys.executable, "-I", "-S", str(script), "exits"])))
    assert "s cannot be used: the server s ended" in call("skill", "list", "--servers").err
