"""A run of a plan as a world: one agent, and every skill of the plan as an effect."""

from typing import Final

import msgspec

from .. import codec
from ..driver.resolve import World, new_header
from ..kernel import State
from ..kinds import EffectClass
from ..records import AgentSpec, Encoding, Header, Limits, SkillSpec
from .compiled import EXECUTOR_ENTRY, EXECUTOR_NAME, SYSTEM_SKILLS, Assignment, Compiled
from .executor.agent import PlanExecutor
from .executor.ending import ENDING_TOPIC, Ending, decode_ending
from .executor.prepared import effect_name

CHECKPOINT_TICKS: Final = 256
"""Ticks between two digests of the kernel's state, which holds little: the plan's own state is its agent's."""

_DIGEST: Final = codec.digest(EXECUTOR_ENTRY.encode())
_SYSTEM: Final = tuple(SkillSpec(name, int(EffectClass.IDEMPOTENT)) for name in SYSTEM_SKILLS)

_LIMITS: Final = Limits(mailbox_messages=8192, mailbox_bytes=1 << 28, inbox_bytes=1 << 26)
"""Room for the answers of a tick, of which each may hold a mebibyte."""


def plan_header(assignment: Assignment, *, seed: int = 0, name: str = "") -> Header:
    """Return the header of a run of a plan.

    Args:
        name: Of the run; that of the plan where it is empty.

    Law: equal assignments, seeds and names give equal headers.
    """
    skills = skill_specs(assignment)
    agent = AgentSpec(
        EXECUTOR_NAME,
        "native",
        EXECUTOR_ENTRY,
        _DIGEST,
        config=codec.encode(assignment),
        config_encoding=Encoding.MSGPACK,
        publish=(ENDING_TOPIC,),
        skills=tuple(skill.name for skill in skills),
        limits=_LIMITS,
    )
    compiled = assignment.compiled
    title = name or (compiled.plans[0].name if compiled is not None else EXECUTOR_NAME)
    return msgspec.structs.replace(
        new_header(title, 0, (agent,)),
        seed=seed,
        ordering=compiled.ordering if compiled is not None else "issue",
        checkpoint_every=CHECKPOINT_TICKS,
        topics=(ENDING_TOPIC,),
        skills=skills,
    )


def plan_world(assignment: Assignment, *, seed: int = 0, name: str = "") -> World:
    """Return a run of a plan as a world that the driver runs."""
    return World(plan_header(assignment, seed=seed, name=name), natives={EXECUTOR_ENTRY: PlanExecutor})


def skill_specs(assignment: Assignment) -> tuple[SkillSpec, ...]:
    """Return the effects of a run: its skills, in their own class and in those that steps give them, and the system's.

    Order: the pins'.
    """
    found: dict[str, int] = {}
    if assignment.compiled is not None:
        _of_plan(assignment.compiled, found)
    for pin in assignment.allowed:
        # A planner may ask for more care than a skill needs, and never for less.
        for effect_class in EffectClass:
            if effect_class >= pin.effect_class:
                found[effect_name(pin, int(effect_class))] = int(effect_class)
    # A skill's name ends with its version, so that none of these is a plan's.
    return (*(SkillSpec(name, effect_class) for name, effect_class in found.items()), *_SYSTEM)


def _of_plan(compiled: Compiled, found: dict[str, int]) -> None:
    for pin in compiled.pins:
        found[effect_name(pin)] = pin.effect_class
    for plan in compiled.plans:
        for step in plan.steps:
            if step.call is not None and step.effect_class >= 0:
                found[effect_name(compiled.pins[step.call.skill], step.effect_class)] = step.effect_class


def read_ending(state: State) -> Ending | None:
    """Return what a run of a plan came to; None where it has not ended."""
    for topic in state.topics:
        if topic.name == ENDING_TOPIC and topic.version:
            return decode_ending(topic.value)
    return None
