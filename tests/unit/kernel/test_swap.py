"""Swaps in the kernel: what the rest of the run sees of another version that takes an agent's place."""

from typing import Any

import msgspec
import pytest

from tests.unit.kernel.stage import Stage, limits, message, world
from tickwork import codec
from tickwork.kernel import Machine, decode_state, encode_state
from tickwork.kernel.state import AgentStatus
from tickwork.native import Outbox
from tickwork.records import (
    OUTSIDE,
    AgentSpec,
    DerivedKind,
    EffectClass,
    FrameKind,
    Input,
    InputKind,
    Refusal,
    SkillSpec,
    SwapOrder,
    TaskSpec,
)

OLD, NEW = b"o" * 32, b"n" * 32


def module(name: str, **fields: Any) -> AgentSpec:
    fields.setdefault("version", "1.0.0")
    return AgentSpec(name, "wasm", name, OLD, **fields)


def successor(spec: AgentSpec, **fields: Any) -> AgentSpec:
    return msgspec.structs.replace(spec, digest=NEW, version="2.0.0", **fields)


def swap(spec: AgentSpec, mode: str = "migrate", *, target: str = "", code: int = 0, **fields: Any) -> Input:
    fields.setdefault("replaces", OLD)
    body = codec.encode(SwapOrder(mode, spec, **fields))
    return Input(InputKind.SWAP_AGENT, "operator", target or spec.name, code=code, body=body, size=len(body))


def set_timer(outbox: Outbox) -> None:
    outbox.timer(5, 1)


def on_stage(*agents: AgentSpec, **fields: Any) -> Stage:
    stage = Stage(world(*agents, **fields))
    stage.start()
    return stage


def test_a_swap_is_one_record_and_the_agent_is_its_new_self() -> None:
    old = module("a")
    stage = on_stage(old)
    new = successor(old)
    (note,) = stage.tick(swap(new)).notes(DerivedKind.SWAPPED)
    assert (note.agent, note.note, note.digest) == (
        0,
        f"migrate 1.0.0 ({OLD.hex()[:8]}) -> 2.0.0 ({NEW.hex()[:8]})",
        NEW,
    )
    assert stage.agent("a").spec == new
    assert stage.machine.done.swapped == [(0, new)]


@pytest.mark.parametrize("mode", ["migrate", "keep_image"])
def test_state_that_is_handed_on_goes_on_where_it_was(mode: str) -> None:
    old = module("a")
    stage = on_stage(old)
    stage.tick(a=set_timer)
    woken = stage.agent("a").wake
    done = stage.tick(swap(successor(old), mode), message("a"))
    assert done.bodies("a") == [b"hello"], "what came with the swap is delivered"
    assert (stage.agent("a").timers, stage.agent("a").wake) == (1, woken)


def test_a_restart_begins_with_init_in_the_same_tick_and_drops_timers() -> None:
    old = module("a")
    stage = on_stage(old)
    stage.tick(a=set_timer)
    done = stage.tick(swap(successor(old), "restart"), message("a"))
    assert done.kinds("a") == [FrameKind.CONFIG]
    assert stage.machine.state.timers == []
    assert stage.agent("a").timers == 0
    assert stage.tick().bodies("a") == [b"hello"], "the mailbox is kept"


def test_an_agent_that_has_not_begun_begins_as_the_new_version() -> None:
    old = module("a")
    stage = Stage(world(old))
    done = stage.tick(swap(successor(old)))
    assert done.kinds("a") == [FrameKind.CONFIG]


def test_handles_of_waiting_messages_become_those_of_the_new_version() -> None:
    old = module("a", subscribe=("x", "y", "z"), skills=("s", "t"))
    stage = on_stage(old, module("b", publish=("x", "y", "z")), skills=(SkillSpec("s"), SkillSpec("t")))

    def tell(outbox: Outbox) -> None:
        for topic in ("x", "y", "z"):
            outbox.publish(topic, topic.encode())

    stage.tick(message("b"), b=tell)
    new = successor(old, subscribe=("z", "x"), skills=("t", "s"))
    done = stage.tick(swap(new))
    heard = {item.body: item.destination for item in done.inbox("a") if item.kind == FrameKind.MESSAGE}
    assert heard == {b"x": 1, b"z": 0}
    (lost,) = done.notes(DerivedKind.DEAD_LETTER)
    assert lost.note == "the new version cannot be given it"
    (left,) = done.notes(DerivedKind.LEFT)
    assert left.note == "y"
    stage.tick(message("b"), b=tell)
    assert {item.body: item.destination for item in stage.tick().inbox("a")} == {b"x": 1, b"z": 0}


