"""The contents of windows, which the kernel knows by length and digest alone.

Invariants:
    * A content that a turn was shown is never changed afterwards: ledgers hold on to it.
    * What a turn wrote counts when the kernel flips the window, not before.
    * Contents follow from the turns. Folding a journal with execution makes them again; a snapshot carries them.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ..kernel import Flip
from ..records import AgentSpec, Outcome, Turn, View

FRAME: Final = "frame"

Bytes = bytes | memoryview


class _Content:
    """What a window holds.

    Attributes:
        whole: All of it, where writes go round or append; a frame has only ``last``.
        last: The last write, shown as it is where it is all that is new. ``at`` is where it begins.
    """

    __slots__ = ("at", "last", "whole")

    def __init__(self) -> None:
        self.at = 0
        self.last: Bytes = b""
        self.whole = bytearray()

    def part(self, offset: int, length: int) -> Bytes:
        """Return ``length`` bytes at ``offset``; nobody changes them any more."""
        if offset == self.at and length == len(self.last):
            return self.last
        return bytes(memoryview(self.whole)[offset : offset + length])


class WindowContent(msgspec.Struct, frozen=True, array_like=True):
    """A window's content in a snapshot."""

    window: int
    frame: bool
    content: bytes


class WindowStore:
    """Keeps the contents, gives them to readers and takes them from writers.

    Attributes:
        used: Whether any agent declares a window; without one there is nothing to do in a turn.
    """

    def __init__(self) -> None:
        self.used = False
        self._contents: dict[int, _Content] = {}
        self._written: dict[tuple[int, int], Bytes] = {}

    def expect(self, spec: AgentSpec) -> None:
        """Take note of an agent that may use windows."""
        self.used = self.used or bool(spec.windows)

    def attach(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        """Return the turns with the bytes that windows show."""
        if not any(turn.views for turn in turns):
            return turns
        return [
            msgspec.structs.replace(turn, views=tuple(map(self._filled, turn.views))) if turn.views else turn
            for turn in turns
        ]

    def _filled(self, view: View) -> View:
        content = self._contents[view.window].part(view.offset, view.length)
        return msgspec.structs.replace(view, content=content)

    def note(self, turns: Sequence[Turn], outcomes: Sequence[Outcome]) -> None:
        """Hold what turns wrote until it is known whether it counts."""
        self._written = {
            (turn.agent, written.handle): written.content
            for turn, outcome in zip(turns, outcomes, strict=True)
            for written in outcome.written
        }

    def flip(self, flips: Sequence[Flip]) -> None:
        """Make what was written the content of windows. Order: commit."""
        for flip in flips:
            content = self._contents.setdefault(flip.window, _Content())
            content.at, content.last = flip.offset, self._written.pop((flip.agent, flip.handle))
            if flip.kind == FRAME:
                content.whole = bytearray()
                continue
            if len(content.whole) != flip.capacity:
                content.whole = bytearray(flip.capacity)
            first = min(flip.length, flip.capacity - flip.offset)
            content.whole[flip.offset : flip.offset + first] = content.last[:first]
            content.whole[: flip.length - first] = content.last[first:]
            if first < flip.length:
                content.at = -1  # It went round: no part of the window is this write.
        self._written = {}

    def contents(self) -> tuple[WindowContent, ...]:
        """Return what all windows hold, for a snapshot. Order: window."""
        return tuple(
            WindowContent(window, not content.whole, bytes(content.whole or content.last))
            for window, content in sorted(self._contents.items())
        )

    def restore(self, contents: Sequence[WindowContent]) -> None:
        """Put back what a snapshot holds."""
        for known in contents:
            content = self._contents[known.window] = _Content()
            if known.frame:
                content.last = known.content
            else:
                content.whole, content.at = bytearray(known.content), -1
