"""Images in pages: what changed since the last one, each page named by its digest.

A page is named by the SHA-256 of its bytes, so equal pages of all agents and all snapshots are one, and a page that
has not changed since the last image is neither hashed nor stored again.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ..errors import InternalError
from .image import Image

PAGE_BYTES: Final = 4096
MEMORY_STEP: Final = 1 << 16
"""What the size of a memory is a multiple of. Units: bytes."""

_ZERO: Final = bytes(PAGE_BYTES)
_ZERO_NAME: Final = b""
"""A page of zeros has no bytes worth storing, and no digest either."""


class PagedImage(msgspec.Struct, frozen=True, array_like=True):
    """An image whose memory is a list of pages.

    Attributes:
        globals: As in ``Image``.
        size: Length of the memory. Units: bytes, a multiple of 4,096.
        pages: SHA-256 of each page, empty for a page of zeros. Order: ascending address.
    """

    globals: bytes
    size: int
    pages: tuple[bytes, ...]


class _Known:
    """The last image of an agent: each page's bytes, to compare with, and its name."""

    __slots__ = ("bodies", "names")

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.names: list[bytes] = []


class PageBook:
    """Turns images into pages, and remembers each agent's last image to find what changed.

    Law: ``join_pages(book.split(agent, image)[0], read)`` is ``image``, where ``read`` gives every page ever returned.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def split(self, agent: int, image: Image) -> tuple[PagedImage, list[bytes]]:
        """Return the image as pages, and the pages that are new since this agent's last image. Order: address."""
        memory = image.memory
        known = self._known.get(agent)
        if known is None:
            known = self._known[agent] = _Known()
        bodies, names, fresh = known.bodies, known.names, list[bytes]()
        count = len(memory) // PAGE_BYTES
        del bodies[count:], names[count:]  # An agent that began again may have a smaller memory than before.
        names += [_ZERO_NAME] * (count - len(names))
        bodies += [_ZERO] * (count - len(bodies))
        at, same, digest = 0, memory.startswith, hashlib.sha256
        for index, body in enumerate(bodies):
            if not same(body, at):
                bodies[index] = page = memory[at : at + PAGE_BYTES]
                if page == _ZERO:
                    names[index] = _ZERO_NAME
                else:
                    names[index] = digest(page).digest()
                    fresh.append(page)
            at += PAGE_BYTES
        return PagedImage(image.globals, len(memory), tuple(names)), fresh

    def forget(self, agents: Sequence[int]) -> None:
        """Drop what is known of agents that will not run again."""
        for agent in agents:
            self._known.pop(agent, None)


def join_pages(paged: PagedImage, read: Callable[[bytes], bytes]) -> Image:
    """Return the image that was split.

    Args:
        read: Gives the bytes of a digest.

    Raises:
        InternalError: TW9001, the pages do not make up its memory.
    """
    if len(paged.pages) * PAGE_BYTES != paged.size:
        raise InternalError("an image is damaged", why=f"{len(paged.pages)} pages do not make {paged.size} bytes")
    memory = b"".join(read(name) if name else _ZERO for name in paged.pages)
    if len(memory) != paged.size:
        raise InternalError("an image is damaged", why="a page has another length")
    return Image(memory, paged.globals)
