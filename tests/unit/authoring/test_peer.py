"""authoring/peer.py: the other agents of a script say their lines when they are due, and nothing else."""

import json
from typing import Any

from tickwork.authoring.peer import Peer
from tickwork.codec import decode_frames
from tickwork.native import Context, Outbox
from tickwork.records import AgentSpec, Encoding, FrameKind, Message


def line(tick: int, **changes: Any) -> dict[str, Any]:
    return {"tick": tick, "to": "me", "topic": "", "retain": False, "kind": 0, "encoding": 0, "hex": "78"} | changes


def context(lines: list[dict[str, Any]], tick: int) -> Context:
    spec = AgentSpec(
        "peer",
        "native",
        "peer:Peer",
        bytes(32),
        config=json.dumps({"say": lines}).encode(),
        send=("me",),
        publish=("t",),
    )
    return Context(tick=tick, agent=1, seed=0, wall_us=0, spec=spec)


def said(outbox: Outbox) -> list[Message]:
    return list(decode_frames(outbox.encode()))


def test_lines_are_said_at_their_tick_in_their_order() -> None:
    lines = [line(2), line(2, topic="t", encoding=1), line(5, topic="t", retain=True), line(6, kind=0x8001)]
    state, spoken = 0, dict[int, list[int]]()
    for tick in range(1, 8):
        state, outbox = Peer().turn(state, (), context(lines, tick))
        if found := said(outbox):
            spoken[tick] = [message.kind for message in found]
    assert spoken == {
        2: [FrameKind.SEND, FrameKind.PUBLISH],
        5: [FrameKind.PUBLISH_RETAINED],
        6: [0x8001],
    }
    assert state == len(lines)


def test_bodies_and_encodings_are_the_script_s() -> None:
    _, outbox = Peer().turn(0, (), context([line(1, hex="00ff", encoding=int(Encoding.MSGPACK))], 1))
    (message,) = said(outbox)
    assert (message.body, message.encoding) == (b"\x00\xff", Encoding.MSGPACK)


def test_what_it_hears_and_the_end_leave_it_silent() -> None:
    heard = Message(FrameKind.MESSAGE, 0, 0, 0, 0, 0, b"anybody there?")
    state, outbox = Peer().turn(0, (heard,), context([], 3))
    assert said(outbox) == []
    assert said(Peer().shutdown(state, context([], 4))[1]) == []
