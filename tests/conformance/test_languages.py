"""One suite for every language of the SDK: the same three agents do the same, byte for byte, as the ones in C."""

import functools
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import tickwork
from tests.support import ROOT
from tests.unit.sdk.seat import compiled
from tickwork.authoring.languages import LANGUAGES
from tickwork.codec import decode_frames, decode_turns, encode_frame
from tickwork.driver.opening import reading
from tickwork.records import DIRECT, OUTSIDE, RAW_AGENT, Encoding, FrameKind, Limits, Operation, Status, Turn
from tickwork.sandbox.pool import InlinePool, Program
from tickwork.sandbox.windows import DIGEST_BYTES, DIGEST_OFFSET

REFERENCE = "c"
FOLDERS = {"echo": ROOT / "examples" / "echo", "market": ROOT / "examples" / "market", "tour": ROOT / "tests" / "tour"}
LIMITS = Limits(fuel=50_000_000)
MODEL = 0x80000000


def module(agent: str, language: str) -> Path:
    return FOLDERS[agent] / language / f"{agent}-{language}.wasm"


OTHERS = [name for name in LANGUAGES if name != REFERENCE]
BUILT = [name for name in OTHERS if all(module(agent, name).is_file() for agent in FOLDERS)]


class Said(NamedTuple):
    """What a turn came to: all that languages must agree on."""

    what: str
    status: int
    code: int
    outbox: bytes


class Stage:
    """Agents of one module, and everything they said.

    Args:
        path: The module.
        seats: How many agents there are.
    """

    def __init__(self, path: Path, seats: int = 1) -> None:
        self.path = path
        self.pool = InlinePool()
        self.said: list[Said] = []
        for seat in range(seats):
            self.pool.place(Program(seat, compiled(path), LIMITS))

    def turn(self, operation: Operation, tick: int, frames: Sequence[bytes], seat: int = 0, seed: int = 0) -> bytes:
        turn = _turn(operation, tick, frames, seat, seed)
        [outcome] = self.pool.compute([turn])
        what = f"{operation.name} {seat} tick {tick}"
        self.said.append(Said(what, outcome.status, outcome.code, outcome.outbox))
        return outcome.outbox

    def save(self, tick: int, seat: int = 0) -> bytes:
        """Return the state an agent saves, which is compared like what it says."""
        outcome, state = self.pool.slot(seat).save(_turn(Operation.STEP, tick, (), seat, 0))
        self.said.append(Said(f"save {seat} tick {tick}", outcome.status, outcome.code, state))
        return state

    def swap(self, tick: int, seat: int = 0) -> None:
        """Put a new instance, which has loaded what the old one saved, in an agent's place."""
        program = Program(seat, compiled(self.path), LIMITS)
        outcome, image = self.pool.carry(_turn(Operation.STEP, tick, (), seat, 0), program)
        assert outcome.status == Status.OK, outcome
        assert image is not None
        self.pool.retire([seat])
        self.pool.place(program)
        self.pool.restore(seat, image)

    def close(self) -> list[Said]:
        self.pool.close()
        return self.said


def _turn(operation: Operation, tick: int, frames: Sequence[bytes], seat: int, seed: int) -> Turn:
    mixed = (tick * 0x9E3779B97F4A7C15 + seat * 0xBF58476D1CE4E5B9 + seed) & (1 << 64) - 1
    return Turn(seat, operation, tick, mixed, LIMITS.fuel, 0, len(frames), b"".join(frames))


def config(text: bytes = b"{}") -> bytes:
    return encode_frame(FrameKind.CONFIG, Encoding.JSON, OUTSIDE, DIRECT, 0, 0, text)


def message(body: bytes, source: int = OUTSIDE, destination: int = DIRECT, encoding: int = Encoding.BYTES) -> bytes:
    return encode_frame(FrameKind.MESSAGE, encoding, source, destination, 7, 3, body)


# --- echo ---


def echo(stage: Stage) -> None:
    """Play what an echo gets: from outside, from agents, of kinds it ignores, short and long."""
    stage.turn(Operation.INIT, 0, [config()])
    stage.turn(Operation.STEP, 1, [message(b"from outside"), message(b"", encoding=Encoding.JSON), message(b"x", 5)])
    stage.turn(Operation.STEP, 2, [])
    ignored = (FrameKind.RESULT, FrameKind.ERROR, FrameKind.TIMER_FIRED, FrameKind.RETAINED, FrameKind.TASK_READY)
    stage.turn(Operation.STEP, 3, [encode_frame(kind, 0, 1, 0, 0, 0, b"ignored") for kind in ignored])
    stage.save(3)
    stage.turn(Operation.STEP, 4, [message(bytes(range(n)), n, n, n % 5) for n in range(40)])
    stage.swap(4)
    stage.turn(Operation.STEP, 5, [message(bytes(1000), 2)] * 9)
    stage.turn(Operation.STEP, 6, [message(bytes(3900), 2)] * 4)  # As much as its inbox holds.
    stage.turn(Operation.STEP, 7, [message(b"user", 9, 0, 99)])
    stage.save(8)
    stage.turn(Operation.SHUTDOWN, 9, [])


