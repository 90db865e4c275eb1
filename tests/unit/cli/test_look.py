"""cli/replay.py, verify.py, show.py, diff.py and fork.py, with documents.py: looking at a run and changing it."""

from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tickwork.cli.documents import damage_sentence
from tickwork.cli.fork import parse_edit
from tickwork.driver.resolve import load_world
from tickwork.errors import UsageFault
from tickwork.journal.seal import Damage
from tickwork.records import Input, InputKind


def head(*arguments: str | Path) -> object:
    return call(*arguments, "-o", "json").document()["head"]


def test_replay_and_verify_come_to_the_head_of_the_run(journal: Path, world: Path) -> None:
    heads = {
        head("run", world),
        head("replay", journal),
        head("verify", journal),
        head("verify", journal, "--chain-only"),
    }
    assert len(heads) == 1


def test_a_journal_that_is_not_there_ends_with_8() -> None:
    for command in (["replay"], ["verify"], ["show"], ["fork", "--at", "1"]):
        assert call(*command, "none.twk").status == 8


def test_verify_says_that_all_is_equal(journal: Path) -> None:
    answer = call("verify", journal)
    assert answer.status == 0
    assert answer.out.splitlines()[-1] == "equal: every record came out again"
    assert "every byte is what was written" in call("verify", journal, "--chain-only").out


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("option", [[], ["--chain-only"]])
def test_a_changed_byte_ends_with_3_and_its_place(journal: Path, share: float, option: list[str]) -> None:
    content = bytearray(journal.read_bytes())
    at = int(len(content) * share)
    content[at] ^= 0x10
    journal.write_bytes(content)
    answer = call("verify", journal, *option, "-o", "json")
    document = answer.document()
    if answer.status == 4:  # The first bytes say what kind of file it is.
        assert at < 100
        return
    assert answer.status == 3
    damage = document["damage"]
    assert document["equal"] is False
    assert isinstance(damage, dict)
    offset = damage["offset"]
    assert offset is None or abs(int(offset) - at) < 8192
    assert damage["record"] is not None or offset is not None


