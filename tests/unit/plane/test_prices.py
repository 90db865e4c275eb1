import pytest

from tickwork.clock import SteppedClock
from tickwork.plane.prices import Prices, Rates, Used

# 2026-01-02 03:04:05 UTC.
CLOCK_US = 1767323045_000_000


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices(SteppedClock(CLOCK_US, 0))


def test_the_version_names_the_table(prices: Prices) -> None:
    assert prices.version.startswith("genai-prices 0.")


def test_a_bound_takes_the_dearest_tier(prices: Prices) -> None:
    rates = prices.rates("anthropic", "", "claude-sonnet-4-5")
    assert rates == Rates(6_000_000, 22_500_000)


def test_a_provider_is_known_by_its_address(prices: Prices) -> None:
    assert prices.rates("", "https://api.openai.com/v1", "gpt-5") == Rates(1_250_000, 10_000_000)


def test_what_the_table_does_not_know_has_no_price(prices: Prices) -> None:
    assert prices.rates("openai", "", "no-such-model") is None
    assert prices.rates("", "http://127.0.0.1:8080/v1", "gpt-5") is None
    assert prices.cost("openai", "", "no-such-model", Used(1, 1)) is None


def test_a_cost_counts_the_cache_at_its_own_price_and_is_rounded_up(prices: Prices) -> None:
    assert prices.cost("anthropic", "", "claude-haiku-4-5", Used(1000, 10)) == 1050
    assert prices.cost("anthropic", "", "claude-haiku-4-5", Used(1000, 10, cached=900)) == 100 + 90 + 50
    assert prices.cost("anthropic", "", "claude-haiku-4-5", Used(1, 0, cached=1)) == 1


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-1"])
@pytest.mark.parametrize("tokens", [(1, 1), (1000, 10), (199_999, 5000), (300_000, 64_000)])
def test_no_cost_is_above_its_bound(prices: Prices, model: str, tokens: tuple[int, int]) -> None:
    rates, cost = prices.rates("anthropic", "", model), prices.cost("anthropic", "", model, Used(*tokens))
    assert rates is not None
    assert cost is not None
    assert 0 < cost <= rates.bound(*tokens)


def test_a_hint_says_the_same() -> None:
    hint = Rates(3_000_000, 15_000_000).hint(100, 1000)
    assert (hint.per_call_micros, hint.input_micros, hint.output_micros) == (3000, 3_000_000, 15_000_000)
    assert hint.max_output == 100
