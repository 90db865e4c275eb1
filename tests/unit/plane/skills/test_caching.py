from collections.abc import Iterator
from pathlib import Path

import pytest

from tickwork.clock import SystemClock
from tickwork.plane.skills.caching import StoredOutputs
from tickwork.plane.skills.performing import Kept
from tickwork.plane.store.store import Store

SKILL, OTHER = b"s" * 32, b"o" * 32


class Hands(SystemClock):
    """A clock that is set by hand."""

    now = 1_000_000

    def now_us(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def kept(tmp_path: Path, clock: Hands) -> Iterator[StoredOutputs]:
    with Store.open(tmp_path / "state.db", clock) as store:
        yield StoredOutputs(store, clock)


def test_an_output_is_found_by_skill_and_key(kept: StoredOutputs) -> None:
    kept.keep(SKILL, "k", Kept(b'{"a":1}', ("outside:web",)), 1000)
    assert kept.look(SKILL, "k", 1000) == Kept(b'{"a":1}', ("outside:web",))
    assert kept.look(OTHER, "k", 1000) is None
    assert kept.look(SKILL, "x", 1000) is None


def test_an_output_replaces_an_earlier_one(kept: StoredOutputs) -> None:
    kept.keep(SKILL, "k", Kept(b"1"), 1000)
    kept.keep(SKILL, "k", Kept(b"2"), 1000)
    assert kept.look(SKILL, "k", 1000) == Kept(b"2")


def test_what_is_too_old_is_not_given(kept: StoredOutputs, clock: Hands) -> None:
    kept.keep(SKILL, "k", Kept(b"1"), 1000)
    clock.now += 600_000
    assert kept.look(SKILL, "k", 1000) is not None
    assert kept.look(SKILL, "k", 500) is None
    clock.now += 600_000
    assert kept.look(SKILL, "k", 10_000) is None


def test_tenants_share_nothing(tmp_path: Path, clock: Hands) -> None:
    with Store.open(tmp_path / "state.db", clock) as store:
        StoredOutputs(store, clock, "a").keep(SKILL, "k", Kept(b"1"), 1000)
        assert StoredOutputs(store, clock, "b").look(SKILL, "k", 1000) is None


def test_who_may_reach_something_else_finds_nothing(tmp_path: Path, clock: Hands) -> None:
    with Store.open(tmp_path / "state.db", clock) as store:
        StoredOutputs(store, clock, whose=b"a").keep(SKILL, "k", Kept(b"1"), 1000)
        assert StoredOutputs(store, clock, whose=b"a").look(SKILL, "k", 1000) == Kept(b"1")
        assert StoredOutputs(store, clock, whose=b"b").look(SKILL, "k", 1000) is None
