"""Names of files that every system takes for a file of that name."""

from typing import Final

_DEVICES: Final = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$"}) | {
    f"{kind}{digit}" for kind in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"
}


def is_of_a_file(name: str) -> bool:
    """Return whether no system takes a name for a device, for a folder, or for another name.

    Source: Microsoft, Naming Files, Paths, and Namespaces.
    """
    stem = name.partition(".")[0].rstrip(" ").lower()
    return stem not in _DEVICES and not name.endswith((".", " "))
