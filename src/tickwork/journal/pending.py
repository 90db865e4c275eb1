"""What was appended to a journal and is not yet in its file."""

from collections.abc import Iterator, Sequence

from ..codec import digest
from ..records import Frame
from .faults import out_of_turn
from .layout import ContentRow, FrameRow, SignatureRow
from .store import Head, Signature


class Pending:
    """The next group: frames, contents, signatures, each in the order in which they came.

    Args:
        last: The head that the first frame continues.
    """

    def __init__(self, last: Head) -> None:
        self._last = last
        self._frames: list[Frame] = []
        self._contents: dict[bytes, bytes] = {}
        self._signatures: list[Signature] = []

    def __bool__(self) -> bool:
        return bool(self._frames or self._contents or self._signatures)

    def append(self, frame: Frame, content: Sequence[bytes]) -> None:
        """Take the next tick's frame.

        Raises:
            InternalError: TW9001, it is another tick's.
        """
        expected = (self._frames[-1].tick if self._frames else self._last.tick) + 1
        if frame.tick != expected:
            raise out_of_turn(frame.tick, expected)
        for body in content:
            self._contents[digest(body)] = body
        self._frames.append(frame)

    def put(self, body: bytes) -> bytes:
        """Take a content; return its digest."""
        name = digest(body)
        self._contents[name] = body
        return name

    def sign(self, signature: Signature) -> None:
        """Take a signature."""
        self._signatures.append(signature)

    def before(self) -> int:
        """Return the last tick before this group."""
        return self._last.tick

    def head_before(self) -> Head:
        """Return the head that the first frame of this group continues."""
        return self._last

    def head(self) -> Head:
        """Return the head after the last frame, of this group or before it."""
        if not self._frames:
            return self._last
        last = self._frames[-1]
        return Head(last.tick, last.d, last.f)

    def frames(self, first: int, last: int | None) -> Iterator[Frame]:
        """Yield this group's frames of ticks ``first`` to ``last``, both included."""
        for frame in tuple(self._frames):
            if first <= frame.tick and (last is None or frame.tick <= last):
                yield frame

    def content(self, name: bytes) -> bytes | None:
        """Return this group's content of that digest."""
        return self._contents.get(name)

    def signatures(self) -> tuple[Signature, ...]:
        """Return this group's signatures."""
        return tuple(self._signatures)

    def written(self) -> None:
        """Begin the next group after this one."""
        self._last = self.head()
        self.drop()

    def drop(self) -> None:
        """Forget this group."""
        self._frames.clear()
        self._contents.clear()
        self._signatures.clear()

    def frame_rows(self) -> list[FrameRow]:
        """Return the rows of ``frames``."""
        return [FrameRow(one.tick, one.inputs, one.turns, one.derived, one.hints, one.d, one.f) for one in self._frames]

    def content_rows(self) -> list[ContentRow]:
        """Return the rows of ``content``."""
        return [ContentRow(name, body) for name, body in self._contents.items()]

    def signature_rows(self) -> list[SignatureRow]:
        """Return the rows of ``heads``."""
        return [
            SignatureRow(one.head.tick, one.head.d, one.head.f, one.key_id, one.public_key, one.signature)
            for one in self._signatures
        ]
