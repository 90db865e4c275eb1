"""What a run's parts took, told to who asked."""

import msgspec
import pytest

from tests.unit.driver.oracle import MODEL, Oracle, asking_options, consulting
from tests.unit.driver.troupe import chat, empty, options
from tickwork.driver.resolve import World
from tickwork.driver.run import resume_journal, run
from tickwork.driver.telemetry import (
    InferenceSample,
    Sample,
    SnapshotSample,
    StepSample,
    TickSample,
    joined,
    register_telemetry_hook,
)
from tickwork.records import ModelSpec


def told(world: World) -> list[Sample]:
    found: list[Sample] = []
    run(world, options=asking_options(Oracle(), telemetry=found.append, snapshot_ticks=2))
    return found


def test_every_tick_is_told_with_what_it_held() -> None:
    found = told(consulting(ModelSpec("brain", MODEL), askers=2, turns=1))
    ticks = [sample for sample in found if isinstance(sample, TickSample)]
    assert [sample.tick for sample in ticks] == list(range(len(ticks)))
    assert [(sample.turns, sample.effects) for sample in ticks[:3]] == [(2, 0), (2, 4), (2, 0)]
    assert ticks[2].inputs == 4
    assert all(sample.took_us > 0 for sample in ticks)


def test_every_turn_is_told_before_its_tick() -> None:
    found = told(chat(ticks=6))
    steps = [sample for sample in found if isinstance(sample, StepSample)]
    assert {(sample.agent, sample.operation) for sample in steps[:2]} == {("a", "init"), ("b", "init")}
    assert {sample.status for sample in steps} == {"ok", "trap"}
    assert sum(sample.failed for sample in found if isinstance(sample, TickSample)) == sum(
        sample.status != "ok" for sample in steps
    )


def test_what_a_model_took_is_told_once_for_each_run_of_it() -> None:
    found = told(consulting(ModelSpec("brain", MODEL, batch="tick"), askers=2, turns=2))
    runs = [sample for sample in found if isinstance(sample, InferenceSample)]
    assert [(sample.model, sample.provider, sample.rows) for sample in runs] == [("oracle:1", "cpu", 4)] * 2


def test_snapshots_are_told_with_their_size() -> None:
    found = told(chat(ticks=6))
    snapshots = [sample for sample in found if isinstance(sample, SnapshotSample)]
    assert [sample.tick for sample in snapshots] == [1, 3, 5]
    assert all(sample.size > 0 for sample in snapshots)


def test_telling_changes_no_head() -> None:
    world = consulting(ModelSpec("brain", MODEL, batch="tick"))
    found: list[Sample] = []
    quiet = run(world, options=asking_options(Oracle())).head
    assert run(world, options=asking_options(Oracle(), telemetry=found.append)).head == quiet


def test_a_hook_of_the_process_is_told_of_every_run_until_it_is_taken_back() -> None:
    found: list[Sample] = []
    end = register_telemetry_hook(found.append)
    try:
        run(chat(ticks=3), options=options())
        first = len(found)
        assert first > 0
    finally:
        end()
    end()
    run(chat(ticks=3), options=options())
    assert len(found) == first


def test_a_run_s_own_hook_and_those_of_the_process_are_told_the_same() -> None:
    one: list[Sample] = []
    other: list[Sample] = []
    end = register_telemetry_hook(other.append)
    try:
        run(chat(ticks=3), options=options(telemetry=one.append))
    finally:
        end()
    assert one == other
    assert joined(None) is None


class Enough(Exception):
    """What a hook of somebody's raises."""


def test_a_run_that_a_hook_has_ended_can_be_resumed() -> None:
    world = chat(ticks=9)
    journal = empty(world)
    head = run(world, options=options()).head

    def tell(sample: Sample) -> None:
        if isinstance(sample, TickSample) and sample.tick == 4:
            raise Enough

    with pytest.raises(Enough):
        run(world, journal=journal, options=options(telemetry=tell))
    assert resume_journal(journal, None, world=world, decisions={}, options=options()).head == head


def test_a_sample_says_in_json_what_it_is_of() -> None:
    sample = SnapshotSample(3, 10, 5)
    assert msgspec.json.encode(sample) == b'{"type":"snapshot","tick":3,"size":10,"took_us":5}'
