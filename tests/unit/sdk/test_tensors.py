"""Tensors in every language: the same bytes as ``tickwork.tensors`` writes, and the same bodies refused."""

import functools
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import need
from tests.unit.authoring.projects import ENVIRONMENT
from tests.unit.sdk.python_base import built, program
from tests.unit.sdk.seat import compiled
from tickwork.authoring.build import build, write_built
from tickwork.authoring.project import read_project
from tickwork.codec import decode_frames, encode_frame
from tickwork.errors import ModelInputInvalid
from tickwork.records import DIRECT, OUTSIDE, Encoding, FrameKind, Limits, Operation, Outcome, Refusal, Status, Turn
from tickwork.sandbox.pool import InlinePool, Program
from tickwork.tensors import (
    BITS,
    BOOL,
    FLOAT32,
    FLOAT64,
    INT64,
    NAMES,
    STRING,
    UINT8,
    Tensor,
    bytes_needed,
    decode_tensors,
    encode_tensors,
    join_text,
    make_tensor,
)

pytestmark = pytest.mark.slow

SOURCES = Path(__file__).with_name("tensors")
TABLE = """name = "tensorial"
version = "1.0.0"
language = "{language}"
[build]
pages = {pages}
[capabilities]
models = ["first", "second"]
# WINDOWS
"""
CARGO = """[package]
name = "tensorial"
version = "1.0.0"
edition = "2024"
[lib]
crate-type = ["cdylib"]
[dependencies]
tickwork = "1"
"""
LIMITS = Limits(memory_pages=16, fuel=50_000_000)
MODEL = 0x80000000


class Language(NamedTuple):
    """What an agent's project has, and what builds it."""

    tool: str
    source: str
    place: str


LANGUAGES = {
    "c": Language("zig", "agent.c", "agent.c"),
    "cpp": Language("zig", "agent.cpp", "agent.cpp"),
    "rust": Language("rust", "agent.rs", "src/lib.rs"),
    "assemblyscript": Language("asc", "agent.ts", "assembly/index.ts"),
    "python": Language("python-base", "agent.py", "agent.py"),
}


class Agent:
    """The agent of one language, in a real pool."""

    def __init__(self, language: str, made: Program) -> None:
        self.language = language
        self.pool = InlinePool()
        self.limits, self.tick = made.limits, 0
        self.pool.place(made)
        began = self.run(encode_frame(FrameKind.CONFIG, 0, OUTSIDE, DIRECT, 0, 0, b"{}"), Operation.INIT)
        assert began.status == Status.OK, began

    def run(self, frame: bytes, operation: Operation = Operation.STEP) -> Outcome:
        [outcome] = self.pool.compute([Turn(0, operation, self.tick, 7, self.limits.fuel, 0, 1, frame)])
        self.tick += 1
        return outcome

    def told(self, body: bytes, encoding: int = Encoding.TENSOR) -> Outcome:
        return self.run(encode_frame(FrameKind.MESSAGE, encoding, 3, DIRECT, 0, 0, body))

    def answered(self, body: bytes, encoding: int = Encoding.TENSOR) -> Outcome:
        return self.run(encode_frame(FrameKind.RESULT, encoding, OUTSIDE, MODEL | 1, 0, 0, body))


@pytest.fixture(scope="module", params=list(LANGUAGES))
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Agent:
    name: str = request.param
    need(LANGUAGES[name].tool)
    folder = tmp_path_factory.mktemp(name)
    source = folder / LANGUAGES[name].place
    source.parent.mkdir(exist_ok=True)
    shutil.copy(SOURCES / LANGUAGES[name].source, source)
    table = TABLE.format(language=name, pages=16)
    if name == "python":
        # Only here a window is asked for by name; the others have no region for one.
        table = table.replace("[build]\npages = 16\n", "").replace("# WINDOWS", 'windows = ["board"]')
        (folder / "agent.toml").write_text(table, encoding="utf-8")
        return Agent(name, program(0, built(folder)))
    (folder / "agent.toml").write_text(table, encoding="utf-8")
    if name == "rust":
        (folder / "Cargo.toml").write_text(CARGO, encoding="utf-8")
    project = read_project(folder)
    path = write_built(project, build(project, ENVIRONMENT._replace(variables=dict(os.environ))))[0]
    return Agent(name, Program(0, compiled(path), LIMITS))


