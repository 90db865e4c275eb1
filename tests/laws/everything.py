"""Worlds in which everything happens to the same agents: windows, grants, models, swaps, spawning, failures."""

from pathlib import Path

import msgspec

from tickwork import codec
from tickwork.driver.plans import Swap
from tickwork.driver.resolve import World, canonical_json, make_world, new_header, with_swaps
from tickwork.native import Context, Outbox
from tickwork.records import (
    AgentSpec,
    EffectClass,
    FrameKind,
    Input,
    InputKind,
    Limits,
    Message,
    ModelSpec,
    SkillSpec,
    Supervision,
    TaskSpec,
    WindowSpec,
)

ROOT = Path(__file__).resolve().parent.parent.parent
TOUR = {name: ROOT / "tests" / "tour" / name / f"tour-{name}.wasm" for name in ("c", "rust", "assemblyscript")}
MARKET = {name: ROOT / "examples" / "market" / name / f"market-{name}.wasm" for name in ("c", "rust")}
PANE = ROOT / "tests" / "modules" / "pane.wasm"

WITNESS = "witness:Witness"


class Witness:
    """A native agent that tells all it sees, what it may do included, writes a log of it, and fails now and then."""

    def init(self, config: bytes, context: Context) -> tuple[int, Outbox]:
        return 0, context.outbox()

    def turn(self, state: int, inbox: tuple[Message, ...], context: Context) -> tuple[int, Outbox]:
        outbox = context.outbox()
        seen = b"".join(codec.digest(item.body)[:4] for item in inbox)
        seen += b"".join(codec.digest(content)[:4] for _, content in sorted(context.windows.items()))
        seen += repr((context.spec.denied, context.spec.priority)).encode()
        for item in inbox:
            if item.kind == FrameKind.WINDOW_EPOCH:
                outbox.write("notes", seen[:30])
        outbox.publish("seen", seen, retain=context.tick % 3 == 0)
        if context.tick % 4 == 1:
            outbox.infer("brain", seen)
            outbox.call("work", seen)
        if context.tick % 7 == 2:
            raise RuntimeError("now and then")
        return state + len(inbox), outbox

    def shutdown(self, state: int, context: Context) -> tuple[int, Outbox]:
        return state, context.outbox()


def _module(name: str, path: Path, config: object, **fields: object) -> AgentSpec:
    found = AgentSpec(name, "wasm", path.stem, codec.digest(path.read_bytes()), config=canonical_json(config))
    return msgspec.structs.replace(found, **fields)


def _agents() -> tuple[AgentSpec, ...]:
    touring = {
        "publish": ("news",), "subscribe": ("news",), "send": ("peer",), "skills": ("work",), "spawn": ("child",),
        "models": ("brain",), "windows": ("board",), "version": "1.0.0",
    }  # fmt: skip
    trading = {"publish": ("orders", "price"), "subscribe": ("orders", "price"), "send": ("*",), "version": "1.0.0"}
    showing = {"publish": ("seen",), "windows": ("first", "second")}
    tight = Limits(mailbox_messages=2, overflow="defer")
    return (
        _module("tour", TOUR["c"], {}, **touring, supervision=Supervision("retry", 3)),
        AgentSpec(
            "peer", "native", WITNESS, bytes(32), publish=("seen",), subscribe=("seen", "news"), skills=("work",),
            models=("brain",), windows=("board", "first", "second", "notes"), supervision=Supervision("retry", 9),
        ),
        _module("t0", MARKET["c"], {"spread": 5, "every": 2}, **trading, limits=tight),
        _module("t1", MARKET["c"], {"spread": 5, "every": 2}, **trading, limits=tight),
        _module("t2", MARKET["c"], {"spread": 7, "every": 1}, **trading),
        _module("writer", PANE, {"write": 0, "fail": 6}, **showing, supervision=Supervision("restart", 0)),
        _module("ringer", PANE, {"write": 1, "most": 900}, **showing, supervision=Supervision("stop", 0)),
        _module("reader", PANE, {"fail": 5}, **showing, supervision=Supervision("retry", 9), limits=tight),
    )  # fmt: skip


