"""Native agents at work."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.driver.troupe import Memory, acting, spec
from tickwork.codec import digest, encode_frame
from tickwork.driver.natives import EXCEPTION_TRAP, NativeCrew, load_native
from tickwork.errors import AgentCodeMissing
from tickwork.native import Context, Outbox
from tickwork.records import AgentSpec, FrameKind, Message, Operation, Outcome, Status, Turn, View

SOURCE = b"""
class Agent:
    def init(self, config, context):
        return None, context.outbox()

    turn = shutdown = init
"""


def turn(operation: int = Operation.STEP, inbox: bytes = b"") -> Turn:
    return Turn(0, operation, 3, 99, 0, 0, 0, inbox)


def crew(step: Any) -> NativeCrew:
    known = NativeCrew(None, {"test:a": acting(step)()})
    known.place(0, spec("a", send=("b",)))
    config = encode_frame(FrameKind.CONFIG, 0, 0, 0, 0, 0, b"")
    assert known.compute(turn(Operation.INIT, config)).status == Status.OK
    return known


def outcome(act: Any) -> Outcome:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        act(outbox)

    return crew(step).compute(turn())


def set_code(code: Any) -> Any:
    def act(outbox: Outbox) -> None:
        outbox.code = code

    return act


@pytest.fixture(autouse=True)
def no_module_stays() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("tickwork_native_"):
            del sys.modules[name]


def test_a_class_is_found_in_the_file_its_entry_names(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_bytes(SOURCE)
    assert type(load_native("file:Agent", tmp_path, digest(SOURCE))).__name__ == "Agent"


def test_another_source_than_the_recorded_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_bytes(SOURCE + b"#")
    with pytest.raises(AgentCodeMissing, match="not the recorded one"):
        load_native("file:Agent", tmp_path, digest(SOURCE))


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentCodeMissing, match="cannot be read"):
        load_native("file:Agent", tmp_path, bytes(32))


def test_a_missing_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_bytes(SOURCE)
    with pytest.raises(AgentCodeMissing, match="no class 'Other'"):
        load_native("file:Other", tmp_path, digest(SOURCE))


def test_what_an_agent_raises_is_a_trap() -> None:
    def act(outbox: Outbox) -> None:
        raise ValueError("why")

    assert outcome(act) == Outcome(Status.TRAP, EXCEPTION_TRAP, 0, b"", "ValueError: why")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, 0),
        (5, 0),
        (-7, 0),
        (-1, 1),
        (-12, 1),
        (-(2**31), 1),
        (2**31 - 1, 0),
        (2**31, 2),
        (1.5, 2),
        (None, 2),
        ("x", 2),
    ],
)
def test_a_code_is_a_32_bit_integer_or_the_turn_fails(code: Any, status: int) -> None:
    assert outcome(set_code(code)).status == status


@pytest.mark.parametrize(
    "act",
    [
        lambda outbox: outbox.sleep(-1),
        lambda outbox: outbox.sleep(0x7FFFFFFE),
        lambda outbox: outbox.send("nobody", b""),
        lambda outbox: outbox.send(0xFFFFFFFF, b""),
        lambda outbox: outbox.timer(-1),
    ],
)
def test_a_request_that_makes_no_sense_fails_in_the_agents_own_turn(act: Any) -> None:
    assert outcome(act).status == Status.TRAP


def test_a_failed_turn_leaves_the_state_as_it_was() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.log(str(state.turns))
        if state.turns == 1 and not fixed:
            raise RuntimeError

    fixed: list[int] = []
    known = crew(step)
    first, failing = known.compute(turn()), known.compute(turn())
    fixed.append(1)
    again = known.compute(turn())
    assert (first.status, failing.status, again.status) == (0, Status.TRAP, 0)
    assert b"1" in again.outbox


def test_undo_forgets_the_last_turn_and_reset_all_of_them() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.log(str(state.turns))

    known = crew(step)
    outboxes = [known.compute(turn()).outbox for _ in range(2)]
    known.undo([0])
    assert known.compute(turn()).outbox == outboxes[1]
    known.reset([0])
    assert known.compute(turn()).status == Status.TRAP
    known.compute(turn(Operation.INIT, encode_frame(FrameKind.CONFIG, 0, 0, 0, 0, 0, b"")))
    assert known.compute(turn()).outbox == outboxes[0]
    known.retire([0])


def test_what_a_turn_was_shown_stays_only_if_the_turn_does() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.log(context.windows.get("w", b"none").decode())
        if context.windows.get("w") == b"bad":
            raise RuntimeError

    known = NativeCrew(None, {"test:a": acting(step)()})
    known.place(0, spec("a", windows=("w",)))
    known.compute(turn(Operation.INIT, encode_frame(FrameKind.CONFIG, 0, 0, 0, 0, 0, b"")))

    def shown(content: bytes) -> Turn:
        return msgspec.structs.replace(turn(), views=(View(0, 0, 1, len(content), 0, len(content), content),))

    assert known.compute(shown(b"bad")).status == Status.TRAP
    assert b"none" in known.compute(turn()).outbox
    known.compute(shown(b"good"))
    known.undo([0])
    assert b"none" in known.compute(turn()).outbox
    known.compute(shown(b"good"))
    assert b"good" in known.compute(turn()).outbox


def test_agents_of_one_class_do_not_share_a_state() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.log(str(state.turns))

    known = crew(step)
    known.place(1, AgentSpec("other", "native", "test:a", bytes(32)))
    assert known.owns(1)
    assert not known.owns(2)
    known.compute(Turn(1, Operation.INIT, 0, 0, 0, 0, 1, encode_frame(FrameKind.CONFIG, 0, 0, 0, 0, 0, b"")))
    known.compute(turn())
    assert b"0" in known.compute(Turn(1, Operation.STEP, 0, 0, 0, 0, 0, b"")).outbox


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("class Agent:\n    def __init__(self, size): ...\n    init = turn = shutdown = print", "'size'"),
        ("class Agent:\n    def turn(self): ...", "init and no shutdown"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_source_that_cannot_be_loaded_is_the_agents_defect(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "file.py").write_text(source)
    with pytest.raises(AgentCodeMissing) as caught:
        load_native("file:Agent", tmp_path, digest(source.encode()))
    assert said in str(caught.value)
    assert str(tmp_path / "file.py") in caught.value.where
    assert caught.value.fix
