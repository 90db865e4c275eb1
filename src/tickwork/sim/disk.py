"""The simulated disk: a journal that knows what it has promised and what a crash leaves of it.

Invariants:
    * What a flush returned for survives the end of the process; after a durable one it survives a loss of power.
    * A group is kept whole or not at all. Of those written and not yet durable, a loss of power keeps the first few.
    * After a write has failed every later write fails.
"""

from collections.abc import Iterator, Sequence

from ..errors import JournalWriteFailed
from ..journal.memory import MemoryJournal
from ..journal.store import Head, RunStatus, Signature
from ..records import Frame
from .faults import Fate, Fault


class Disk:
    """A journal in memory with faults.

    Args:
        frames: What a crash has left, each with the bodies that came with it.

    Attributes:
        written, durable: Frames that survive the end of the process, and a loss of power.
        promised, promised_durable: Frames the run was told will survive those. An honest disk promises what it keeps.
    """

    def __init__(
        self,
        header: bytes,
        environment: bytes,
        contents: Sequence[bytes],
        fate: Fate,
        frames: Sequence[tuple[Frame, tuple[bytes, ...]]] = (),
    ) -> None:
        self.fate = fate
        self._contents = tuple(contents)
        self._frames = list(frames)
        self._memory = MemoryJournal(header, environment, contents)
        for frame, bodies in frames:
            self._memory.append(frame, bodies)
        self.written = self.durable = self.promised = self.promised_durable = len(self._frames)
        self._groups: list[int] = []
        self._failed = False

    # -- what a crash leaves -----------------------------------------------------------------------------------------

    def after(self, fault: Fault) -> "Disk":
        """Return the disk that the next life of the run finds."""
        kept = self.written
        if fault.how == "power":
            groups = [self.durable, *self._groups]
            kept = groups[(len(groups) - 1) * fault.survives // 100]
        left = type(self)(*self._memory.header(), self._contents, self.fate, self._frames[:kept])
        if self._memory.status().closed:
            left._memory.close_run(self._memory.status().text)
        return left

    # -- writing -----------------------------------------------------------------------------------------------------

    def append(self, frame: Frame, content: Sequence[bytes] = ()) -> None:
        """Buffer a frame."""
        self._check()
        self._memory.append(frame, content)
        self._frames.append((frame, tuple(content)))

    def put_content(self, body: bytes) -> bytes:
        """Buffer a body."""
        self._check()
        return self._memory.put_content(body)

    def sign(self, signature: Signature) -> None:
        """Buffer a signature; the simulation loses it with the process, for nothing depends on it."""
        self._check()
        self._memory.sign(signature)

    def flush(self, durable: bool = False) -> None:
        """Write what is buffered, unless the disk fails or the process ends on the way."""
        self._check()
        try:
            self.fate.reach("flush")
        except JournalWriteFailed:
            self._failed = True
            raise
        self.write(durable)
        self.fate.reach("flushed")
        self.promised = len(self._frames)
        if durable:
            self.promised_durable = self.promised

    def write(self, durable: bool) -> None:
        """Make a group of what is buffered."""
        self.written = len(self._frames)
        self._groups.append(self.written)
        if durable:
            self.durable = self.written
            self._groups.clear()

    def close_run(self, status: str, signature: Signature | None = None) -> None:
        """Flush and close the run."""
        self.flush(durable=True)
        self.fate.reach("close")
        self._memory.close_run(status, signature)
        self.fate.reach("closed")

    def _check(self) -> None:
        if self._failed:
            raise JournalWriteFailed("an earlier write failed")

    # -- reading -----------------------------------------------------------------------------------------------------

    def header(self) -> tuple[bytes, bytes]:
        """Return record 0 and the environment."""
        return self._memory.header()

    def length(self) -> int:
        """Return the number of frames."""
        return self._memory.length()

    def head(self) -> Head:
        """Return the end of the chains."""
        return self._memory.head()

    def signatures(self) -> tuple[Signature, ...]:
        """Return the signed heads."""
        return self._memory.signatures()

    def status(self) -> RunStatus:
        """Return whether the run is open."""
        return self._memory.status()

    def frame(self, tick: int) -> Frame | None:
        """Return the frame of a tick."""
        return self._memory.frame(tick)

    def frames(self, first: int = 0, last: int | None = None) -> Iterator[Frame]:
        """Yield frames in the order of ticks."""
        return self._memory.frames(first, last)

    def content(self, digest: bytes) -> bytes:
        """Return a body by its digest."""
        return self._memory.content(digest)

    def close(self) -> None:
        """Let go of the disk."""
        self._memory.close()
