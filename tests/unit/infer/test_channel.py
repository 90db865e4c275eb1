"""Frames between processes: whole, in order, and with what is handed over."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.infer.channel import (
    HANDED_MOST,
    SPIN_NS,
    Channel,
    ChannelClosed,
    ChannelSlow,
    Listener,
    adopt,
    close_all,
    connect,
    make_pair,
)

posix = pytest.mark.skipif(os.name != "posix", reason="descriptors are POSIX's")


def exchange(head: bytes, *parts: bytes) -> tuple[bytes, bytes]:
    """Send a frame from a thread, since a long one does not fit into the sockets, and return what arrives."""
    one, other = make_pair()
    thread = threading.Thread(target=one.send, args=(head, *parts))
    thread.start()
    frame = other.receive(10)
    thread.join()
    one.close()
    other.close()
    assert frame is not None
    return frame.head, bytes(frame.body)


@given(st.binary(max_size=100), st.lists(st.binary(max_size=1000), max_size=5))
def test_a_frame_arrives_as_it_was_sent(head: bytes, parts: list[bytes]) -> None:
    assert exchange(head, *parts) == (head, b"".join(parts))


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 5_000_000])
def test_a_long_frame_arrives_as_it_was_sent(size: int) -> None:
    assert exchange(b"long", bytes(size), b"end") == (b"long", bytes(size) + b"end")


def test_frames_arrive_in_order_also_when_they_are_read_at_once() -> None:
    one, other = make_pair()
    for number in range(100):
        one.send(str(number).encode(), b"x" * number)
    found = [other.receive(0) for _ in range(100)]
    assert [(frame.head, len(frame.body)) for frame in found if frame] == [(str(n).encode(), n) for n in range(100)]
    assert other.receive(0) is None
    assert not other.ready()


def test_the_end_of_the_other_side_is_seen() -> None:
    one, other = make_pair()
    one.close()
    with pytest.raises(ChannelClosed):
        other.receive(10)
    with pytest.raises(ChannelClosed):
        other.send(b"to nobody")


def test_a_frame_that_breaks_off_is_the_end() -> None:
    one, other = make_pair()
    os.write(one.fileno(), b"\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0abc")
    one.close()
    with pytest.raises(ChannelClosed):
        other.receive(10)


def test_what_is_no_frame_is_the_end() -> None:
    one, other = make_pair()
    os.write(one.fileno(), b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    with pytest.raises(ChannelClosed):
        other.receive(10)


def test_nothing_comes_within_a_time_that_is_too_short() -> None:
    one, other = make_pair(spin_ns=SPIN_NS)
    assert one.receive(0) is None
    assert one.receive(0.001) is None
    assert other.receive(0.001) is None


def test_a_reader_that_does_not_read_is_given_up() -> None:
    one, other = make_pair()
    with pytest.raises(ChannelSlow):
        one.send(b"", bytes(50_000_000), timeout_s=0.01)
    del other


@posix
def test_descriptors_are_handed_over() -> None:
    one, other = make_pair()
    mine, theirs = make_pair()
    one.send(b"take this", handing=[theirs.fileno()])
    theirs.close()
    frame = other.receive(10)
    assert frame is not None
    [number] = frame.handed
    taken = adopt(number)
    mine.send(b"hello")
    found = taken.receive(10)
    assert found is not None
    assert found.head == b"hello"


@posix
def test_each_frame_gets_what_was_handed_over_with_it() -> None:
    one, other = make_pair()
    ends = [make_pair() for _ in range(6)]
    one.send(b"nothing")
    for mine, theirs in ends:
        one.send(b"one", handing=[mine.fileno(), theirs.fileno()])
    one.send(b"nothing")
    counts = []
    for _ in range(8):
        frame = other.receive(10)
        assert frame is not None
        counts.append(len(frame.handed))
        close_all(frame.handed)
    assert counts == [0, 2, 2, 2, 2, 2, 2, 0]


@posix
def test_more_than_may_be_handed_over_is_the_end() -> None:
    one, other = make_pair()
    one.send(b"", handing=[one.fileno()] * (HANDED_MOST + 1))
    with pytest.raises(ChannelClosed):
        other.receive(10)


def test_who_waits_sees_that_the_connection_was_hung_up() -> None:
    one, other = make_pair()
    seen = list[bool]()

    def wait() -> None:
        with pytest.raises(ChannelClosed):
            one.receive(10)
        seen.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    one.hang_up()
    thread.join(10)
    assert seen == [True]
    del other


def test_a_listener_is_found_by_its_path_and_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "here.sock"
    listener = Listener(path, "key")
    accepted = list[Channel]()
    thread = threading.Thread(target=lambda: accepted.append(listener.accept()))
    thread.start()
    caller = connect(path)
    thread.join(10)
    caller.send(b"hello")
    frame = accepted[0].receive(10)
    assert frame is not None
    assert frame.head == b"hello"
    listener.close()
    with pytest.raises(ChannelClosed):
        connect(path)


@posix
def test_a_socket_is_its_users_alone(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "here.sock", "key")
    assert (tmp_path / "here.sock").stat().st_mode & 0o777 == 0o600
    listener.close()
