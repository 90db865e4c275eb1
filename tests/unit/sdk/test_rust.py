"""The SDK of Rust at its edges: panics, the stack, the heap, windows, what is read, and what does not fit."""

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, need, run
from tests.unit.authoring.projects import ENVIRONMENT
from tickwork.authoring.build import build, write_built
from tickwork.authoring.project import read_project
from tickwork.codec import decode_frames, encode_frame
from tickwork.records import OUTSIDE, FrameKind, Limits, Outcome, Status
from tickwork.sandbox.engine import TrapNumber
from tickwork.sandbox.instance import Instance, load

from .seat import Seat, compiled, frame

SOURCE = Path(__file__).with_name("probe.rs")
PAGES = 16

AGENT = """name = "probe"
version = "1.0.0"
language = "rust"
[build]
pages = 16
[capabilities]
publish = ["out"]
windows = ["first", "board"]
"""
PACKAGE = """[package]
name = "probe"
version = "1.0.0"
edition = "2024"
[lib]
crate-type = ["cdylib"]
[dependencies]
tickwork = "1"
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The probe, built."""
    need("rust")
    folder = tmp_path_factory.mktemp("probe")
    (folder / "src").mkdir()
    (folder / "agent.toml").write_text(AGENT, encoding="utf-8")
    (folder / "Cargo.toml").write_text(PACKAGE, encoding="utf-8")
    shutil.copy(SOURCE, folder / "src" / "lib.rs")
    project = read_project(folder)
    return write_built(project, build(project, ENVIRONMENT._replace(variables=dict(os.environ))))[0]


@pytest.fixture
def seat(module: Path) -> Iterator[Seat]:
    """The probe, initialized."""
    seat = Seat(module, b'{"number":-7,"text":"a b"}', number=1, limits=Limits(memory_pages=PAGES, fuel=50_000_000))
    yield seat
    seat.close()


def bodies(outcome: Outcome) -> list[bytes]:
    assert outcome.status == Status.OK, outcome
    return [message.body for message in decode_frames(outcome.outbox)]


def said(seat: Seat, *words: bytes) -> list[bytes]:
    return bodies(seat.outcome(*map(frame, words)))


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(SOURCE.read_text(encoding="utf-8").splitlines(), 1) if text in line)


@pytest.mark.slow
def test_a_panic_is_a_trap_that_tells_message_file_and_line(seat: Seat) -> None:
    outcome = seat.outcome(frame(b"panic 12"))
    assert (outcome.status, outcome.code) == (Status.TRAP, TrapNumber.ABORT)
    place = f"src/lib.rs:{line_of('told to panic')}:"
    assert outcome.detail.startswith(f"abort: told to panic, with 12 and ü ({place}")
    beyond = seat.outcome(frame(b"index 3"))
    where = f"src/lib.rs:{line_of('[1, 2, 3]')}:"
    assert beyond.detail.startswith(f"abort: index out of bounds: the len is 3 but the index is 3 ({where}")


@pytest.mark.slow
def test_a_turn_that_panics_leaves_the_agent_as_it_was(seat: Seat) -> None:
    before = seat.pool.image(1)
    assert seat.outcome(frame(b"keep 100"), frame(b"panic")).status == Status.TRAP
    assert seat.pool.image(1) == before
    assert said(seat, b"keep 1") == [b"1"]


@pytest.mark.slow
def test_a_stack_that_runs_out_traps_before_it_reaches_the_statics(seat: Seat) -> None:
    assert said(seat, b"deep 10") == [b"55"]
    outcome = seat.outcome(frame(b"deep 40"))
    assert (outcome.status, outcome.code) == (Status.TRAP, TrapNumber.MEMORY_OUT_OF_BOUNDS)
    assert said(seat, b"config") == [b"-7 a b"]


@pytest.mark.slow
def test_memory_that_is_given_back_is_used_again(seat: Seat) -> None:
    first = said(seat, b"churn 5000")
    [before] = seat.pool.images([1])
    for _ in range(20):
        assert said(seat, b"churn 5000") == first
    [after] = seat.pool.images([1])
    assert len(after.memory) == len(before.memory) < PAGES << 16


@pytest.mark.slow
def test_memory_that_runs_out_is_a_panic(seat: Seat) -> None:
    assert said(seat, b"keep 100000", b"keep 200000") == [b"100000", b"300000"]
    outcome = seat.outcome(frame(b"keep 900000"))
    assert outcome.status == Status.TRAP
    assert outcome.detail.startswith("abort: memory allocation of 900000 bytes failed (")


