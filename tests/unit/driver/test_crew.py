"""The crew: native agents here and modules in a pool, seen as one."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.unit.driver.troupe import Memory, acting, options, spec
from tickwork.codec import encode_frame
from tickwork.driver import crew as crews
from tickwork.driver.crew import Crew, admit_modules
from tickwork.driver.resolve import new_header
from tickwork.errors import AgentCodeMissing
from tickwork.kernel import Commit
from tickwork.native import Context, Outbox
from tickwork.records import AgentSpec, FrameKind, Message, Operation, Outcome, Turn
from tickwork.sandbox.pool import Program


def still(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
    outbox.log(context.name)


class Pool:
    """A pool that answers with the agent's number and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def compute(self, turns: Sequence[Turn]) -> list[Outcome]:
        self.asked.append(("compute", [turn.agent for turn in turns]))
        return [Outcome(0, turn.agent, 0, b"") for turn in turns]

    def place(self, program: Program) -> None:
        self.asked.append(("place", program.agent))

    def rollback(self, agents: Sequence[int]) -> None:
        self.asked.append(("rollback", list(agents)))

    def reset(self, agents: Sequence[int]) -> None:
        self.asked.append(("reset", list(agents)))

    def retire(self, agents: Sequence[int]) -> None:
        self.asked.append(("retire", list(agents)))

    def close(self) -> None:
        self.asked.append(("close", None))


class Admitted:
    compiled = b"native code"
    source = b""


def module(name: str) -> AgentSpec:
    return AgentSpec(name, "wasm", name, bytes(32))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    made = Pool()
    monkeypatch.setattr(crews, "open_pool", lambda *_, **__: made)
    return made


def crew(*agents: AgentSpec) -> Crew:
    admitted: Any = {item.digest: Admitted() for item in agents if item.kind == "wasm"}
    natives = {item.entry: acting(still)() for item in agents if item.kind == "native"}
    return Crew(new_header("crew", 1, agents), admitted, natives, None, options())


def turn(agent: int) -> Turn:
    config = encode_frame(FrameKind.CONFIG, 0, 0, 0, 0, 0, b"")
    return Turn(agent, Operation.INIT, 0, 0, 0, 0, 1, config)


def test_outcomes_come_in_the_order_of_the_turns_whoever_computed_them(pool: Pool) -> None:
    known = crew(spec("n0"), module("w1"), spec("n2"), module("w3"))
    outcomes = known.compute([turn(3), turn(0), turn(1), turn(2)])
    assert [outcome.code for outcome in outcomes] == [3, 0, 1, 0]
    assert ("compute", [3, 1]) in pool.asked


def test_each_part_is_asked_about_its_own_agents_in_a_fixed_order(pool: Pool) -> None:
    known = crew(spec("n0"), module("w1"), module("w2"))
    known.compute([turn(0), turn(1)])
    pool.asked.clear()
    known.follow(Commit(undo=[0, 1], reset=[2], retire=[1, 0], placed=[(3, module("w3")), (4, spec("n0"))]))
    assert pool.asked == [("rollback", [1]), ("reset", [2]), ("retire", [1]), ("place", 3)]


def test_without_modules_no_pool_is_opened(pool: Pool) -> None:
    known = crew(spec("n0"))
    known.compute([turn(0)])
    known.close()
    assert pool.asked == []


def test_a_module_nobody_admitted_is_told(pool: Pool) -> None:
    known = crew(module("w0"))
    other = AgentSpec("x", "wasm", "x", b"x" * 32)
    with pytest.raises(AgentCodeMissing, match="was admitted for 'x'"):
        known.follow(Commit(placed=[(1, other)]))
    known.close()
    assert pool.asked[-1] == ("close", None)


def test_a_module_of_several_agents_is_admitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def admit(content: bytes, *, name: str, **_: object) -> Admitted:
        asked.append(name)
        return Admitted()

    monkeypatch.setattr(crews, "admit", admit)
    header = new_header("crew", 1, (module("one"), module("two"), spec("three")))
    header = msgspec.structs.replace(header, allow_unsigned=True)
    assert len(admit_modules(header, lambda _: b"\0asm\x01\0\0\0", options())) == 1
    assert asked == ["one.wasm"]
