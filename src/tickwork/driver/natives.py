"""Native agents at work: their classes found, their states kept, their failures turned into outcomes."""

import importlib.util
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, Final

import msgspec

from ..codec import decode_frames, digest
from ..errors import AgentCodeMissing
from ..native import Agent, Context, Outbox
from ..records import AgentSpec, Operation, Outcome, Refusal, Status, Turn
from .native_windows import NativeRegions, with_writes

EXCEPTION_TRAP: Final = 100
"""Trap number of a native agent that raised; a module's traps are below."""

METHODS: Final = ("init", "turn", "shutdown")
"""What the class of a native agent defines."""

_INIT, _STEP, _SHUTDOWN = int(Operation.INIT), int(Operation.STEP), int(Operation.SHUTDOWN)
_OK: Final = int(Status.OK)

_BUILT_IN: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind for kind in (bool, int, str, bytes, tuple, list, dict, NoneType)
}


def load_native(entry: str, folder: Path | None, expected: bytes) -> Agent[Any]:
    """Return the agent that ``file:Class`` names, from the folder of the world.

    Args:
        expected: SHA-256 of the source file, from the header.

    Raises:
        AgentCodeMissing: TW4002, no such file or class, another source than the recorded one, or one that raises.
    """
    stem, _, name = entry.partition(":")
    path = (folder or Path()) / f"{stem}.py"
    module = _module(path, _recorded_source(entry, path, expected), f"tickwork_native_{expected.hex()[:16]}")
    found: type[Agent[Any]] | None = getattr(module, name, None)
    if found is None:
        raise AgentCodeMissing(
            f"{path.name} has no class {name!r}", where=str(path), fix='name the class as in `native = "file:Class"`'
        )
    absent = [method for method in METHODS if not callable(getattr(found, method, None))]
    if absent:
        raise AgentCodeMissing(
            f"native agent {entry!r} has no {' and no '.join(absent)}",
            where=str(path),
            why=f"the class of a native agent has the methods {', '.join(METHODS)}",
            fix=f"define {', '.join(absent)} in class {name}",
        )
    try:
        return found()
    except Exception as error:
        raise _not_loaded(path, error, f"correct {name}.__init__: it is called without arguments") from error


def _recorded_source(entry: str, path: Path, expected: bytes) -> bytes:
    """Return the bytes of a source file if they are the ones of the header."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise AgentCodeMissing(
            f"the source of native agent {entry!r} cannot be read",
            where=str(path),
            why="a journal carries modules but no native code, so that opening one runs nobody's Python",
            fix="name the folder of the world it was made from with --folder",
        ) from error
    if digest(source) != expected:
        raise AgentCodeMissing(
            f"the source of native agent {entry!r} is not the recorded one",
            where=str(path),
            why=f"its digest is {digest(source).hex()[:16]}…, the run's header has {expected.hex()[:16]}…",
            fix="use the folder as it was when the run was made, or fork the run from a new world",
        )
    return source


def _module(path: Path, source: bytes, name: str) -> ModuleType:
    """Return the module a source file makes; only the bytes given are executed, not what is in the file by now."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise _not_loaded(path, error, "install what it imports, or correct the file") from error
    return module