def asked(outcome: Outcome) -> tuple[int, bytes]:
    """The model's handle and the body of the one request a turn left."""
    assert outcome.status == Status.OK, outcome
    [frame] = decode_frames(outcome.outbox)
    assert (frame.kind, frame.encoding) == (FrameKind.INFER, Encoding.TENSOR)
    return frame.destination, frame.body


def test_one_tensor_is_asked_with(agent: Agent) -> None:
    row = encode_tensors([make_tensor(FLOAT32, (1, 3), (1.5, -2, 0.25))])
    scalar = encode_tensors([make_tensor(FLOAT64, (), (-0.125,))])
    empty = encode_tensors([make_tensor(FLOAT32, (0, 1 << 62), ())])
    for word, body in ((b"o", row), (b"s", scalar), (b"e", empty)):
        assert asked(agent.told(word, Encoding.BYTES)) == (0, body)


def test_named_tensors_are_asked_with(agent: Agent) -> None:
    wanted = [
        make_tensor(INT64, (2, 2), (1, -2, 3, 1 << 40), "ids"),
        make_tensor(UINT8, (3,), (0, 1, 255), "flags"),
        Tensor("said", STRING, (1,), join_text(["hello"])),
    ]
    assert asked(agent.told(b"n", Encoding.BYTES)) == (1, encode_tensors(wanted))


def test_tensors_in_a_window_are_asked_with(agent: Agent) -> None:
    [frame] = decode_frames(agent.told(b"w", Encoding.BYTES).outbox)
    assert (frame.kind, frame.encoding, frame.destination) == (FrameKind.INFER, Encoding.IN_WINDOW, 1)
    assert frame.body == struct.pack("<IIQQ", 0, 0, 8, 1 << 33)


def test_a_tensor_is_written_into_a_region_that_it_fits(agent: Agent) -> None:
    if agent.language == "rust":
        [line] = decode_frames(agent.told(b"p", Encoding.BYTES).outbox)
        assert line.body == b"Ok(40) Err(TooBig)"


def test_what_fits_no_outbox_is_too_big(agent: Agent) -> None:
    if agent.language == "python":
        # Its outbox is larger, and what no shape can say is refused when the tensor is made.
        assert agent.told(b"h", Encoding.BYTES).code == Refusal.BAD_MESSAGE
        assert len(asked(agent.told(b"l", Encoding.BYTES))[1]) == 24 + 70000
    else:
        assert agent.told(b"h", Encoding.BYTES).code == Refusal.TOO_BIG
        assert agent.told(b"l", Encoding.BYTES).code == Refusal.TOO_BIG


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([make_tensor(FLOAT32, (1, 3), (1.5, -2, 0.25), "out")], b"1 2 3 -2"),
        ([make_tensor(UINT8, (2,), (1, 2), "other"), make_tensor(BOOL, (1,), (True,), "out")], b"9 1 1 0"),
        ([make_tensor(FLOAT32, (), (8.0,), "out")], b"1 0 -1 64"),
    ],
)
def test_an_answer_is_read_by_name(agent: Agent, given: list[Tensor], said: bytes) -> None:
    outcome = agent.answered(encode_tensors(given))
    assert outcome.status == Status.OK, outcome
    assert [frame.body for frame in decode_frames(outcome.outbox)] == [said]


