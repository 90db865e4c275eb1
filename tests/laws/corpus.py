"""The corpus: worlds that every law is tried on. Small, and between them they use everything a world can hold."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tests.golden.listener import Listener
from tests.laws.everything import everything
from tickwork import codec
from tickwork.driver.options import Options
from tickwork.driver.resolve import World, canonical_json, make_world, new_header
from tickwork.native import Context, Outbox
from tickwork.records import (
    AgentSpec,
    Effect,
    EffectClass,
    Encoding,
    FeedSpec,
    FrameKind,
    Header,
    Limits,
    Message,
    ModelSpec,
    Result,
    SkillSpec,
    Supervision,
    TaskSpec,
    WindowSpec,
)
from tickwork.sim import Draw
from tickwork.sim.world import draw_world

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = ROOT / "tests" / "modules"
SNAPSHOT_TICKS = 5
"""Few enough that resuming and forking, which the laws do at many ticks, begin at a snapshot."""

LISTENER = "listener:Listener"
LISTENER_SOURCE = ROOT / "tests" / "golden" / "listener.py"


class Steady:
    """A performer whose result depends on what is asked alone."""

    def perform(self, effect: Effect) -> Result:
        return Result(effect.number, 0, Encoding.BYTES, codec.digest(effect.body))


def options(cache: Path | None, **changes: Any) -> Options:
    """Return options under which every world of the corpus runs."""
    steady = Steady()
    known: Options = msgspec.structs.replace(
        Options(
            cache=cache,
            snapshot_ticks=SNAPSHOT_TICKS,
            performers=dict.fromkeys(("artifact.write", "read", "write", "pay", "work", "infer:brain"), steady),
        ),
        **changes,
    )
    return known


def module(name: str) -> bytes:
    """Return a test module."""
    return (MODULES / f"{name}.wasm").read_bytes()


def wasm(name: str, kind: str, config: Mapping[str, object], **fields: Any) -> AgentSpec:
    """Return an agent made of a test module."""
    return AgentSpec(name, "wasm", kind, codec.digest(module(kind)), config=canonical_json(config), **fields)


def listener(name: str = "listener", *, skill: bool = True, **fields: Any) -> AgentSpec:
    """Return the native agent of the corpus."""
    return AgentSpec(
        name,
        "native",
        LISTENER,
        codec.digest(LISTENER_SOURCE.read_bytes()),
        publish=("heard",),
        skills=("artifact.write",) if skill else (),
        **fields,
    )


def world(name: str, ticks: int, agents: tuple[AgentSpec, ...], feed: bytes = b"", **fields: Any) -> World:
    """Return a world of test modules and listeners; ``fields`` are the header's."""
    named = [topic for spec in agents for topic in (*spec.publish, *spec.subscribe)]
    named += [topic for spec in fields.get("templates", ()) for topic in (*spec.publish, *spec.subscribe)]
    fields.setdefault("topics", tuple(dict.fromkeys(named)))
    fields.setdefault("skills", (SkillSpec("artifact.write", EffectClass.IDEMPOTENT),))
    header: Header = msgspec.structs.replace(new_header(name, ticks, agents), seed=2013, allow_unsigned=True, **fields)
    kinds = dict.fromkeys(spec.entry for spec in (*agents, *header.templates) if spec.kind == "wasm")
    return make_world(
        header,
        modules=[module(kind) for kind in kinds],
        feeds=(feed,) if feed else (),
        natives={LISTENER: Listener},
    )


def gossip() -> World:
    """Agents that tell each other rumours, in both ways, and one that listens."""
    names = tuple(f"g{index}" for index in range(6))
    agents = tuple(
        wasm(name, "gossip", {"peers": 6, "fanout": 2}, send=names, publish=("heard", "rumour"), subscribe=("rumour",))
        for name in names
    )
    return world("gossip", 40, (*agents, listener(subscribe=("heard", "rumour"))), checkpoint_every=8)


