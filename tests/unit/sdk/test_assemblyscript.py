"""The SDK of AssemblyScript at its edges: what is thrown, what is freed, what is read and written."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import need
from tickwork.authoring.build import build, write_built
from tickwork.authoring.project import read_project
from tickwork.authoring.toolchain import Environment
from tickwork.authoring.traces import explain, keep_symbols
from tickwork.codec import decode_frames
from tickwork.records import OUTSIDE, FrameKind, Limits, Operation, Outcome, Status, Turn
from tickwork.sandbox.engine import TrapNumber
from tickwork.sandbox.pool import InlinePool, Program

from .seat import ROOT, Seat, compiled, frame

MARKET = ROOT / "examples" / "market" / "assemblyscript" / "market-assemblyscript.wasm"
SOURCE = Path(__file__).with_name("probe.ts")

AGENT = """name = "probe"
version = "1.0.0"
language = "assemblyscript"
[build]
pages = 5
[capabilities]
publish = ["out"]
windows = ["board"]
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The probe, built."""
    need("asc")
    folder = tmp_path_factory.mktemp("probe")
    (folder / "assembly").mkdir()
    (folder / "agent.toml").write_text(AGENT, encoding="utf-8")
    shutil.copy(SOURCE, folder / "assembly" / "index.ts")
    project = read_project(folder)
    built = build(project, Environment(dict(os.environ), folder / "cache"))
    keep_symbols(folder / "symbols", built.compiled.module, built.compiled.debug, built.compiled.source_map)
    return write_built(project, built)[0]


@pytest.fixture
def seat(module: Path) -> Iterator[Seat]:
    """The probe, initialized."""
    seat = Seat(module, b'{"number":-7,"text":"a b"}', number=1)
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
def test_a_thrown_error_is_a_trap_that_tells_message_file_and_line(seat: Seat) -> None:
    outcome = seat.outcome(frame(b"throw"))
    assert (outcome.status, outcome.code) == (Status.TRAP, TrapNumber.ABORT)
    assert outcome.detail.startswith(f"abort: told to throw (assembly/index.ts:{line_of('told to throw')}:")


@pytest.mark.slow
def test_a_trap_that_no_error_was_thrown_for_is_explained_with_its_lines(seat: Seat, module: Path) -> None:
    divided = seat.outcome(frame(b"divide"))
    assert divided.code == TrapNumber.INTEGER_DIVISION_BY_ZERO
    shown = explain(divided.detail, module.read_bytes(), [module.parent / "symbols"]).splitlines()
    assert f"assembly/index.ts:{line_of('10 / this.zero')}" in shown[1]
    exhausted = seat.outcome(*[frame(b"garbage")] * 9)
    shown = explain(exhausted.detail, module.read_bytes(), [module.parent / "symbols"]).splitlines()
    assert "~lib/rt/tlsf.ts:" in shown[1]
    assert any(f"assembly/index.ts:{line_of('50_000')}" in line for line in shown)


@pytest.mark.slow
def test_what_throws_or_traps_leaves_the_agent_as_it_was(seat: Seat) -> None:
    before = seat.pool.image(1)
    outcome = seat.outcome(frame(b"garbage"), frame(b"read abc"))
    assert outcome.detail.startswith(
        "abort: a read goes beyond the end of the bytes (~lib/tickwork-agent/assembly/reading.ts:"
    )
    assert seat.outcome(frame(b"divide")).code == TrapNumber.INTEGER_DIVISION_BY_ZERO
    assert seat.pool.image(1) == before


@pytest.mark.slow
def test_memory_is_freed_at_the_end_of_a_turn(seat: Seat) -> None:
    for _ in range(50):
        assert said(seat, b"garbage") == [bytes(4)], "50 KB a turn, and 120 KB to have in all"


@pytest.mark.slow
def test_within_a_turn_nothing_is_freed_and_no_memory_is_a_trap(seat: Seat) -> None:
    assert seat.outcome(*[frame(b"garbage")] * 9).status == Status.TRAP
    assert said(seat, b"garbage") == [bytes(4)]


@pytest.mark.slow
def test_a_full_outbox_is_told_and_later_messages_are_still_seen(seat: Seat) -> None:
    outcome = seat.outcome(frame(b"fill"), frame(b"fill"))
    assert (outcome.status, outcome.code) == (Status.OK, -7)
    assert {message.kind for message in decode_frames(outcome.outbox)} == {FrameKind.LOG}
    assert len(outcome.outbox) == 65536 // 40 * 40


@pytest.mark.slow
@pytest.mark.parametrize(("word", "code"), [(b"big", -6), (b"names", -6), (b"tasks", -6)])
def test_what_can_never_fit_is_too_big(seat: Seat, word: bytes, code: int) -> None:
    outcome = seat.outcome(frame(word))
    assert (outcome.status, outcome.code) == (Status.FAILED, code)


@pytest.mark.slow
def test_a_reply_goes_to_who_sent_and_to_nobody_outside(seat: Seat) -> None:
    [message] = seat.turn(frame(b"reply", source=9))
    assert (message.kind, message.destination, message.body) == (FrameKind.SEND, 1 << 31 | 9, b"back")
    assert seat.outcome(frame(b"reply", source=OUTSIDE)).code == -5
    assert [message.kind for message in seat.turn(frame(b"exit"))] == [FrameKind.EXIT]


@pytest.mark.slow
def test_a_configuration_is_read_by_key(seat: Seat, module: Path) -> None:
    assert said(seat, b"told") == [b"a b -7"]
    assert said(Seat(module, b"", number=1), b"told") == [b"none -1"]
    assert said(Seat(module, b'{"number":"x"}', number=1), b"told") == [b"none -1"]
    nested = b'find {"a":{"k":1},"b":["}",{}],"k":"v,\\"w","l":2}'
    assert said(seat, nested, b'find {"a":1}', b"find {", b"find", b'find {"k":12}') == [
        b'v,\\"w',
        b"-",
        b"-",
        b"-",
        b"12",
    ]


@pytest.mark.slow
def test_numbers_are_read_and_written_as_the_other_languages_do(seat: Seat) -> None:
    fixed = {
        b"-3.25": b"0 -3250",
        b"+7": b"0 7000",
        b"1.23456": b"0 1234",
        b"": b"-5 0",
        b"-": b"-2 0",
        b"1.2.3": b"-2 0",
    }
    fixed |= {b"9223372036854775807": b"-2 0", b"x": b"-2 0", b".5": b"0 500"}
    assert said(seat, *(b"fixed " + text for text in fixed)) == list(fixed.values())
    assert said(seat, b"whole 42", b"whole 4.2", b"whole -9") == [b"0 42", b"-2 0", b"0 -9"]
    texts = {b"-3.25": "é-3.250 !", b"0": "é0.000 !", b"1234.5": "é1234.500 !"}
    assert said(seat, *(b"text " + text for text in texts)) == [text.encode() for text in texts.values()]
    assert said(seat, b"fields a,,b c,", b"fields") == [b"[a][][b c][]", b""]
    roots = [0, 1, 15, 16, (1 << 64) - 1]
    shown = said(seat, *(b"root " + value.to_bytes(8, "little") for value in roots))
    assert [int.from_bytes(body, "little") for body in shown] == [0, 1, 3, 4, (1 << 32) - 1]


@pytest.mark.slow
def test_a_body_may_have_any_form(seat: Seat) -> None:
    assert said(seat, b"bodies") == [b"abc"] * 7


@pytest.mark.slow
def test_a_turn_knows_its_tick_and_seed(seat: Seat) -> None:
    [told] = said(seat, b"turn")
    tick, seed, fuel, wall, _, below = told.split()
    assert (tick, seed, int(fuel), wall, below) == (b"0", b"7", seat.limits.fuel, b"0", b"0")


@pytest.mark.slow
def test_errors_and_epochs_of_windows_are_read(seat: Seat) -> None:
    error = (-4).to_bytes(4, "little", signed=True) + (12).to_bytes(4, "little") + b"denied"
    assert bodies(seat.outcome(frame(error, kind=FrameKind.ERROR), frame(b"", kind=FrameKind.RESULT))) == [
        b"-4 12",
        b"0 0",
    ]
    epoch = b"".join(number.to_bytes(8, "little") for number in (3, 200, 10, 20))
    told, written = seat.turn(frame(epoch, kind=FrameKind.WINDOW_EPOCH, destination=0))
    assert told.body == b"3 200 10 20"
    assert (written.kind, written.destination) == (FrameKind.WINDOW_WRITE, 0)
    assert written.body[:16] == (0).to_bytes(8, "little") + (256).to_bytes(8, "little")


def market_turn(tick: int) -> Turn:
    order = b"".join(value.to_bytes(8, "little", signed=True) for value in ((-1) ** (tick // 3), 95 + tick % 11, 5))
    inbox = frame(b"", kind=FrameKind.TIMER_FIRED, destination=1) + frame(order, destination=0, source=tick % 4)
    return Turn(1, Operation.STEP, tick, 1000 + tick, 1_000_000, 0, 2, inbox)


def test_an_image_continues_as_the_agent_it_was_taken_of() -> None:
    seat = Seat(MARKET, b'{"every":3}', number=1)
    for tick in range(60):
        seat.pool.compute([market_turn(tick)])
    [image] = seat.pool.images([1])
    other = InlinePool()
    other.place(Program(1, compiled(MARKET), Limits()))
    other.restore(1, image)
    for tick in range(60, 120):
        assert other.compute([market_turn(tick)]) == seat.pool.compute([market_turn(tick)])
    assert other.image(1) == seat.pool.image(1)
    seat.close()
    other.close()


def test_saved_state_is_carried_into_a_new_instance() -> None:
    seat = Seat(MARKET, b'{"every":3,"cash":77}', number=1)
    for tick in range(30):
        seat.pool.compute([market_turn(tick)])
    program = Program(1, compiled(MARKET), Limits())
    outcome, image = seat.pool.carry(market_turn(30), program)
    assert outcome.status == Status.OK
    assert image is not None
    other = InlinePool()
    other.place(program)
    other.restore(1, image)
    for tick in range(30, 60):
        ours, theirs = seat.pool.compute([market_turn(tick)]), other.compute([market_turn(tick)])
        assert [outcome.outbox for outcome in ours] == [outcome.outbox for outcome in theirs]
    seat.close()
    other.close()
