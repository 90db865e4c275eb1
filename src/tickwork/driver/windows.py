"""The contents of windows, which the kernel knows by length and digest alone.

Invariants:
    * A content that a turn was shown is never changed afterwards: ledgers hold on to it.
    * What a turn wrote counts when the kernel flips the window, not before.
    * Contents follow from the turns. Folding a journal with execution makes them again; a snapshot carries them.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ..codec import digest
from ..kernel import Flip
from ..kernel.models import read_place
from ..kernel.state import State
from ..records import INFER_PREFIX, AgentSpec, Effect, Encoding, Outcome, Refusal, Result, Turn, View

FRAME: Final = "frame"
PIECE_BYTES: Final = 1 << 20

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


class WindowPieces(msgspec.Struct, frozen=True, array_like=True):
    """A window's content in a snapshot.

    Attributes:
        frame: Whether it is a frame, or the whole of a ring or log.
        pieces: SHA-256 of each MiB of it.
    """

    window: int
    frame: bool
    pieces: tuple[bytes, ...]


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

    def read(self, window: int, offset: int, length: int) -> bytes:
        """Return a copy of a part of what a window holds; less where it holds less."""
        content = self._contents.get(window)
        if content is None:
            return b""
        return bytes(memoryview(content.whole or content.last)[offset : offset + length])

    def note(self, turns: Sequence[Turn], outcomes: Sequence[Outcome]) -> None:
        """Hold what turns wrote until it is known whether it counts."""
        for turn, outcome in zip(turns, outcomes, strict=True):
            for written in outcome.written:
                self._written[turn.agent, written.handle] = written.content

    def flip(self, flips: Sequence[Flip]) -> None:
        """Make what was written the content of windows, and drop what was refused. Order: commit."""
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

    def split(self) -> tuple[tuple[WindowPieces, ...], list[bytes]]:
        """Return what all windows hold, for a snapshot, and the bodies to keep. Order: window."""
        found: list[WindowPieces] = []
        bodies: list[bytes] = []
        for window, content in sorted(self._contents.items()):
            held = memoryview(content.whole or content.last)
            pieces = [bytes(held[at : at + PIECE_BYTES]) for at in range(0, len(held), PIECE_BYTES)]
            found.append(WindowPieces(window, not content.whole, tuple(map(digest, pieces))))
            bodies += pieces
        return tuple(found), bodies

    def restore(self, windows: Sequence[WindowPieces], read: Callable[[bytes], bytes]) -> None:
        """Put back what a snapshot holds.

        Args:
            read: Gives the bytes of a digest.
        """
        for known in windows:
            held = b"".join(map(read, known.pieces))
            content = self._contents[known.window] = _Content()
            if known.frame:
                content.last = held
            else:
                content.whole, content.at = bytearray(held), -1


def in_window(effect: Effect) -> bool:
    """Return whether an effect is a request to a model whose tensors lie in a window."""
    return effect.encoding == Encoding.IN_WINDOW and effect.skill.startswith(INFER_PREFIX)


def with_tensors(effects: Sequence[Effect], state: State, store: WindowStore) -> tuple[list[Effect], list[Result]]:
    """Return requests as they are handed out, with the tensors that lie in windows, and what has failed instead.

    A request that is handed out again, long after it was made, fails where its window has been written since.

    Args:
        state: After the tick with whose end the contents agree.
    """
    ready: list[Effect] = []
    lost: list[Result] = []
    if not state.windows:
        return list(effects), lost
    for effect in effects:
        if not in_window(effect):
            ready.append(effect)
            continue
        place = read_place(effect.body)
        window = state.windows[place.window]
        body = store.read(place.window, place.offset, place.length)
        if (window.digest or bytes(32)) == place.digest and len(body) == place.length:
            ready.append(msgspec.structs.replace(effect, encoding=Encoding.TENSOR, body=body))
        else:
            text = f'window "{window.spec.name}" has been written since the request was made'
            lost.append(Result(effect.number, Refusal.FAILED, Encoding.BYTES, text.encode()))
    return ready, lost