# --- market ---

MARKET_CONFIGS = (
    b"{}",
    b'{"cash":500,"every":1,"price":3,"spread":9}',
    b'{"every":2,"spread":0}',
    b'{"cash":-7,"every":3,"price":250,"spread":40}',
)
TRADERS = 6


def market(stage: Stage, text: bytes, ticks: int = 60) -> None:
    """Play a market among agents: topics, timers and messages are carried as the kernel does."""
    due: dict[int, dict[int, list[bytes]]] = {}
    for seat in range(TRADERS):
        _carry(stage.turn(Operation.INIT, 0, [config(text)], seat), seat, 0, due)
    for tick in range(1, ticks):
        boxes = due.pop(tick, {})
        for seat in sorted(boxes):
            _carry(stage.turn(Operation.STEP, tick, boxes[seat], seat), seat, tick, due)
        if tick % 20 == 10:
            for seat in range(TRADERS):
                stage.save(tick, seat)
        if tick % 20 == 15:
            stage.swap(tick, seat=tick % TRADERS)
    for seat in range(TRADERS):
        stage.turn(Operation.SHUTDOWN, ticks, [], seat)


def _carry(outbox: bytes, sender: int, tick: int, due: dict[int, dict[int, list[bytes]]]) -> None:
    for sent in decode_frames(outbox):
        at, to, kind, where = tick + 1, list(range(TRADERS)), FrameKind.MESSAGE, sent.destination
        if sent.kind == FrameKind.TIMER:
            at, to, kind = tick + max(1, struct.unpack("<Q", sent.body)[0]), [sender], FrameKind.TIMER_FIRED
        elif sent.kind == FrameKind.PUBLISH_RETAINED:
            kind = FrameKind.RETAINED
        elif sent.kind == FrameKind.SEND:
            to, where = [sent.destination & ~RAW_AGENT], DIRECT
        elif sent.kind != FrameKind.PUBLISH:
            continue
        for seat in to:
            frame = encode_frame(kind, sent.encoding, sender, where, sent.seq, tick, sent.body)
            due.setdefault(at, {}).setdefault(seat, []).append(frame)


def odd_orders(stage: Stage) -> None:
    """Play orders that no trader makes, and what is no order."""
    stage.turn(Operation.INIT, 0, [config(b'{"every":5}')])
    orders = [(1, 90, 10), (-1, 80, 4), (-1, 95, 3), (-1, 90, 7), (-1, 70, 5), (1, 60, 5), (1, 71, -2), (-1, 1, 0)]
    frames = [message(struct.pack("<qqq", *order), source) for source in (4, 0, OUTSIDE, 9) for order in orders]
    odd = [message(b"short", 4, 0), message(bytes(24), 4, 1), message(bytes(24), 4), message(bytes(16), 4)]
    priced = [encode_frame(FrameKind.RETAINED, 0, 4, 1, 0, 0, struct.pack("<q", -5)), message(bytes(8), 4, 1)]
    timers = [encode_frame(FrameKind.TIMER_FIRED, 0, OUTSIDE, tag, 0, 0, b"") for tag in (0, 2, 1)]
    for tick, box in enumerate([frames, odd, priced[:1], timers, frames[::-1], priced], 1):
        stage.turn(Operation.STEP, tick, [_to_orders(frame) for frame in box] if box is not odd else box)
        stage.save(tick)
    stage.turn(Operation.SHUTDOWN, 9, [])


def _to_orders(frame: bytes) -> bytes:
    [given] = decode_frames(frame)
    if len(given.body) != 24:
        return frame
    return encode_frame(given.kind, given.encoding, given.source, 0, given.seq, given.tick, given.body)


def refusals(stage: Stage) -> None:
    """Play configurations of a market that its agents refuse, and some they do not."""
    texts = [
        b'{"every":0}',
        b'{"spread":-1}',
        b'{"price":0}',
        b'{"every":"4"}',
        b'{"price":1.5}',
        b'{"other":{"every":0}}',
    ]
    for seat, text in enumerate(texts):
        stage.turn(Operation.INIT, 0, [config(text)], seat)


# --- tour ---


