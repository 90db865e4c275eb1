"""Windows in a module: where its regions lie, what is copied into them before a turn and out of them after it.

A module that uses windows exports ``tw_windows``, which points to one ``{u32 address, u32 capacity}`` for each window
of its manifest. The regions are the module's own memory and keep their place, so an image covers them.

Invariants:
    * What a turn wrote is copied before anything else of the instance runs; a lent buffer is never written again.
    * The digest stands in the outbox before the outbox leaves the pool: it is part of the record.
    * A turn makes the host copy and hash at most the capacities of the module's regions.
"""

import hashlib
import struct
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import msgspec

from ..codec import FRAME
from ..errors import ModuleAbiMismatch
from ..records import FrameKind, Outcome, View, Written
from .compiled import CONTEXT_BYTES, Descriptor
from .engine import PAGE

REGION: Final = struct.Struct("<II")
"""One entry of what ``tw_windows`` points to: address and capacity."""

WRITE: Final = struct.Struct("<QQ32s")
"""Body of a WINDOW_WRITE frame: offset and length in the region, SHA-256 of the bytes."""

DIGEST_OFFSET: Final = FRAME.size + 16
DIGEST_BYTES: Final = 32
WRITE_BYTES: Final = FRAME.size + WRITE.size

SPARE_BYTES: Final = 256 << 20
"""Most that is kept for the next writes: a reader's ledger gives many buffers back at once, when it takes an image."""

THREAD_BYTES: Final = 128 << 10
"""Less than this is hashed at once: handing it to a thread takes as long."""

_WINDOW_WRITE: Final = int(FrameKind.WINDOW_WRITE)

Region = tuple[int, int]


def read_regions(raw: bytes, descriptor: Descriptor, pages: int) -> tuple[Region, ...]:
    """Return the checked regions: address and capacity of each. Order: the handles'.

    Args:
        raw: What ``tw_windows`` points to.
        pages: The memory's initial size; every region lies inside it, so that no check is needed per turn.

    Raises:
        ModuleAbiMismatch: TW3003, a region lies outside the memory or on another buffer.
    """
    regions = tuple(REGION.iter_unpack(raw))
    taken = [
        (descriptor.inbox_at, descriptor.inbox_bytes, "the inbox"),
        (descriptor.outbox_at, descriptor.outbox_bytes, "the outbox"),
        (descriptor.context_at, CONTEXT_BYTES, "the context"),
    ]
    taken += [(at, size, f"the region of window {handle}") for handle, (at, size) in enumerate(regions)]
    last, before = 0, ""
    for at, size, name in sorted(taken):
        if at + size > pages * PAGE:
            raise _mismatch(f"{name} ends at byte {at + size}, the initial memory at {pages * PAGE}")
        if at < last:
            raise _mismatch(f"{name} overlaps {before}")
        last, before = at + size, name
    return regions


def _mismatch(why: str) -> ModuleAbiMismatch:
    return ModuleAbiMismatch(
        "a module's window regions do not fit", why=why, fix="build the agent with the SDK of this version"
    )


class _Buffers:
    """Lends memory that has been touched before: a fresh page costs more than the copy into it."""

    def __init__(self) -> None:
        self._spare: list[bytearray] = []
        self._bytes = 0

    def lend(self, size: int) -> memoryview:
        """Return so many bytes of anything; they come back by themselves when the view is gone."""
        place = next((at for at, spare in enumerate(self._spare) if size <= len(spare) <= 2 * size), -1)
        buffer = self._pick(place) if place >= 0 else bytearray()
        if len(buffer) < size:
            buffer = bytearray(size)
        view = memoryview(buffer)[:size]
        weakref.finalize(view, self._take_back, buffer).atexit = False
        return view

    def _pick(self, place: int) -> bytearray:
        """Return the spare buffer at a place, or whatever lies there by now: others come back at any moment."""
        try:
            buffer = self._spare.pop(place)
        except IndexError:
            return bytearray()
        self._bytes -= len(buffer)
        return buffer

    def _take_back(self, buffer: bytearray) -> None:
        self._spare.append(buffer)
        self._bytes += len(buffer)
        while self._bytes > SPARE_BYTES:
            self._bytes -= len(self._spare.pop(0))


_buffers: Final = _Buffers()


class Regions:
    """The regions of one instance.

    Args:
        memory: Of the instance; the views must be gone before it is closed.
    """

    __slots__ = ("_views",)

    def __init__(self, memory: memoryview, regions: Sequence[Region]) -> None:
        self._views = [memory[at : at + size] for at, size in regions]

    def show(self, views: Sequence[View]) -> None:
        """Copy what windows show into the regions of their readers."""
        for view in views:
            self._views[view.handle][view.offset : view.offset + view.length] = view.content

    def collect(self, outcome: Outcome) -> Outcome | str:
        """Return a good outcome with a copy of what was written, or what is wrong with a write.

        Only the first write to each window counts, as in the kernel. What the kernel refuses anyway is left as it is.
        """
        outbox, at = outcome.outbox, 0
        found: dict[int, Written] = {}
        while at < len(outbox):
            head: tuple[int, ...] = FRAME.unpack_from(outbox, at)
            size, kind, _, _, handle, _, _ = head
            if kind == _WINDOW_WRITE and size == WRITE_BYTES and handle < len(self._views) and handle not in found:
                offset, length, _ = WRITE.unpack_from(outbox, at + FRAME.size)
                view = self._views[handle]
                if offset + length > len(view):
                    return f"{length} bytes at {offset} lie outside the region of window {handle}, {len(view)} bytes"
                content = _buffers.lend(length)
                content[:] = view[offset : offset + length]
                found[handle] = Written(handle, at, content)
            at += (size + 7) & ~7
        return msgspec.structs.replace(outcome, written=tuple(found.values())) if found else outcome


def put_digests(outcome: Outcome, digests: Sequence[bytes]) -> Outcome:
    """Return the outcome with the digests of what it wrote in its outbox. Order: ``outcome.written``."""
    outbox = bytearray(outcome.outbox)
    for written, digest in zip(outcome.written, digests, strict=True):
        at = written.place + DIGEST_OFFSET
        outbox[at : at + DIGEST_BYTES] = digest
    return msgspec.structs.replace(outcome, outbox=bytes(outbox))


def hash_written(outcome: Outcome) -> Outcome:
    """Return the outcome with the digests of what it wrote in its outbox."""
    return put_digests(outcome, [_sha256(written.content) for written in outcome.written])


def _sha256(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).digest()


class Hashing:
    """Hashes what turns wrote on a thread of its own while further turns run. Nothing but the time depends on it."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._begun: list[tuple[int, list[Future[bytes]]]] = []

    def begin(self, place: int, outcome: Outcome) -> Outcome:
        """Return an outcome that wrote little, finished; begin to hash what a larger one wrote.

        Args:
            place: Where the outcome stands in its batch.
        """
        if sum(len(written.content) for written in outcome.written) < THREAD_BYTES:
            return hash_written(outcome)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="tickwork-digest")
        submit = self._thread.submit
        self._begun.append((place, [submit(_sha256, written.content) for written in outcome.written]))
        return outcome

    def finish(self, outcomes: list[Outcome]) -> None:
        """Put the digests that were begun into the outcomes of the batch."""
        begun, self._begun = self._begun, []
        for place, digests in begun:
            outcomes[place] = put_digests(outcomes[place], [digest.result() for digest in digests])

    def drop(self) -> None:
        """Forget a batch that has not happened."""
        self._begun = []

    def close(self) -> None:
        """Let the thread go."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
