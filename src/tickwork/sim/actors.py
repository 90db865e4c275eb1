"""Actors: the native agents that drawn worlds are made of.

An actor does a little of everything its traits name, misbehaves as often as they say, and mixes all it hears into what
it says later: a message lost, doubled or out of place anywhere changes every head after it.
"""

import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from ..native import Context, Outbox
from ..records import AGAIN, OUTSIDE, UNTIL_MESSAGE, Encoding, FrameKind, Message, Refusal
from .draw import Draw

ENTRY: Final = "sim:Actor"
MAX_CHILDREN: Final = 2
MAX_TASKS: Final = 4


class Traits(msgspec.Struct, frozen=True):
    """What an actor is like; its configuration.

    Attributes:
        habits: Names of ``HABITS``.
        body_bytes: Its messages are at most so long.
        pace: Ticks it sleeps between steps at most; 0 for every tick.
        raises, fails, tears, strays: How often it raises, returns an error, leaves a spoilt outbox, or sends where it
            may not. Units: percent of turns.
        ends: How often it asks to exit. Units: percent of turns.
    """

    habits: tuple[str, ...] = ()
    body_bytes: int = 16
    pace: int = 0
    raises: int = 0
    fails: int = 0
    tears: int = 0
    strays: int = 0
    ends: int = 0


class Life(msgspec.Struct, frozen=True):
    """An actor's state. ``mix`` covers everything it has heard."""

    traits: Traits
    mix: int = 0
    turns: int = 0
    children: int = 0
    tasks: tuple[int, ...] = ()


class ActorFailed(Exception):
    """Raised by an actor on purpose."""


class TornOutbox(Outbox):
    """An outbox whose last frame is cut off."""

    def encode(self) -> bytes:
        """Return the spoilt bytes, or a stump of a header where there is nothing to spoil."""
        return (super().encode() or bytes(16))[:-8]


class Scene(msgspec.Struct):
    """One turn of an actor while it is being played."""

    draw: Draw
    life: Life
    inbox: tuple[Message, ...]
    context: Context
    outbox: Outbox

    def body(self) -> bytes:
        """Return a message: the mix so far, and padding of a drawn length."""
        head = self.life.mix.to_bytes(8, "little")
        return head + bytes(self.draw.below(self.life.traits.body_bytes + 1))


def _talk(scene: Scene) -> None:
    names = scene.context.spec.send
    if names and scene.draw.chance(30):
        names = (scene.draw.pick(names),)  # All to one, so that its mailbox is full in the midst of a turn.
    for _ in range(scene.draw.between(1, 4) if names else 0):
        scene.outbox.send(scene.draw.pick(names), scene.body())


def _answer(scene: Scene) -> None:
    for message in scene.inbox:
        if message.kind == FrameKind.MESSAGE and message.source != OUTSIDE and scene.draw.chance(40):
            scene.outbox.send(message.source, scene.body())


def _publish(scene: Scene) -> None:
    topics = scene.context.spec.publish
    for _ in range(scene.draw.between(1, 2) if topics else 0):
        scene.outbox.publish(scene.draw.pick(topics), scene.body(), retain=scene.draw.chance(40))


def _rove(scene: Scene) -> None:
    for topic in scene.context.spec.subscribe:
        if scene.draw.chance(40):
            (scene.outbox.join if scene.draw.chance(50) else scene.outbox.leave)(topic)


def _time(scene: Scene) -> None:
    for _ in range(scene.draw.below(3)):
        scene.outbox.timer(scene.draw.below(6), scene.draw.below(100))


def _delegate(scene: Scene) -> None:
    names, life = scene.context.spec.send, scene.life
    if not names or len(life.tasks) >= MAX_TASKS:
        return
    tag = scene.context.tick
    depends_on = scene.draw.some(life.tasks, 50)
    priority = scene.draw.between(-2, 2)
    scene.outbox.task(scene.draw.pick(names), tag, scene.body(), priority=priority, depends_on=depends_on)
    scene.life = msgspec.structs.replace(life, tasks=(*life.tasks, tag))


def _call(scene: Scene) -> None:
    skills = scene.context.spec.skills
    for _ in range(scene.draw.between(1, 2) if skills else 0):
        scene.outbox.call(scene.draw.pick(skills), scene.body(), encoding=Encoding.BYTES)


