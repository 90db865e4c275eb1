"""The librarian: reads a folder of Markdown, finds what answers a question, and cites path and line.

python examples/goals/librarian
python examples/goals/librarian "What happens when the answer of an unsafe call is lost?"
python examples/goals/librarian --library notes "Who has the key of the lab?"
"""

import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from examples.goals.trial import Desk, Example, main  # noqa: E402  # Found wherever the program is called.

GOAL = "What happens when the result of an unsafe call is lost in a crash?"
OWN = ("concepts", "guides")
"""Folders of Tickwork's own documentation."""


class Library(NamedTuple):
    """The documents: a folder that is named, else what Tickwork's checkout says of itself."""

    folder: str

    def prepare(self, desk: Desk) -> None:
        """Copy them to ``library``."""
        if self.folder:
            desk.copy(Path(self.folder), "library")
            return
        for name in OWN:
            desk.copy(HERE.parents[2] / "docs" / name, f"library/{name}")


def split(arguments: list[str]) -> tuple[str, list[str]]:
    """Return what ``--library`` says, and the other arguments."""
    if "--library" not in arguments[:-1]:
        return "", arguments
    place = arguments.index("--library")
    return arguments[place + 1], arguments[:place] + arguments[place + 2 :]


if __name__ == "__main__":
    library, rest = split(sys.argv[1:])
    sys.exit(main(Example(HERE, GOAL, Library(library).prepare, "answers"), rest))