def test_a_topic_that_only_the_new_version_knows_is_joined_with_its_retained_value() -> None:
    old = module("a", subscribe=("x",))
    stage = on_stage(old, topics=("x", "y"))
    stage.tick(Input(InputKind.PUBLISH_RETAINED, "test", "y", body=b"kept", size=4))
    done = stage.tick(swap(successor(old, subscribe=("x", "y"))))
    (joined,) = done.notes(DerivedKind.JOINED)
    assert (joined.note, joined.number) == ("y", 1)
    assert done.bodies("a") == [b"kept"]


def test_a_topic_that_was_left_stays_left() -> None:
    old = module("a", subscribe=("x",))
    stage = on_stage(old)
    stage.tick(message("a"), a=lambda outbox: outbox.leave("x"))
    done = stage.tick(swap(successor(old)))
    assert done.notes(DerivedKind.JOINED) == []


def test_messages_deferred_at_their_sender_get_the_new_handles_too() -> None:
    old = module("a", subscribe=("x", "y"), limits=limits(mailbox_messages=1, overflow="defer"))
    stage = on_stage(old, module("b", publish=("x", "y")))
    stage.tick(Input(InputKind.SUSPEND_AGENT, "operator", "a"))

    def tell(outbox: Outbox) -> None:
        outbox.publish("y", b"1")
        outbox.publish("y", b"2")
        outbox.publish("x", b"3")

    stage.tick(message("b"), b=tell)
    done = stage.tick(swap(successor(old, subscribe=("y",))), Input(InputKind.RESUME_AGENT, "operator", "a"))
    assert {item.body: item.destination for item in done.inbox("a")} == {b"1": 0}
    assert {item.body: item.destination for item in stage.tick().inbox("a")} == {b"2": 0}
    assert [note.note for note in done.notes(DerivedKind.DEAD_LETTER)] == ["the receiver has left the topic"]


def test_what_no_longer_fits_the_inbox_is_a_dead_letter_and_its_task_fails() -> None:
    old = module("a")
    tasks = (TaskSpec("t", "a", body=bytes(64)),)
    stage = Stage(world(old, tasks=tasks))
    stage.start()
    stage.tick(Input(InputKind.SUSPEND_AGENT, "operator", "a"), message("a", bytes(64)))
    small = successor(old, limits=limits(inbox_bytes=64))
    done = stage.tick(swap(small))
    assert [note.kind for note in done.notes(DerivedKind.DEAD_LETTER)] == [DerivedKind.DEAD_LETTER]
    assert stage.agent("a").mail == []
    assert stage.agent("a").mail_bytes == 0


def test_a_result_for_a_skill_that_the_new_version_does_not_call_is_a_dead_letter() -> None:
    old = module("a", skills=("s",))
    stage = on_stage(old, skills=(SkillSpec("s", EffectClass.PURE),))
    (effect,) = stage.tick(message("a"), a=lambda outbox: outbox.call("s", b"?")).effects
    done = stage.tick(
        swap(successor(old, skills=())), Input(InputKind.RESULT, "effect", number=effect.number, body=b"!", size=1)
    )
    assert [note.note for note in done.notes(DerivedKind.DEAD_LETTER)] == ["the new version does not call the skill"]
    assert stage.machine.state.effects == []


def test_a_suspended_agent_is_swapped_and_stays_suspended() -> None:
    old = module("a")
    stage = on_stage(old)
    stage.tick(Input(InputKind.SUSPEND_AGENT, "operator", "a"))
    stage.tick(swap(successor(old)))
    assert (stage.agent("a").status, stage.agent("a").spec.digest) == (AgentStatus.SUSPENDED, NEW)


