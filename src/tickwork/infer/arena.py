"""Memory that an asker and a worker share, so that a large tensor is written once and never relayed.

Shape: two slots of half the size each, the asker's and the worker's; each begins at a multiple of 64 bytes, so that
what runs a model may compute on it in place. A connection has one request at a time, so one slot each is enough.

Invariants:
    * The asker alone makes it larger, and says in each request how large it is.
    * A slot is written before the frame that speaks of it is sent, and is the reader's until its next frame.
    * Nobody makes it smaller: who reads where memory has gone is ended by the system.
"""

import mmap
import os
import sys
import tempfile
from typing import Final

from ..clock import Clock, SystemClock

INLINE_BYTES: Final = 1 << 14
"""Bytes up to which a tensor travels in the frame itself, copied twice more, but in the calls that are made anyway."""

ALIGNMENT: Final = 64
FIRST_BYTES: Final = 1 << 18


class Arena:
    """One side's view of the shared memory.

    Args:
        number: Descriptor of the memory, which is closed with this; -1 where it is known by name.
        name: How Windows knows it; other systems pass the descriptor.
        size: Units: bytes.
    """

    def __init__(self, number: int, name: str, size: int) -> None:
        self.number = number
        self.name = name
        self._size = 0
        self._memory: mmap.mmap | None = None
        self._view = memoryview(b"")
        if size:
            self.follow(size)

    @property
    def size(self) -> int:
        """Bytes that are mapped now."""
        return self._size

    def follow(self, size: int) -> None:
        """Map it anew after the asker has made it larger."""
        if size == self._size:
            return
        self._unmap()
        if sys.platform == "win32":
            self._memory = mmap.mmap(-1, size, tagname=f"{self.name}-{size}")
        else:
            self._memory = mmap.mmap(self.number, size)
        self._view, self._size = memoryview(self._memory), size

    def grow(self, needed: int) -> None:
        """Make it large enough for so many bytes in each slot; the asker's to do, while no request is out."""
        size = max(self._size, FIRST_BYTES)
        while size // 2 < needed:
            size *= 2
        if size == self._size:
            return
        if self.number >= 0:
            os.ftruncate(self.number, size)
        self.follow(size)

    def request(self, length: int, at: int = 0) -> memoryview:
        """Return so many bytes of the asker's slot, from a place on."""
        assert at + length <= self._size // 2
        return self._view[at : at + length]

    def reply(self, length: int) -> memoryview:
        """Return the first bytes of the worker's slot."""
        half = self._size // 2
        assert length <= half
        return self._view[half : half + length]

    @property
    def room(self) -> int:
        """Bytes that a slot holds."""
        return self._size // 2

    def leave(self) -> None:
        """Map nothing of it until ``follow`` is called again."""
        self._unmap()

    def _unmap(self) -> None:
        memory, self._memory = self._memory, None
        self._view.release()
        self._view, self._size = memoryview(b""), 0
        if memory is not None:
            try:
                memory.close()
            except BufferError:
                # Somebody still holds a view; the memory goes with the last of them.
                return

    def close(self) -> None:
        """Let go of it."""
        self._unmap()
        if self.number >= 0:
            os.close(self.number)
            self.number = -1

    def __del__(self) -> None:
        self.close()


def make_arena(clock: Clock | None = None) -> Arena:
    """Return an empty arena that only who is given its descriptor or name can find."""
    if sys.platform == "win32":
        return Arena(-1, f"tickwork-{(clock or SystemClock()).unique()}", 0)
    create = getattr(os, "memfd_create", None)
    if create is not None:
        import fcntl

        number = create("tickwork", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(number, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return Arena(number, "", 0)
    with tempfile.TemporaryFile() as file:
        return Arena(os.dup(file.fileno()), "", 0)


class Board:
    """Counters that a worker keeps where its host can see them, without a message.

    Shape: u64 each, native order, as ``FIELDS``. One process writes; a reader sees each number whole.

    Args:
        arena: An arena of at least ``BOARD_BYTES``.
    """

    FIELDS: Final = (
        "running", "queued", "asked", "tick", "memory", "run_us", "queue_us", "refused", "rows", "nans", "heard",
    )  # fmt: skip

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._numbers = arena.request(8 * len(self.FIELDS)).cast("Q")

    def __getitem__(self, name: str) -> int:
        return self._numbers[self.FIELDS.index(name)]

    def shown(self) -> dict[str, int]:
        """Return all counters by name."""
        return dict(zip(self.FIELDS, self._numbers.tolist(), strict=True))

    @property
    def numbers(self) -> memoryview:
        """The counters, for who writes them. Order: as ``FIELDS``."""
        return self._numbers

    @property
    def busy(self) -> bool:
        """Whether a request runs or waits."""
        return bool(self._numbers[0] or self._numbers[1])

    def settle(self) -> None:
        """Keep the numbers as they are, and let go of the memory."""
        self._numbers = memoryview(bytes(self._numbers)).cast("Q")
        self._arena.close()

    def close(self) -> None:
        """Let go of the memory."""
        self._numbers.release()
        self._arena.close()
