"""Frames between a pool and its workers."""

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sandbox import wat
from tickwork.errors import InternalError, ModuleRefused
from tickwork.records import Limits, Outcome, Turn
from tickwork.sandbox import wire
from tickwork.sandbox.worker import Worker

u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
turns = st.builds(Turn, u32, st.integers(0, 2), u64, u64, u64, u64, u32, st.binary(max_size=64))
outcomes = st.builds(
    Outcome, st.integers(0, 7), st.integers(-(2**31), 2**31 - 1), u64, st.binary(max_size=64), st.text(max_size=20)
)


@given(turns, u32, st.binary(min_size=32, max_size=32))
def test_what_carries_a_state_survives_the_pipe(turn: Turn, agent: int, code: bytes) -> None:
    placed = wire.Placement(agent, code, Limits(fuel=7))
    assert wire.decode_carry(wire.encode_carry(turn, placed)) == (turn, placed)


@given(st.lists(st.tuples(turns, st.booleans()), max_size=4))
def test_turns_survive_the_pipe(batch: list[tuple[Turn, bool]]) -> None:
    assert list(wire.decode_turns(wire.encode_turns(batch))) == batch


@given(st.lists(st.tuples(outcomes, st.binary(max_size=16)), max_size=4))
def test_outcomes_survive_the_pipe(batch: list[tuple[Outcome, bytes]]) -> None:
    data = b"".join(b"".join(wire.encode_outcome(outcome, image)) for outcome, image in batch)
    assert list(wire.decode_outcomes(data)) == batch


@given(u32, st.binary(max_size=64), st.lists(turns, max_size=3))
def test_a_restore_survives_the_pipe(agent: int, image: bytes, kept: list[Turn]) -> None:
    for undoable in (False, True):
        sent = wire.encode_restore(agent, image, kept, undoable=undoable)
        assert wire.decode_restore(sent) == (agent, image, kept, undoable)


def test_a_frame_that_breaks_off_is_the_end() -> None:
    pipe = io.BytesIO()
    wire.write_frame(pipe, wire.ANSWER, b"ab", b"c")
    whole = pipe.getvalue()
    assert wire.read_frame(io.BytesIO(whole)) == (wire.ANSWER, b"abc")
    for end in range(len(whole)):
        assert wire.read_frame(io.BytesIO(whole[:end])) is None
    assert wire.read_frame(io.BytesIO(b"\xff\xff\xff\xff\1")) is None


def test_an_error_of_a_child_is_raised_as_its_own_kind() -> None:
    error = wire.decode_failure(wire.encode_failure(ModuleRefused("what", where="w", why="y", fix="f")))
    assert type(error) is ModuleRefused
    assert (error.what, error.where, error.why, error.fix) == ("what", "w", "y", "f")


def test_a_worker_refuses_an_operation_it_does_not_know() -> None:
    with pytest.raises(InternalError):
        Worker().take(99, b"")


def test_a_worker_takes_an_image_when_told() -> None:
    worker, program = Worker(), wat.program(4, wat.agent(step=wat.MIX))
    worker.take(wire.MODULE, bytes(32) + program.compiled)
    worker.take(wire.PLACE, msgspec.msgpack.encode(wire.Placement(4, bytes(32), program.limits)))
    for imaged in (False, True):
        answer = worker.take(wire.COMPUTE, wire.encode_turns([(wat.turn(4), imaged)]))
        assert answer is not None
        ((_, image),) = wire.decode_outcomes(b"".join(answer))
        assert bool(image) == imaged
    worker.take(wire.RETIRE, wire.encode_agents([4]))