def ring() -> World:
    """A ring of talkers with tight mailboxes of every overflow policy, by turns."""
    names = tuple(f"c{index}" for index in range(5))
    overflows = ("reject", "drop_new", "drop_old", "defer", "defer")
    agents = tuple(
        wasm(
            name,
            "chatter",
            {"count": 3, "length": 40, "peers": 5, "first": (index + 1) % 5},
            send=names,
            limits=Limits(mailbox_messages=2 + index % 2, overflow=overflows[index]),
        )
        for index, name in enumerate(names)
    )
    return world("ring", 30, agents, policy="round_robin", turns_per_tick=3, checkpoint_every=4)


def diamond() -> World:
    """Tasks of the world and of agents, with dependencies, under the dag policy."""
    agents = (
        wasm("planner", "tasks", {"plan": 1}, send=("worker",), publish=("done",)),
        wasm("worker", "tasks", {"plan": 0}, send=("worker",), publish=("done",)),
        listener(subscribe=("done",)),
    )
    tasks = (
        TaskSpec("first", "worker", 0, 0, b"1"),
        TaskSpec("second", "planner", 2, 0, b"2", (0,)),
        TaskSpec("third", "worker", 1, 0, b"3", (0, 1)),
    )
    return world("diamond", 24, agents, policy="dag", tasks=tasks)


def family() -> World:
    """Agents that spawn, live and leave, with timers, each seeing at once what the slot before it did."""
    life = wasm("child", "spawner", {"children": 2, "generations": 2, "life": 3}, publish=("born",), spawn=("child",))
    agents = (
        msgspec.structs.replace(life, name="root"),
        wasm("clock", "timers", {"period": 3}, publish=("time",)),
        listener(subscribe=("born", "time")),
    )
    return world("family", 30, agents, visibility="linear", policy="priority", templates=(life,))


def trouble() -> World:
    """Agents that fail in many ways, under every supervision policy, beside some that do not."""
    acts = ("trap", "frame", "code", "handle", "recursion", "count")
    policies = ("restart", "retry", "suspend", "stop", "escalate", "restart")
    template = wasm("pupil", "rogue", {"act": "trap", "at": 9, "publish": 1}, publish=("talk",))
    rogues = tuple(
        wasm(
            f"r{index}",
            "rogue",
            {"act": act, "at": 4 + index, "every": 5, "publish": 1},
            publish=("talk",),
            subscribe=("talk",),
            limits=Limits(fuel=2_000_000, memory_pages=32),
            supervision=Supervision("stop" if policy == "escalate" else policy, 2),
        )
        for index, (act, policy) in enumerate(zip(acts, policies, strict=True))
    )
    echo = wasm("echo", "echo", {}, subscribe=(), limits=Limits(mailbox_messages=4))
    return world("trouble", 30, (*rogues, echo, listener(subscribe=("talk",))), templates=(template,))


