"""An agent's place in a pool: its instance, and what it takes to go back.

A turn costs no copy of the memory. Instead an image is kept from some turns ago, with the turns run since; going back
means a new instance, the image, and those turns again. Images are taken more rarely the larger the memory is.
"""

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from ..errors import InternalError
from ..records import Limits, Outcome, Status, Turn
from .engine import PAGE, Fault
from .image import Image
from .instance import Instance, Loaded, StartFault

CREDIT: Final = 256
"""What turns may cost, as ``Ledger.add`` counts it, between two images of an agent whose memory is one page.

An image of a page takes about 20 us, so that it adds a tenth of a microsecond to the shortest turns.
"""

CREDIT_MOST: Final = 16384
INBOX_SHIFT: Final = 10
"""Each KiB of inbox counts as one more turn, so that the kept turns stay within some times the image."""

FUEL_SHIFT: Final = 16
"""So does each 65,536 of fuel, about 20 us, so that going back takes milliseconds, and not a second for a page."""

SHOWN_TIMES: Final = 8
"""What windows have shown to an agent since its image is at most so many times its memory."""


_Image = TypeVar("_Image")


class Ledger(Generic[_Image]):
    """What is kept of an agent: an image and the turns since.

    Nothing here runs code, so the parent of a worker keeps one too, with the image in its encoded form.

    Attributes:
        image: State before the first of ``turns``; None is a fresh instance.
        turns: Successful turns since. Order: as run.
        undoable: Whether the last turn succeeded and has not been taken back.
        credit: What turns may still cost until an image is due; nothing at 0 or below.
        room: Bytes that windows may still show until an image is due: the turns hold on to them.
    """

    __slots__ = ("credit", "image", "room", "turns", "undoable")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: the agent is as before its first turn."""
        self.image: _Image | None = None
        self.turns = list[Turn]()
        self.undoable = False
        self.credit = CREDIT
        self.room = SHOWN_TIMES * PAGE

    def keep(self, image: _Image, memory_bytes: int) -> None:
        """Replace image and turns by a new image of a memory of that size."""
        self.image = image
        self.turns.clear()
        self.credit = min(CREDIT_MOST, max(CREDIT, CREDIT * memory_bytes // PAGE))
        self.room = SHOWN_TIMES * memory_bytes

    def restore(self, image: _Image | None, turns: Iterable[Turn], *, undoable: bool = False) -> None:
        """Take over what another process kept.

        Args:
            undoable: Whether the last turn may still be taken back: a worker may end between a turn and its undoing.
        """
        self.clear()
        self.image = image
        self.turns.extend(turns)
        self.undoable = undoable

    def add(self, turn: Turn, fuel: int) -> None:
        """Note a turn that succeeded.

        Args:
            fuel: What it used.
        """
        self.turns.append(turn)
        self.undoable = True
        self.credit -= 1 + (len(turn.inbox) >> INBOX_SHIFT) + (fuel >> FUEL_SHIFT)
        if turn.views:
            self.room -= sum(view.length for view in turn.views)
            if self.room <= 0:
                self.credit = 0

    def undo(self) -> bool:
        """Take the last turn back; return whether there was one."""
        if not self.undoable:
            return False
        self.turns.pop()
        self.undoable = False
        return True


class Slot:
    """One agent in a process that runs its code.

    Attributes:
        ledger: What to go back to.
    """

    __slots__ = ("_instance", "_limits", "_loaded", "_source", "ledger")

    def __init__(self, loaded: Loaded, limits: Limits, source: bytes = b"") -> None:
        self._loaded = loaded
        self._limits = limits
        self._source = source
        self._instance: Instance | None = None
        self.ledger = Ledger[Image]()

    def run(self, turn: Turn) -> Outcome:
        """Return what the turn came to; after anything but OK the agent is as it was before.

        What it wrote to windows has no digests yet: that is the pool's to do, which may let a thread do it.
        """
        ledger, instance = self.ledger, self._instance
        if instance is None:
            try:
                instance = self._revive()
            except StartFault as start:
                ledger.undoable = False
                return _start_outcome(turn, start.fault)
        if ledger.credit <= 0:
            image = instance.take_image()
            ledger.keep(image, len(image.memory))
        outcome = instance.run(turn)
        if not outcome.status:
            if instance.regions is not None:
                outcome = instance.collect(outcome)
            if not outcome.status:
                ledger.add(turn, outcome.fuel)
                return outcome
        ledger.undoable = False
        self.drop()
        return outcome

    def _revive(self) -> Instance:
        """Return an instance in the state that the ledger has."""
        instance = Instance(self._loaded, self._limits, self.ledger.image, self._source)
        for turn in self.ledger.turns:
            outcome = instance.run(turn)
            if outcome.status:
                instance.close()
                raise InternalError(
                    "an agent cannot be restored",
                    where=f"agent {turn.agent}, tick {turn.tick}",
                    why=f"a turn that succeeded came to {Status(outcome.status).name} when run again: {outcome.detail}",
                )
        self._instance = instance
        return instance

    def undo(self) -> None:
        """Take the last turn back, if it succeeded."""
        if self.ledger.undo():
            self.drop()

    def abandon(self, turn: Turn) -> None:
        """Go back before a turn that was interrupted, whether or not it had been noted."""
        if self.ledger.turns and self.ledger.turns[-1] is turn:
            self.ledger.turns.pop()
        self.ledger.undoable = False
        self.drop()

    def reset(self) -> None:
        """Make the agent as before its first turn."""
        self.ledger.clear()
        self.drop()

    def image(self) -> Image:
        """Return the present state.

        Raises:
            InternalError: The agent has none: its module fails before the first turn.
        """
        try:
            return (self._instance or self._revive()).take_image()
        except StartFault as start:
            raise InternalError("an agent without a first turn has no image", why=start.fault.detail) from start

    def save(self, turn: Turn) -> tuple[Outcome, bytes]:
        """Return what ``agent_save`` came to in a copy of the agent, and the state it wrote."""
        copy = Instance(self._loaded, self._limits, self.image())
        try:
            return copy.save(turn)
        finally:
            copy.close()

    def drop(self) -> None:
        """Free the instance; the ledger can make it again."""
        if self._instance is not None:
            self._instance.close()
            self._instance = None


def _start_outcome(turn: Turn, fault: Fault) -> Outcome:
    return Outcome(fault.status, fault.number, turn.fuel, b"", fault.detail)
