"""Worlds drawn from a seed: small, and over many seeds of every sort there is.

A drawn world is a swarm configuration: each seed leaves most features out and exaggerates a few, since bugs hide where
one feature is much used and another not at all. Source: Groce et al., Swarm Testing, ISSTA 2012.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from .. import codec
from ..driver.resolve import World, make_world, new_header
from ..kernel.policy import POLICIES
from ..kernel.windows import KINDS
from ..records import (
    AgentSpec,
    EffectClass,
    Encoding,
    FeedSpec,
    Header,
    Limits,
    ModelSpec,
    SkillSpec,
    Supervision,
    TaskSpec,
    WindowSpec,
)
from .actors import ENTRY, HABITS, Actor, Traits
from .draw import Draw
from .operator import draw_inputs

SKILLS: Final = (
    SkillSpec("read", EffectClass.PURE),
    SkillSpec("write", EffectClass.IDEMPOTENT),
    SkillSpec("pay", EffectClass.UNSAFE),
)
OVERFLOWS: Final = ("reject", "drop_new", "drop_old", "defer")
LISTS: Final = ("publish", "subscribe", "send", "skills", "spawn", "models", "windows")
SUPERVISIONS: Final = ("stop", "restart", "retry", "suspend", "escalate")


def draw_world(draw: Draw) -> World:
    """Return a world of 2 to 6 actors that runs for 4 to 20 ticks."""
    names = tuple(f"a{number}" for number in range(draw.between(2, 6)))
    topics = tuple(f"t{number}" for number in range(draw.below(4)))
    skills = tuple(draw.some(SKILLS, 60)) if draw.chance(60) else ()
    cast = _Cast(draw, names, topics, tuple(skill.name for skill in skills))
    cast.models = tuple(f"m{number}" for number in range(draw.between(1, 2))) if draw.chance(30) else ()
    cast.windows = tuple(f"w{number}" for number in range(draw.between(1, 3))) if draw.chance(50) else ()
    templates = tuple(cast.spec(name, ()) for name in ("child",) if draw.chance(35))
    spawnable = tuple(template.name for template in templates)
    feed = _feed_body(draw) if draw.chance(35) else b""
    header = new_header("drawn", draw.between(4, 20), tuple(cast.spec(name, spawnable) for name in names))
    ordering = draw.pick(("issue", "arrival"))
    models = tuple(_model(draw.branch(2 + number), name) for number, name in enumerate(cast.models))
    by_issue = ordering == "issue" and all(model.delivery == "barrier" for model in models)
    header = msgspec.structs.replace(
        header,
        seed=draw.bits(),
        policy=draw.pick(tuple(POLICIES)),
        visibility=draw.pick(("next", "linear")),
        ordering=ordering,
        # A bound that splits results over ticks makes their arrival depend on when the process began.
        max_inputs=draw.pick((1, 3, 4096)) if by_issue else 4096,
        turns_per_tick=draw.pick((0, 0, 1, 3)),
        checkpoint_every=draw.pick((0, 1, 3, 64)),
        topics=topics,
        templates=templates,
        skills=skills,
        tasks=_tasks(draw, names) if draw.chance(35) else (),
        feeds=(_feed(draw, feed, names, topics),) if feed else (),
        models=models,
        windows=tuple(_window(draw, name, names) for name in cast.windows),
    )
    world = make_world(header, feeds=(feed,) if feed else (), natives={ENTRY: Actor})
    inputs = draw_inputs(draw.branch(1), header) if draw.chance(50) else ()
    return msgspec.structs.replace(world, inputs=inputs)


def _model(draw: Draw, name: str) -> ModelSpec:
    delivery = "async" if draw.chance(30) else "barrier"
    return ModelSpec(name, batch=draw.pick(("row", "tick")), most=draw.pick((1, 2, 64)), delivery=delivery)


class _Cast:
    """Draws the agents of one world; what a whole world tends to is drawn once."""

    def __init__(self, draw: Draw, names: tuple[str, ...], topics: tuple[str, ...], skills: tuple[str, ...]) -> None:
        self.draw = draw
        self.names = names
        self.topics = topics
        self.skills = skills
        self.habits = tuple(draw.some(tuple(HABITS), 60)) or ("talk",)
        self.trouble = draw.pick((0, 0, 3, 12))
        self.tight = draw.chance(50)
        self.denials = draw.pick((0, 0, 10))
        self.overflows = draw.some(OVERFLOWS, 50) or [draw.pick(OVERFLOWS)]
        self.clock = draw.chance(20)
        self.models: tuple[str, ...] = ()
        self.windows: tuple[str, ...] = ()

    def spec(self, name: str, spawnable: tuple[str, ...]) -> AgentSpec:
        """Return an agent, or a template."""
        draw = self.draw
        windows = tuple(draw.some(self.windows, 85))
        spec = AgentSpec(
            name,
            "native",
            ENTRY,
            bytes(32),
            config=msgspec.msgpack.encode(self.traits()),
            config_encoding=Encoding.MSGPACK,
            priority=draw.between(-1, 2),
            publish=tuple(draw.some(self.topics, 70)),
            subscribe=tuple(draw.some(self.topics, 70)),
            send=tuple(draw.some(self.names, 60)),
            skills=tuple(draw.some(self.skills, 80)),
            spawn=spawnable,
            clock=self.clock and draw.chance(50),
            limits=self.limits(),
            supervision=Supervision(draw.pick(SUPERVISIONS), draw.pick((0, 1, 3))),
            models=tuple(draw.some(self.models, 80)),
            windows=windows,
            regions=tuple(draw.pick((16, 300)) for _ in windows) if self.tight and draw.chance(30) else (),
        )
        denied = draw.some([f"{key}:{name}" for key in LISTS for name in getattr(spec, key)], self.denials)
        return msgspec.structs.replace(spec, denied=tuple(denied))

    def traits(self) -> Traits:
        """Return what the actor is like."""
        draw = self.draw
        return Traits(
            habits=tuple(draw.some(self.habits, 75)),
            body_bytes=draw.pick((0, 16, 120, 400)),
            pace=draw.pick((0, 0, 1, 4)),
            raises=draw.below(self.trouble + 1),
            fails=draw.below(self.trouble + 1),
            tears=draw.below(self.trouble + 1),
            strays=draw.below(self.trouble + 1),
            ends=draw.pick((0, 0, 0, 4)),
        )

    def limits(self) -> Limits:
        """Return quotas; tight ones overflow all the time."""
        draw = self.draw
        if not self.tight:
            return Limits()
        return Limits(
            mailbox_messages=draw.pick((1, 2, 8, 1024)),
            mailbox_bytes=draw.pick((64, 200, 600, 1 << 20)),
            overflow=draw.pick(self.overflows),
            messages_per_turn=draw.pick((0, 0, 0, 4)),
            inbox_bytes=draw.pick((160, 400, 64 * 1024)),
        )


def _tasks(draw: Draw, names: tuple[str, ...]) -> tuple[TaskSpec, ...]:
    """Return up to 6 tasks; each depends on some of the earlier ones, so that there is no cycle."""
    return tuple(
        TaskSpec(f"k{index}", draw.pick(names), draw.between(-1, 2), 0, b"work", tuple(draw.some(range(index), 35)))
        for index in range(draw.between(1, 6))
    )


def _window(draw: Draw, name: str, names: tuple[str, ...]) -> WindowSpec:
    """Return a window of agents that are there and one that may be spawned."""
    names = (*names, f"child-{len(names)}")
    writer = names[int(name[1:])] if draw.chance(70) else draw.pick(names)
    readers = tuple(reader for reader in draw.some(names, 60) if reader != writer)
    return WindowSpec(
        name, draw.pick(KINDS), draw.pick((8, 50, 300)), writer, readers, draw.pick((0, 0, 3)), draw.pick((0, 0, 7))
    )


def _feed_body(draw: Draw) -> bytes:
    ticks: list[int] = []
    for _ in range(draw.between(1, 8)):
        ticks.append((ticks[-1] if ticks else 0) + draw.below(4))
    return b"tick,value\n" + b"".join(b"%d,%d\n" % (tick, draw.below(1000)) for tick in ticks)


def _feed(draw: Draw, body: bytes, names: tuple[str, ...], topics: tuple[str, ...]) -> FeedSpec:
    to_topic = bool(topics) and draw.chance(50)
    target = draw.pick(topics if to_topic else names)
    return FeedSpec("rows", codec.digest(body), target, to_topic, "tick" if draw.chance(70) else "")


def reduce_world(world: World, dropped: tuple[str, ...], ticks: int | None) -> World:
    """Return a smaller world, for shrinking a failure.

    Args:
        dropped: Agents that are left out, with what names them.
        ticks: A nearer end; None keeps it.
    """
    header = world.header
    agents = tuple(_without(spec, dropped) for spec in header.agents if spec.name not in dropped)
    reduced = msgspec.structs.replace(
        header, agents=agents, tasks=_kept_tasks(header, dropped), ticks=header.ticks if ticks is None else ticks
    )
    inputs = tuple(planned for planned in world.inputs if planned[1].target not in dropped)
    return msgspec.structs.replace(world, header=reduced, inputs=inputs)


def _without(spec: AgentSpec, dropped: tuple[str, ...]) -> AgentSpec:
    return msgspec.structs.replace(spec, send=tuple(name for name in spec.send if name not in dropped))


def _kept_tasks(header: Header, dropped: tuple[str, ...]) -> tuple[TaskSpec, ...]:
    kept = [index for index, task in enumerate(header.tasks) if task.agent not in dropped]
    place = {index: position for position, index in enumerate(kept)}
    return tuple(_redirected(header.tasks[index], place) for index in kept)


def _redirected(task: TaskSpec, place: Mapping[int, int]) -> TaskSpec:
    depends_on = tuple(place[known] for known in task.depends_on if known in place)
    return msgspec.structs.replace(task, depends_on=depends_on)
