"""Journals small enough to damage byte by byte, and the file layer that fails on request."""

import random
from collections.abc import Iterator
from pathlib import Path

from tickwork.codec import TURN, encode_turn, link, start_chain
from tickwork.journal.signing import sign
from tickwork.journal.sqlite import SqliteJournal
from tickwork.journal.store import Journal
from tickwork.records import Frame, Outcome

HEADER = b"header of a sample"
ENVIRONMENT = b"environment of a sample"
MODULE = b"\0asm" + bytes(range(256)) * 3
KEY = bytes(range(32))
LARGE = 40_000
"""More than a record keeps in itself."""


def frames(count: int, *, seed: int = 0, turns: int = 3, hints: bytes = b"\x90") -> Iterator[Frame]:
    """Yield chained frames of made-up outboxes."""
    source = random.Random(seed)
    heads = start_chain(HEADER, ENVIRONMENT)
    for tick in range(count):
        parts: list[bytes] = []
        for agent in range(turns):
            encode_turn(agent, 1, Outcome(0, 0, 0, source.randbytes(40)), 0, parts)
        frame = link(heads, tick, b"\x90", b"".join(parts), b"\x90", hints)
        heads = (frame.d, frame.f)
        yield frame


def fill(journal: Journal, count: int, *, every: int = 1, durable: bool = False) -> None:
    """Append the sample's next ``count`` frames, flushed in groups."""
    start = journal.length()
    for frame in list(frames(start + count))[start:]:
        journal.append(frame)
        if (frame.tick + 1) % every == 0:
            journal.flush(durable=durable)


def open_run(path: Path, count: int = 5) -> None:
    """Leave a run at ``path`` that can go on."""
    with SqliteJournal.create(path, HEADER, ENVIRONMENT, [MODULE]) as journal:
        fill(journal, count)


def closed_run(path: Path, count: int = 5) -> None:
    """Leave a finished, signed run at ``path``."""
    with SqliteJournal.create(path, HEADER, ENVIRONMENT, [MODULE]) as journal:
        fill(journal, count)
        journal.close_run("finished", sign(KEY, journal.head()))


assert TURN.size == 24, "the samples' sizes count on it"
