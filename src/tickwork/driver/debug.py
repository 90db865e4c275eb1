"""A debugger over a journal: any tick, forwards and backwards, with the agents' memories as they were.

Turns are executed again as verification does, so memory and globals are those of the run. Going back begins anew at
the last snapshot before the tick. Nothing is performed and nothing is written.
"""

import struct
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

import msgspec

from .. import codec
from ..errors import AgentNotFound, TickOutOfRange, UsageFault
from ..journal.store import JournalReader
from ..kernel import AgentState, AgentStatus
from ..records import DerivedKind, Frame, Message, Status
from ..sandbox import wasm
from .fold import Diverged, Fold, read_turns
from .look import Explain, FrameView, StateView, agent_number, as_it_is, view_frame, view_state
from .natives import NativeImage
from .opening import executing, reading
from .options import Options
from .resolve import World
from .verify import divergence_error, fold_prefix

BreakKind = Literal["trap", "agent", "topic", "key", "record"]
"""What a break stops at: a failed turn, a turn of an agent, a message on a topic, another retained value of a topic, a
derived record."""


class Break(msgspec.Struct, frozen=True):
    """Where to stop.

    Attributes:
        name: Of the agent, topic or kind of record; empty for any.
    """

    kind: BreakKind
    name: str = ""


class Stop(msgspec.Struct, frozen=True):
    """Why a debugger stands where it stands: after ``tick``, at the break that was met."""

    tick: int
    reached: Break


class GlobalView(msgspec.Struct, frozen=True):
    """A mutable global of a module. ``name`` is that of its export, or empty."""

    index: int
    name: str
    type: str
    value: int | float


