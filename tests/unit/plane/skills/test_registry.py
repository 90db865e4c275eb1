import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
import pytest

from tickwork.kinds import EffectClass
from tickwork.plane.errors import PlaneError, SkillInvalid, SkillNotFound
from tickwork.plane.skills import registry as registry_module
from tickwork.plane.skills.configuration import Configuration, read_configuration
from tickwork.plane.skills.registry import Reference, Registry, parse_reference
from tickwork.plane.skills.shapes import ModelShape
from tickwork.plane.skills.skill import CallContext, Traits


class Own:
    """A skill as users write it."""

    shapes = (ModelShape(dict[str, pydantic.JsonValue]), ModelShape(pydantic.JsonValue))

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.closed = False
        self.traits = Traits("own", "2.1", "Ours.", EffectClass.PURE)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Own":
        return cls(config)

    def call(self, given: Any, context: CallContext) -> Any:
        return given

    def close(self) -> None:
        self.closed = True


def registry(tables: Mapping[str, Mapping[str, Any]] | None = None) -> Registry:
    return Registry(Configuration(tables or {}, project=Path("/project")), {"own": Own})


def test_shipped_skills_are_found_by_name_and_version() -> None:
    found = registry().find("json_transform@1")
    assert (found.pin.name, found.pin.version, found.reference) == ("json_transform", "1", "json_transform@1")
    assert found.pin.effect_class == EffectClass.PURE
    assert len(found.pin.digest) == 32
    known = registry()
    assert known.find("json_transform") is known.find("json_transform@1#pure")


def test_a_reference_has_parts() -> None:
    assert parse_reference("a.b@1.2#unsafe") == Reference("a.b", "1.2", "unsafe")
    assert parse_reference("a") == Reference("a")


@pytest.mark.parametrize(
    ("name", "told"),
    [("json_transfrm", "no skill called json_transfrm"), ("own@3", "not there in version 3"), ("x.y", "no skill")],
)
def test_a_skill_that_is_not_there_is_told_with_the_nearest(name: str, told: str) -> None:
    with pytest.raises(SkillNotFound, match=told) as error:
        registry().find(name)
    assert error.value.fix


def test_a_name_stands_for_a_kind_with_its_own_keys() -> None:
    found = registry({"mine": {"kind": "own", "depth": 3, "policy": {"approval": "true"}}}).find("mine")
    assert isinstance(found.skill, Own)
    assert found.skill.config == {"depth": 3, "name": "mine", "project": str(Path("/project").absolute())}
    assert (found.pin.name, found.pin.version, found.pin.approval) == ("mine", "2.1", "true")


def test_a_policy_holds_instead_of_what_the_author_said() -> None:
    policy = {
        "timeout": "1m", "cost_usd": "0.02", "effect_class": "unsafe",
        "retry": {"max": 5, "initial": "250ms", "factor": 1.5, "longest": "2s", "jitter": False, "never": ["TW7006"]},
    }  # fmt: skip
    pin = registry({"own": {"policy": policy}}).find("own").pin
    assert (pin.timeout_ms, pin.cost.per_call_micros, pin.effect_class) == (60_000, 20_000, EffectClass.UNSAFE)
    assert (pin.retry.max, pin.retry.initial_ms, pin.retry.factor_milli, pin.retry.longest_ms) == (5, 250, 1500, 2000)
    assert (pin.retry.jitter, pin.retry.never) == (False, ("TW7006",))


@pytest.mark.parametrize(
    ("table", "told", "where"),
    [
        ({"kind": "nothing"}, "no kind of skills called nothing", "skills.x.kind"),
        ({"kind": "json_transform", "deep": 1}, 'unknown key "deep"', "skills.x.deep"),
        ({"kind": "own", "policy": {"timeout": "soon"}}, "timeout", "skills.x.policy"),
        ({"kind": "own", "policy": {"approve": "true"}}, 'unknown key "approve"', "skills.x.policy"),
        ({"kind": "own", "policy": 5}, "", "skills.x.policy"),
    ],
)
def test_a_bad_table_is_told_with_its_place(table: dict[str, Any], told: str, where: str) -> None:
    with pytest.raises(SkillInvalid) as error:
        registry({"x": table}).find("x")
    assert told in error.value.what
    assert error.value.where.startswith(where)


def test_what_is_no_skill_is_refused() -> None:
    class Odd:
        def from_config(self, config: Mapping[str, Any]) -> Any:
            return 5

    with pytest.raises(SkillInvalid, match="no skill"):
        Registry(Configuration(), {"odd": Odd()}).find("odd")


