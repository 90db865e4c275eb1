"""An asker's connection to one worker: the path of every request, so that little happens on it."""

import struct
from typing import Final

import msgspec

from ..clock import Clock
from ..records import Encoding
from . import wire
from .arena import ALIGNMENT, INLINE_BYTES, Arena
from .asking import Inference, Reply, Wanted
from .channel import Channel, ChannelClosed
from .fingerprint import Fingerprint, decode_fingerprint
from .manifest import ModelConfig

_HEAD: Final = struct.Struct("<HHIQ")
_rows: Final = msgspec.msgpack.Decoder(list[wire.Row])

LOOK_MOST_NS: Final = 4_000_000
"""An answer that is sooner expected is looked for without sleeping, by one thread of a process at a time."""


def data_start(body: bytes) -> int:
    """Return where the data of a body's first tensor begins; anything for what is no such body."""
    _, rank, name_bytes, _ = _HEAD.unpack_from(body)
    return int(_HEAD.size + 8 * rank + (name_bytes + 7 & -8))


class Link:
    """A connection. One thread at a time, one request at a time.

    Attributes:
        worker, number: What the host knows worker and connection by.
        refused: Digests of requests that the host wants not to be asked again.
        incidents: What happened before the first answer; taken by who answers.
    """

    __slots__ = (
        "_arena", "_asked", "_channel", "_clock", "_label", "_memory", "_profile", "_provider", "config",
        "fingerprint", "incidents", "number", "refused", "worker",
    )  # fmt: skip

    def __init__(self, wanted: Wanted, acquired: wire.Acquired, channel: Channel, arena: Arena, clock: Clock) -> None:
        self.worker = acquired.worker
        self.number = acquired.link
        self.config: ModelConfig = acquired.config
        self.refused = frozenset(acquired.refused)
        self.incidents = acquired.incidents
        self._know(acquired.fingerprint)
        self._channel = channel
        self._arena = arena
        self._clock = clock
        self._asked = 0
        self._memory = acquired.memory
        self._profile = wanted.profile
        self._label = f"{self.config.name}:{self.config.version}"

    def _know(self, fingerprint: bytes) -> None:
        self.fingerprint: Fingerprint = decode_fingerprint(fingerprint)
        self._provider = self.fingerprint.provider

    def ask(self, kind: int, encoding: int, body: bytes, tick: int, deadline_ns: int) -> list[Reply] | None:
        """Return what came of a request, one for each of a batch; None if nothing has come by the deadline.

        Args:
            deadline_ns: By the machine's monotonic clock.

        Raises:
            ChannelClosed: The worker has ended, or told the connection to.
        """
        arena, length = self._arena, len(body)
        self._asked = asked = self._asked + 1 & 0xFFFFFFFF
        flags = 0
        if length > INLINE_BYTES:
            # What runs the model computes on the first tensor where it lies, if that is at a multiple of 64.
            at = -data_start(body) & ALIGNMENT - 1 if kind == wire.ASK and encoding == Encoding.TENSOR else 0
            if arena.room < length + ALIGNMENT:
                arena.grow(length + ALIGNMENT)
            arena.request(length, at)[:] = body
            flags = wire.IN_ARENA | at << wire.PLACE_SHIFT
        sent = self._clock.elapsed_ns()
        head = wire.REQUEST.pack(kind, encoding, flags, asked, tick, sent, deadline_ns, arena.size, length)
        self._channel.post(head, b"" if flags else body)
        frame = self._channel.receive(max(0.0, (deadline_ns - sent) / 1e9))
        if frame is None:
            return None
        took = self._clock.elapsed_ns() - sent
        self._channel.expect(took + took // 2 if took < LOOK_MOST_NS else 0)
        return self._read(kind, frame.head, frame.body, asked, took)

    def _read(self, kind: int, head: bytes, body: memoryview, asked: int, total_ns: int) -> list[Reply]:
        """Return what a frame says. A worker may be in the hands of its model, so nothing in it is believed."""
        if len(head) != wire.REPLY.size:
            raise ChannelClosed
        try:
            return self._understand(kind, head, body, asked, total_ns)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ChannelClosed from error

    def _understand(self, kind: int, head: bytes, body: memoryview, asked: int, total_ns: int) -> list[Reply]:
        flags, encoding, code, number, nans, rows, queue_us, run_us, error_bytes, length = wire.REPLY.unpack(head)
        in_arena = flags & wire.IN_ARENA
        room = self._arena.room if in_arena else len(body)
        if number != asked or length > room or error_bytes > len(body) - (0 if in_arena else length):
            raise ChannelClosed
        if in_arena:
            found, rest = bytes(self._arena.reply(length)), body
        else:
            found, rest = bytes(body[:length]), body[length:]
            if length > INLINE_BYTES:
                # The next answer will be as long as this one was; then it need not travel in frames.
                self._arena.grow(length)
        error = wire.decode_error(rest[:error_bytes]) if error_bytes else None
        incidents, self.incidents = self.incidents, ()
        if flags & wire.WITH_EXTRA:
            extra = msgspec.msgpack.decode(rest[error_bytes:], type=wire.Extra)
            incidents += extra.incidents
            if extra.fingerprint:
                self._know(extra.fingerprint)
        taken = Inference(
            self._label, self._provider, self._profile, rows, queue_us, run_us, total_ns // 1000, self._memory, code
        )
        if kind == wire.ASK:
            return [Reply(code, encoding, found, error, self.fingerprint, taken, incidents, nans)]
        replies = list[Reply]()
        for row in _rows.decode(found):
            wrong = wire.decode_error(row.error) if row.error else None
            mine = taken
            if row.rows != rows or row.code != code:
                mine = msgspec.structs.replace(taken, rows=row.rows, code=row.code)
            replies.append(Reply(row.code, row.encoding, row.body, wrong, self.fingerprint, mine, incidents, row.nans))
            incidents = ()
        return replies

    def close(self) -> None:
        """End the connection."""
        self._channel.close()
        self._arena.close()
