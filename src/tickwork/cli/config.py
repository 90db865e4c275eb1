"""Settings from outside the command line: the one reader of the environment.

| Variable | Meaning |
|---|---|
| TICKWORK_CACHE | folder of compiled modules instead of the user's cache folder |
| NO_COLOR | set to anything: no colours |
"""

import os
import sys
from pathlib import Path

from ..errors import UsageFault


def module_cache() -> Path:
    """Return the folder of compiled modules."""
    named = os.environ.get("TICKWORK_CACHE", "")
    if named:
        return Path(named) / "modules"
    import platformdirs  # Costs more than the rest of this file.

    return platformdirs.user_cache_path("tickwork", appauthor=False) / "modules"


def colours_wanted() -> bool:
    """Return whether colours may be used. Source: no-color.org."""
    return not os.environ.get("NO_COLOR")


def refuse_optimised_python() -> None:
    """Refuse to run without assertions, which guard what is written into a journal."""
    if sys.flags.optimize:
        raise UsageFault("tickwork does not run under `python -O`", fix="start Python without -O and PYTHONOPTIMIZE")
