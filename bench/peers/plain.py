"""Limits that the standard library sets: hand-over through deques, and events packed and hashed."""

import hashlib
import struct
from collections import deque

_HEADER = struct.Struct("<IHHiIQ")


class DequeBus:
    """Messages handed from agent to agent inside Python: no order, no isolation, no journal."""

    def __init__(self, agents: int, message_bytes: int) -> None:
        self._boxes = [deque[bytes]() for _ in range(agents)]
        self._body = bytes(message_bytes)

    def run(self, messages: int) -> None:
        """Hand so many messages over."""
        boxes, body, count = self._boxes, self._body, len(self._boxes)
        for index in range(messages):
            boxes[index % count].append(body)
        for box in boxes:
            while box:
                box.popleft()


class PackedEvents:
    """The least a journal does: a header for each event, one hash for each tick."""

    def __init__(self, bodies: list[bytes]) -> None:
        self._bodies = bodies
        self._head = bytes(32)

    def run(self, ticks: int) -> None:
        """Encode and chain so many ticks."""
        for _ in range(ticks):
            parts = list[bytes]()
            for number, body in enumerate(self._bodies):
                parts.append(_HEADER.pack(number, 0, 256, 0, len(body), 0) + body)
            block = b"".join(parts)
            self._head = hashlib.sha256(self._head + block).digest()
