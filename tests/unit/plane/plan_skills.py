"""A registry of a few skills for tests of plans; none of them can be called."""

from typing import Any

import msgspec

from tickwork.kinds import EffectClass
from tickwork.plane.compiled import CostHint, RetryRule, SkillPin
from tickwork.plane.errors import SkillNotFound
from tickwork.plane.json_text import read_json
from tickwork.plane.skills.skill import CallContext, Shape, Traits
from tickwork.plane.tables import PlanTable


class FlatShape:
    """An object of some required members, all of them closed."""

    def __init__(self, **members: dict[str, Any]) -> None:
        self.members = members

    def check(self, raw: bytes) -> Any:
        value = read_json(raw)
        if value.get("n") == 13:
            raise ValueError("n: thirteen is never taken")
        return value

    def render(self, value: Any) -> bytes:
        return msgspec.json.encode(value)

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": self.members,
            "required": [name for name, member in self.members.items() if "default" not in member],
            "additionalProperties": False,
        }


class FakeSkill:
    """A skill as far as plans look at it, and what a registry finds."""

    def __init__(self, pin: SkillPin, given: FlatShape, made: FlatShape) -> None:
        self.pin = pin
        self.traits = Traits(pin.name, pin.version, "", EffectClass(pin.effect_class))
        self.shapes: tuple[Shape, Shape] = (given, made)
        self.skill = self

    def call(self, given: Any, context: CallContext) -> Any:
        raise AssertionError("nothing is called")


TEXT, NUMBER, ANY = {"type": "string"}, {"type": "integer"}, {"description": "Anything."}
ROWS = {"type": "array", "items": {"type": "object", "properties": {"id": NUMBER}, "additionalProperties": False}}
LANGUAGE = CostHint(1000, 3_000_000, 15_000_000, 100)


def _skill(name: str, effect_class: EffectClass, given: FlatShape, made: FlatShape, **more: Any) -> FakeSkill:
    return FakeSkill(SkillPin(name, "1", name.encode().ljust(32, b"."), int(effect_class), **more), given, made)


SKILLS = (
    _skill("echo", EffectClass.PURE, FlatShape(value=ANY), FlatShape(value=ANY)),
    _skill("count", EffectClass.PURE, FlatShape(text=TEXT, n={**NUMBER, "default": 1}), FlatShape(n=NUMBER)),
    _skill("fetch", EffectClass.IDEMPOTENT, FlatShape(url=TEXT), FlatShape(rows=ROWS, text=TEXT), outside=True),
    _skill("send", EffectClass.UNSAFE, FlatShape(to=TEXT, text=TEXT), FlatShape(), side_effects=True),
    _skill("ask", EffectClass.IDEMPOTENT, FlatShape(prompt=TEXT, max_tokens={**NUMBER, "default": 0}),
           FlatShape(text=TEXT), cost=LANGUAGE, retry=RetryRule(2)),
    _skill("priceless", EffectClass.IDEMPOTENT, FlatShape(), FlatShape(), cost=CostHint(known=False)),
)  # fmt: skip


class FakeRegistry:
    """Finds them, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, reference: str) -> FakeSkill:
        self.asked.append(reference)
        name, _, version = reference.partition("@")
        for skill in SKILLS:
            if skill.pin.name == name and version in ("", "1"):
                return skill
        raise SkillNotFound(f"there is no skill called {reference}", fix="use another")


def step(id: str, skill: str = "echo", after: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """Return a step; what its skill must have is given where ``params`` says nothing."""
    usual = {"echo": {"value": 1}, "count": {"text": "x"}, "fetch": {"url": "x"}, "ask": {"prompt": "x"}}
    own: dict[str, Any] = {"skill": skill, "params": usual.get(skill, {})} if skill else {}
    return {"id": id, **own, "depends_on": after or [], **more}


def table(*steps: dict[str, Any], **more: Any) -> PlanTable:
    """Return a plan of some steps."""
    return msgspec.convert({"name": "plan", "steps": list(steps), **more}, PlanTable)
