"""authoring/trials.py and ways.py: scripts in every way, golden files, and an agent that is not deterministic."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support import ROOT
from tests.unit.authoring.test_scripts import MARKET, TOUR, manifest_of
from tickwork.authoring import trials
from tickwork.authoring.scripts import performers, read_script
from tickwork.authoring.trials import Trial, compare, describe, keep, play, shown_body, tried_agent
from tickwork.authoring.ways import RESTORED, other_ways, record
from tickwork.driver.options import Options
from tickwork.driver.performers import Performer
from tickwork.driver.resolve import World
from tickwork.errors import AgentTestFailed
from tickwork.journal.memory import MemoryJournal
from tickwork.records import DIRECT, RAW_AGENT, AgentSpec, Effect, Encoding, FrameKind, Message, Result

OPTIONS = Options(cache=ROOT / ".cache" / "modules")

TOUR_SCRIPT = """schema = 1
ticks = 24
[[send]]
tick = 2
from = "peer"
text = "hello"
[[send]]
tick = 5
topic = "news"
text = "read all about it"
[[answer]]
skill = "work"
text = "done"
[[answer]]
model = "brain"
error = "timeout"
"""


def trial(folder: Path, module: Path, text: str) -> Trial:
    path = folder / "first.toml"
    path.write_text(text, encoding="utf-8")
    return Trial(read_script(path), manifest_of(module), module)


@pytest.fixture
def tour(tmp_path: Path) -> Trial:
    return trial(tmp_path, TOUR, TOUR_SCRIPT)


@pytest.fixture
def trading() -> Trial:
    return Trial(
        read_script(ROOT / "examples" / "market" / "c" / "tests" / "trading.toml"), manifest_of(MARKET), MARKET
    )


@pytest.mark.slow
def test_every_way_to_run_an_agent_comes_to_one_head(tour: Trial) -> None:
    played = play(tour, OPTIONS)
    assert played.ways == ("as it is", "not optimised", "in 2 workers", RESTORED)
    assert played.head == play(tour, OPTIONS, every_way=False).head
    assert tried_agent(played.journal)[1].name == "tour-c"


@pytest.mark.slow
def test_what_an_agent_did_is_told_a_line_for_each_turn_and_frame(tour: Trial) -> None:
    lines = play(tour, OPTIONS, every_way=False).text.splitlines()
    assert lines[0] == "tick 0 init"
    assert {
        '    send peer "hello"',
        '    publish news (json) "{\\"n\\":1}"',
        '    publish_retained news "kept"',
        "    leave news",
        "    timer 7 in 2 ticks",
        "    task peer 0500000001000000 0000000000000000 6f6e65",
        "    skill work (msgpack) 93010203",
        '    infer brain "ask"',
        '    metric "tour=12"',
        '    log "tour 11"',
    } <= set(lines)


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 3])
def test_an_agent_that_does_something_else_in_another_way_is_caught(
    nth: int, trading: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[str]()

    def tampered(world: World, options: Options, *, restored: bool = False) -> MemoryJournal:
        calls.append("run")
        if len(calls) == nth + 1:
            world = msgspec.structs.replace(world, header=msgspec.structs.replace(world.header, seed=8))
        return record(world, options, restored=restored)

    monkeypatch.setattr(trials, "record", tampered)
    with pytest.raises(AgentTestFailed, match="the agent does something else") as caught:
        play(trading, OPTIONS)
    assert len(calls) == nth + 1
    assert caught.value.code == "TW5005"
    assert "seed" in caught.value.why


@pytest.mark.slow
def test_a_way_with_other_answers_is_caught_with_the_first_record_that_differs(
    tour: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = performers
    asked = list[int]()

    class Shouting:
        def perform(self, effect: Effect) -> Result:
            return Result(effect.number, 0, Encoding.BYTES, b"DONE")

    def changing(*arguments: Any) -> Mapping[str, Performer]:
        asked.append(1)
        return given(*arguments) if len(asked) == 1 else {"work": Shouting(), "infer:brain": Shouting()}

    def one_way(options: Options) -> Iterator[tuple[str, Options]]:
        yield from list(other_ways(options))[:1]

    monkeypatch.setattr(trials, "performers", changing)
    monkeypatch.setattr(trials, "other_ways", one_way)
    with pytest.raises(AgentTestFailed, match="run not optimised") as caught:
        play(tour, OPTIONS)
    assert "first difference at tick" in caught.value.why


@pytest.mark.slow
def test_a_golden_file_is_kept_compared_and_missed(tour: Trial) -> None:
    played = play(tour, OPTIONS, every_way=False)
    with pytest.raises(AgentTestFailed, match="has no golden file"):
        compare(tour, played)
    keep(tour, played)
    assert compare(tour, played) == ""
    golden = tour.script.golden
    golden.write_text(golden.read_text().replace("hello", "goodbye"))
    difference = compare(tour, played).splitlines()
    assert difference[:2] == ["--- first.golden (expected)", "+++ what it did"]
    assert [line for line in difference[2:] if line[0] in "+-"] == [
        '-    send peer "goodbye"',
        '+    send peer "hello"',
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ""),
        (b"plain", '"plain"'),
        ("é".encode(), '"é"'),
        (b"two\nlines", "74776f0a6c696e65 73"),
        (b"\xff\xfe", "fffe"),
        (bytes(201), "201 bytes, sha256 "),
    ],
)
def test_a_body_is_text_where_it_is_plain_text(body: bytes, said: str) -> None:
    assert shown_body(body).startswith(said)


def test_a_frame_names_what_it_is_for() -> None:
    spec = AgentSpec("a", "wasm", "a", bytes(32), send=("b",), publish=("t",))

    def said(kind: int, to: int, body: bytes = b"x", encoding: int = Encoding.BYTES) -> str:
        return describe(spec, Message(kind, encoding, 0, to, 0, 0, body), ["itself", "b"])

    assert said(FrameKind.SEND, 0) == 'send b "x"'
    assert said(FrameKind.SEND, RAW_AGENT | 1) == 'send b "x"'
    assert said(FrameKind.SEND, RAW_AGENT | 9) == 'send agent 9 "x"'
    assert said(FrameKind.SEND, 7) == 'send handle 7 "x"'
    assert said(FrameKind.PUBLISH, 0, b"{}", Encoding.JSON) == 'publish t (json) "{}"'
    assert said(FrameKind.TIMER, 3, (5).to_bytes(8, "little")) == "timer 3 in 5 ticks"
    assert said(FrameKind.LOG, DIRECT, b"") == "log"
