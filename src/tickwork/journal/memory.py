"""A journal in memory: for runs that leave nothing behind, for tests, and as the simulated disk's platter.

It keeps the three states of a written byte apart, so that a crash can be simulated: appended (lost when the process
ends), flushed (lost when the power goes), durable (kept).
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ..codec import digest, start_chain
from ..records import Frame
from .faults import content_missing, out_of_turn, run_finished
from .store import HEADER_TICK, Head, RunStatus, Signature


class Extent(NamedTuple):
    """How many of each sort had been written at a moment."""

    frames: int
    contents: int
    signatures: int


class MemoryJournal:
    """A journal that keeps everything in lists.

    Law: ``after_crash`` gives a journal whose frames are a prefix of this one's, at least as long as a flush promised.
    """

    def __init__(self, header: bytes, environment: bytes, contents: Sequence[bytes] = ()) -> None:
        self._header = header
        self._environment = environment
        self._frames: list[Frame] = []
        self._contents = {digest(body): body for body in contents}
        self._signatures: list[Signature] = []
        self._status = RunStatus(closed=False)
        self._flushed = self._durable = self._extent()

    def header(self) -> tuple[bytes, bytes]:
        return self._header, self._environment

    def length(self) -> int:
        return len(self._frames)

    def head(self) -> Head:
        if not self._frames:
            return Head(HEADER_TICK, *start_chain(self._header, self._environment))
        last = self._frames[-1]
        return Head(last.tick, last.d, last.f)

    def signatures(self) -> tuple[Signature, ...]:
        return tuple(self._signatures)

    def status(self) -> RunStatus:
        return self._status

    def frame(self, tick: int) -> Frame | None:
        return self._frames[tick] if 0 <= tick < len(self._frames) else None

    def frames(self, first: int = 0, last: int | None = None) -> Iterator[Frame]:
        return islice(self._frames, max(0, first), None if last is None else max(0, last + 1))

    def content(self, digest: bytes) -> bytes:
        body = self._contents.get(digest)
        if body is None:
            raise content_missing(digest)
        return body

    def append(self, frame: Frame, content: Sequence[bytes] = ()) -> None:
        self._writable()
        if frame.tick != len(self._frames):
            raise out_of_turn(frame.tick, len(self._frames))
        for body in content:
            self._contents.setdefault(digest(body), body)
        self._frames.append(frame)

    def put_content(self, body: bytes) -> bytes:
        self._writable()
        name = digest(body)
        self._contents.setdefault(name, body)
        return name

    def sign(self, signature: Signature) -> None:
        self._writable()
        self._signatures.append(signature)

    def flush(self, durable: bool = False) -> None:
        self._writable()
        self._flushed = self._extent()
        if durable:
            self._durable = self._flushed

    def close_run(self, status: str, signature: Signature | None = None) -> None:
        if signature is not None:
            self.sign(signature)
        self.flush(durable=True)
        self._status = RunStatus(closed=True, text=status)

    def close(self) -> None:
        self._cut(self._flushed)

    def after_crash(self, *, power_lost: bool = False) -> "MemoryJournal":
        """Return the journal that a process finds which starts after this one died here."""
        survivor = MemoryJournal(self._header, self._environment)
        survivor._frames = list(self._frames)
        survivor._contents = dict(self._contents)
        survivor._signatures = list(self._signatures)
        survivor._status = self._status
        survivor._cut(self._durable if power_lost else self._flushed)
        return survivor

    def _extent(self) -> Extent:
        return Extent(len(self._frames), len(self._contents), len(self._signatures))

    def _cut(self, extent: Extent) -> None:
        del self._frames[extent.frames :]
        del self._signatures[extent.signatures :]
        self._contents = dict(islice(self._contents.items(), extent.contents))
        self._flushed = self._durable = extent

    def _writable(self) -> None:
        if self._status.closed:
            raise run_finished(self._status)
