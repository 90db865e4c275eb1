"""Profiles as they are kept: versions, status, and whether runs may begin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.plane.stores import Hands, open_store
from tickwork.plane.errors import BudgetExceeded, ProfileInvalid, ProfileNotFound, SkillRefused
from tickwork.plane.profile import DEFAULT_TABLE, ProfileTable, with_changes
from tickwork.plane.profiles import ACTIVE, DISABLED, PAUSED, Profiles
from tickwork.plane.store.store import Store

ANALYST = with_changes(ProfileTable("analyst"), {"skills.allow": ("sql_query",)})


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
def profiles(store: Store, clock: Hands) -> Profiles:
    """Return the profiles of an empty store."""
    return Profiles(store, clock)


def test_the_default_profile_is_there_without_being_kept(profiles: Profiles) -> None:
    found = profiles.find("default")
    assert (found.table, found.version, found.status, found.kept) == (DEFAULT_TABLE, 1, ACTIVE, False)
    assert [one.name for one in profiles.list()] == ["default"]
    assert [one.version for one in profiles.versions("default")] == [1]


def test_a_changed_default_keeps_the_version_that_runs_have_pinned(profiles: Profiles) -> None:
    changed = with_changes(DEFAULT_TABLE, {"owner": "ann"})
    assert profiles.set(changed).version == 2
    assert profiles.find("default", 1).table == DEFAULT_TABLE
    assert profiles.find("default").table == changed
    assert [one.version for one in profiles.versions("default")] == [1, 2]


def test_adding_the_default_profile_is_changing_it(profiles: Profiles) -> None:
    assert profiles.add(with_changes(DEFAULT_TABLE, {"owner": "ann"})).version == 2


def test_what_somebody_said_of_the_default_profile_is_not_replaced_by_adding_it(profiles: Profiles) -> None:
    profiles.set(with_changes(DEFAULT_TABLE, {"owner": "ann"}))
    with pytest.raises(ProfileInvalid, match="already"):
        profiles.add(DEFAULT_TABLE)


def test_a_profile_is_added_once(profiles: Profiles) -> None:
    first = profiles.add(ANALYST, "ann")
    assert (first.version, first.by, profiles.add(ANALYST)) == (1, "ann", first)
    with pytest.raises(ProfileInvalid, match="already"):
        profiles.add(with_changes(ANALYST, {"owner": "bob"}))


def test_every_change_is_a_version_and_no_change_is_none(profiles: Profiles) -> None:
    profiles.add(ANALYST)
    changed = with_changes(ANALYST, {"owner": "bob"})
    assert profiles.set(changed).version == 2
    assert profiles.set(changed).version == 2
    assert profiles.set(ANALYST).version == 3
    assert [one.table.owner for one in profiles.versions("analyst")] == ["", "bob", ""]
    assert profiles.find("analyst", 2).table == changed


def test_pausing_is_no_version(profiles: Profiles) -> None:
    profiles.add(ANALYST)
    assert profiles.turn("analyst", PAUSED).status == PAUSED
    assert profiles.find("analyst").version == 1
    with pytest.raises(SkillRefused, match="paused"):
        profiles.admit("analyst")
    profiles.turn("analyst", ACTIVE)
    assert profiles.admit("analyst").table == ANALYST


def test_a_disabled_profile_is_left_out_of_lists(profiles: Profiles) -> None:
    profiles.turn("default", DISABLED)
    assert profiles.list() == []
    assert [one.name for one in profiles.list(disabled=True)] == ["default"]
    with pytest.raises(SkillRefused, match="disabled"):
        profiles.admit("default")


def test_what_is_absent_is_said(profiles: Profiles) -> None:
    profiles.add(ANALYST)
    with pytest.raises(ProfileNotFound, match="no profile ghost"):
        profiles.find("ghost")
    for name in ("", "\ud800", "Default", "default\n", "x" * 100):
        with pytest.raises(ProfileNotFound):
            profiles.find(name)
    with pytest.raises(ProfileNotFound, match="no version 9"):
        profiles.find("analyst", 9)
    with pytest.raises(ProfileNotFound):
        profiles.set(ProfileTable("ghost"))
    with pytest.raises(ProfileNotFound):
        profiles.turn("ghost", PAUSED)


def test_runs_may_begin_as_often_as_the_rate_says(profiles: Profiles, clock: Hands) -> None:
    profiles.add(with_changes(ANALYST, {"rate.runs": 6, "rate.per": "1m", "rate.burst": 3}))
    for _ in range(3):
        profiles.admit("analyst")
    with pytest.raises(BudgetExceeded, match="too many runs") as caught:
        profiles.admit("analyst")
    assert "in 10 s" in caught.value.fix
    clock.at_us += 10_000_000
    profiles.admit("analyst")
    with pytest.raises(BudgetExceeded):
        profiles.admit("analyst")
    clock.at_us += 3_600_000_000
    for _ in range(3):
        profiles.admit("analyst")
    with pytest.raises(BudgetExceeded):
        profiles.admit("analyst")


def test_a_run_that_is_not_written_is_not_counted(profiles: Profiles, store: Store) -> None:
    profiles.add(with_changes(ANALYST, {"rate.runs": 1, "rate.per": "1h"}))

    def begin() -> None:
        with store.begin() as connection:
            profiles.admit("analyst", connection)
            raise RuntimeError("the run cannot be written")

    with pytest.raises(RuntimeError):
        begin()
    profiles.admit("analyst")
    with pytest.raises(BudgetExceeded):
        profiles.admit("analyst")
