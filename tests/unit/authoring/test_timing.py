"""authoring/timing.py: what an agent's turns use is the same each time; how long they take is measured."""

import pytest

from tests.support import ROOT
from tests.unit.authoring.test_scripts import MARKET, manifest_of
from tickwork.authoring.scripts import read_script
from tickwork.authoring.timing import agent_turns, measure
from tickwork.authoring.trials import Played, Trial, play, tried_agent
from tickwork.driver.options import Options
from tickwork.records import Operation

OPTIONS = Options(cache=ROOT / ".cache" / "modules")
TRADING = ROOT / "examples" / "market" / "c" / "tests" / "trading.toml"


@pytest.fixture(scope="module")
def played() -> Played:
    return play(Trial(read_script(TRADING), manifest_of(MARKET), MARKET), OPTIONS, every_way=False)


@pytest.mark.slow
def test_an_agent_s_turns_are_found_as_they_were_given(played: Played) -> None:
    number, _ = tried_agent(played.journal)
    turns = agent_turns(played.journal, number)
    assert len(turns) == played.turns
    assert [turn.operation for turn in turns[:2]] == [Operation.INIT, Operation.STEP]
    assert turns[-1].operation == Operation.SHUTDOWN
    assert {turn.agent for turn in turns} == {number}


@pytest.mark.slow
def test_what_is_measured_adds_up_to_what_the_run_used(played: Played) -> None:
    number, spec = tried_agent(played.journal)
    found = measure(played.journal, number, spec, OPTIONS, rounds=3)
    assert (found.rounds, found.turns, found.fuel) == (3, played.turns, played.fuel)
    assert 0 < found.most_fuel < found.fuel
    assert 0 < found.turn_us <= found.slowest_us
    assert found.start_us > 0
    assert found.compile_ms > 0
    assert found.memory_bytes == 65536
    assert 0 < found.image_bytes < found.memory_bytes
    assert found.module_bytes == len(MARKET.read_bytes())
    again = measure(played.journal, number, spec, OPTIONS, rounds=1)
    assert (again.fuel, again.outbox_bytes, again.image_bytes) == (found.fuel, found.outbox_bytes, found.image_bytes)