def fed() -> World:
    """A feed into a topic and an agent, with inputs bounded per tick."""
    rows = b"hour,value\n" + b"".join(b"%d,%d\n" % (index // 3, index * 37 % 101) for index in range(40))
    agents = (
        wasm("echo", "echo", {}, subscribe=("rows",)),
        wasm("spin", "spin", {"iterations": 2000, "every": 2}, publish=("sum",)),
        listener(subscribe=("rows", "sum")),
    )
    feeds = (FeedSpec("rows", codec.digest(rows), "rows", True, "hour"),)
    return world("fed", 30, agents, rows, feeds=feeds, max_inputs=2)


class Glazier:
    """A native agent that keeps a log of what it reads in a frame, and forgets one of five turns again."""

    def init(self, config: bytes, context: Context) -> tuple[tuple[int, ...], Outbox]:
        return (), context.outbox()

    def turn(
        self, state: tuple[int, ...], inbox: tuple[Message, ...], context: Context
    ) -> tuple[tuple[int, ...], Outbox]:
        outbox = context.outbox()
        epochs = [item for item in inbox if item.kind == FrameKind.WINDOW_EPOCH]
        for item in epochs:
            name = context.spec.windows[item.destination]
            content = context.windows[name]
            outbox.publish("seen", name.encode() + codec.digest(content))
            outbox.write("third", content[:40] or b"nothing")
        for item in inbox:
            if item.kind in (FrameKind.RESULT, FrameKind.ERROR):
                outbox.publish("seen", b"%d %x " % (item.kind, item.destination) + item.body)
        if context.tick % 6 == 0:
            outbox.infer("brain", b"what is it?")
            outbox.infer("mute", b"and you?")
        if context.tick % 3 == 1:
            outbox.infer_window("brain", "third", 0, 40 * (context.tick // 6))
        if context.tick % 5 == 3:
            raise RuntimeError("forgetful")
        return (*state, len(epochs))[-9:], outbox

    def shutdown(self, state: tuple[int, ...], context: Context) -> tuple[tuple[int, ...], Outbox]:
        return state, context.outbox()


GLAZIER = "glazier:Glazier"


def panes(visibility: str = "next") -> World:
    """A frame, a ring and a log, written and read by modules and a native agent that fail now and then."""

    def pane(name: str, config: Mapping[str, object], policy: str = "retry") -> AgentSpec:
        supervision = Supervision(policy, 9)
        return wasm(name, "pane", config, publish=("seen",), windows=("first", "second"), supervision=supervision)

    glazier = AgentSpec(
        "glazier", "native", GLAZIER, bytes(32), publish=("seen",), windows=("first", "second", "third"),
        models=("brain", "mute"), supervision=Supervision("retry", 9),
    )  # fmt: skip
    agents = (
        pane("writer", {"write": 0, "fail": 7}),
        pane("ringer", {"write": 1, "every": 2, "most": 900}),
        pane("reader", {"fail": 4}),
        pane("forgetful", {"fail": 6}, "restart"),
        glazier,
        wasm("last", "pane", {}, publish=("seen",), windows=("third", "fourth")),
        listener(subscribe=("seen",)),
    )
    windows = (
        WindowSpec("first", "frame", 600, "writer", ("reader", "forgetful", "glazier"), 0, 30),
        WindowSpec("second", "ring", 2000, "ringer", ("reader", "forgetful", "glazier"), 3),
        WindowSpec("third", "log", 1000, "glazier", ("last",)),
        WindowSpec("fourth", "frame", 8, "last", ()),
    )
    found = world(
        "panes",
        40,
        agents,
        windows=windows,
        models=(ModelSpec("mute"), ModelSpec("brain")),
        visibility=visibility,
        checkpoint_every=8,
    )
    return msgspec.structs.replace(found, natives={**found.natives, GLAZIER: Glazier})


def drawn(seed: int) -> World:
    """Return a drawn world of native agents whose head depends on no clock and on no order of arrival."""
    found = draw_world(Draw(seed).branch(1))
    header = msgspec.structs.replace(
        found.header,
        ordering="issue",
        agents=tuple(msgspec.structs.replace(spec, clock=False) for spec in found.header.agents),
        templates=tuple(msgspec.structs.replace(spec, clock=False) for spec in found.header.templates),
    )
    return msgspec.structs.replace(found, header=header)


WASM: dict[str, Callable[[], World]] = {
    "gossip": gossip,
    "ring": ring,
    "diamond": diamond,
    "family": family,
    "trouble": trouble,
    "fed": fed,
    "panes": panes,
    "panes-linear": partial(panes, "linear"),
    "everything": everything,
    "everything-linear": partial(everything, "linear", "round_robin", 1),
}
NATIVE: dict[str, Callable[[], World]] = {f"drawn-{seed}": partial(drawn, seed) for seed in (2, 5, 11, 18, 23, 42)}
CORPUS = WASM | NATIVE