def test_an_answer_without_that_name_or_without_tensors_is_told_apart(agent: Agent) -> None:
    other = encode_tensors([make_tensor(FLOAT32, (1,), (0,), "other")])
    assert agent.answered(other).code == Refusal.NOT_FOUND
    assert agent.answered(b"").code == Refusal.NOT_FOUND
    assert agent.answered(other, Encoding.JSON).code == Refusal.BAD_MESSAGE
    assert agent.answered(other[:-1]).code == (Refusal.NOT_FOUND)
    assert agent.answered(other[:24]).code == Refusal.BAD_MESSAGE


@st.composite
def some_tensors(draw: Callable[[st.SearchStrategy[int]], int]) -> list[Tensor]:
    """A few tensors of all types."""
    found = list[Tensor]()
    for _ in range(draw(st.integers(0, 4))):
        dtype = draw(st.sampled_from(sorted(NAMES)))
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))  # type: ignore[arg-type, var-annotated]
        name: str = draw(st.text(max_size=9))  # type: ignore[arg-type, assignment]
        if dtype == STRING:
            count = functools.reduce(int.__mul__, shape, 1)
            data = join_text(draw(st.lists(st.text(max_size=3), min_size=count, max_size=count)))  # type: ignore[arg-type]
        else:
            size = bytes_needed(dtype, shape)
            data = draw(st.binary(min_size=size, max_size=size))  # type: ignore[arg-type, assignment]
        found.append(Tensor(name, dtype, shape, data))
    return found


SEVERAL = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@SEVERAL
@given(tensors=some_tensors())
def test_what_is_read_is_written_again_byte_for_byte(agent: Agent, tensors: list[Tensor]) -> None:
    body = encode_tensors(tensors)
    assert asked(agent.told(body)) == (0, body)


@SEVERAL
@given(
    dtype=st.integers(0, 40),
    shape=st.lists(st.one_of(st.integers(-2, 5), st.sampled_from([1 << 31, 1 << 40, 1 << 62])), max_size=3),
    named=st.sampled_from([0, 1, 8, 9, 1 << 20, 0xFFFFFFFF]),
    length=st.one_of(st.integers(0, 70), st.sampled_from([1 << 32, (1 << 64) - 1, (1 << 64) - 7])),
    rank=st.integers(-1, 40),
    rest=st.integers(0, 96),
)
def test_a_body_that_is_no_tensor_is_refused_where_it_is_refused_here(
    agent: Agent, dtype: int, shape: list[int], named: int, length: int, rank: int, rest: int
) -> None:
    head = struct.pack("<HHIQ", dtype, len(shape) if rank < 0 else rank, named, length)
    body = head + struct.pack(f"<{len(shape)}q", *shape) + bytes(rest)
    outcome = agent.told(body)
    try:
        tensors = [] if dtype == STRING else decode_tensors(body)
    except ModelInputInvalid:
        assert outcome.code == Refusal.BAD_MESSAGE, outcome
    else:
        if dtype != STRING:
            assert asked(outcome)[1] == encode_tensors(tensors)


@SEVERAL
@given(tensors=some_tensors(), place=st.integers(0, 1 << 30), change=st.integers(1, 255))
def test_no_body_traps(agent: Agent, tensors: list[Tensor], place: int, change: int) -> None:
    body = bytearray(encode_tensors(tensors))
    if body:
        body[place % len(body)] ^= change
    outcome = agent.told(bytes(body))
    assert outcome.status in (Status.OK, Status.FAILED), outcome
    assert outcome.status == Status.OK or outcome.code == Refusal.BAD_MESSAGE


def test_every_type_has_its_bits_in_every_language(agent: Agent) -> None:
    for dtype in range(40):
        size = BITS.get(dtype, 8)
        body = struct.pack("<HHIQq", dtype, 1, 0, size, 8) + bytes(size) + bytes(-size % 8)
        outcome = agent.told(body)
        if dtype in BITS:
            assert asked(outcome) == (0, body)
        elif dtype != STRING:
            assert outcome.code == Refusal.BAD_MESSAGE
