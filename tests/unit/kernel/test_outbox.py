"""Reading an outbox."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel.stage import spec, world
from tickwork.codec import FRAME, encode_frame
from tickwork.kernel.outbox import Handles, Port, Refused, denial, read_outbox
from tickwork.records import FrameKind, SkillSpec, Status

HEADER = world(
    spec(
        "a",
        send=("b", "w-9", "b"),
        publish=("t", "u"),
        subscribe=("u",),
        skills=("s", "hidden"),
        spawn=("w",),
        denied=("publish:u", "skills:hidden"),
    ),
    spec("b", send=("a",)),
    spec("c"),
    templates=(spec("w"),),
    skills=(SkillSpec("s"), SkillSpec("hidden")),
)
HANDLES = Handles(HEADER)
NUMBERS = {agent.name: number for number, agent in enumerate(HEADER.agents)}


def ports() -> list[Port]:
    return [Port(agent, HANDLES, NUMBERS) for agent in HEADER.agents]


def frame(kind: int, destination: int, body: bytes = b"") -> bytes:
    return encode_frame(kind, 0, 0, destination, 0, 0, body)


def refused(outbox: bytes, agent: int = 0) -> Refused:
    found = read_outbox(ports(), agent, outbox)
    assert isinstance(found, Refused)
    return found


def test_handles_become_what_they_are_bound_to() -> None:
    outbox = frame(FrameKind.SEND, 2, b"x") + frame(FrameKind.PUBLISH, 0) + frame(FrameKind.TIMER, 77)
    actions = read_outbox(ports(), 0, outbox)
    assert not isinstance(actions, Refused)
    assert [(kind, target, destination) for kind, target, destination, *_ in actions] == [
        (FrameKind.SEND, 1, 2),
        (FrameKind.PUBLISH, HEADER.topics.index("t"), 0),
        (FrameKind.TIMER, 77, 77),
    ]
    assert actions[0][4:] == (33, b"x" + bytes(7))


@pytest.mark.parametrize(
    ("kind", "handle"),
    [(FrameKind.PUBLISH, 1), (FrameKind.PUBLISH_RETAINED, 1), (FrameKind.SKILL, 1), (FrameKind.SEND, 1)],
)
def test_a_handle_that_is_not_granted_is_denied(kind: FrameKind, handle: int) -> None:
    found = refused(frame(kind, handle))
    assert found.status == Status.DENIED
    why = denial(ports()[0], HEADER.agents[0], found.code)
    name = kind.name.lower()
    if kind == FrameKind.SEND:
        assert why == 'send to handle 1, "w-9": there is no such agent'
    else:
        assert re.fullmatch(rf"{name} to handle {handle}, \"(u|hidden)\", is not granted to 'a'", why)


@pytest.mark.parametrize("kind", ["SEND", "PUBLISH", "PUBLISH_RETAINED", "JOIN", "LEAVE", "SPAWN", "SKILL", "TASK"])
def test_a_handle_the_agent_does_not_have_is_a_violation(kind: str) -> None:
    found = refused(frame(FrameKind[kind], 99))
    assert found.status == Status.ABI_VIOLATION
    assert found.detail == f"{kind.lower()} names handle 99, which agent 'a' does not have"


@pytest.mark.parametrize("kind", [0, 15, 32, 33, 34, 35, 36, 37, 38, 39, 100, 0x7FFF])
def test_a_kind_no_agent_may_leave_is_a_violation(kind: int) -> None:
    assert refused(frame(kind, 0)).status == Status.ABI_VIOLATION


@pytest.mark.parametrize("destination", [0x80000003, 0xFFFFFFFF, 0x7FFFFFFF])
def test_an_answer_to_nobody_is_a_violation(destination: int) -> None:
    assert refused(frame(FrameKind.SEND, destination)).status == Status.ABI_VIOLATION


def test_an_answer_needs_a_grant_one_way_or_the_other() -> None:
    only_b_names_a = [Port(spec("a"), HANDLES, NUMBERS), Port(HEADER.agents[1], HANDLES, NUMBERS)]
    answer = read_outbox(only_b_names_a, 0, frame(FrameKind.SEND, 0x80000001))
    assert not isinstance(answer, Refused)
    assert refused(frame(FrameKind.SEND, 0x80000002)).status == Status.DENIED


def test_a_handle_is_bound_once_its_agent_is_spawned() -> None:
    known = ports()
    assert list(known[0].unbound) == ["w-9"]
    known[0].bind_new("w-9", 9)
    assert (known[0].send, known[0].unbound, 9 in known[0].peers) == ([1, 9, 1], {}, True)
    known[0].bind_new("other", 3)


@pytest.mark.parametrize(
    ("outbox", "reason"),
    [
        (b"\0" * 31, "cut off at byte 0"),
        (frame(FrameKind.LOG, 0) + b"\0" * 8, "cut off at byte 32"),
        (FRAME.pack(31, 13, 0, 0, 0, 0, 0), "has size 31"),
        (FRAME.pack(33, 13, 0, 0, 0, 0, 0) + b"x", "has size 33, 33 bytes are left"),
        (FRAME.pack(0, 13, 0, 0, 0, 0, 0), "has size 0"),
        (FRAME.pack(2**32 - 1, 13, 0, 0, 0, 0, 0), "has size 4294967295"),
    ],
)
def test_a_torn_outbox_is_a_violation_with_its_place(outbox: bytes, reason: str) -> None:
    found = refused(outbox)
    assert found.status == Status.ABI_VIOLATION
    assert reason in found.detail


@given(st.binary(max_size=200))
def test_no_bytes_raise(outbox: bytes) -> None:
    found = read_outbox(ports(), 0, outbox)
    assert isinstance(found, Refused) or sum(32 + len(action[5]) for action in found) == len(outbox)


def test_an_agent_may_speak_to_itself_by_number() -> None:
    actions = read_outbox(ports(), 2, frame(FrameKind.SEND, 0x80000000 | 2))
    assert not isinstance(actions, Refused)
    assert [target for _, target, *_ in actions] == [2]
