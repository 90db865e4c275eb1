"""Frames between processes: whole, in order, and with what is handed over."""

import os
import socket
import struct
import threading
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.infer.channel import (
    HANDED_MOST,
    PAUSE_S,
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


def exchange(head: bytes, *parts: bytes, plain: bool = False) -> tuple[bytes, bytes]:
    """Send a frame from a thread, since a long one does not fit into the sockets, and return what arrives."""
    one, other = make_pair()
    other.plain = other.plain or plain
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


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, 135_145, 135_146, 5_000_000])
def test_a_long_frame_arrives_as_it_was_sent(size: int, plain: bool) -> None:
    assert exchange(b"long", bytes(size), b"end", plain=plain) == (b"long", bytes(size) + b"end")


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6), st.lists(st.integers(1, 400), max_size=8))
def test_where_nothing_is_handed_over_frames_may_come_in_any_pieces(bodies: list[bytes], sizes: list[int]) -> None:
    one, other = socket.socketpair()
    channel = Channel(one)
    channel.plain = True
    stream = b"".join(struct.pack("<IIQ", 2, 0, len(body)) + b"ab" + body for body in bodies)
    cuts = [0, *(cut for cut in accumulate(sizes) if cut < len(stream)), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(cuts)]
    writer = threading.Thread(target=lambda: [other.send(piece) for piece in pieces])
    writer.start()
    for body in bodies:
        frame = channel.receive(10)
        assert frame is not None
        assert (frame.head, bytes(frame.body)) == (b"ab", body)
    writer.join()
    assert not channel.ready()
    other.close()
    with pytest.raises(ChannelClosed):
        channel.receive(10)
    channel.close()


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
def test_a_listener_takes_the_place_of_a_socket_that_was_left_and_of_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "here.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    Listener(path, "key").close()
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        Listener(path, "key")
    assert path.read_text() == "precious"


@posix
def test_a_caller_of_another_user_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "here.sock"
    listener = Listener(path, "key")
    strange = socket.socket(socket.AF_UNIX)
    strange.connect(str(path))
    with monkeypatch.context() as other:
        other.setattr(os, "geteuid", lambda: os.getuid() + 1)
        with pytest.raises(ChannelClosed):
            connect(path)
    listener.close()
    strange.close()


@posix
def test_a_listener_outlives_a_shortage_of_descriptors(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    listener = Listener(tmp_path / "here.sock", "key")
    caller = connect(tmp_path / "here.sock")
    accepted = list[Channel]()
    thread = threading.Thread(target=lambda: accepted.append(listener.accept()))
    taken = os.dup(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken, hard))
    try:
        thread.start()
        thread.join(2 * PAUSE_S)
        assert thread.is_alive(), "it waits for better times"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(taken)
    thread.join(10)
    assert len(accepted) == 1
    caller.close()
    listener.close()


@posix
def test_a_frame_that_does_not_go_on_is_the_end() -> None:
    one, other = socket.socketpair()
    channel = Channel(one, patience_s=0.01)
    other.sendall(b"\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0abc")
    with pytest.raises(ChannelClosed):
        channel.receive(10)
    other.close()


@pytest.mark.parametrize("head", [(1 << 25, 0, 0), (0, 0, 65), (0, 5, 0)])
def test_a_frame_beyond_its_bounds_is_the_end(head: tuple[int, int, int]) -> None:
    one, other = make_pair(most=64)
    os.write(other.fileno(), struct.pack("<IIQ", *head) + bytes(40_000))
    with pytest.raises(ChannelClosed):
        one.receive(10)


@posix
def test_what_is_handed_over_without_a_frame_that_says_so_is_the_end() -> None:
    one, other = socket.socketpair()
    channel = Channel(one, patience_s=10)
    for _ in range(10):
        socket.send_fds(other, [b"\0"], [0, 0, 0, 0])
    with pytest.raises(ChannelClosed):
        channel.receive(10)
    channel.close()
    other.close()


@posix
def test_nothing_is_written_by_a_channel_that_was_closed() -> None:
    one, other = make_pair()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    number = one.fileno()
    one.close()
    os.dup2(writer, number)
    with pytest.raises(ChannelClosed):
        one.send(b"for somebody else")
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    close_all([reader, writer, number])
    other.close()


@posix
def test_what_is_no_socket_is_not_adopted() -> None:
    reader, writer = os.pipe()
    for number in (reader, writer):
        with pytest.raises(OSError, match=r"not a socket|non-socket"):
            adopt(number)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


@posix
def test_a_socket_is_its_users_alone(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "here.sock", "key")
    assert (tmp_path / "here.sock").stat().st_mode & 0o777 == 0o600
    listener.close()
