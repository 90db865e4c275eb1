"""Which models stay in memory: a ledger of bytes per device, and the order in which room is made.

Invariants:
    * What a device holds, what is being loaded included, is never more than its budget.
    * Room is made before anything is loaded. What is busy or pinned stays.
    * Who goes first follows from the askers' logical time and the models' digests: equal traces give equal evictions.
"""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from ..errors import InternalError, ModelTooLarge
from .asking import Wanted

CPU: Final = "cpu"

_BOUNDLESS: Final = 1 << 62


class Occupied(Exception):
    """There would be room if models that are at work had ended it. Never shown to a person."""


class Resident(msgspec.Struct):
    """A model that is in memory, or on its way there.

    Attributes:
        cost: Units: bytes.
        tick: When it was last used, in the askers' logical time.
        pinned: Whether it stays until somebody unloads it.
    """

    device: str
    cost: int
    tick: int
    pinned: bool = False


class Residency:
    """The ledger of one host.

    Args:
        budgets: Bytes that models may take, by device. A device without one has no bound but its own, which only its
            driver knows.
    """

    def __init__(self, budgets: Mapping[str, int]) -> None:
        self._budgets = dict(budgets)
        self._residents: dict[Wanted, Resident] = {}

    def used(self, device: str) -> int:
        """Return what a device's models take. Units: bytes."""
        return sum(one.cost for one in self._residents.values() if one.device == device)

    def budget(self, device: str) -> int:
        """Return what they may take. Units: bytes."""
        return self._budgets.get(device, _BOUNDLESS)

    def resident(self, wanted: Wanted) -> Resident | None:
        """Return what the ledger says of a model, or None if it is not in memory."""
        return self._residents.get(wanted)

    def victims(self, device: str, cost: int, *, busy: Collection[Wanted] = ()) -> list[Wanted]:
        """Return who must go so that ``cost`` bytes fit. Order: that in which they go, least recently used first.

        Law: without the victims, used and cost are at most the budget; without the last of them, they are more.

        Raises:
            ModelTooLarge: TW6005, it is more than the budget, or than what pinned models leave of it.
            Occupied: It fits as soon as some that are busy are not.
        """
        budget = self.budget(device)
        if cost > budget:
            why = f"it takes {cost:,} bytes, and models may take {budget:,} on {device}"
            raise ModelTooLarge("a model is larger than the budget", why=why, fix="raise the budget of the host")
        pinned = sum(one.cost for one in self._residents.values() if one.device == device and one.pinned)
        if cost > budget - pinned:
            why = f"it takes {cost:,} bytes; pinned models take {pinned:,} of {budget:,} on {device}"
            raise ModelTooLarge(
                "pinned models leave no room", why=why, fix="unpin one, or raise the budget of the host"
            )
        return self._enough(device, self.used(device) + cost - budget, busy)

    def _enough(self, device: str, excess: int, busy: Collection[Wanted]) -> list[Wanted]:
        found = list[Wanted]()
        for wanted in self.idle(device, busy=busy):
            if excess <= 0:
                break
            found.append(wanted)
            excess -= self._residents[wanted].cost
        if excess > 0:
            raise Occupied
        return found

    def idle(self, device: str, *, busy: Collection[Wanted] = ()) -> list[Wanted]:
        """Return all that may go. Order: least recently used first, then by digest."""
        may = [
            wanted
            for wanted, one in self._residents.items()
            if one.device == device and not one.pinned and wanted not in busy
        ]
        return sorted(may, key=lambda wanted: (self._residents[wanted].tick, *msgspec.structs.astuple(wanted)))

    def add(self, wanted: Wanted, device: str, cost: int, tick: int) -> None:
        """Take a model in that fits."""
        if wanted in self._residents or self.used(device) + cost > self.budget(device):
            raise InternalError(f"{cost} bytes are taken in on {device} beyond the budget, or twice")
        self._residents[wanted] = Resident(device, cost, tick)

    def touch(self, wanted: Wanted, tick: int) -> None:
        """Note that a model was used; logical time never goes back."""
        found = self._residents.get(wanted)
        if found is not None:
            found.tick = max(found.tick, tick)

    def pin(self, wanted: Wanted, *, pinned: bool) -> None:
        """Keep a model in memory, or no longer."""
        found = self._residents.get(wanted)
        if found is not None:
            found.pinned = pinned

    def resize(self, wanted: Wanted, cost: int) -> int:
        """Note what a model has turned out to take; return by how much its device is beyond its budget now, or 0."""
        found = self._residents[wanted]
        found.cost = cost
        return max(0, self.used(found.device) - self.budget(found.device))

    def remove(self, wanted: Wanted) -> None:
        """Forget a model whose process has ended."""
        self._residents.pop(wanted, None)
