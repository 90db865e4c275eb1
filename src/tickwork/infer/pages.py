"""Large pages for the memory that a loaded model lies in, where the system has them."""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SYSTEM: Final[str] = sys.platform
MAPS: Final = Path("/proc/self/smaps")

LARGE: Final = 1 << 21
"""Bytes of a large page. A system whose large pages are larger declines, and nothing is lost."""

SMALL: Final = 1 << 12
"""Bytes of a page. A system with larger ones has its large ones elsewhere, and is left alone."""

FULL: Final = 7 * (LARGE // SMALL) // 8
"""Pages of a large one that must be in memory already: the rest is taken beside them, and holds nothing."""

_COLLAPSE: Final = 25
"""MADV_COLLAPSE. Source: Linux uapi/asm-generic/mman-common.h. Since 6.1; others decline."""


def enlarge() -> int:
    """Put what this process alone has in memory onto large pages; return how much. Units: bytes.

    A run reads a model from end to end. On small pages that is a look-up for each of them, which takes two in a hundred
    of the time of a run, and afterwards whatever else the process does has to look up its own anew. What the memory
    holds is the same.
    """
    if SYSTEM != "linux":
        return 0
    library = ctypes.CDLL(None)
    try:
        text, resident, advise = MAPS.read_text(), library.mincore, library.madvise
    except (OSError, AttributeError):
        return 0
    done = 0
    seen = (ctypes.c_ubyte * (LARGE // SMALL))()
    for start, end in own_mappings(text):
        for place in range(-(-start // LARGE) * LARGE, end - LARGE + 1, LARGE):
            where: tuple[Any, Any] = ctypes.c_void_p(place), ctypes.c_size_t(LARGE)
            if resident(*where, seen) or sum(page & 1 for page in seen) < FULL:
                continue
            done += 0 if advise(*where, _COLLAPSE) else LARGE
    return done


def own_mappings(text: str) -> Iterator[tuple[int, int]]:
    """Yield from where to where memory is mapped that nothing else has, in the text of ``smaps``.

    What a process shares with the one that forked it is left alone: it would be copied.
    """
    place: tuple[int, int] | None = None
    for line in text.splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            start, _, end = words[0].partition("-")
            plain = words[1] == "rw-p" and words[4] == "0" and words[5:] in ([], ["[heap]"])
            place = (int(start, 16), int(end, 16)) if plain else None
        elif words[0] == "Shared_Dirty:" and place is not None and words[1] == "0":
            yield place
