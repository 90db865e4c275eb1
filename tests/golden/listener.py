"""A native agent of the corpus: counts what it hears, keeps a timer, and writes an artifact when it ends."""

import hashlib

import msgspec

from tickwork.native import Context, Outbox
from tickwork.records import FrameKind, Message


class Heard(msgspec.Struct, frozen=True):
    frames: int = 0
    digest: bytes = bytes(32)


class Listener:
    def init(self, config: bytes, context: Context) -> tuple[Heard, Outbox]:
        outbox = context.outbox()
        outbox.timer(7, tag=1)
        return Heard(), outbox

    def turn(self, state: Heard, inbox: tuple[Message, ...], context: Context) -> tuple[Heard, Outbox]:
        outbox = context.outbox()
        digest = state.digest
        for message in inbox:
            digest = hashlib.sha256(digest + bytes([message.kind]) + message.body).digest()
            if message.kind == FrameKind.TIMER_FIRED:
                outbox.timer(7, tag=1)
                outbox.publish("heard", digest, retain=True)
                if context.spec.skills:
                    outbox.call("artifact.write", request(f"{context.name}-{context.tick}", digest))
        return Heard(state.frames + len(inbox), digest), outbox

    def shutdown(self, state: Heard, context: Context) -> tuple[Heard, Outbox]:
        outbox = context.outbox()
        if context.spec.skills:
            outbox.call("artifact.write", request(f"{context.name}-last", state.digest))
        return state, outbox


def request(name: str, data: bytes) -> bytes:
    return msgspec.msgpack.encode({"name": f"{name}.bin", "mime": "application/octet-stream", "data": data})
