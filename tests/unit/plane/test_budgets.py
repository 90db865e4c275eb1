"""The ledger: set aside before, settled after, never more than a limit."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit.plane.stores import DAY_US, Hands, open_store
from tickwork.plane.budgets import TENANT_SUBJECT, Entry, Ledger, Limit, Purse, limits_of
from tickwork.plane.calls import Usage
from tickwork.plane.errors import BudgetExceeded
from tickwork.plane.profile import ProfileTable, with_changes
from tickwork.plane.store.store import Store

USD = 1_000_000
WHOLE = Limit("profile:a", "total", USD)


@pytest.fixture
def clock() -> Hands:
    """Return a clock that the test moves."""
    return Hands()


@pytest.fixture
def store(tmp_path: Path, clock: Hands) -> Iterator[Store]:
    """Return an empty store."""
    with open_store(tmp_path, clock)[0] as opened:
        yield opened


@pytest.fixture
def ledger(store: Store, clock: Hands) -> Ledger:
    """Return the ledger of an empty store."""
    return Ledger(store, clock)


def _state(ledger: Ledger) -> list[tuple[str, int, int]]:
    return [(one.period, one.reserved_micros, one.spent_micros) for one in ledger.spent()]


def test_what_is_set_aside_counts_until_it_is_settled(ledger: Ledger) -> None:
    ledger.reserve("1", 600_000, [WHOLE], Entry("r", "s", "llm"))
    with pytest.raises(BudgetExceeded, match=r"0\.50 USD is more"):
        ledger.reserve("2", 500_000, [WHOLE], Entry("r"))
    assert _state(ledger) == [("", 600_000, 0)]
    ledger.settle("1", Usage(tokens_in=10, tokens_out=5, cost_micros=100_000))
    ledger.reserve("2", 500_000, [WHOLE], Entry("r"))
    found = ledger.spent("profile:a")[0]
    assert (found.reserved_micros, found.spent_micros, found.tokens, found.calls) == (500_000, 100_000, 15, 1)


def test_a_call_is_booked_once_however_often_it_is_told(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.reserve("1", 600_000, [WHOLE], Entry("r"))
    for _ in range(3):
        ledger.settle("1", Usage(cost_micros=50_000))
    ledger.reserve("1", 600_000, [WHOLE], Entry("r"))
    ledger.release("1")
    assert _state(ledger) == [("", 0, 50_000)]


def test_what_is_given_back_can_be_set_aside_again(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.reserve("1", USD, [WHOLE], Entry("r"))
        ledger.release("1")
        ledger.release("1")
    assert _state(ledger) == [("", 0, 0)]
    ledger.settle("1", Usage(cost_micros=5))
    assert _state(ledger) == [("", 0, 0)]


def test_a_refusal_books_nothing_under_any_limit(ledger: Ledger) -> None:
    limits = [Limit("profile:a", "day", 10 * USD), WHOLE]
    with pytest.raises(BudgetExceeded):
        ledger.reserve("1", 2 * USD, limits, Entry("r"))
    assert _state(ledger) == []


def test_days_and_months_begin_anew(ledger: Ledger, clock: Hands) -> None:
    limits = [Limit("profile:a", "day", USD), Limit("profile:a", "month", 2 * USD)]
    for key in ("1", "2"):
        ledger.reserve(key, USD, limits, Entry("r"))
        with pytest.raises(BudgetExceeded, match="more than the budget of profile a leaves"):
            ledger.reserve(f"{key}+", 1, limits, Entry("r"))
        clock.at_us += DAY_US
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve("3", USD, limits, Entry("r"))
    assert caught.value.where == "2026-09"
    clock.at_us += 31 * DAY_US
    ledger.reserve("3", USD, limits, Entry("r"))


def test_a_call_that_ends_on_another_day_is_settled_where_it_was_set_aside(ledger: Ledger, clock: Hands) -> None:
    limit = Limit("profile:a", "day", USD)
    ledger.reserve("1", USD, [limit], Entry("r"))
    begun = limit.period(clock.now_us())
    clock.at_us += DAY_US
    ledger.settle("1", Usage(cost_micros=7))
    assert _state(ledger) == [(begun, 0, 7)]


def test_what_has_cost_more_than_was_set_aside_is_booked_whole(ledger: Ledger) -> None:
    ledger.reserve("1", 100, [WHOLE], Entry("r"))
    ledger.settle("1", Usage(cost_micros=2 * USD))
    assert _state(ledger) == [("", 0, 2 * USD)]
    with pytest.raises(BudgetExceeded):
        ledger.reserve("2", 1, [WHOLE], Entry("r"))


def test_what_a_run_holds_when_it_ends_may_be_spent_and_is_booked(ledger: Ledger) -> None:
    ledger.reserve("1", 300_000, [WHOLE], Entry("r"))
    ledger.reserve("2", 300_000, [WHOLE], Entry("other"))
    ledger.close("r")
    ledger.close("r")
    assert _state(ledger) == [("", 300_000, 300_000)]


def test_a_metered_call_that_was_interrupted_is_booked_at_its_bound_and_again(ledger: Ledger) -> None:
    for _ in range(3):
        assert ledger.reserve("1", 100_000, [WHOLE], Entry("r"), metered=True) == b""
    assert _state(ledger) == [("", 100_000, 200_000)]
    ledger.settle("1", Usage(cost_micros=40_000))
    assert _state(ledger) == [("", 0, 240_000)]
    with pytest.raises(BudgetExceeded):
        ledger.reserve("1", 800_000, [WHOLE], Entry("r"), metered=True)
    assert _state(ledger) == [("", 0, 240_000)], "a refusal books nothing"


@pytest.mark.parametrize("metered", [True, False])
def test_the_answer_of_a_call_that_is_booked_is_found_until_its_run_has_ended(ledger: Ledger, metered: bool) -> None:
    ledger.reserve("1", 100_000, [WHOLE], Entry("r"), metered=metered)
    ledger.settle("1", Usage(cost_micros=40_000), b"first")
    ledger.settle("1", Usage(cost_micros=40_000), b"second")
    assert ledger.reserve("1", 100_000, [WHOLE], Entry("r"), metered=metered) == b"first"
    assert _state(ledger) == [("", 0, 40_000)]
    assert (ledger.knows("r"), ledger.knows("other")) == (True, False)
    ledger.close("other")
    assert ledger.reserve("1", 100_000, [WHOLE], Entry("r"), metered=metered) == b"first"
    ledger.close("r")
    assert ledger.reserve("1", 100_000, [WHOLE], Entry("r"), metered=False) == b""


def test_a_hundred_calls_at_once_never_pass_a_limit(store: Store, tmp_path: Path) -> None:
    other, clock = open_store(tmp_path)
    with other:
        books = [Ledger(store, clock), Ledger(other, clock)]

        def call(number: int) -> bool:
            try:
                books[number % 2].reserve(str(number), 30_000, [WHOLE], Entry("r"))
            except BudgetExceeded:
                return False
            books[number % 2].settle(str(number), Usage(cost_micros=30_000))
            return True

        with ThreadPoolExecutor(8) as threads:
            made = list(threads.map(call, range(100)))
    assert made.count(True) == 33
    assert _state(books[0]) == [("", 0, 990_000)]


def test_a_purse_holds_a_run_to_what_its_profile_and_the_tenant_may_spend(ledger: Ledger) -> None:
    table = with_changes(ProfileTable("a"), {"spending.day_usd": "1", "spending.total_usd": "5"})
    assert [(limit.window, limit.hard_micros) for limit in limits_of(table)] == [
        ("day", USD),
        ("month", -1),
        ("total", 5 * USD),
    ]
    purse = Purse(ledger, table, "r", [Limit(TENANT_SUBJECT, "total", 800_000)])
    purse.reserve("free", 0, "s", "json_transform")
    assert ledger.spent() == []
    with pytest.raises(BudgetExceeded, match="all profiles"):
        purse.reserve("1", 900_000, "s", "llm")
    purse.reserve("1", 700_000, "s", "llm")
    purse.settle("1", 700_000, Usage(cost_micros=10))
    purse.reserve("2", 700_000, "s", "llm")
    purse.release("2", 700_000)
    assert {(one.subject, one.period, one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {
        ("profile:a", "2026-09-21", 0, 10),
        ("profile:a", "2026-09", 0, 10),
        ("profile:a", "", 0, 10),
        ("tenant", "", 0, 10),
    }


def test_a_profile_without_limits_is_booked_all_the_same(ledger: Ledger) -> None:
    Purse(ledger, ProfileTable("a"), "r").reserve("1", 10 * USD, "s", "llm")
    assert {one.hard_micros for one in ledger.spent()} == {-1}
