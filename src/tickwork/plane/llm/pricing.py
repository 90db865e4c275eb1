"""What asking a model of the settings costs: at most before, and in fact after.

Law: what is charged for an answer whose tokens nobody counted is the bound that was set aside for it.
"""

from typing import Final

from ...clock import Clock
from ..calls import Usage
from ..money import parse_usd
from ..prices import ESTIMATED, OWN, Prices, Rates, Used
from .port import Bound, Outgoing, Tokens
from .settings import Chosen

OVERHEAD_TOKENS: Final = 1_000
"""What a provider puts around a prompt: its own words for functions and schemas."""


class Pricing:
    """Prices of the settings, and of the price table where the settings name none.

    Args:
        prices: The table; None for the one that is installed, which is read when it is first needed.
    """

    def __init__(self, clock: Clock, prices: Prices | None = None) -> None:
        self._clock = clock
        self._prices = prices

    def rates(self, chosen: Chosen) -> Rates | None:
        """Return what a model costs at most; None where neither the settings nor the table know."""
        own = self._own(chosen)
        provider = chosen.provider
        return own or self._table().rates(provider.prices, provider.address, chosen.model.model)

    def version(self, chosen: Chosen) -> str:
        """Return the version of the table that a model's price is from."""
        return OWN if self._own(chosen) is not None else self._table().version

    def bound(self, chosen: Chosen, outgoing: Outgoing, max_tokens: int) -> Bound:
        """Return what a request uses at most."""
        rates, read = self.rates(chosen), most_input(outgoing)
        return Bound(read + max_tokens, None if rates is None else rates.bound(read, max_tokens))

    def charged(self, chosen: Chosen, outgoing: Outgoing, max_tokens: int, tokens: Tokens) -> Usage:
        """Return what one request has used: as it was counted, or its bound where it was not."""
        version = self.version(chosen)
        if not tokens.counted:
            tokens, version = Tokens(most_input(outgoing), max_tokens), f"{version}, {ESTIMATED}"
        return Usage(
            tokens.input,
            tokens.output,
            tokens.cached,
            1,
            self._cost(chosen, tokens),
            chosen.model.model,
            version,
        )

    def _cost(self, chosen: Chosen, tokens: Tokens) -> int:
        rates = self.rates(chosen)
        if rates is None:
            return 0
        exact = None
        if tokens.counted and self._own(chosen) is None:
            used = Used(tokens.input, tokens.output, tokens.cached, tokens.written)
            exact = self._table().cost(chosen.provider.prices, chosen.provider.address, chosen.model.model, used)
        return rates.bound(tokens.input, tokens.output) if exact is None else exact

    def _own(self, chosen: Chosen) -> Rates | None:
        model = chosen.model
        if model.free:
            return Rates(0, 0)
        if model.input_usd and model.output_usd:
            return Rates(parse_usd(model.input_usd), parse_usd(model.output_usd))
        return None

    def _table(self) -> Prices:
        if self._prices is None:
            self._prices = Prices(self._clock)
        return self._prices


def most_input(outgoing: Outgoing) -> int:
    """Return how many tokens a request has at most: every token stands for a byte at least."""
    return len(outgoing.body) + OVERHEAD_TOKENS


def added(one: Usage, other: Usage) -> Usage:
    """Return what two requests have used together, under the names of the later one."""
    return Usage(
        one.tokens_in + other.tokens_in,
        one.tokens_out + other.tokens_out,
        one.tokens_cached + other.tokens_cached,
        one.requests + other.requests,
        one.cost_micros + other.cost_micros,
        other.model or one.model,
        other.prices or one.prices,
    )