def _infer(scene: Scene) -> None:
    models = scene.context.spec.models
    for _ in range(scene.draw.between(1, 3) if models else 0):
        scene.outbox.infer(scene.draw.pick(models), scene.body(), encoding=Encoding.BYTES)


def _write(scene: Scene) -> None:
    """Write to windows; now and then where it is not the writer, too much, not at the start, or twice."""
    windows = scene.context.spec.windows
    for _ in range(scene.draw.between(1, 3) if windows else 0):
        body = scene.body()[scene.draw.below(8) :] * scene.draw.pick((0, 1, 1, 1, 4))
        own = f"w{scene.context.agent}"  # Drawn worlds tend to make it the agent's to write.
        name = own if own in windows and scene.draw.chance(70) else scene.draw.pick(windows)
        scene.outbox.write(name, body, offset=3 if scene.draw.chance(5) else 0)


def _spawn(scene: Scene) -> None:
    templates = scene.context.spec.spawn
    if templates and scene.life.children < MAX_CHILDREN:
        scene.outbox.spawn(scene.draw.pick(templates))
        scene.life = msgspec.structs.replace(scene.life, children=scene.life.children + 1)


def _tell(scene: Scene) -> None:
    scene.outbox.log(f"turn {scene.life.turns}")
    scene.outbox.metric("mix", scene.life.mix)


HABITS: Final[dict[str, Callable[[Scene], None]]] = {
    "talk": _talk,
    "answer": _answer,
    "publish": _publish,
    "rove": _rove,
    "time": _time,
    "delegate": _delegate,
    "call": _call,
    "infer": _infer,
    "write": _write,
    "spawn": _spawn,
    "tell": _tell,
}


class Actor:
    """A native agent whose configuration is its ``Traits``."""

    def init(self, config: bytes, context: Context) -> tuple[Life, Outbox]:
        """Return the state of an actor that has heard nothing."""
        traits = msgspec.msgpack.decode(config, type=Traits)
        return Life(traits, mix=context.agent), context.outbox()

    def turn(self, state: Life, inbox: tuple[Message, ...], context: Context) -> tuple[Life, Outbox]:
        """Hear everything, then follow some of the habits."""
        mix = state.mix
        for message in inbox:
            mix = zlib.crc32(message.body, mix ^ message.seq ^ message.kind)
        for name, content in sorted(context.windows.items()):
            mix = zlib.crc32(content, mix ^ len(name))
        mix ^= context.wall_us & 0xFFFFFFFF
        draw, traits = Draw(context.seed ^ mix), state.traits
        if draw.chance(traits.raises):
            raise ActorFailed("as its traits say")
        outbox = TornOutbox(context.spec) if draw.chance(traits.tears) else context.outbox()
        scene = Scene(draw, msgspec.structs.replace(state, mix=mix, turns=state.turns + 1), inbox, context, outbox)
        for habit in draw.some(traits.habits, 60):
            HABITS[habit](scene)
        if draw.chance(traits.strays):
            outbox.send(draw.below(8), b"astray")
        if draw.chance(traits.ends):
            outbox.exit()
        outbox.code = _next_step(draw, traits)
        return scene.life, outbox

    def shutdown(self, state: Life, context: Context) -> tuple[Life, Outbox]:
        """Say something last: it reaches nobody, or an effect."""
        outbox = context.outbox()
        scene = Scene(Draw(context.seed ^ state.mix), state, (), context, outbox)
        for habit in scene.draw.some([name for name in state.traits.habits if name in ("talk", "call", "write")], 50):
            HABITS[habit](scene)
        return state, outbox


def _next_step(draw: Draw, traits: Traits) -> int:
    """Return the code of the turn: an error, work that goes on, a sleep, or none until a message comes."""
    if draw.chance(traits.fails):
        return draw.pick((Refusal.FAILED, Refusal.BAD_STATE, Refusal.FATAL))
    if draw.chance(5):
        return Refusal.OUTBOX_FULL
    if draw.chance(10):
        return AGAIN
    return draw.below(traits.pace + 1) if draw.chance(75) else UNTIL_MESSAGE
