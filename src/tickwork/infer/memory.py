"""What this process takes of the machine's memory."""

import os
from pathlib import Path


def own_memory() -> int:
    """Return what this process takes now, of pages it shares only its part where the system can tell. Units: bytes."""
    try:
        for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return _resident()


def _resident() -> int:
    """Return the most this process ever had in memory; 0 where the system does not say."""
    if os.name != "posix":
        return 0
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
