"""tickwork agent debug: commands from the command line and from stdin, and what they refuse."""

import io
from pathlib import Path

import pytest

from tests.unit.cli.program import call

TRADER = '''
from tickwork.native import Context, Outbox
from tickwork.records import Message


class Grumpy:
    """Fails at tick 5."""

    def init(self, config, context):
        outbox = context.outbox()
        outbox.sleep(0)
        return 0, outbox

    def turn(self, state, inbox, context):
        if context.tick == 5:
            raise RuntimeError("enough")
        outbox = context.outbox()
        outbox.sleep(0)
        return state + 1, outbox

    def shutdown(self, state, context):
        return state, context.outbox()
'''


def told(journal: Path, *commands: str) -> list[str]:
    """Return the lines that commands print."""
    answer = call("agent", "debug", journal, *(word for command in commands for word in ("-c", command)))
    assert answer.status == 0, answer.err
    return answer.out.splitlines()


def refused(journal: Path, command: str) -> str:
    answer = call("agent", "debug", journal, "-c", command)
    assert answer.status != 0
    return f"{answer.status} {answer.err}"


def test_it_goes_forwards_and_backwards(journal: Path) -> None:
    lines = told(journal, "seek 9; step 2; back 4", "step")
    assert lines[0] == "before tick 9 of 22"
    assert "tick 10" in lines
    assert "before tick 7 of 22" in lines
    assert lines[-4].startswith("tick 7") or "tick 7" in lines


def test_commands_come_from_stdin_too(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = "# look around\nseek 3; agents\ntopics\nquit\nstate\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    answer = call("agent", "debug", journal)
    assert answer.status == 0, answer.err
    assert "before tick 3 of 22" in answer.out
    assert "listener" in answer.out
    assert "count" in answer.out
    assert "state digest" not in answer.out, "quit leaves"


def test_it_stops_at_breaks_of_each_kind(journal: Path) -> None:
    lines = told(journal, "break topic count; break key count; breaks; continue; delete 1; breaks")
    assert any(line.startswith("stopped after tick 1: topic count") for line in lines)
    assert any("stopped after tick 0: agent listener" in line for line in told(journal, "break agent listener; c"))
    assert "no break was met; before tick 22 of 22" in told(journal, "break trap; continue")
    assert "no break was met; before tick 6 of 22" in told(journal, "continue 6")
    assert any(
        line.startswith("stopped after tick") and line.endswith(": key count")
        for line in told(journal, "break key count; c")
    )


def test_it_stops_after_a_turn_that_failed(folder: Path) -> None:
    (folder / "grumpy.py").write_text(TRADER, encoding="utf-8")
    (folder / "world.toml").write_text(
        'schema = 1\nname = "grumpy"\nticks = 9\n[agents.g]\nnative = "grumpy:Grumpy"\n', encoding="utf-8"
    )
    call("run", "world.toml", "--journal", "g.twk")
    lines = told(folder / "g.twk", "break trap g; continue")
    assert lines[-4].startswith("stopped after tick 5: trap g") or any("stopped after tick 5" in line for line in lines)
    assert any("enough" in line for line in lines)
    assert told(folder / "g.twk", "seek 4; memory g")[-1].startswith("00000000  03 ")
    assert "2 TW1001: address 0xff lies outside" in refused(folder / "g.twk", "seek 4; memory g 0xff")


def test_it_shows_what_is_there(journal: Path) -> None:
    assert any("talker" in line for line in told(journal, "seek 5; mailbox listener"))
    assert any("publish" in line for line in told(journal, "seek 5; messages"))
    assert any(line.startswith("state digest") for line in told(journal, "seek 5; state"))
    assert "before tick 0" in told(journal, "turns")
    assert any(line.startswith("derived") for line in told(journal, "seek 5; records"))
    assert any("memory AGENT" in line for line in told(journal, "help"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("jump", "2 TW1001: no command 'jump'"),
        ("seek", "2 TW1001: a number is missing"),
        ("seek far", "2 TW1001: 'far' is no number"),
        ("seek -1", "2 TW1001: -1 is negative"),
        ("seek 99", "8 TW4006"),
        ("break", "2 TW1001: this is no break"),
        ("break topic", "2 TW1001: this is no break"),
        ("break topic nowhere", "2 TW1001: there is no topic 'nowhere'"),
        ("break agent nobody", "8 TW4005"),
        ("break record nothing", "2 TW1001: there is no record of kind 'nothing'"),
        ("delete 1", "2 TW1001: there is no break 1"),
        ("mailbox", "2 TW1001: a word is missing"),
        ("mailbox nobody", "8 TW4005"),
        ("memory talker", "8 TW4005"),
        ("seek 5; memory talker", "8 TW4005: the state of native agent 'talker' has no encoding"),
        ("seek 'x", "2 TW1001: this line cannot be read"),
    ],
)
def test_a_command_that_makes_no_sense_ends_a_script_with_its_error(journal: Path, command: str, said: str) -> None:
    assert said in refused(journal, command)


def test_the_place_to_begin_at_is_an_option(journal: Path) -> None:
    assert "tick 11" in call("agent", "debug", journal, "--at", "12", "-c", "turns").out
    assert call("agent", "debug", journal, "--at", "99", "-c", "turns").status == 8
    assert call("agent", "debug", "absent.twk").status != 0
