"""An asker believes nothing of what a worker says: it may be in the hands of the model that it runs."""

import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.unit.infer.standins import wanted
from tickwork.clock import SystemClock
from tickwork.infer import wire
from tickwork.infer.arena import INLINE_BYTES, make_arena
from tickwork.infer.channel import Channel, ChannelClosed, make_pair
from tickwork.infer.fingerprint import Fingerprint
from tickwork.infer.link import Link
from tickwork.infer.manifest import ModelConfig
from tickwork.records import Encoding

MODEL = wanted("net")
FINGERPRINT = Fingerprint(MODEL.model, "exact-1", "echo 1", b"", "cpu", (), "here", "any", b"")
HUGE = (1 << 64) - 1

Say = Callable[[bytes, bytes], Link]


def reply(flags: int = 0, length: int = 0, errors: int = 0, encoding: int = Encoding.TENSOR, number: int = 1) -> bytes:
    return wire.REPLY.pack(flags, int(encoding), 0, number, 0, 1, 0, 0, errors, length)


@pytest.fixture
def say() -> Iterator[Say]:
    """Connect with a worker that says one thing, whatever it is asked."""
    theirs = list[Channel]()

    def connect(head: bytes, body: bytes) -> Link:
        mine, other = make_pair()
        theirs.append(other)
        acquired = wire.Acquired(1, 1, FINGERPRINT.encode(), ModelConfig(name="net", version="1"), (), (), 0)
        threading.Thread(target=answer, args=(other, head, body), daemon=True).start()
        return Link(MODEL, acquired, mine, make_arena(), SystemClock())

    yield connect
    for other in theirs:
        other.close()


def answer(other: Channel, head: bytes, body: bytes) -> None:
    assert other.receive(10) is not None
    other.send(head, body)


def ask(link: Link, body: bytes = b"x", kind: int = wire.ASK) -> object:
    try:
        return link.ask(kind, int(Encoding.TENSOR), body, 0, SystemClock().elapsed_ns() + 10_000_000_000)
    finally:
        link.close()


NONSENSE: dict[str, tuple[bytes, bytes]] = {
    "no head": (b"short", b""),
    "the answer to another request": (reply(number=2), b""),
    "a body longer than its frame": (reply(length=4), b"abc"),
    "a body longer than anything": (reply(length=HUGE), b"abc"),
    "a body behind the end of its memory": (reply(wire.IN_ARENA, length=1 << 30), b""),
    "a body in memory that is not there": (reply(wire.IN_ARENA, length=1), b""),
    "an error longer than its frame": (reply(errors=100), b"abc"),
    "an error that is none": (reply(wire.WITH_ERROR, errors=1), b"\xc1"),
    "news that are none": (reply(wire.WITH_EXTRA), b"\xc1"),
    "a fingerprint that is none": (reply(wire.WITH_EXTRA), msgspec.msgpack.encode((b"\xc1", ()))),
    "a batch that is none": (reply(encoding=Encoding.MSGPACK, length=1), b"\xc1"),
    "a row of a batch that is none": (reply(encoding=Encoding.MSGPACK, length=3), b"\x91\x91\xc0"),
    "nested beyond all measure": (reply(encoding=Encoding.MSGPACK, length=100_000), b"\x91" * 100_000),
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("size", [1, INLINE_BYTES + 1])
def test_what_is_no_answer_is_the_end_of_the_connection(say: Say, said: tuple[bytes, bytes], size: int) -> None:
    head, body = said
    if said[0] == reply(wire.IN_ARENA, length=1) and size > INLINE_BYTES:
        head = reply(wire.IN_ARENA, length=1 << 20)
    batch = head == reply(encoding=Encoding.MSGPACK, length=len(body))
    with pytest.raises(ChannelClosed):
        ask(say(head, body), bytes(size), wire.ASK_BATCH if batch else wire.ASK)


def test_what_is_an_answer_is_taken(say: Say) -> None:
    assert ask(say(reply(length=3), b"abc")) is not None
