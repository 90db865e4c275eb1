from pathlib import Path

import pytest

from tests.unit.plane.skills.calling import CLOCK
from tickwork.clock import SteppedClock
from tickwork.plane.egress import Egress
from tickwork.plane.errors import SkillRefused
from tickwork.plane.profile import GrantsTable
from tickwork.plane.secrets import Revealed, SecretBox
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.folders import Folders
from tickwork.plane.skills.granting import Databases, fill_named, fill_secrets, grant_parts, granted_secrets, part_of
from tickwork.plane.skills.performing import _NoArtifacts
from tickwork.plane.skills.registry import Registry
from tickwork.plane.skills.skill import CallContext

GRANTS = GrantsTable(("a.example",), True, ("docs",), ("out",), ("a.db",), ("b.db",), ("TOKEN",))
BOX = SecretBox({"TOKEN": "tok-0123", "OTHER": "oth-0123"})


def context(grants: GrantsTable = GRANTS) -> CallContext:
    parts = grant_parts(grants, project=Path("/project"), clock=CLOCK)
    return CallContext("r", "s", 1, "k", CLOCK, BOX, _NoArtifacts(), parts=parts)


def test_grants_become_what_skills_reach() -> None:
    asked = context()
    assert part_of(asked, "network", Egress).policy.hosts == ("a.example",)
    assert part_of(asked, "network", Egress).policy.loopback
    assert isinstance(part_of(asked, "files", Folders), Folders)
    assert part_of(asked, "databases", Databases) == Databases(("a.db", "b.db"), ("b.db",), Path("/project"))


def test_a_part_that_is_not_there_is_refused() -> None:
    with pytest.raises(SkillRefused, match="has no models"):
        part_of(context(), "models", Databases)


def test_plans_name_fewer_secrets_than_settings() -> None:
    asked = context()
    assert fill_named(asked, "x secret:TOKEN") == "x tok-0123"
    assert fill_secrets(asked, "secret:OTHER") == "oth-0123"
    with pytest.raises(SkillRefused, match="OTHER is not granted"):
        fill_named(asked, "secret:OTHER")
    with pytest.raises(SkillRefused, match="TOKEN is not granted"):
        fill_named(context(GrantsTable()), "secret:TOKEN")
    asked.secrets = shown = Revealed(BOX)
    assert fill_named(asked, "secret:TOKEN") == "tok-0123"
    assert shown.hide(b"tok-0123") == b"secret:TOKEN"


def test_a_context_says_what_is_left() -> None:
    asked = context()
    assert asked.left_ms(700) == 700
    asked.clock = SteppedClock(0, 1_000)
    asked.deadline_ns = 6_000_000
    assert asked.left_ms(700) == 5
    asked.deadline_ns = 1
    assert asked.left_ms(700) == 1


def test_calls_are_shown_what_grants_and_settings_name() -> None:
    tables = {"a": {"kind": "notify", "url": "secret:HOOK", "more": [{"x": "Bearer secret:KEY"}], "n": 1}}
    registry = Registry(Configuration(tables, {"far": {"env": {"T": "secret:FAR"}}}), {})
    grants = GrantsTable(databases=("secret:SHOP", "a.db"), secrets=("TOKEN",))
    assert granted_secrets(grants, registry) == {"HOOK", "KEY", "FAR", "SHOP", "TOKEN"}
    assert granted_secrets(GrantsTable(), Registry(Configuration(), {})) == frozenset()
