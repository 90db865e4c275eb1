"""What a journal offers, whatever it is kept in.

Invariants:
    * Ticks begin at 0 and have no gap: frame n is the frame of tick n.
    * Appending buffers; flushing writes all that was buffered, or none of it.
    * One's own reads see what was appended, flushed or not. Another process sees what was flushed.
"""

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from ..records import Frame

HEADER_TICK: Final = -1
"""The tick of record 0: a head of this tick covers the header and no frame."""


class Head(msgspec.Struct, frozen=True):
    """The end of the chains after a tick.

    Attributes:
        tick: The last tick covered; ``HEADER_TICK`` when there is no frame.
        d: Digest over header, inputs, turns and derived records. Shape: 32 bytes.
        f: Digest over ``d`` and the hints. Shape: 32 bytes.
    """

    tick: int
    d: bytes
    f: bytes


class Signature(msgspec.Struct, frozen=True):
    """Somebody's word for a head.

    Attributes:
        key_id: SHA-256 of ``public_key``. Shape: 32 bytes.
        public_key: Raw Ed25519 key. Shape: 32 bytes.
        signature: Raw Ed25519 signature. Shape: 64 bytes.
    """

    head: Head
    key_id: bytes
    public_key: bytes
    signature: bytes


class RunStatus(msgspec.Struct, frozen=True):
    """Whether a run can go on, and how it ended if not.

    Attributes:
        closed: No frame can follow.
        text: What the driver gave at the close; empty while the run is open.
    """

    closed: bool
    text: str = ""


class Records(Protocol):
    """What was written, by tick and by digest."""

    def frame(self, tick: int) -> Frame | None:
        """Return the frame of ``tick``, or None where the run has no such tick."""
        ...

    def frames(self, first: int = 0, last: int | None = None) -> Iterator[Frame]:
        """Yield the frames of ticks ``first`` to ``last``, both included. Order: tick."""
        ...

    def content(self, digest: bytes) -> bytes:
        """Return the bytes whose SHA-256 is ``digest``.

        Raises:
            JournalIncomplete: TW2008, they are not here.
        """
        ...


class Summary(Protocol):
    """What a run is and how far it came."""

    def header(self) -> tuple[bytes, bytes]:
        """Return the encoded header and the encoded environment."""
        ...

    def length(self) -> int:
        """Return the number of frames, which is the tick that comes next."""
        ...

    def head(self) -> Head:
        """Return the end of the chains."""
        ...

    def signatures(self) -> tuple[Signature, ...]:
        """Return the signed heads. Order: tick."""
        ...

    def status(self) -> RunStatus:
        """Return whether the run is open."""
        ...


class JournalReader(Records, Summary, Protocol):
    """A journal that can be read."""

    def close(self) -> None:
        """Let go of the file; buffered frames are dropped. A second call does nothing."""
        ...


class JournalWriter(Protocol):
    """A journal that can be written; exactly one process holds it."""

    def append(self, frame: Frame, content: tuple[bytes, ...] | list[bytes] = ()) -> None:
        """Buffer the next tick's frame and the bodies its records name by digest.

        Raises:
            InternalError: TW9001, the frame is not that of the next tick.
            JournalClosed: TW2007.
            JournalWriteFailed: TW2006, an earlier write failed.
        """
        ...

    def put_content(self, body: bytes) -> bytes:
        """Buffer ``body`` and return its SHA-256. The same body is kept once."""
        ...

    def sign(self, signature: Signature) -> None:
        """Buffer the signature of a head of this journal."""
        ...

    def flush(self, durable: bool = False) -> None:
        """Write what is buffered as one group.

        Args:
            durable: Return only once it, and all that was flushed before, survives a loss of power.
                Otherwise it survives the end of this process.

        Raises:
            JournalWriteFailed: TW2006. Nothing is tried again: every later write raises the same.
        """
        ...

    def close_run(self, status: str, signature: Signature | None = None) -> None:
        """Flush, note how the run ended, and seal. Reading goes on; every later write raises JournalClosed."""
        ...


class Journal(JournalReader, JournalWriter, Protocol):
    """A journal that is being written and can be read meanwhile."""