def test_a_cut_journal_ends_with_3(journal: Path) -> None:
    content = journal.read_bytes()
    journal.write_bytes(content[: len(content) // 2])
    answer = call("verify", journal)
    assert answer.status == 3
    assert "damaged: " in answer.out


def test_changed_native_code_is_refused(journal: Path) -> None:
    source = Path("code.py")
    source.write_text(source.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    answer = call("verify", journal)
    assert answer.status == 8
    assert answer.err.startswith("TW4002")


def test_damage_reads_as_a_sentence() -> None:
    assert damage_sentence(Damage("it is cut", record=-1)) == "the header: it is cut"
    assert damage_sentence(Damage("it is cut", record=7, offset=4096)) == "the record of tick 7, byte 4096: it is cut"
    assert damage_sentence(Damage("it is cut")) == "it is cut"


# --- show ---


def test_the_state_is_shown_at_any_tick(journal: Path) -> None:
    state = call("show", journal, "--tick", "4", "-o", "json").document()
    assert state["tick"] == 5
    text = call("show", journal, "--tick", "4").out
    assert "talker" in text
    assert "count" in text
    assert str(state["root"]) in text


def test_one_agent_can_be_asked_for(journal: Path) -> None:
    for name in ("listener", "1"):
        document = call("show", journal, "agents", "--agent", name, "-o", "json").document()
        assert isinstance(document["agents"], list)
        assert [agent["name"] for agent in document["agents"]] == ["listener"]
    answer = call("show", journal, "--agent", "nobody")
    assert (answer.status, answer.out) == (8, "")
    assert "talker, listener" in answer.err


def test_messages_of_a_range_of_ticks_are_shown(journal: Path) -> None:
    document = call("show", journal, "messages", "--tick", "3", "--last", "9", "-o", "json").document()
    assert isinstance(document["messages"], list)
    assert {message["tick"] for message in document["messages"]} == set(range(3, 10))
    text = call("show", journal, "messages", "--tick", "3").out
    assert "feed:rows" in text
    assert "3,x" in text


def test_a_tick_is_shown_record_by_record(journal: Path) -> None:
    text = call("show", journal, "frame", "--tick", "3").out
    assert "inputs[0]" in text
    assert "turns[0].outbox[0]" in text
    assert "until message" in text


def test_a_tick_the_run_has_not_is_answered_with_those_it_has(journal: Path) -> None:
    for view in ("state", "agents", "messages", "frame"):
        answer = call("show", journal, view, "--tick", "500")
        assert answer.status == 8
        assert "it has ticks 0 to" in answer.err


# --- fork and diff ---


def test_a_fork_that_changes_nothing_is_equal(journal: Path) -> None:
    document = call("fork", journal, "--at", "7", "--journal", "same.twk", "-o", "json").document()
    assert document["forked_at"] == 7
    assert document["head"] == head("replay", journal)
    answer = call("diff", journal, "same.twk")
    assert answer.status == 0
    assert answer.out.startswith("equal: ")


@pytest.mark.parametrize(
    "change",
    [
        ["--set", "seed=9"],
        ["--set", "topic.count=none"],
        ["--set", "agent.talker.priority=3"],
        ["--set", "agent.talker.fuel=77"],
        ["--set", "agent.talker=suspend"],
        ["--drop", "agent:listener"],
        ["--drop", "source:feed:rows"],
    ],
)
def test_a_change_shows_as_the_first_difference(journal: Path, change: list[str]) -> None:
    assert call("fork", journal, "--at", "7", *change, "--journal", "other.twk").status == 0
    answer = call("diff", journal, "other.twk")
    assert answer.status == 3
    assert "first difference at tick 7" in answer.out
    document = call("diff", journal, "other.twk", "-o", "json").document()
    found = document["divergence"]
    assert isinstance(found, dict)
    assert {"tick", "record", "kind", "field", "expected", "actual"} <= set(found)
    assert (document["equal"], document["common_ticks"], found["tick"]) == (False, 7, 7)
    assert call("verify", "other.twk").status == 0


def test_a_fork_needs_a_tick_the_run_has(journal: Path) -> None:
    assert call("fork", journal, "--at", "500").status == 8


def test_changes_become_inputs_of_an_operator(world: Path) -> None:
    header = load_world(world).header
    edit = parse_edit(
        header, ["topic.count=a=b", "seed=2", "agent.talker.priority=5", "agent.talker=stop"], ["topic:count"]
    )
    assert edit.inputs == (
        Input(InputKind.PUBLISH_RETAINED, "operator", "count", body=b"a=b", size=3),
        Input(InputKind.RESEED, "operator", number=2),
        Input(InputKind.CONFIGURE_AGENT, "operator", "talker", number=5, body=b"priority", size=8),
        Input(InputKind.STOP_AGENT, "operator", "talker"),
    )
    assert edit.dropped == ("topic:count",)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("seed", "--set seed is not understood"),
        ("sead=3", "--set sead=3 is not understood"),
        ("seed=x", "'x' is no integer"),
        ("seed=99999999999999999999", "is out of range"),
        ("seed=-1", "is out of range"),
        ("agent.talker.fuel=0", "is out of range"),
        ("agent.talker.priority=4294967296", "is out of range"),
        ("topic.cuont=1", "no topic 'cuont'"),
        ("agent.taler.priority=1", "no agent 'taler'"),
        ("agent.talker.prioriti=1", "no setting 'prioriti'"),
        ("agent.talker=halt", "--set agent.talker=halt is not understood"),
    ],
)
def test_a_change_that_is_not_understood_is_refused(world: Path, setting: str, said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        parse_edit(load_world(world).header, [setting], [])
    assert said in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize("drop", ["talker", "agents:talker", "agent:taler", "source:rows"])
def test_a_drop_that_names_nothing_is_refused(world: Path, drop: str) -> None:
    with pytest.raises(UsageFault) as caught:
        parse_edit(load_world(world).header, [], [drop])
    assert caught.value.fix
