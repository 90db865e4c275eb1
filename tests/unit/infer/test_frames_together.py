"""Frames that arrive in one piece are all read: nothing on the descriptor would say again that there is another."""

import os
import socket
import struct
import sys
import threading

import pytest

from tests.unit.infer.standins import Echo, wanted
from tickwork.infer import wire
from tickwork.infer.arena import make_arena
from tickwork.infer.channel import Channel, make_pair
from tickwork.infer.launch import start_fresh
from tickwork.infer.manifest import ModelConfig
from tickwork.infer.worker import load_and_answer

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks, and has memory without a name")


def glued(*heads: bytes, handed_by_last: int = 0) -> bytes:
    counts = [0] * (len(heads) - 1) + [handed_by_last]
    return b"".join(struct.pack("<IIQ", len(head), count, 0) + head for head, count in zip(heads, counts, strict=True))


@linux
@pytest.mark.slow
def test_a_warm_process_forks_although_another_frame_came_along() -> None:
    zygote = start_fresh("zygote")
    mine, theirs = make_pair()
    try:
        with socket.socket(fileno=os.dup(zygote.channel.fileno())) as end:
            socket.send_fds(end, [glued(b"kill 999999", b"fork worker", handed_by_last=1)], [theirs.fileno()])
        frame = zygote.channel.receive(20)
        assert frame is not None
        assert frame.head.startswith(b"forked ")
    finally:
        mine.close()
        theirs.close()
        zygote.kill()
        zygote.wait()
        zygote.channel.close()


@linux
def test_a_worker_goes_although_another_frame_came_along() -> None:
    model = wanted("net")
    host, theirs = make_pair()

    def run(channel: Channel) -> None:
        frame = channel.receive()
        assert frame is not None
        load_and_answer(channel, frame, lambda *_: Echo(model.model, lambda body: None), confined=False)

    thread = threading.Thread(target=run, args=(theirs,), daemon=True)
    thread.start()
    arena = make_arena()
    arena.grow(4096)
    load = wire.Load(model, ModelConfig(name="net", version="1"), "/nowhere", (), 2, 0)
    host.send(wire.encode(load), handing=[arena.number])
    frame = host.receive(10)
    assert frame is not None
    assert frame.head == wire.LOADED
    os.write(host.fileno(), glued(b"something", wire.RETIRE))
    thread.join(10)
    assert not thread.is_alive()
    host.close()
    arena.close()