def tour(stage: Stage) -> None:
    """Play the tour of every call, with frames of every kind coming in, and a swap in the middle of it."""
    stage.turn(Operation.INIT, 0, [config(b'{"a":1}')], seed=1)
    for tick in range(1, 22):
        stage.turn(Operation.STEP, tick, list(_mail(tick)), seed=tick % 3)
        if tick in (4, 9, 18):
            stage.save(tick)
        if tick in (6, 13):
            stage.swap(tick)
    stage.turn(Operation.SHUTDOWN, 22, [])
    stage.save(22)


def _mail(tick: int) -> Iterator[bytes]:
    if tick % 4 == 0:
        return
    kinds = [*range(FrameKind.MESSAGE, FrameKind.MESSAGE + 8), 0x8001, 0xFFFF]
    for index in range(tick % 5):
        kind = kinds[(tick + index) % len(kinds)]
        where = (0, 1, DIRECT, MODEL | 2)[(tick + index) % 4]
        yield encode_frame(kind, (tick * index) % 6, index, where, tick, tick, bytes(range(tick * index)))


# --- comparison ---

Script = Callable[[Stage], None]
SCRIPTS: dict[str, tuple[str, int, Script]] = {
    "echo": ("echo", 1, echo),
    **{f"market {text.decode()}": ("market", TRADERS, functools.partial(market, text=text)) for text in MARKET_CONFIGS},
    "odd orders": ("market", 1, odd_orders),
    "refused configurations": ("market", 6, refusals),
    "tour": ("tour", 1, tour),
}


def play(script: str, language: str) -> list[Said]:
    agent, seats, run = SCRIPTS[script]
    stage = Stage(module(agent, language), seats)
    run(stage)
    return stage.close()


@functools.cache
def reference(script: str) -> list[Said]:
    return play(script, REFERENCE)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("language", BUILT)
def test_an_agent_says_and_saves_what_the_one_in_c_does(language: str, script: str) -> None:
    said, wanted = play(script, language), reference(script)
    for mine, theirs in zip(said, wanted, strict=True):
        assert mine == theirs, f"{script}, {mine.what}"


def test_the_scripts_reach_what_they_are_for() -> None:
    tourist = [frame for said in reference("tour") if "save" not in said.what for frame in decode_frames(said.outbox)]
    offered = {kind for kind in FrameKind if kind < FrameKind.MESSAGE} - {FrameKind.EXIT}
    assert {frame.kind for frame in tourist} == {*offered, 0x8001}
    for text in MARKET_CONFIGS[:2]:
        traded = [
            f.body for said in reference(f"market {text.decode()}")[-TRADERS:] for f in decode_frames(said.outbox)
        ]
        assert any(body.startswith(b"trades=") and body != b"trades=0" for body in traded)
    assert {said.status for said in reference("refused configurations")} == {Status.OK, Status.FAILED}


def test_a_window_is_told_with_the_digest_of_what_was_written() -> None:
    import hashlib

    [write] = [said.outbox for said in reference("tour") if said.what == "STEP 0 tick 11"]
    assert write[DIGEST_OFFSET : DIGEST_OFFSET + DIGEST_BYTES] == hashlib.sha256(b"window 10").digest()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_asks_for_the_same(language: str) -> None:
    from tickwork.authoring.project import read_project

    for agent, folder in FOLDERS.items():
        if (folder / language / "agent.toml").is_file():
            project, wanted = read_project(folder / language), read_project(folder / REFERENCE)
            assert project.name == f"{agent}-{language}"
            assert project.table.version == wanted.table.version
            assert project.table.capabilities == wanted.table.capabilities


# --- worlds ---

WORLD = ROOT / "examples" / "market" / "world.toml"


def ran(world: Path) -> list[bytes]:
    """Return the turns of a run as its journal has them: agents, statuses, codes and outboxes, tick by tick."""
    done = tickwork.run(tickwork.load_world(world, allow_unsigned=True), journal=world.with_suffix(".twk"))
    assert done.journal is not None
    with reading(done.journal) as journal:
        return [frame.turns for frame in journal.frames()]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["c", "cpp", "rust", "assemblyscript"])
def test_a_market_of_one_language_is_the_market_of_all_languages(language: str, tmp_path: Path) -> None:
    text = re.sub(r'module = "\w+/', f'module = "{WORLD.parent.as_posix()}/', WORLD.read_text(encoding="utf-8"))
    places = {"mixed.toml": r"/\1/market-\1", "alone.toml": f"/{language}/market-{language}"}
    for name, module in places.items():
        (tmp_path / name).write_text(re.sub(r"/market-(\w+)", module, text), encoding="utf-8")
    mixed, alone = (ran(tmp_path / name) for name in places)
    assert sum(len(list(decode_turns(turns))) for turns in mixed) > 1000
    assert alone == mixed