def _inputs() -> tuple[tuple[int, Input], ...]:
    def order(kind: InputKind, target: str, body: bytes = b"", number: int = 0) -> Input:
        return Input(kind, "operator", target, number=number, body=body, size=len(body))

    other = WindowSpec("second", "log", 4000, "writer", ("reader", "peer", "child-8"))
    return (
        (4, order(InputKind.REVOKE, "reader", b"windows:first")),
        (4, order(InputKind.REVOKE, "peer", b"models:brain")),
        (4, order(InputKind.CONFIGURE_AGENT, "peer", b"priority", 3)),
        (5, order(InputKind.SUSPEND_AGENT, "t0")),
        (6, order(InputKind.REVOKE, "t1", b"subscribe:price")),
        (8, order(InputKind.GRANT, "peer", b"models:brain")),
        (9, order(InputKind.RESUME_AGENT, "t0")),
        (11, order(InputKind.GRANT, "reader", b"windows:first")),
        (13, order(InputKind.GRANT, "t1", b"subscribe:price")),
        (14, order(InputKind.CLOSE_WINDOW, "second")),
        (16, order(InputKind.STOP_AGENT, "ringer")),
        (17, order(InputKind.OPEN_WINDOW, "second", msgspec.msgpack.encode(other))),
        (20, order(InputKind.REVOKE, "writer", b"windows:first")),
        (22, order(InputKind.PUBLISH_RETAINED, "price", (90).to_bytes(8, "little"))),
        (23, order(InputKind.GRANT, "writer", b"windows:first")),
    )


SWAPS = (
    Swap("t0", MARKET["rust"], 5),  # The tick it is suspended in, with mail that waits at its senders.
    Swap("t1", MARKET["c"], 7, "keep_image"),
    Swap("tour", TOUR["rust"], 10),  # With an effect, a timer, a task and a request to a model open.
    Swap("reader", PANE, 10, "restart"),  # In the tick a snapshot follows, while a window is not granted to it.
    Swap("writer", PANE, 12, "keep_image"),
    Swap("tour", TOUR["assemblyscript"], 14),
    Swap("child-8", PANE, 19, "restart"),
    Swap("ringer", PANE, 20, "restart"),  # It has stopped by then.
    Swap("t2", MARKET["rust"], 25),  # The run closes.
)


def everything(visibility: str = "next", policy: str = "fifo", max_inputs: int = 3) -> World:
    """Return a world in which versions, windows and grants of the same agents change all the time."""
    agents = _agents()
    child = _module("child", PANE, {}, publish=("seen",), windows=("first", "second"))
    header = msgspec.structs.replace(
        new_header("everything", 26, agents),
        seed=2013,
        allow_unsigned=True,
        visibility=visibility,
        policy=policy,
        max_inputs=max_inputs,
        checkpoint_every=4,
        topics=("news", "seen", "orders", "price"),
        templates=(child,),
        skills=(SkillSpec("work", EffectClass.IDEMPOTENT),),
        models=(ModelSpec("brain"),),
        tasks=(TaskSpec("first", "tour", 0, 0, b"1"), TaskSpec("second", "t2", 1, 0, b"2", (0,))),
        windows=(
            WindowSpec("board", "frame", 64, "tour", ("peer",)),
            WindowSpec("first", "frame", 600, "writer", ("reader", "peer", "child-8")),
            WindowSpec("second", "ring", 2000, "ringer", ("reader", "peer", "child-8"), 2),
            WindowSpec("notes", "log", 2000, "peer", ()),
        ),
    )
    modules = [path.read_bytes() for path in (TOUR["c"], MARKET["c"], PANE)]
    world = make_world(header, modules=modules, natives={WITNESS: Witness})
    return with_swaps(msgspec.structs.replace(world, inputs=_inputs()), SWAPS)
