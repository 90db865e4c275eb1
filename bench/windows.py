"""Bytes through a window, beside the least that a copy and a digest take."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

import tickwork as tw
from tickwork import codec
from tickwork.driver.resolve import new_header
from tickwork.records import Limits, WindowSpec

from . import ours
from .measure import Effort, Line, Stand

MIB: Final = 1 << 20
WINDOW_MIB: Final = 16
THROUGH, LIMIT = "window", "copy and SHA-256"


def windows(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure a live tick in which one agent writes a window whole and another reads what it wrote before."""
    size = WINDOW_MIB if effort.full else 1
    with Stand(folder) as stand:
        options = tw.Options(cache=folder, snapshot_ticks=0)
        live = stand.hold(ours.Ticking(_flowing(size * MIB), folder / "window.twk", options))
        stand.case(THROUGH, live.tick, size)
        stand.case(LIMIT, _Limit(size * MIB).run, size)
        found = stand.measure(effort)
    note = f"{size} MiB a tick, one writer, one reader, inline; digest in the record"
    yield found.absolute("window", THROUGH, "MiB/s", ">= 954", note=note)
    yield found.compared("window-limit", THROUGH, LIMIT, "MiB/s", ">= 0.5", note="one copy, one stream, one thread")


def _flowing(size: int) -> tw.World:
    """Return a writer and a reader of one window of so many bytes."""
    wasm = ours.module("flow")
    agents = tuple(
        tw.AgentSpec(
            name, "wasm", "flow", codec.digest(wasm), config=ours.config_bytes(write=write, length=size),
            windows=("stream",), limits=Limits(memory_pages=300),
        )
        for name, write in (("writer", 1), ("reader", 0))
    )  # fmt: skip
    window = WindowSpec("stream", "frame", size, "writer", ("reader",))
    header = msgspec.structs.replace(new_header("bench", 0, agents), allow_unsigned=True, windows=(window,))
    return tw.make_world(header, modules=[wasm])


class _Limit:
    """What no host can do without: the bytes copied once between memory that has been touched before, and hashed.

    Args:
        size: Units: bytes.
    """

    def __init__(self, size: int) -> None:
        self._from, self._to = memoryview(bytearray(size)), memoryview(bytearray(size))

    def run(self, times: int) -> None:
        """Do it so many times."""
        for _ in range(times):
            self._to[:] = self._from
            hashlib.sha256(self._to).digest()
