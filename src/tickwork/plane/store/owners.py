"""Who works on runs: processes that hold a lock for as long as they live.

A claim has a time after which others may take the run over. Whether a process has died is known sooner: the operating
system let go of its lock.
"""

from contextlib import suppress
from pathlib import Path

from ...errors import JournalBusy
from ...journal.files import beside
from ...journal.sqlite import WriteLock


class Owner:
    """This process as one that works on the runs of a store. Make one, and ``close`` it at the end.

    Attributes:
        name: Unique among all processes.
    """

    def __init__(self, store: Path, name: str) -> None:
        self.name = name
        self._store = store
        _folder(store).mkdir(parents=True, exist_ok=True)
        self._lock: WriteLock | None = WriteLock(_folder(store) / name)

    def close(self) -> None:
        """Tell everybody that this process works on nothing more; a second call does nothing."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> "Owner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_alive(store: Path, name: str) -> bool:
    """Return whether the process that goes by this name still works on runs of the store."""
    path = _folder(store) / name
    if not beside(path, "-lock").exists():
        return False
    with suppress(JournalBusy):
        # Whoever gets the lock of another is the one that clears it away.
        WriteLock(path).release()
        return False
    return True


def _folder(store: Path) -> Path:
    return beside(store, "-owners")
