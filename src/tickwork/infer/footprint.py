"""What this process takes of the machine's memory."""

import ctypes
import importlib
import sys
from pathlib import Path
from typing import Any, Final

SYSTEM: Final[str] = sys.platform
ROLLUP: Final = Path("/proc/self/smaps_rollup")


def footprint() -> int:
    """Return what the process takes; 0 where the system does not say. Units: bytes.

    On Linux pages that processes share are divided among them, so that the sum over all of them is what is in use.
    """
    if SYSTEM == "win32":
        return _windows()
    if SYSTEM != "linux":
        return _peak()
    try:
        return read_rollup(ROLLUP.read_text())
    except OSError:
        return 0


def read_rollup(text: str) -> int:
    """Return the proportional size in the text of ``smaps_rollup``; 0 where there is none. Units: bytes."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


def _peak() -> int:
    """The most the process ever took, where no more is to be had."""
    # Windows has no such module.
    resource: Any = importlib.import_module("resource")
    size = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return size if SYSTEM == "darwin" else size << 10


class _Counters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS. Source: psapi.h."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("faults", ctypes.c_uint32),
        *((name, ctypes.c_size_t) for name in ("peak", "working", "a", "b", "c", "d", "file", "file_peak")),
    )


def _windows() -> int:
    """The working set."""
    counters = _Counters(ctypes.sizeof(_Counters))
    kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009  (Other systems have none, and say so.)
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
    kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), ctypes.sizeof(counters))
    return int(counters.working)
