"""What a fork owes its own journal: its change, and results its parent has, each until the tick it enters.

A fork that is interrupted goes on from its journal alone, and its parent may be gone by then. So what was still to
enter when the fork was made is a body of the journal's content store, named in its environment. That is a hint, since
it decides nothing: what of it has entered is in the records.
"""

from collections.abc import Iterable, Sequence

import msgspec

from .. import codec
from ..errors import JournalDamaged, JournalIncomplete
from ..journal.store import JournalReader
from ..records import Effect, Environment, Input


class Owed(msgspec.Struct, frozen=True, array_like=True):
    """What is to enter after a fork.

    Attributes:
        at: The fork's first own tick; ``edits`` enter with it, all of them.
        results: Of effects that were asked for before, each with the tick it entered at in the parent.
    """

    at: int = -1
    edits: tuple[Input, ...] = ()
    results: tuple[tuple[int, Input], ...] = ()

    def pending(self, length: int) -> tuple[Input, ...]:
        """Return the edits that have not entered a journal of so many ticks."""
        return self.edits if length == self.at else ()

    def answers(self, effects: Iterable[Effect]) -> list[tuple[int, Input]]:
        """Return the results that open effects wait for. Order: tick."""
        waiting = {effect.number for effect in effects}
        return [(tick, item) for tick, item in self.results if item.number in waiting]


def keep_owed(at: int, edits: Sequence[Input], results: Sequence[tuple[int, Input]]) -> bytes:
    """Return the body that a fork's journal holds and its environment names."""
    return codec.encode(Owed(at, tuple(edits), tuple(results)))


def read_owed(environment: Environment, journal: JournalReader) -> Owed:
    """Return what a journal's environment names; nothing is owed where it names nothing.

    Raises:
        JournalIncomplete: TW2008, the body is absent, or the fork was never finished.
        JournalDamaged: TW2004, the body cannot be read.
    """
    if not environment.owed:
        return Owed()
    try:
        owed = msgspec.msgpack.decode(journal.content(environment.owed), type=Owed)
    except msgspec.DecodeError as error:
        raise JournalDamaged(
            "what the fork was to take in cannot be read", record=-1, offset=None, why=str(error)
        ) from error
    if journal.length() < owed.at:
        raise JournalIncomplete(
            "the fork was interrupted before it was one",
            why=f"it was to share {owed.at} ticks with its parent and has {journal.length()}",
            fix="delete the journal and fork again",
        )
    return owed
