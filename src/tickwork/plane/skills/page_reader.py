"""Reads pages in a process of its own, which is ended where a page takes too long.

What strangers have written can make any parser of it work for hours, and a thread that does so cannot be stopped.
"""

import subprocess
import threading
from typing import IO, Final

import msgspec

from ...sandbox.child import start_child
from ...sandbox.wire import read_frame, write_frame
from ..errors import SkillFailed, SkillTimeout

PAGE: Final = 1
FAULT: Final = 2


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A page to be read.

    Attributes:
        text: As it came, or as a browser has made it.
        url: Where it was, from which the addresses in it count.
        markdown: Whether headings, lists and links are marked in the text.
        comments: Whether what readers have written below it is part of it.
    """

    text: str
    url: str
    markdown: bool = False
    comments: bool = False


class Page(msgspec.Struct, frozen=True, array_like=True):
    """What a page says.

    Attributes:
        date: Of its publication, as ``2026-01-31``; empty where it does not say.
        links: Addresses with their texts, whole. Order: as they stand in it.
    """

    title: str
    author: str
    date: str
    site: str
    language: str
    text: str
    links: tuple[tuple[str, str], ...]


class PageReader:
    """A process that reads one page after the other. It is started for the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def read(self, request: Request, within_ms: int) -> Page:
        """Return what a page says.

        Raises:
            SkillTimeout: TW7009, it takes too long. SkillFailed: TW7008, it is no page, or one that nobody reads.
        """
        if not self._lock.acquire(timeout=within_ms / 1000):
            raise _slow()
        try:
            frame = self._ask(msgspec.msgpack.encode(request), within_ms)
        finally:
            self._lock.release()
        if frame is None:
            raise _slow()
        kind, body = frame
        if kind == PAGE:
            return msgspec.msgpack.decode(body, type=Page)
        raise unreadable(request, body.decode(errors="replace"))

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._bury()

    def _ask(self, raw: bytes, within_ms: int) -> tuple[int, bytes] | None:
        """Return the answer of the process; None where it was ended."""
        child = self._child = self._child or start_child("plane.skills.pages")
        assert child.stdin is not None
        assert child.stdout is not None
        watch = threading.Timer(within_ms / 1000, child.kill)
        watch.daemon = True
        watch.start()
        try:
            write_frame(child.stdin, PAGE, raw)
            child.stdin.flush()
            frame = read_frame(child.stdout)
        except OSError:
            frame = None
        finally:
            watch.cancel()
        if frame is None:
            self._bury()
        return frame

    def _bury(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    _close(pipe)
            child.wait()


def unreadable(request: Request, why: str) -> SkillFailed:
    """Return the error of a page that cannot be read."""
    failed = SkillFailed(f"{request.url} cannot be read: {why[:300]}")
    failed.retryable = False
    return failed


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:
        # What was still to be written to it has nobody to read it.
        return


def _slow() -> SkillTimeout:
    return SkillTimeout("the page takes too long to read")