def _not_loaded(path: Path, error: Exception, fix: str) -> AgentCodeMissing:
    """Return the error of a source that raised while it was loaded: the agent's defect, not ours."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return AgentCodeMissing(
        f"{path.name} cannot be loaded",
        where=f"{path}:{lines[-1]}" if lines else str(path),
        why=f"{type(error).__name__}: {error}",
        fix=fix,
    )


class NativeImage(msgspec.Struct, frozen=True, array_like=True):
    """The state of a native agent.

    Attributes:
        kind: Name of the state's class in the agent's own source file, or of a built-in class.
        state: Encoded.
        windows: What windows have shown to it, by name. Order: name.
    """

    kind: str
    state: bytes
    windows: tuple[tuple[str, bytes], ...] = ()


class NativeCrew:
    """The native agents of a run.

    Args:
        folder: Where sources are looked up.
        known: Agents given as objects, by entry; they win over files.
    """

    def __init__(self, folder: Path | None, known: Mapping[str, Agent[Any]]) -> None:
        self._folder = folder
        self._known = dict(known)
        self._agents: dict[int, tuple[Agent[Any], AgentSpec]] = {}
        self._states: dict[int, Any] = {}
        self._before: dict[int, Any] = {}
        self._regions = NativeRegions()
        self._shown_before: dict[int, Mapping[str, bytes]] = {}

    def place(self, number: int, spec: AgentSpec) -> None:
        """Make an agent ready for its first turn."""
        if spec.entry not in self._known:
            self._known[spec.entry] = load_native(spec.entry, self._folder, spec.digest)
        self._agents[number] = (self._known[spec.entry], spec)
        self._states[number] = None

    def change_spec(self, number: int, spec: AgentSpec) -> None:
        """Let an agent see another spec from now on; nothing happens where it is not native."""
        if number in self._agents:
            self._agents[number] = (self._agents[number][0], spec)

    def owns(self, number: int) -> bool:
        """Return whether an agent is native."""
        return number in self._agents

    def compute(self, turn: Turn) -> Outcome:
        """Return what a turn came to; what the agent raises is a trap."""
        number = turn.agent
        agent, spec = self._agents[number]
        state = self._before[number] = self._states[number]
        shown = self._shown_before[number] = self._regions.contents(number)
        if turn.views:
            shown = self._regions.show(spec, turn)
        context = Context(turn.tick, turn.seed, number, turn.wall_us, spec, shown)
        try:
            after, outbox = _call(agent, state, turn, context)
            content, code = outbox.encode(), outbox.settled(stepping=turn.operation == _STEP)
        except Exception as error:  # noqa: BLE001 - Whatever an agent raises is data: the outcome of its turn.
            return Outcome(Status.TRAP, EXCEPTION_TRAP, 0, b"", f"{type(error).__name__}: {error}")
        if code < 0 and code != Refusal.OUTBOX_FULL:
            return Outcome(Status.FAILED, code, 0, b"")
        self._states[number] = after
        if turn.views:
            self._regions.restore(number, shown)
        outcome = Outcome(_OK, code, 0, content)
        return with_writes(outcome, outbox.writes) if outbox.writes else outcome

    def image(self, number: int) -> NativeImage | None:
        """Return an agent's state, or None where decoding would not give an equal one."""
        state: Any = self._states[number]
        kind: type[Any] = state.__class__
        if self._kind(number, kind.__qualname__) is not kind:
            return None
        try:
            encoded = msgspec.msgpack.encode(state, order="deterministic")
            same = msgspec.msgpack.decode(encoded, type=kind) == state
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
            return None
        shown = tuple(sorted(self._regions.contents(number).items()))
        return NativeImage(kind.__qualname__, encoded, shown) if same is True else None

    def restore(self, number: int, image: NativeImage) -> None:
        """Put an agent that has just been placed into a state.

        Raises:
            AgentCodeMissing: TW4002, its source does not define that state.
        """
        kind = self._kind(number, image.kind)
        entry = self._agents[number][1].entry
        if kind is None:
            raise AgentCodeMissing(f"the source of native agent {entry!r} defines no state {image.kind!r}")
        self._states[number] = msgspec.msgpack.decode(image.state, type=kind)
        self._regions.restore(number, dict(image.windows))

    def state(self, number: int) -> Any:
        """Return the state of an agent as it is, None before it has begun."""
        return self._states[number]

    def _kind(self, number: int, name: str) -> type[Any] | None:
        """Return the class of that name that an agent's state may be of."""
        module = sys.modules.get(type(self._agents[number][0]).__module__)
        found: Any = getattr(module, name, _BUILT_IN.get(name))
        return found if isinstance(found, type) else None

    def undo(self, numbers: Sequence[int]) -> None:
        """Forget the last turn of these agents."""
        for number in numbers:
            self._states[number] = self._before[number]
            self._regions.restore(number, self._shown_before[number])

    def reset(self, numbers: Sequence[int]) -> None:
        """Put these agents back to where they have not begun."""
        self._regions.forget(numbers)
        for number in numbers:
            self._states[number] = None

    def retire(self, numbers: Sequence[int]) -> None:
        """Drop the states of agents that will not run again."""
        self._regions.forget(numbers)
        for number in numbers:
            self._states[number] = self._before[number] = None


def _call(agent: Agent[Any], state: Any, turn: Turn, context: Context) -> tuple[Any, Outbox]:
    inbox = tuple(decode_frames(turn.inbox))
    if turn.operation == _INIT:
        return agent.init(inbox[0].body, context)
    if turn.operation == _SHUTDOWN:
        return agent.shutdown(state, context)
    return agent.turn(state, inbox, context)
