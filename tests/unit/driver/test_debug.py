"""The debugger: any tick, forwards and backwards, and what the agents hold there."""

from collections.abc import Iterator

import pytest

from tests.laws.corpus import CORPUS, options
from tests.laws.recorded import Recorded, record
from tickwork import codec
from tickwork.driver.debug import Break, Debugger, view_globals
from tickwork.driver.look import state_at
from tickwork.errors import AgentNotFound, TickOutOfRange, UsageFault
from tickwork.records import Status
from tickwork.sandbox import wasm


@pytest.fixture(scope="module")
def gossip(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(CORPUS["gossip"](), options(tmp_path_factory.mktemp("compiled")))


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(CORPUS["trouble"](), options(tmp_path_factory.mktemp("compiled")))


@pytest.fixture
def debugger(gossip: Recorded) -> Iterator[Debugger]:
    made = Debugger(gossip.journal, world=gossip.world, options=gossip.options)
    yield made
    made.close()


def test_any_tick_can_be_reached_in_any_order(debugger: Debugger, gossip: Recorded) -> None:
    for tick in (7, 3, 12, 0, debugger.length, 1):
        debugger.seek(tick)
        assert debugger.tick == tick
        if tick:
            assert debugger.state() == state_at(gossip.journal, tick - 1)


def test_going_back_shows_the_memory_of_that_tick_again(debugger: Debugger) -> None:
    name = next(agent.name for agent in debugger.state().agents if agent.kind == "wasm")
    seen = dict[int, bytes]()
    for tick in (4, 9, 6):
        debugger.seek(tick)
        seen[tick] = debugger.memory(name)
    assert len(set(seen.values())) > 1, "the agent changes its memory"
    for tick in (6, 4, 9):
        debugger.seek(tick)
        assert debugger.memory(name) == seen[tick]


def test_a_place_outside_the_run_is_refused(debugger: Debugger) -> None:
    with pytest.raises(TickOutOfRange):
        debugger.seek(debugger.length + 1)
    with pytest.raises(AgentNotFound):
        debugger.memory("nobody")
    debugger.seek(0)
    assert debugger.frame() is None
    with pytest.raises(AgentNotFound, match="no memory"):
        debugger.memory(debugger.state().agents[0].name)


def test_it_stops_after_the_tick_in_which_a_turn_failed(trouble: Recorded) -> None:
    debugger = Debugger(trouble.journal, world=trouble.world, options=trouble.options)
    failed = [
        frame.tick
        for frame in trouble.journal.frames()
        if any(turn.outcome.status != Status.OK for turn in codec.decode_turns(frame.turns))
    ]
    reached = list[int]()
    while (stop := debugger.run([Break("trap")])) is not None:
        reached.append(stop.tick)
        frame = debugger.frame()
        assert frame is not None
        assert any(turn.status != "ok" for turn in frame.turns)
    assert reached == failed
    assert debugger.tick == debugger.length
    debugger.close()


def test_it_stops_where_an_agent_has_a_turn(debugger: Debugger) -> None:
    last = debugger.state().agents[-1].name
    assert debugger.run([Break("agent", last)]) is not None
    frame = debugger.frame()
    assert frame is not None
    assert last in {turn.agent for turn in frame.turns}


def test_it_stops_where_a_topic_is_published_on(debugger: Debugger) -> None:
    topic = debugger.state().topics[0].name
    assert debugger.run([Break("topic", topic)]) is not None
    frame = debugger.frame()
    assert frame is not None
    assert topic in {message.target for message in frame.messages if message.kind.startswith("publish")}


def test_it_stops_where_a_retained_value_has_changed(debugger: Debugger) -> None:
    topic = debugger.state().topics[0].name
    stop = debugger.run([Break("key", topic)])
    version = debugger.state().topics[0].version
    assert (stop is not None) == (version > 0)


def test_it_stops_at_a_record(debugger: Debugger, gossip: Recorded) -> None:
    stop = debugger.run([Break("record", "state_root")])
    assert stop is not None
    assert stop.tick == gossip.world.header.checkpoint_every - 1


@pytest.mark.parametrize("wanted", [Break("topic", "none"), Break("key", "none"), Break("record", "none")])
def test_a_break_that_could_never_be_met_is_refused(debugger: Debugger, wanted: Break) -> None:
    with pytest.raises(UsageFault):
        debugger.check_break(wanted)
    with pytest.raises(AgentNotFound):
        debugger.check_break(Break("agent", "none"))


def test_a_run_goes_on_for_so_many_ticks_without_a_break(debugger: Debugger) -> None:
    debugger.seek(2)
    assert debugger.run([], 3) is None
    assert debugger.tick == 5


def test_mail_waits_where_it_was_sent(debugger: Debugger) -> None:
    while debugger.tick < debugger.length:
        debugger.seek(debugger.tick + 1)
        for agent in debugger.state().agents:
            assert len(debugger.mailbox(agent.name)) == agent.mail


def test_globals_have_names_types_and_values(debugger: Debugger, gossip: Recorded) -> None:
    debugger.seek(4)
    agent = next(agent for agent in debugger.state().agents if agent.kind == "wasm")
    module = wasm.parse(gossip.journal.content(bytes.fromhex(agent.digest)))
    mutable = [index for index, item in enumerate(module.globals) if item.mutable]
    assert [found.index for found in debugger.globals(agent.name)] == mutable
    raw = b"".join((-5).to_bytes(16, "little", signed=True) for _ in mutable)
    assert {found.value for found in view_globals(module, raw) if found.type == "i32"} == {-5}
