"""The seal of a closed journal: a digest of each page, behind the last page that SQLite knows.

A chain proves the records. It says nothing about the rest of a file: free space in a page, the schema's text, a page
that nothing uses. The seal covers every byte, and tells where a changed one lies.

Layout, little-endian, whole pages: the pages' digests in page order, zeros, and in the last 64 bytes the footer.
SQLite never reads past the page count in its header, so a sealed file is an ordinary database to every tool.
"""

import hashlib
import struct
from collections.abc import Callable
from typing import Final

import msgspec

PAGE: Final = 4096
"""Size of a page of the database and of the seal. Units: bytes."""

DIGEST_BYTES: Final = 16
"""SHA-256 cut to 128 bits: the seal finds damage, the signed chain withstands an adversary."""

MAGIC: Final = b"tickwork-seal-1\0"
FOOTER: Final = struct.Struct("<16sII Q32s")
"""Magic, page size, digest size, pages sealed, SHA-256 of all that precedes it in the seal."""

_PAGE_COUNT: Final = (28, 4)
"""Where SQLite's header has the number of pages, big-endian: offset and length."""

_CHUNK_PAGES: Final = 256

ReadAt = Callable[[int, int], bytes]
"""Return up to so many bytes (second) from an offset (first); fewer at the end of the file."""


class Damage(msgspec.Struct, frozen=True):
    """A place where a journal is not what was written.

    Attributes:
        what: One sentence.
        record: The tick whose record is damaged; -1 for the header; None where no record is known to be affected.
        offset: First damaged byte, exact to the 4 KiB page; None where it is not known. Units: bytes from the start.
    """

    what: str
    record: int | None = None
    offset: int | None = None


def seal_pages(pages: int) -> int:
    """Return how many pages the seal of so many pages takes."""
    return -(-(pages * DIGEST_BYTES + FOOTER.size) // PAGE)


def sealed_pages(total: int) -> int | None:
    """Return how many pages a file of ``total`` pages seals, None where no sealed file has that length.

    Law: ``sealed_pages(n + seal_pages(n)) == n``.
    """
    low, high = 0, total
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle + seal_pages(middle) <= total else (low, middle - 1)
    return low if low > 0 and low + seal_pages(low) == total else None


def page_digests(read: ReadAt, pages: int) -> bytes:
    """Return the digests of the first ``pages`` pages, one after the other."""
    found: list[bytes] = []
    for first in range(0, pages, _CHUNK_PAGES):
        count = min(_CHUNK_PAGES, pages - first)
        chunk = memoryview(read(first * PAGE, count * PAGE))
        assert len(chunk) == count * PAGE, "the pages asked for are in the file"
        found += [
            hashlib.sha256(chunk[start : start + PAGE]).digest()[:DIGEST_BYTES]
            for start in range(0, count * PAGE, PAGE)
        ]
    return b"".join(found)


def build_seal(digests: bytes) -> bytes:
    """Return the seal of the pages with these digests."""
    pages = len(digests) // DIGEST_BYTES
    room = seal_pages(pages) * PAGE - FOOTER.size
    body = digests.ljust(room, b"\0")
    opening = FOOTER.pack(MAGIC, PAGE, DIGEST_BYTES, pages, b"")[:-32]
    return body + opening + hashlib.sha256(body + opening).digest()


def has_footer(read: ReadAt, size: int) -> bool:
    """Return whether the file ends as a sealed one does."""
    return size >= FOOTER.size and read(size - FOOTER.size, len(MAGIC)) == MAGIC


def find_damage(read: ReadAt, size: int) -> Damage | None:
    """Compare a sealed file with its seal; return the first place that differs.

    Args:
        read: Reads the file.
        size: Length of the file. Units: bytes.
    """
    pages = sealed_pages(size // PAGE)
    if size % PAGE or pages is None:
        return Damage("the file is cut off or has grown: no sealed journal has this length", offset=size - size % PAGE)
    if not has_footer(read, size) and pages != int.from_bytes(read(*_PAGE_COUNT), "big"):
        return Damage("the file is cut off or has grown: it does not end with its seal", offset=size)
    digests = page_digests(read, pages)
    wanted, found = build_seal(digests), read(pages * PAGE, size - pages * PAGE)
    if wanted == found:
        return None
    if hashlib.sha256(found[:-32]).digest() != found[-32:]:
        place = next(index for index, pair in enumerate(zip(wanted, found, strict=True)) if pair[0] != pair[1])
        return Damage("the seal itself is damaged", offset=pages * PAGE + place)
    return _first_page(digests, found, pages)


def _first_page(digests: bytes, found: bytes, pages: int) -> Damage:
    wrong = [
        page
        for page in range(pages)
        if digests[page * DIGEST_BYTES : (page + 1) * DIGEST_BYTES]
        != found[page * DIGEST_BYTES : (page + 1) * DIGEST_BYTES]
    ]
    if not wrong:
        return Damage("the seal is not of this layout", offset=pages * PAGE)
    return Damage(f"{len(wrong)} of {pages} pages are not what was sealed", offset=wrong[0] * PAGE)
