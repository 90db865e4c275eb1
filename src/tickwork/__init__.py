"""Tickwork: teams of sandboxed agents on one logical clock, journaled so that a run replays bit for bit."""

__version__ = "0.1.0"

if not __debug__:
    # Assertions guard what is written into a journal; without them a defect would be recorded as a fact.
    raise RuntimeError("tickwork does not run under `python -O`: its assertions are part of it; start Python without -O")
