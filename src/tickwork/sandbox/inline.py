"""The pool that runs agents in this process."""

import threading
from collections.abc import Sequence
from typing import Final

from ..errors import EngineUnsuitable, InternalError
from ..records import Outcome, Turn
from .carry import carry
from .compiled import Program
from .engine import discard_trap
from .image import Image, encode_image
from .instance import Loaded, check_memory, load
from .probes import ready_engine
from .slot import Slot
from .windows import Hashing

THREAD_STACK_BYTES: Final = 8 << 20
AGENTS_MOST: Final = 30_000
"""Instances that fit in a process: each takes two of its 65,530 memory mappings."""


class InlinePool:
    """Runs agents in this process, on the thread that made the pool.

    Raises:
        EngineUnsuitable: TW3101, the thread's stack may be too small for a guest.
    """

    def __init__(self, opt_level: str = "speed") -> None:
        if threading.current_thread() is not threading.main_thread() and threading.stack_size() < THREAD_STACK_BYTES:
            raise EngineUnsuitable(
                "agents cannot run on this thread",
                why="its stack may be smaller than what a guest may use, which would end the process",
                fix="call threading.stack_size(8 << 20) before the thread starts, or use the main thread",
            )
        ready_engine(opt_level)
        self._thread = threading.get_ident()
        self._slots: dict[int, Slot] = {}
        self._loaded: dict[bytes, Loaded] = {}
        self._hashing = Hashing()

    def place(self, program: Program) -> None:
        """Take an agent in, before its first turn."""
        if program.agent in self._slots:
            raise InternalError(f"agent {program.agent} is placed twice")
        if len(self._slots) >= AGENTS_MOST:
            raise EngineUnsuitable(
                f"more than {AGENTS_MOST:,} agents in one process",
                why="each takes two memory mappings and the system allows 65,530 (vm.max_map_count)",
                fix="use more workers",
            )
        self._slots[program.agent] = Slot(self._load(program), program.limits, program.source)

    def _load(self, program: Program) -> Loaded:
        loaded = self._loaded.get(program.compiled)
        if loaded is None:
            loaded = self._loaded[program.compiled] = load(program.compiled)
        check_memory(loaded.compiled, program.limits)
        return loaded

    def compute(self, turns: Sequence[Turn]) -> list[Outcome]:
        """Return the outcomes. Order: as given."""
        assert threading.get_ident() == self._thread, "the engine is used by one thread"
        slots, outcomes = self._slots, list[Outcome]()
        try:
            for turn in turns:
                outcome = slots[turn.agent].run(turn)
                outcomes.append(outcome)
                if outcome.written:
                    outcomes[-1] = self._hashing.begin(len(outcomes) - 1, outcome)
            self._hashing.finish(outcomes)
        except BaseException:
            self._hashing.drop()
            # The whole batch has not happened: what ran is taken back, and what was running is dirty.
            discard_trap()
            self.rollback([turn.agent for turn in turns[: len(outcomes)]])
            for turn in turns[len(outcomes) :][:1]:
                if turn.agent in slots:
                    slots[turn.agent].abandon(turn)
            raise
        return outcomes

    def rollback(self, agents: Sequence[int]) -> None:
        """Take back the last turn of these agents."""
        for agent in agents:
            self._slots[agent].undo()

    def image(self, agent: int) -> bytes:
        """Return the agent's state in canonical bytes."""
        return encode_image(self._slots[agent].image())

    def images(self, agents: Sequence[int]) -> list[Image]:
        """Return the states of these agents. Order: as given."""
        return [self._slots[agent].image() for agent in agents]

    def restore(self, agent: int, image: Image) -> None:
        """Put an agent that has just been placed into the state of an image."""
        self._slots[agent].ledger.restore(image, ())

    def carry(self, turn: Turn, program: Program) -> tuple[Outcome, Image | None]:
        """Return what handing an agent's state to another version came to, and that version's image."""
        slot = self._slots[turn.agent]
        try:
            return carry(slot, turn, self._load(program), program.limits, program.source)
        except BaseException:
            discard_trap()
            raise

    def reset(self, agents: Sequence[int]) -> None:
        """Make these agents as before their first turn."""
        for agent in agents:
            self._slots[agent].reset()

    def retire(self, agents: Sequence[int]) -> None:
        """Let go of these agents."""
        for agent in agents:
            self._slots.pop(agent).drop()

    def slot(self, agent: int) -> Slot:
        """Return an agent's slot; a worker keeps its parent's ledger in step with it."""
        return self._slots[agent]

    def close(self) -> None:
        """Free every instance."""
        self.retire(list(self._slots))
        self._loaded.clear()
        self._hashing.close()
