"""Pools: where turns are computed, in this process or in workers.

Invariants:
    * A turn is atomic. After an outcome other than OK, and after ``rollback``, the agent is as it was before the
      turn.
    * Outcomes depend on the agent's state and the turn alone: never on the pool, the order of the turns or the number
      of workers.
    * A failure of this machine is an exception, never an outcome.
"""

from collections.abc import Sequence
from typing import Protocol

from ..records import Outcome, Turn
from .compiled import Program
from .image import Image
from .inline import InlinePool
from .processes import ProcessPool

__all__ = ["Carrying", "Computing", "Imaging", "InlinePool", "Placing", "Pool", "ProcessPool", "Program", "open_pool"]


class Computing(Protocol):
    """Runs turns."""

    def compute(self, turns: Sequence[Turn]) -> list[Outcome]:
        """Return the outcomes. Order: as given; at most one turn of each agent."""
        ...

    def rollback(self, agents: Sequence[int]) -> None:
        """Take back the last turn of these agents; nothing happens to one whose last turn failed."""
        ...

    def image(self, agent: int) -> bytes:
        """Return the agent's state, in canonical bytes: equal states give equal bytes in every pool."""
        ...


class Imaging(Protocol):
    """Takes agents' states out and puts them back."""

    def images(self, agents: Sequence[int]) -> list[Image]:
        """Return the states of these agents, none of which is before its first turn. Order: as given."""
        ...

    def restore(self, agent: int, image: Image) -> None:
        """Put an agent that has just been placed into the state of an image of its module.

        Law: it goes on to the same outcomes as the agent of whom the image was taken.
        """
        ...


class Carrying(Protocol):
    """Hands an agent's state to another version of its module."""

    def carry(self, turn: Turn, program: Program) -> tuple[Outcome, Image | None]:
        """Return what ``agent_save`` and ``agent_load`` came to, and the new version's image if both went well.

        Nothing happens to the agent. It has had its first turn.

        Args:
            turn: Its agent and tick are what both versions see, its fuel what saving may use.
            program: The other version. What loading may use is its limits' to say.

        Raises:
            ModuleRefused: TW3001, the new version's memory begins larger than its quota.
        """
        ...


class Placing(Protocol):
    """Holds agents."""

    def place(self, program: Program) -> None:
        """Take an agent in, before its first turn.

        Raises:
            ModuleRefused: TW3001, its memory begins larger than its quota.
        """
        ...

    def reset(self, agents: Sequence[int]) -> None:
        """Make these agents as before their first turn."""
        ...

    def retire(self, agents: Sequence[int]) -> None:
        """Let go of these agents."""
        ...


class Pool(Computing, Placing, Imaging, Carrying, Protocol):
    """Computes turns of the agents placed in it."""

    def close(self) -> None:
        """Free everything; the pool is not used again."""
        ...


def open_pool(workers: int = 0, *, opt_level: str = "speed") -> Pool:
    """Return a pool: in this process when ``workers`` is 0, else that many worker processes.

    Args:
        opt_level: What most agents are compiled with. That engine is probed now; code of another level loads as well.

    Raises:
        EngineUnsuitable: TW3101, agents cannot run here.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}, it must be 0 or more")
    if workers:
        return ProcessPool(workers)
    return InlinePool(opt_level)