@pytest.mark.slow
def test_what_does_not_fit_is_told_apart_from_what_never_fits(seat: Seat) -> None:
    assert said(seat, b"room") == [b"4064"]
    full = seat.outcome(frame(b"fill 968"))
    assert (full.status, full.code) == (Status.OK, -7)
    assert len(list(decode_frames(full.outbox))) == 4
    assert said(seat, b"large 4064") == [bytes([7] * 4064)]
    assert seat.outcome(frame(b"large 4065")).code == -6
    assert said(seat, b"longlog 4064") == [b"x".rjust(4064)]
    assert seat.outcome(frame(b"longlog 4065")).code == -6
    assert seat.outcome(frame(b"room"), frame(b"longlog 4060")).code == -7
    assert seat.outcome(frame(b"fail 2000")).code == -2000
    assert seat.outcome(frame(b"fail 3")).code == -1


@pytest.mark.slow
def test_a_window_is_a_region_of_the_agents_own(seat: Seat, module: Path) -> None:
    [write, told] = decode_frames(seat.outcome(frame(b"board 3")).outbox)
    assert (write.kind, write.destination, write.body[:16]) == (FrameKind.WINDOW_WRITE, 1, struct.pack("<QQ", 0, 7))
    assert told.body == b"64 100 0"
    instance = Instance(load(compiled(module)), Limits(memory_pages=PAGES))
    first, second = instance.find_regions(2)
    assert (first[1], second[1], second[0] - first[0]) == (100, 64, 112)
    instance.close()


@pytest.mark.slow
def test_every_frame_that_comes_has_its_event(seat: Seat) -> None:
    refused = struct.pack("<iIQ", -4, FrameKind.SEND, 9) + b"not granted"
    epoch = struct.pack("<QQQQ", 3, 60, 10, 5)
    frames = [
        frame(b"", destination=2),
        frame(b"", kind=FrameKind.RETAINED, destination=1),
        frame(b"", kind=FrameKind.RESULT, destination=4),
        frame(b"", kind=FrameKind.RESULT, destination=0x80000005),
        frame(refused, kind=FrameKind.ERROR),
        frame(b"", kind=FrameKind.ERROR),
        frame(b"", kind=FrameKind.TIMER_FIRED, destination=6),
        frame(b"", kind=FrameKind.TASK_READY, destination=7),
        frame(epoch, kind=FrameKind.WINDOW_EPOCH, destination=1),
        encode_frame(0x8007, 0, 1, 2, 0, 0, b""),
        encode_frame(77, 0, 1, 2, 0, 0, b""),
    ]
    assert [body.decode() for body in bodies(seat.outcome(*frames))] == [
        "Topic(2)",
        "Retained(1)",
        "SkillResult(4)",
        "ModelResult(5)",
        "Denied 1 not granted",
        "Failed 0 ",
        "Timer(6)",
        "Task(7)",
        "Window(Epoch { window: 1, epoch: 3, size: 60, offset: 10, length: 5 })",
        "User(32775)",
        "Unknown(77)",
    ]


@pytest.mark.slow
def test_an_answer_goes_to_who_asked(seat: Seat) -> None:
    [answer] = decode_frames(seat.outcome(frame(b"reply", source=3)).outbox)
    assert (answer.kind, answer.destination, answer.body) == (FrameKind.SEND, 0x80000003, b"[]")
    assert seat.outcome(frame(b"reply", source=OUTSIDE)).code == -5


@pytest.mark.slow
def test_what_init_leaves_counts_and_a_step_says_when_to_run_again(seat: Seat) -> None:
    assert bodies(seat.began) == [b"began"]
    assert seat.outcome().code == 5
    assert said(seat, b"config", b"number 1250") == [b"-7 a b", b"-12.50"]


@pytest.mark.slow
def test_the_crates_own_tests_pass(tmp_path: Path) -> None:
    cargo = need("rust")
    rustc = str(Path(cargo).with_name("rustc"))
    run(
        [cargo, "test", "--offline", "--lib", "--quiet", "--target-dir", tmp_path / "target"],
        cwd=_crate(tmp_path),
        env={**os.environ, "RUSTC": rustc},
        check=True,
    )


def _crate(folder: Path) -> Path:
    """Return a copy of the crate, in which cargo may write."""
    crate = folder / "crate"
    shutil.copytree(ROOT / "sdk" / "rust" / "src", crate / "src")
    shutil.copy(ROOT / "sdk" / "rust" / "Cargo.toml", crate)
    return crate
