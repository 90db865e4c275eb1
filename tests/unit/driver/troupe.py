"""A troupe for driver tests: native agents, performers and worlds in which something happens every tick."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

import msgspec

from tickwork import codec
from tickwork.clock import SteppedClock
from tickwork.driver.options import Options
from tickwork.driver.performers import Performer
from tickwork.driver.resolve import World, make_world, new_header
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import (
    AgentSpec,
    Effect,
    EffectClass,
    Environment,
    FrameKind,
    Message,
    Result,
    SkillSpec,
    Supervision,
)


class Memory(msgspec.Struct, frozen=True):
    """What an agent of the troupe remembers."""

    turns: int = 0
    heard: tuple[bytes, ...] = ()


Step = Callable[[Memory, tuple[Message, ...], Context, Outbox], None]


def acting(step: Step, last: Step | None = None) -> type:
    """Return an agent's class whose turns are ``step`` and which remembers what it heard."""

    class Actor:
        def init(self, config: bytes, context: Context) -> tuple[Memory, Outbox]:
            return Memory(), context.outbox()

        def turn(self, state: Memory, inbox: tuple[Message, ...], context: Context) -> tuple[Memory, Outbox]:
            outbox = context.outbox()
            step(state, inbox, context, outbox)
            kinds = (FrameKind.MESSAGE, FrameKind.RETAINED, FrameKind.RESULT, FrameKind.ERROR)
            heard = tuple(item.body for item in inbox if item.kind in kinds)
            return Memory(state.turns + 1, state.heard + heard), outbox

        def shutdown(self, state: Memory, context: Context) -> tuple[Memory, Outbox]:
            outbox = context.outbox()
            if last is not None:
                last(state, (), context, outbox)
            return state, outbox

    return Actor


def spec(name: str, **fields: Any) -> AgentSpec:
    """Return an agent of the troupe; its class is given under its name."""
    return AgentSpec(name, "native", f"test:{name}", bytes(32), **fields)


def stage(actors: Mapping[AgentSpec, type], *, ticks: int = 20, files: tuple[bytes, ...] = (), **fields: Any) -> World:
    """Return a world of agents and their classes."""
    topics = dict.fromkeys(t for item in actors for t in (*item.publish, *item.subscribe))
    fields.setdefault("topics", tuple(topics))
    header = msgspec.structs.replace(new_header("troupe", ticks, tuple(actors)), **fields)
    return make_world(header, feeds=files, natives={item.entry: actor for item, actor in actors.items()})


def chat(ticks: int = 20, **fields: Any) -> World:
    """Return two agents that talk in every tick, publish, and fail now and then."""

    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.sleep(0)
        outbox.send(context.spec.send[0], b"%d:%d" % (context.seed, len(inbox)))
        outbox.publish("t", b"%d" % state.turns, retain=context.tick % 3 == 0)
        if context.tick % 5 == context.agent:
            raise RuntimeError("now and then")

    retry = Supervision("retry", 3)
    actors = {
        spec("a", send=("b",), publish=("t",), subscribe=("t",), supervision=retry): acting(step),
        spec("b", send=("a",), publish=("t",), subscribe=("t",), supervision=retry): acting(step),
    }
    return stage(actors, ticks=ticks, **fields)


def asking(
    effect_class: EffectClass = EffectClass.IDEMPOTENT, *, asks: int = 3, ticks: int = 12, **fields: Any
) -> World:
    """Return an agent that asks for an effect in each of its first turns and tells its peer what comes back."""

    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        for item in inbox:
            if item.kind in (FrameKind.RESULT, FrameKind.ERROR):
                outbox.send("peer", item.body)
        if state.turns < asks:
            outbox.sleep(0)
            outbox.call("do", b"%d" % state.turns)

    def listen(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        return

    actors = {spec("asker", skills=("do",), send=("peer",)): acting(step), spec("peer"): acting(listen)}
    return stage(actors, ticks=ticks, skills=(SkillSpec("do", effect_class),), **fields)


class Echo:
    """A performer that answers with what it was asked, and counts."""

    def __init__(self, size: int = 0) -> None:
        self.seen: list[Effect] = []
        self._size = size

    def perform(self, effect: Effect) -> Result:
        self.seen.append(effect)
        return Result(effect.number, 0, 0, b"echo " + effect.body + bytes(self._size))


class AtOnce(Executor):
    """Runs what it is given when it is given it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def options(performer: Performer | None = None, **fields: Any) -> Options:
    """Return options with a stepped clock and one performer, which acts at once."""
    fields.setdefault("clock", SteppedClock())
    fields.setdefault("executor", AtOnce)
    return Options(performers={"do": performer} if performer else {}, **fields)


def empty(world: World) -> MemoryJournal:
    """Return a journal in memory for a run of a world."""
    environment = codec.encode(Environment("r_test", 0, "", "", "", ""))
    return MemoryJournal(codec.encode(world.header), environment, world.contents)


def frames_of(journal: MemoryJournal) -> list[bytes]:
    """Return the parts of a journal that D covers."""
    return [frame.inputs + frame.turns + frame.derived for frame in journal.frames()]


def stop_after(ticks: int) -> Callable[[], bool]:
    """Return what stops a run after so many ticks of this life."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > ticks

    return stop