def test_the_pin_follows_from_schemas_and_class() -> None:
    known = registry({"other": {"kind": "own"}, "unsafe": {"kind": "own", "policy": {"effect_class": "unsafe"}}})
    digests = {known.find(name).pin.digest for name in ("own", "other", "unsafe", "json_transform")}
    assert len(digests) == 4
    assert registry().find("own").pin == registry().find("own").pin


def test_names_are_sorted_and_usable_ones_can_be_made() -> None:
    known = registry({"zz": {"kind": "own"}, "bad": {"kind": "own", "policy": 1}})
    assert known.names() == sorted(known.names())
    assert {"zz", "own", "bad", "json_transform", "notify"} <= set(known.names())
    able = [found.pin.name for found in known.usable()]
    assert {"zz", "own", "json_transform"} <= set(able)
    assert not {"bad", "notify"} & set(able)


def test_closing_lets_skills_go() -> None:
    with registry() as known:
        skill = known.find("own").skill
    assert isinstance(skill, Own)
    assert skill.closed


class Place:
    """A server of skills."""

    made = 0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Place":
        cls.made += 1
        return cls()

    def names(self) -> list[str]:
        return ["echo"]

    def find(self, name: str) -> Own:
        if name != "echo":
            raise SkillNotFound(f"no {name}")
        return Own({})

    def close(self) -> None:
        type(self).made -= 1


def test_servers_are_opened_when_they_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "SERVERS", {"place": f"{__name__}:Place"})
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[Place.__module__])
    monkeypatch.setattr(registry_module, "load_object", lambda place: Place)
    servers: dict[str, dict[str, Any]] = {
        "far": {"kind": "place", "policy": {"approval": "true"}},
        "odd": {"kind": "none"},
    }
    known = Registry(Configuration(servers=servers), {})
    assert "far.echo" not in known.names()
    assert Place.made == 0
    found = known.find("far.echo")
    assert (found.pin.name, found.pin.approval, Place.made) == ("far.echo", "true", 1)
    with pytest.raises(SkillNotFound):
        known.find("far.other")
    with pytest.raises(SkillInvalid, match="kind of servers"):
        known.find("odd.echo")
    known.close()
    assert Place.made == 0


def test_installed_packages_bring_skills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brought.py").write_text(
        "from tickwork.plane.skills.json_transform import JsonTransform as Brought\nraise_later = None\n"
    )
    folder = tmp_path / "brought-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
    points = "[tickwork.skills]\nbrought = brought:Brought\nbroken = brought:Missing\nabsent = no_such_module:X\n"
    (folder / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    known = Registry.load()
    assert known.find("brought").pin.name == "brought"
    for name in ("broken", "absent"):
        with pytest.raises(SkillInvalid, match="cannot be loaded"):
            known.find(name)
    assert "brought" not in Registry.load(installed=False).names()


def test_a_file_says_what_names_stand_for(tmp_path: Path) -> None:
    own = tmp_path / ".tickwork"
    assert read_configuration(own) == Configuration(project=tmp_path.absolute())
    own.mkdir()
    (own / "skills.toml").write_text(
        '[skills.shop]\nkind = "sql_query"\ndatabase = "shop.db"\n[servers.far]\ncommand = []\n'
    )
    read = read_configuration(own)
    assert read.skills == {"shop": {"kind": "sql_query", "database": "shop.db"}}
    assert read.of_server("far").items() >= {"command": [], "name": "far", "project": str(tmp_path.absolute())}.items()
    assert read.policy_of_server("far").approval == ""


@pytest.mark.parametrize(
    ("text", "told", "line"),
    [
        ("[skills", "cannot be read", ""),
        ("x = 1", "x is neither", ":1"),
        ("skills = 1", "skills is neither", ":1"),
        ("\n[skills.Bad]\n", "Bad is no name", ":2"),
        ("[skills]\na = 1\n", "skills.a is no table", ":2"),
        ("[tools.a]\n", "tools is neither", ":1"),
    ],
)
def test_a_bad_file_is_told_with_its_line(text: str, told: str, line: str, tmp_path: Path) -> None:
    own = tmp_path / ".tickwork"
    own.mkdir()
    (own / "skills.toml").write_text(text)
    with pytest.raises(PlaneError) as error:
        read_configuration(own)
    assert told in error.value.what
    assert line in error.value.where
