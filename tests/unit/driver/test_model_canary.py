"""Canaries of models: another version asked what the record says the old one was asked."""

import struct
from typing import Any

import msgspec
import pytest

from tests.unit.driver.oracle import MODEL, Oracle, asking_options, consulting
from tests.unit.driver.test_model_swaps import BRAIN, NEW, Versions, config, world
from tests.unit.driver.troupe import Memory, acting, empty, spec, stage
from tickwork.driver.model_canary import ModelCanary, farthest, farthest_in_json, model_canary
from tickwork.driver.plans import ModelSwap
from tickwork.driver.resolve import World
from tickwork.driver.run import run
from tickwork.errors import SwapRefused, TickOutOfRange
from tickwork.infer.asking import Reply, Wanted
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import Encoding, FrameKind, Message, ModelSpec, Refusal
from tickwork.tensors import FLOAT32, INT64, Tensor, encode_tensors

TO = f"sha256:{NEW.hex()}"


def recorded(here: World, oracle: Oracle | None = None) -> MemoryJournal:
    journal = empty(here)
    run(here, journal=journal, options=asking_options(oracle or Oracle()))
    return journal


def tried(oracle: Oracle, at: int | None = 3, here: World | None = None, **fields: Any) -> ModelCanary:
    here = here or world()
    journal = recorded(here)
    before = journal.length()
    found = model_canary(journal, ModelSwap("brain", TO, at), world=here, options=asking_options(oracle), **fields)
    assert journal.length() == before
    return found


def test_a_version_that_answers_the_same_is_equal() -> None:
    oracle = Oracle()
    found = tried(oracle)
    assert (found.equal, found.failed, found.differing, found.answer, found.divergence) == (True, False, 0, None, None)
    assert (found.compared, found.old.answers, found.new.answers, found.unrecorded) == (6, 6, 6, 0)
    assert found.swapped == "brain 1 (00010203) -> 6e6e6e6e"
    assert {wanted.model for wanted in oracle.wanted} == {NEW}, "the old version is asked nothing"


def test_a_version_that_answers_otherwise_is_told_by_its_first_answer() -> None:
    found = tried(Versions())
    assert (found.equal, found.compared, found.differing) == (False, 6, 6)
    assert found.answer is not None
    assert (found.answer.tick, found.answer.agent) == (4, "asker0")
    assert "bytes differ" in found.answer.sentence()


def test_what_follows_from_other_answers_is_told_as_well() -> None:
    found = tried(Versions())
    assert found.divergence is not None
    assert (found.divergence.tick, found.differing_ticks) == (4, 6)


def test_failures_of_both_versions_are_counted() -> None:
    found = tried(Oracle(refusals={b"asker0/4/0": (Refusal.FAILED, b"no")}))
    assert (found.new.failed, found.old.failed, found.differing) == (1, 0, 1)
    assert found.answer is not None
    assert "refused with -1, 'no', recorded is answered with" in found.answer.what


def test_a_version_that_cannot_be_swapped_in_is_told_and_nothing_more() -> None:
    found = tried(Versions({NEW: config(())}))
    assert (found.equal, found.failed, found.ticks, found.compared) == (False, True, 1, 0)
    assert "the inputs are 'x', 'y' in the running version and none in the new one" in found.swapped


def test_without_a_tick_it_begins_so_many_ticks_before_the_run_closed() -> None:
    assert tried(Oracle(), None, ticks=5).first == 5


@pytest.mark.parametrize(("at", "ticks"), [(99, 5), (-1, 5), (None, 0)])
def test_a_canary_begins_at_a_tick_of_the_run(at: int | None, ticks: int) -> None:
    with pytest.raises(TickOutOfRange):
        tried(Oracle(), at, ticks=ticks)


def test_a_model_the_run_has_not_cannot_be_tried() -> None:
    here = world()
    with pytest.raises(SwapRefused, match="no model 'mind'"):
        model_canary(recorded(here), ModelSwap("mind", TO, 3), world=here, options=asking_options(Oracle()))


def test_answers_of_a_whole_tick_are_asked_for_together() -> None:
    batched = msgspec.structs.replace(BRAIN, batch="tick")
    oracle = Oracle()
    here = consulting(batched, asks=2, askers=2, turns=6)
    found = tried(oracle, here=here)
    assert found.equal
    assert {len(bodies) for bodies in oracle.asked} == {4}


def test_answers_that_come_later_than_a_tick_enter_where_the_recorded_ones_did() -> None:
    found = tried(Oracle(), here=consulting(msgspec.structs.replace(BRAIN, delivery="async"), asks=1, turns=8))
    assert found.equal


def curious() -> World:
    """Return an agent that asks again, in the same tick, whenever an answer has an odd first byte."""

    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        odd = [item for item in inbox if item.kind == FrameKind.RESULT and item.body[0] % 2]
        outbox.sleep(0)
        if context.tick < 8:
            outbox.infer("brain", b"\2a\2", encoding=Encoding.TENSOR)
        for _ in odd:
            outbox.infer("brain", b"\2b\2", encoding=Encoding.TENSOR)

    return stage({spec("asker", models=("brain",)): acting(step)}, ticks=12, models=(ModelSpec("brain", MODEL),))


class Odd(Oracle):
    """Answers oddly, once."""

    def ask_batch(self, wanted: Wanted, *args: Any, **fields: Any) -> list[Reply]:
        replies = super().ask_batch(wanted, *args, **fields)
        first = len(self.asked) == 1
        return [msgspec.structs.replace(reply, body=b"\1") if first else reply for reply in replies]


def test_requests_that_the_record_has_not_are_asked_and_counted() -> None:
    found = tried(Odd(), here=curious())
    assert not found.equal
    assert found.unrecorded == 1
    assert found.new.answers == found.old.answers + 1


def floats(*numbers: float) -> bytes:
    return encode_tensors([Tensor("y", FLOAT32, (len(numbers),), struct.pack(f"<{len(numbers)}f", *numbers))])


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        (floats(1, 2), floats(1, 2.5), 0.5),
        (floats(float("nan")), floats(float("nan")), 0.0),
        (floats(float("nan"), 1), floats(1, 1), float("inf")),
        (floats(1), floats(1, 2), None),
        (floats(1), b"no tensors", None),
        (encode_tensors([Tensor("y", INT64, (), bytes(8))]), encode_tensors([Tensor("y", INT64, (), bytes(8))]), None),
    ],
)
def test_how_far_answers_are_apart_is_known_of_floats_alone(one: bytes, other: bytes, distance: float | None) -> None:
    assert farthest(one, other) == distance


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        (b'{"y":[[1.0,2.0]],"label":[1]}', b'{"y":[[1.0,2.5]],"label":[7]}', 0.5),
        (b'{"y":["NaN",1.0]}', b'{"y":["NaN",1.0]}', 0.0),
        (b'{"y":["NaN"]}', b'{"y":[1.0]}', float("inf")),
        (b'{"y":[1.0]}', b'{"y":[1.0,2.0]}', None),
        (b'{"y":[1.0]}', b'{"z":[1.0]}', None),
        (b'{"y":[1.0]}', b'{"y":["snow"]}', None),
        (b'{"text":"snow"}', b'{"text":"rain"}', None),
        (b'{"y":[1]}', b"no JSON", None),
    ],
)
def test_answers_in_json_are_as_far_apart_as_their_floats(one: bytes, other: bytes, distance: float | None) -> None:
    assert farthest_in_json(one, other) == distance
