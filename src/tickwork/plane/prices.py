"""What language models cost: the price table of the package genai-prices, in whole micro-dollars.

Invariants:
    * A price is never guessed: a model that the table does not know has none.
    * Amounts are rounded up, so that what is counted is never less than what is billed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from ..clock import Clock
from .compiled import CostHint
from .extras import missing_package
from .money import MICROS

PACKAGE: Final = "genai-prices"
ESTIMATED: Final = "estimated"
"""What stands for, or behind, the version of prices where nobody has counted what was used and a bound is charged."""

OWN: Final = "settings"
"""Version of prices that stand in ``providers.toml``."""

_HOURS: Final = 24
"""A bound holds for calls within a day: some prices depend on the hour, and some change at a date."""


@cache
def installed_version() -> str:
    """Return the version of the price table that is installed; empty where there is none."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return ""


class Rates(msgspec.Struct, frozen=True):
    """What a million tokens cost at most. Units: micro-dollars."""

    input_micros: int
    output_micros: int

    def bound(self, input_tokens: int, output_tokens: int) -> int:
        """Return what so many tokens cost at most. Units: micro-dollars."""
        return -(-(input_tokens * self.input_micros + output_tokens * self.output_micros) // MICROS)

    def hint(self, max_output: int, overhead_tokens: int) -> CostHint:
        """Return them as a skill states them."""
        return CostHint(self.bound(overhead_tokens, 0), self.input_micros, self.output_micros, max_output)


class Used(msgspec.Struct, frozen=True):
    """Tokens that were used; ``input`` counts those of the cache too."""

    input: int
    output: int
    cached: int = 0
    written: int = 0


class Prices:
    """The price table that is installed.

    Raises:
        GoalsMissing: TW7020, it is not installed.
    """

    def __init__(self, clock: Clock) -> None:
        try:
            # Its types are taken as they come: a price is one of two kinds, under a key that its own table defines.
            self._snapshot: Any = import_module("genai_prices.data_snapshot").get_snapshot()
            self._usage: Any = import_module("genai_prices").Usage
            self.version = installed_version()
        except ImportError as error:
            raise missing_package(error) from error
        self._clock = clock

    def rates(self, provider: str, address: str, model: str) -> Rates | None:
        """Return what a model costs at most; None where the table does not know it.

        Args:
            provider: As the table names it; empty for the provider of ``address``.
        """
        found = self._find(provider, address, model)
        if found is None:
            return None
        prices = [found[1].get_prices(moment) for moment in self._moments()]
        most = {key: max(_most(getattr(price, key)) for price in prices) for key in ("input_mtok", "output_mtok")}
        return Rates(_micros(most["input_mtok"]), _micros(most["output_mtok"]))

    def cost(self, provider: str, address: str, model: str, used: Used) -> int | None:
        """Return what tokens cost now; None where the table does not know the model. Units: micro-dollars."""
        found = self._find(provider, address, model)
        if found is None:
            return None
        counted = {"cache_read_tokens": used.cached, "cache_write_tokens": used.written}
        usage = self._usage(
            input_tokens=used.input,
            output_tokens=used.output,
            **{key: value for key, value in counted.items() if value},
        )
        price = found[1].calc_price(usage, found[0], genai_request_timestamp=self._now())
        return _micros(price.total_price)

    def _find(self, provider: str, address: str, model: str) -> tuple[Any, Any] | None:
        try:
            found: tuple[Any, Any] = self._snapshot.find_provider_model(
                model, None, provider or None, None if provider else address
            )
        except LookupError:
            return None
        return found

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_us() / 1_000_000, UTC)

    def _moments(self) -> Iterator[datetime]:
        now = self._now()
        return (now + timedelta(hours=hour) for hour in range(_HOURS + 1))


def _most(price: Any) -> Decimal:
    if price is None:
        return Decimal(0)
    if isinstance(price, Decimal):
        return price
    tiers: list[Decimal] = [price.base, *(tier.price for tier in price.tiers)]
    return max(tiers)


def _micros(dollars: Decimal) -> int:
    return int((dollars * MICROS).to_integral_value(ROUND_CEILING))