def test_a_failed_swap_changes_nothing_but_a_record() -> None:
    old = module("a", subscribe=("x",))
    one, other = on_stage(old), on_stage(old)
    order = swap(successor(old, subscribe=()), code=Refusal.BAD_STATE, status=1, number=-9, reason="no way")
    (note,) = one.tick(order).notes(DerivedKind.SWAP_FAILED)
    other.tick()
    assert (note.agent, note.note, note.digest) == (0, f"migrate to 2.0.0 ({NEW.hex()[:8]}): no way", NEW)
    assert encode_state(one.machine.state) == encode_state(other.machine.state)
    assert one.machine.done.swapped == []


def refusals() -> dict[str, tuple[Input, int, str]]:
    old = module("a")
    new = successor(old)
    return {
        "unknown": (swap(new, target="nobody"), OUTSIDE, "there is no agent 'nobody'"),
        "other": (swap(successor(module("b"))  , target="a"), 0, "the new version is of agent 'b'"),
        "mode": (swap(new, "leap"), 0, "there is no mode 'leap'"),
        "version": (swap(new, replaces=NEW), 0, "it was prepared for another version than agent 'a' runs"),
        "native": (
            swap(msgspec.structs.replace(new, kind="native")), 0,
            "agent 'a' is native; only a module takes the place of a module",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("why", list(refusals()))
def test_a_swap_that_does_not_fit_is_a_record_that_says_why(why: str) -> None:
    item, agent, reason = refusals()[why]
    stage = on_stage(module("a"), module("b"))
    (note,) = stage.tick(item).notes(DerivedKind.SWAP_FAILED)
    assert (note.agent, note.note.partition(": ")[2]) == (agent, reason)
    assert stage.agent("a").spec == module("a")


def test_a_stopped_agent_is_not_swapped() -> None:
    old = module("a")
    stage = on_stage(old)
    stop = Input(InputKind.STOP_AGENT, "operator", "a")
    (note,) = stage.tick(stop, swap(successor(old))).notes(DerivedKind.SWAP_FAILED)
    assert note.note.endswith("agent 'a' has stopped")


def test_the_second_swap_of_one_tick_fails() -> None:
    old = module("a")
    stage = on_stage(old)
    new = successor(old)
    again = msgspec.structs.replace(new, digest=b"p" * 32)
    done = stage.tick(swap(new), swap(again, replaces=NEW))
    (note,) = done.notes(DerivedKind.SWAP_FAILED)
    assert note.note.endswith("was swapped in this tick already")
    assert stage.agent("a").spec.digest == NEW


def test_a_body_that_is_no_order_is_a_refused_input() -> None:
    stage = on_stage(module("a"))
    (note,) = stage.tick(Input(InputKind.SWAP_AGENT, "operator", "a", body=b"?", size=1)).notes(
        DerivedKind.REFUSED_INPUT
    )
    assert note.note == "its body is no swap"


def test_the_run_takes_clock_samples_once_a_version_is_given_the_clock() -> None:
    old = module("a")
    stage = on_stage(old)
    assert not stage.machine.clocked
    stage.tick(swap(successor(old, clock=True)))
    assert stage.machine.clocked
    again = Machine(stage.header, bytes(32), state=decode_state(encode_state(stage.machine.state)))
    assert again.clocked


def test_a_machine_made_from_the_state_after_a_swap_goes_on_to_the_same_records() -> None:
    old = module("a", subscribe=("x", "y"), publish=("x",))
    one = on_stage(old, module("b", publish=("y",)), topics=("x", "y"))
    one.tick(swap(successor(old, subscribe=("y",), publish=("y", "x"))))
    other = Stage(one.header, Machine(one.header, bytes(32), state=decode_state(encode_state(one.machine.state))))

    def tell(outbox: Outbox) -> None:
        outbox.publish("y", b"!")

    for _ in range(3):
        mine, yours = (each.tick(message("b"), b=tell) for each in (one, other))
        assert mine.records == yours.records
        assert mine.turns == yours.turns
