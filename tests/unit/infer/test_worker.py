"""A worker answers in order, refuses what is too much, and finishes what it has before it goes."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.unit.infer.standins import MIB, Echo, wanted
from tickwork.clock import Clock, SystemClock
from tickwork.errors import ModelError, ModelInvalid, ModelQueueFull, ModelsMissing
from tickwork.infer import wire
from tickwork.infer.arena import INLINE_BYTES, Board, make_arena
from tickwork.infer.asking import Incident, Reply, Wanted
from tickwork.infer.channel import Channel, ChannelClosed, make_pair
from tickwork.infer.link import Link
from tickwork.infer.manifest import ModelConfig
from tickwork.infer.worker import load_and_answer
from tickwork.records import Encoding, NoteKind, Refusal

linux = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory without a name is Linux's")

MODEL = wanted("net")
CONFIG = ModelConfig(name="net", version="1")
FAR_NS = 1 << 62


class Stage:
    """A worker in a thread, with a session that can be held back.

    Attributes:
        gate: A request of b"wait" runs until this is set.
        entered: Set when such a request runs.
    """

    def __init__(self, queue: int = 2) -> None:
        self.gate, self.entered = threading.Event(), threading.Event()
        self.seen = list[bytes]()
        self.fails: type[BaseException] = MemoryError
        self.session = Echo(MODEL.model, self._hold)
        self.host, theirs = make_pair()
        arena = make_arena()
        arena.grow(4096)
        self.board = Board(arena)
        load = wire.Load(MODEL, CONFIG, "/nowhere", (), queue, 0)
        self.host.send(wire.encode(load), handing=[arena.number])
        self._thread = threading.Thread(target=self._run, args=(theirs,), daemon=True)
        self._thread.start()
        frame = self.host.receive(10)
        assert frame is not None
        assert frame.head == wire.LOADED
        self.loaded = msgspec.msgpack.decode(frame.body, type=wire.Loaded)
        self._links = 0

    def _hold(self, body: bytes) -> None:
        self.seen.append(body)
        if body == b"fail":
            raise self.fails
        if body == b"wait":
            self.entered.set()
            assert self.gate.wait(10)

    def _run(self, channel: Channel) -> None:
        frame = channel.receive()
        assert frame is not None

        def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
            del asked, config, folder, clock, extras
            return self.session

        load_and_answer(channel, frame, make, confined=False)

    def link(self) -> Link:
        """Return a new connection."""
        mine, theirs = make_pair()
        arena = make_arena()
        self._links += 1
        attach = wire.encode(wire.Attach(self._links, ""))
        self.host.send(wire.ATTACH, attach, handing=[theirs.fileno(), arena.number])
        theirs.close()
        acquired = wire.Acquired(1, self._links, self.loaded.fingerprint, CONFIG, (), (), self.loaded.memory)
        return Link(MODEL, acquired, mine, arena, SystemClock())

    def bare(self, memory: int = -1) -> Channel:
        """Return a new connection that says what it likes, with this memory or an empty one."""
        mine, theirs = make_pair()
        arena = make_arena()
        self._links += 1
        attach = wire.encode(wire.Attach(self._links, ""))
        self.host.send(wire.ATTACH, attach, handing=[theirs.fileno(), arena.number if memory < 0 else memory])
        theirs.close()
        return mine

    def asked_beside(self, body: bytes, deadline_ns: int = FAR_NS) -> "Beside":
        """Ask from a thread."""
        return Beside(self.link(), body, deadline_ns)

    def close(self) -> None:
        self.gate.set()
        self.host.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


class Beside:
    """A request in a thread of its own."""

    def __init__(self, link: Link, body: bytes, deadline_ns: int) -> None:
        self.reply: Reply | None = None
        self._link, self._body, self._deadline_ns = link, body, deadline_ns
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        self.reply = ask(self._link, self._body, deadline_ns=self._deadline_ns)

    def join(self) -> Reply:
        self._thread.join(10)
        assert self.reply is not None
        return self.reply


def ask(link: Link, body: bytes, *, tick: int = 0, deadline_ns: int = FAR_NS) -> Reply:
    replies = link.ask(wire.ASK, Encoding.TENSOR, body, tick, deadline_ns)
    assert replies is not None
    return replies[0]


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 300_000, 3_000_000])
def test_a_request_of_any_size_is_answered_twice_alike(stage: Stage, size: int) -> None:
    link = stage.link()
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert ask(link, body).body == body
    assert ask(link, body).body == body, "the second answer finds an arena that is large enough"


@pytest.mark.parametrize("kind", [wire.ASK, wire.ASK_BATCH])
def test_who_has_an_answer_finds_the_worker_idle(stage: Stage, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    seen = list[int]()
    post = Channel.post

    def watched(channel: Channel, head: bytes, body: bytes | memoryview, timeout_s: float = 30) -> None:
        if len(head) == wire.REPLY.size:
            seen.append(stage.board["running"])
        post(channel, head, body, timeout_s)

    monkeypatch.setattr(Channel, "post", watched)
    body = b"hello" if kind == wire.ASK else msgspec.msgpack.encode([(int(Encoding.TENSOR), b"hello")])
    assert stage.link().ask(kind, Encoding.TENSOR, body, 0, FAR_NS) is not None
    assert seen == [0], "whoever makes room now finds it no busier than at any other time"


def request_head(kind: int = wire.ASK, flags: int = 0, arena: int = 0, length: int = 0) -> bytes:
    return wire.REQUEST.pack(kind, int(Encoding.TENSOR), flags, 1, 0, 0, FAR_NS, arena, length)


FORGED: dict[str, tuple[bytes, bytes]] = {
    "no head": (b"short", b""),
    "a body behind the end of its memory": (request_head(flags=wire.IN_ARENA, arena=1 << 18, length=1 << 18), b""),
    "a place behind the end of its memory": (request_head(flags=wire.IN_ARENA | 255 << 8, arena=512, length=10), b""),
    "no batch": (request_head(kind=wire.ASK_BATCH, length=3), b"\xc1\xc1\xc1"),
    "a frame that is too long": (request_head(length=1 << 20), bytes(1 << 20)),
}


@linux
@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_who_sends_no_request_is_cut_off_and_the_others_are_answered(stage: Stage, forged: tuple[bytes, bytes]) -> None:
    good = stage.link()
    memory = os.memfd_create("mine")
    os.ftruncate(memory, 1 << 18)
    bad = stage.bare(memory)
    os.close(memory)
    with contextlib.suppress(ChannelClosed):
        bad.send(forged[0], forged[1])
    # Whatever is answered, the end comes.
    with contextlib.suppress(ChannelClosed):
        assert bad.receive(10) is not None
    with pytest.raises(ChannelClosed):
        bad.receive(10)
    assert ask(good, b"hello").body == b"hello"


@linux
def test_memory_that_is_smaller_than_was_said_is_a_refusal(stage: Stage) -> None:
    good, bad = stage.link(), stage.bare()
    bad.send(request_head(flags=wire.IN_ARENA, arena=1 << 30, length=10_000))
    frame = bad.receive(10)
    assert frame is not None
    assert wire.REPLY.unpack(frame.head)[2] == Refusal.NO_MEMORY
    assert ask(good, b"hello").body == b"hello"


@linux
def test_what_is_no_socket_connects_nobody(stage: Stage, tmp_path: Path) -> None:
    good = stage.link()
    with (tmp_path / "file").open("wb") as file:
        stage.host.send(wire.ATTACH, wire.encode(wire.Attach(99, "")), handing=[file.fileno()])
    assert ask(good, b"hello").body == b"hello"


def test_a_request_that_claims_to_be_as_old_as_the_machine_is_answered(stage: Stage) -> None:
    bad = stage.bare()
    bad.send(request_head(length=2), b"hi")
    assert bad.receive(10) is not None
    assert ask(stage.link(), b"hello").body == b"hello"


def test_a_request_whose_asker_is_gone_is_not_run(stage: Stage) -> None:
    first = stage.asked_beside(b"wait")
    assert stage.entered.wait(10)
    gone = stage.bare()
    gone.send(request_head(length=4), b"gone")
    with socket.socket(fileno=os.dup(gone.fileno())) as end:
        end.shutdown(socket.SHUT_WR)
    with pytest.raises(ChannelClosed):
        gone.receive(10)
    stage.gate.set()
    assert first.join().body == b"wait"
    assert ask(stage.link(), b"hello").body == b"hello"
    assert b"gone" not in stage.seen


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_a_request_that_takes_too_much_is_refused_and_the_worker_goes_on(
    stage: Stage, error: type[BaseException]
) -> None:
    stage.fails = error
    refused = ask(stage.link(), b"fail")
    batch = msgspec.msgpack.encode([(int(Encoding.TENSOR), b"fail"), (int(Encoding.TENSOR), b"fail")])
    whole = stage.link().ask(wire.ASK_BATCH, Encoding.MSGPACK, batch, 0, FAR_NS)
    assert whole is not None
    assert [one.code for one in (refused, *whole)] == [Refusal.NO_MEMORY] * 2
    assert ask(stage.link(), b"hello").body == b"hello"


def test_an_answer_says_what_it_took(stage: Stage) -> None:
    taken = ask(stage.link(), b"hello").inference
    assert taken is not None
    assert (taken.model, taken.provider, taken.profile, taken.rows, taken.memory) == ("net:1", "cpu", "exact-1", 1, MIB)


def test_a_batch_is_answered_row_by_row(stage: Stage) -> None:
    body = msgspec.msgpack.encode([(int(Encoding.TENSOR), b"one"), (int(Encoding.JSON), b"two")])
    replies = stage.link().ask(wire.ASK_BATCH, Encoding.MSGPACK, body, 0, FAR_NS)
    assert replies is not None
    assert [(one.encoding, one.body) for one in replies] == [(Encoding.TENSOR, b"one"), (Encoding.JSON, b"two")]


def test_a_request_of_any_encoding_is_answered_as_one(stage: Stage) -> None:
    for encoding in Encoding:
        replies = stage.link().ask(wire.ASK, encoding, b"x", 0, FAR_NS)
        assert replies is not None
        assert [(reply.code, reply.body) for reply in replies] == [(0, b"x")]


def test_who_is_too_late_is_told_so_in_the_words_of_who_waited_in_vain(stage: Stage) -> None:
    bare = stage.bare()
    bare.send(wire.REQUEST.pack(wire.ASK, Encoding.TENSOR, 0, 1, 0, 1, 1, 0, 1), b"x")
    frame = bare.receive(10)
    assert frame is not None
    assert bytes(frame.body).startswith(wire.LATE.encode())


def test_the_board_shows_what_was_asked(stage: Stage) -> None:
    link = stage.link()
    for tick in (5, 9, 7):
        ask(link, b"x", tick=tick)
    ask(link, b"y")
    seen = stage.board.shown()
    assert (seen["tick"], seen["queued"]) == (9, 0)
    assert seen["asked"] >= 3, "the last may still be being counted"


def test_many_connections_are_answered(stage: Stage) -> None:
    links = [stage.link() for _ in range(20)]
    for number, link in enumerate(links):
        assert ask(link, str(number).encode()).body == str(number).encode()


def test_what_is_more_than_may_wait_is_refused_while_a_run_goes_on(stage: Stage) -> None:
    held = stage.asked_beside(b"wait")
    assert stage.entered.wait(10)
    beside = [stage.asked_beside(b"x") for _ in range(5)]
    while stage.board["refused"] < 3:
        threading.Event().wait(0.001)
    stage.gate.set()
    held.join()
    replies = [one.join() for one in beside]
    full = [reply for reply in replies if reply.code]
    assert len(full) == 3
    assert {type(reply.error) for reply in full} == {ModelQueueFull}
    assert {reply.code for reply in full} == {Refusal.CONFLICT}
    assert {reply.body for reply in full} == {b"too many requests wait for the model"}


def test_a_request_that_waited_past_its_deadline_is_not_run(stage: Stage) -> None:
    held = stage.asked_beside(b"wait")
    assert stage.entered.wait(10)
    clock = SystemClock()
    link = stage.link()
    assert link.ask(wire.ASK, Encoding.TENSOR, b"late", 0, clock.elapsed_ns()) is None
    stage.gate.set()
    held.join()
    with pytest.raises((ChannelClosed, AssertionError)):
        ask(link, b"the answer to the first comes first")
    assert ask(stage.link(), b"x").code == 0


def test_who_leaves_during_a_run_harms_nobody(stage: Stage) -> None:
    link = stage.link()
    soon_ns = SystemClock().elapsed_ns() + 100_000_000
    assert link.ask(wire.ASK, Encoding.TENSOR, b"wait", 0, soon_ns) is None
    assert stage.entered.wait(10)
    link.close()
    stage.gate.set()
    assert ask(stage.link(), b"x").body == b"x"


def test_a_worker_that_is_told_to_go_answers_what_it_has(stage: Stage) -> None:
    held, waiting = stage.asked_beside(b"wait"), stage.link()
    assert stage.entered.wait(10)
    beside = Beside(waiting, b"x", FAR_NS)
    while not stage.board["queued"]:
        threading.Event().wait(0.001)
    stage.host.send(wire.RETIRE)
    stage.gate.set()
    assert held.join().body == b"wait"
    assert beside.join().body == b"x"
    with pytest.raises(ChannelClosed):
        stage.host.receive(10)
    with pytest.raises(ChannelClosed):
        ask(waiting, b"y")


def test_what_happens_to_a_session_is_told_once_with_its_new_fingerprint(stage: Stage) -> None:
    one, other = stage.link(), stage.link()
    assert ask(one, b"x").incidents == ()
    fallen = Incident(NoteKind.FALLBACK, "cuda failed")
    stage.session.incidents = (fallen,)
    stage.session.fingerprint = msgspec.structs.replace(stage.session.fingerprint, provider="reserve")
    first, second, beside = ask(one, b"x"), ask(one, b"x"), ask(other, b"x")
    assert (first.incidents, second.incidents, beside.incidents) == ((fallen,), (), ())
    assert [reply.fingerprint.provider for reply in (first, second, beside) if reply.fingerprint] == ["reserve"] * 3


def test_nonsense_on_a_connection_ends_that_connection_alone(stage: Stage) -> None:
    mine, theirs = make_pair()
    arena = make_arena()
    stage.host.send(wire.ATTACH, wire.encode(wire.Attach(9, "")), handing=[theirs.fileno(), arena.number])
    theirs.close()
    mine.send(b"no request")
    with pytest.raises(ChannelClosed):
        mine.receive(10)
    assert ask(stage.link(), b"x").body == b"x"


@pytest.mark.parametrize(
    ("fault", "told"),
    [(ModelInvalid("it is no model"), ModelInvalid), (ModuleNotFoundError("No module named 'numpy'"), ModelsMissing)],
)
def test_a_model_that_cannot_be_loaded_says_why(fault: Exception, told: type[ModelError]) -> None:
    mine, theirs = make_pair()
    arena = make_arena()
    arena.grow(4096)
    mine.send(wire.encode(wire.Load(MODEL, CONFIG, "", (), 1, 0)), handing=[arena.number])
    frame = theirs.receive(10)
    assert frame is not None

    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        raise fault

    load_and_answer(theirs, frame, make, confined=False)
    said = mine.receive(10)
    assert said is not None
    assert said.head == wire.FAILED
    assert isinstance(wire.decode_error(said.body), told)
