"""Where the commands keep what they make: the folder ``.tickwork`` of the current one. Nothing else is loaded."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..errors import JournalWriteFailed

OWN: Final = Path(".tickwork")
RUNS: Final = OWN / "runs"
STATE: Final = OWN / "state.db"
"""The store of goals and plans of a folder."""


@contextmanager
def writing(folder: Path) -> Generator[None]:
    """Turn a refusal of the disk into an error that says what to do.

    Raises:
        JournalWriteFailed: TW2006.
    """
    try:
        yield
    except OSError as error:
        raise JournalWriteFailed(
            f"{folder} cannot be written",
            where=str(folder.absolute()),
            why=error.strerror or str(error),
            fix="work in a folder you may write to",
        ) from error
