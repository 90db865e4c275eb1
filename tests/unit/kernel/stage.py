"""A stage for kernel tests: a machine, and agents that do what the test says."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tickwork import codec
from tickwork.driver.resolve import new_header
from tickwork.kernel import Machine
from tickwork.kernel.state import AgentState
from tickwork.native import Outbox
from tickwork.records import (
    UNTIL_MESSAGE,
    AgentSpec,
    Derived,
    DerivedKind,
    Effect,
    FrameKind,
    Header,
    Input,
    InputKind,
    Limits,
    Message,
    Operation,
    Outcome,
    Status,
    Supervision,
    Turn,
)

Act = Callable[[Outbox], None] | Outcome | bytes
"""What an agent does in a turn: fill its outbox, come to an outcome, or leave these bytes."""


def spec(name: str, **fields: Any) -> AgentSpec:
    """Return an agent; keyword arguments are its fields."""
    return AgentSpec(name, "native", f"test:{name}", bytes(32), **fields)


def world(*agents: AgentSpec, ticks: int = 1000, **fields: Any) -> Header:
    """Return a header in which these agents may use every topic they name."""
    named = dict.fromkeys(
        topic for known in (*agents, *fields.get("templates", ())) for topic in (*known.publish, *known.subscribe)
    )
    fields.setdefault("topics", tuple(named))
    return msgspec.structs.replace(new_header("stage", ticks, agents), **fields)


def limits(**fields: Any) -> Limits:
    """Return limits; keyword arguments are their fields."""
    return Limits(**fields)


def supervision(policy: str, retries: int = 0) -> Supervision:
    """Return a supervision policy."""
    return Supervision(policy, retries)


def trap(number: int = 5) -> Outcome:
    """Return the outcome of a turn that trapped."""
    return Outcome(Status.TRAP, number, 10, b"", "test")


def failed(code: int) -> Outcome:
    """Return the outcome of a turn that returned a negative code."""
    return Outcome(Status.FAILED, code, 10, b"")


def message(target: str, body: bytes = b"hello", **fields: Any) -> Input:
    """Return a message from outside."""
    return Input(InputKind.MESSAGE, "test", target, body=body, **fields)


class Tick(msgspec.Struct):
    """What a tick came to."""

    order: list[str]
    turns: dict[str, Turn]
    outcomes: dict[str, Outcome]
    derived: tuple[Derived, ...]
    effects: list[Effect]
    undo: list[int]
    reset: list[int]
    retire: list[int]
    records: tuple[bytes, bytes]

    def inbox(self, name: str) -> list[Message]:
        """Return the frames an agent was given; an empty list where it had no turn."""
        return list(codec.decode_frames(self.turns[name].inbox)) if name in self.turns else []

    def bodies(self, name: str) -> list[bytes]:
        """Return the bodies of the messages an agent was given."""
        kinds = (FrameKind.MESSAGE, FrameKind.RETAINED)
        return [item.body for item in self.inbox(name) if item.kind in kinds or item.kind >= 0x8000]

    def kinds(self, name: str) -> list[int]:
        """Return the kinds of the frames an agent was given."""
        return [item.kind for item in self.inbox(name)]

    def errors(self, name: str) -> list[tuple[int, str]]:
        """Return (code, text) of the refusals an agent was told of."""
        found = [item.body for item in self.inbox(name) if item.kind == FrameKind.ERROR]
        return [(int.from_bytes(body[:4], "little", signed=True), body[16:].decode()) for body in found]

    def notes(self, kind: DerivedKind) -> list[Derived]:
        """Return the derived records of one kind."""
        return [item for item in self.derived if item.kind == kind]


class Stage:
    """Runs a machine tick by tick."""

    def __init__(self, header: Header, machine: Machine | None = None) -> None:
        self.header = header
        self.machine = machine or Machine(header, bytes(32))

    def agent(self, name: str) -> AgentState:
        """Return an agent's state."""
        return self.machine.state.agents[self.machine.cast.numbers[name]]

    def status(self) -> int:
        """The run's status."""
        return self.machine.state.status

    def start(self) -> Tick:
        """Run the first tick, in which agents are initialised."""
        return self.tick()

    def tick(self, *inputs: Input, **acts: Act) -> Tick:
        """Run one tick. Agents named in ``acts`` do what is given there, others wait for a message."""
        return self.run(inputs, acts)

    def run(self, inputs: Sequence[Input], acts: Mapping[str, Act], *, replaying: bool = False) -> Tick:
        """Run one tick, agents by name in a mapping."""
        machine = self.machine
        machine.admit(inputs)
        done = Tick([], {}, {}, (), [], [], [], [], (b"", b""))
        slots = machine.plan()
        for group in [[slot] for slot in slots] if self.header.visibility == "linear" else [slots]:
            turns = machine.turns(group, replaying=replaying)
            outcomes = [self._outcome(turn, acts) for turn in turns]
            machine.commit(turns, outcomes)
            for turn in turns:
                name = machine.state.agents[turn.agent].name
                done.order.append(name)
                done.turns[name] = turn
        commit = machine.done
        done.effects, done.undo, done.reset, done.retire = commit.effects, commit.undo, commit.reset, commit.retire
        sealed = machine.seal()
        done.derived, done.records = codec.decode_derived(sealed.derived), (sealed.turns, sealed.derived)
        for name, record in zip(done.order, codec.decode_turns(sealed.turns), strict=True):
            done.outcomes[name] = record.outcome
        return done

    def _outcome(self, turn: Turn, acts: Mapping[str, Act]) -> Outcome:
        agent = self.machine.state.agents[turn.agent]
        act = acts.get(agent.name)
        if act is None or (turn.operation == Operation.INIT and callable(act)):
            return Outcome(Status.OK, 0 if turn.operation == Operation.INIT else UNTIL_MESSAGE, 100, b"")
        if isinstance(act, Outcome):
            return act
        if isinstance(act, bytes):
            return Outcome(Status.OK, UNTIL_MESSAGE, 100, act)
        assert callable(act)
        outbox = Outbox(agent.spec)
        act(outbox)
        return Outcome(Status.OK, outbox.code, 100, outbox.encode())
