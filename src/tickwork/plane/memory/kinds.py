"""What items of memory can be: facts, what happened, and what became of runs."""

from typing import Final, Literal

Kind = Literal["semantic", "episodic", "summary"]
KINDS: Final[tuple[Kind, ...]] = ("semantic", "episodic", "summary")