class Debugger:
    """Stands between two ticks of a journal.

    Args:
        explain: What makes of a trap's offsets the lines of its source.

    Raises:
        AgentCodeMissing: TW4002, a native agent's source is absent or changed.
        ModuleError: TW3001 to TW3006, a module is refused.
    """

    def __init__(
        self,
        source: Path | str | JournalReader,
        *,
        world: World | None = None,
        options: Options | None = None,
        explain: Explain = as_it_is,
    ) -> None:
        self._world = world
        self._options = options or Options()
        self._explain = explain
        self._held = ExitStack()
        self._run = ExitStack()
        self.journal = self._held.enter_context(reading(source))
        self._held.callback(self._run.close)
        self._last: Frame | None = None
        self._fold = self._open(0)

    def _open(self, until: int) -> Fold:
        self._run.close()
        _, _, fold = self._run.enter_context(executing(self.journal, self._world, self._options, until=until))
        return fold

    @property
    def tick(self) -> int:
        """The tick that comes next."""
        return self._fold.machine.state.tick

    @property
    def length(self) -> int:
        """Ticks the journal has."""
        return self.journal.length()

    def seek(self, tick: int) -> None:
        """Stand before a tick.

        Raises:
            TickOutOfRange: TW4006.
            ReplayDivergence: TW4001, a record on the way does not come out again.
        """
        if not 0 <= tick <= self.length:
            raise TickOutOfRange(
                f"the run has no tick {tick}", why=f"it has ticks 0 to {self.length - 1}", fix="name one of them"
            )
        if tick < self.tick:
            self._fold = self._open(tick)
            if self._fold.begins:
                self._check_prefix()
        while self.tick < tick:
            self._feed()
        self._last = self.journal.frame(tick - 1) if tick else None

    def _check_prefix(self) -> None:
        fold_prefix(self._fold, self.journal, self._fold.begins, None, "debug", Options())

    def _feed(self) -> Frame:
        frame = self.journal.frame(self.tick)
        assert frame is not None, "the caller stays within the journal"
        try:
            self._fold.feed(frame)
        except Diverged as error:
            raise divergence_error(error.divergence) from error
        self._last = frame
        return frame

    def run(self, breaks: Sequence[Break], ticks: int = 0) -> Stop | None:
        """Go on until a break is met, so many ticks are done (0: no bound) or the journal ends."""
        end = min(self.length, self.tick + ticks) if ticks else self.length
        while self.tick < end:
            versions = [topic.version for topic in self._fold.machine.state.topics]
            frame = self._feed()
            for wanted in breaks:
                if self._meets(wanted, frame, versions):
                    return Stop(frame.tick, wanted)
        return None

    def check_break(self, wanted: Break) -> None:
        """Refuse a break that could never be met.

        Raises:
            AgentNotFound: TW4005, it names an agent that the run does not have.
            UsageFault: TW1001, it names no topic or kind of record.
        """
        machine = self._fold.machine
        if wanted.kind == "agent" or (wanted.kind == "trap" and wanted.name):
            agent_number(machine, wanted.name)
        known = {
            "topic": list(machine.cast.topics),
            "key": list(machine.cast.topics),
            "record": [kind.name.lower() for kind in DerivedKind],
        }.get(wanted.kind)
        if known is not None and wanted.name not in known:
            what = "record of kind" if wanted.kind == "record" else "topic"
            raise UsageFault(
                f"there is no {what} {wanted.name!r}", why=f"there are {', '.join(known)}", fix="name one of them"
            )

    def _meets(self, wanted: Break, frame: Frame, versions: Sequence[int]) -> bool:
        machine = self._fold.machine
        names = [agent.name for agent in machine.state.agents]
        match wanted.kind:
            case "record":
                kinds = [DerivedKind(item.kind).name.lower() for item in codec.decode_derived(frame.derived)]
                return wanted.name in kinds
            case "key":
                index = machine.cast.topics[wanted.name]
                return machine.state.topics[index].version != versions[index]
            case "topic":
                view = self.frame()
                sent = [m for m in (*view.messages, *view.inputs) if m.kind.startswith("publish")] if view else []
                return any(message.target == wanted.name for message in sent)
            case "trap":
                failed = [t for t in read_turns(self.journal, frame) if t.outcome.status != Status.OK]
                return any(wanted.name in ("", names[turn.agent]) for turn in failed)
            case "agent":
                number = agent_number(machine, wanted.name)
                return any(turn.agent == number for turn in read_turns(self.journal, frame))

    def state(self) -> StateView:
        """Return the run as it stands."""
        return view_state(self._fold.machine)

    def frame(self) -> FrameView | None:
        """Return the records of the tick before this place; None before tick 0."""
        if self._last is None:
            return None
        return view_frame(self.journal, self._fold.machine, self._last, explain=self._explain)

    def agent(self, name: str) -> AgentState:
        """Return an agent's state by its name or number.

        Raises:
            AgentNotFound: TW4005.
        """
        return self._fold.machine.state.agents[agent_number(self._fold.machine, name)]

    def mailbox(self, name: str) -> list[Message]:
        """Return the messages that wait for an agent. Order: oldest first."""
        return [message for frame in self.agent(name).mail for message in codec.decode_frames(frame)]

    def memory(self, name: str) -> bytes:
        """Return a module's whole memory, or a native agent's state encoded.

        Raises:
            AgentNotFound: TW4005, no such agent, or it has no state now.
        """
        agent = self._living(name)
        assert self._fold.crew is not None, "a debugger executes"
        images = self._fold.crew.images([agent.number])
        if images is None:
            raise AgentNotFound(f"the state of native agent {agent.name!r} has no encoding", fix="look at it in Python")
        return images[0].state if isinstance(images[0], NativeImage) else images[0].memory

    def globals(self, name: str) -> list[GlobalView]:
        """Return a module's mutable globals; none for a native agent. Order: index."""
        agent = self._living(name)
        assert self._fold.crew is not None, "a debugger executes"
        if agent.spec.kind != "wasm":
            return []
        images = self._fold.crew.images([agent.number])
        assert images is not None, "modules have images"
        image = images[0]
        assert not isinstance(image, NativeImage), "the agent is a module"
        return view_globals(wasm.parse(self.journal.content(agent.spec.digest)), image.globals)

    def _living(self, name: str) -> AgentState:
        agent = self.agent(name)
        if not agent.started or agent.status == AgentStatus.STOPPED:
            why = "it has stopped" if agent.started else "it has not had its first turn"
            raise AgentNotFound(
                f"agent {agent.name!r} has no memory at tick {self.tick}", why=why, fix="seek elsewhere"
            )
        return agent

    def close(self) -> None:
        """Let go of the journal and of the agents."""
        self._held.close()


_TYPES: Final = {wasm.I32: ("i32", "<i"), wasm.I64: ("i64", "<q"), wasm.F32: ("f32", "<f"), wasm.F64: ("f64", "<d")}


def view_globals(module: wasm.Module, raw: bytes) -> list[GlobalView]:
    """Return the mutable globals of an image with their values.

    Args:
        raw: As in ``Image.globals``; what lies behind the module's own is the host's and left out.
    """
    names = {export.target: export.name for export in module.exports if export.kind == wasm.KIND_GLOBAL}
    state = [(index, item.type) for index, item in enumerate(module.globals) if item.mutable]
    views = list[GlobalView]()
    for place, (index, kind) in enumerate(state):
        name, form = _TYPES[kind]
        (value,) = struct.unpack_from(form, raw, place * 16)
        views.append(GlobalView(index, names.get(index, ""), name, value))
    return views
