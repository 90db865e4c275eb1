"""Server-sent events: bytes in pieces of any size become what the server sent.

Law: what comes out does not depend on where the bytes were cut.

Source: the HTML standard, section 9.2.6, "Interpreting an event stream".
"""

from typing import Final

import msgspec

MAX_LINE_BYTES: Final = 1 << 20
"""A longer line is no answer of a language model: a whole one is shorter."""


class Sent(msgspec.Struct, frozen=True):
    """One thing that a server sent. ``name`` is empty where it named none."""

    name: str
    data: str


class StreamReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._waiting = 0
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self._begun = False

    def feed(self, chunk: bytes) -> list[Sent]:
        """Return what the next bytes complete. Order: as sent.

        Raises:
            ValueError: A line or a message is longer than any answer is.
        """
        self._parts.append(chunk)
        self._waiting += len(chunk)
        if self._waiting > MAX_LINE_BYTES + len(chunk):
            raise ValueError(f"a line of the stream is longer than {MAX_LINE_BYTES} bytes")
        # Bytes that end no line are left as they are: a server that sends one at a time costs no more than another.
        if b"\n" not in chunk and b"\r" not in chunk and not (len(self._parts) > 1 and self._parts[-2].endswith(b"\r")):
            return []
        whole = b"".join(self._parts)
        # A carriage return at the end may be the first half of a line's end.
        held = whole.endswith(b"\r")
        lines = (whole[:-1] if held else whole).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._parts = [lines.pop() + (b"\r" if held else b"")]
        self._waiting = len(self._parts[0])
        return [sent for line in lines if (sent := self._line(line)) is not None]

    def end(self) -> list[Sent]:
        """Return what the end of the stream completes: nothing, unless its last bytes were the end of a line.

        What no empty line has closed is thrown away, as the standard says.
        """
        rest, self._parts, self._waiting = b"".join(self._parts), [], 0
        sent = self._line(rest[:-1]) if rest.endswith(b"\r") else None
        return [sent] if sent is not None else []

    def _line(self, line: bytes) -> Sent | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._close()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._size += len(value)
            if self._size > MAX_LINE_BYTES:
                raise ValueError(f"a message of the stream is longer than {MAX_LINE_BYTES} bytes")
            self._data.append(value)
        return None

    def _close(self) -> Sent | None:
        sent = Sent(self._name, "\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return sent
