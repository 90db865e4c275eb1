from pathlib import Path

import pytest

from tickwork.plane.errors import SkillInvalid
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.registry import Registry

SOURCE = """
from tickwork.kinds import EffectClass
from tickwork.plane.skills.shapes import ModelShape
from tickwork.plane.skills.skill import Traits


class Twice:
    shapes = (ModelShape(int), ModelShape(int))

    def __init__(self, times):
        self.times = times
        self.traits = Traits("twice", "1", "Multiply.", EffectClass.PURE)

    @classmethod
    def from_config(cls, config):
        return cls(config.get("times", 2))

    def call(self, given, context):
        return given * self.times
"""


def registry(folder: Path, kind: str) -> Registry:
    return Registry(Configuration({"more": {"kind": kind, "times": 3}}, project=folder), {})


def test_a_file_of_the_project_brings_a_skill(tmp_path: Path) -> None:
    (tmp_path / "skills").mkdir()
    (tmp_path / "skills" / "twice.py").write_text(SOURCE, encoding="utf-8")
    one, other = (registry(tmp_path, "skills/twice.py:Twice").find("more") for _ in range(2))
    assert one.reference == "more@1"
    assert one.pin == other.pin
    assert type(one.skill) is type(other.skill)
    assert one.skill.call(5, None) == 15  # type: ignore[arg-type]  # It asks nothing of its context.


@pytest.mark.parametrize(
    ("kind", "source", "told", "where"),
    [
        ("gone.py:Twice", SOURCE, "gone.py cannot be read", "skills.more.kind"),
        ("own.py:Missing", SOURCE, "no class Missing with a method from_config", "skills.more.kind"),
        ("own.py:", SOURCE, "no class", "skills.more.kind"),
        ("own.py:Twice", "\nimport no_such_module\n", "own.py cannot be loaded", "own.py:2"),
        ("own.py:Twice", "class", "own.py cannot be loaded", "own.py"),
    ],
)
def test_a_file_that_brings_none_is_told_of(tmp_path: Path, kind: str, source: str, told: str, where: str) -> None:
    (tmp_path / "own.py").write_text(source, encoding="utf-8")
    with pytest.raises(SkillInvalid) as error:
        registry(tmp_path, kind).find("more")
    assert told in error.value.what
    assert error.value.where.endswith(where)
