"""Mailboxes, topics, and what happens when a mailbox is full."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel.stage import Stage, limits, message, spec, world
from tickwork.codec import decode_frames
from tickwork.native import Outbox
from tickwork.records import (
    OUTSIDE,
    DerivedKind,
    FrameKind,
    Input,
    InputKind,
    Refusal,
    SkillSpec,
)

HEADER = 32


def sender(count: int, size: int = 8, target: str = "receiver") -> Callable[[Outbox], None]:
    def act(outbox: Outbox) -> None:
        for index in range(count):
            outbox.send(target, index.to_bytes(size, "little"))
        outbox.sleep(0)

    return act


def both(act: Callable[[Outbox, str], None]) -> Callable[[Outbox], None]:
    def twice(outbox: Outbox) -> None:
        act(outbox, "t")
        act(outbox, "t")

    return twice


def pair(overflow: str, **fields: int) -> Stage:
    stage = Stage(
        world(
            spec("sender", send=("receiver",)),
            spec("receiver", limits=limits(overflow=overflow, **fields)),
            turns_per_tick=0,
        )
    )
    stage.start()
    stage.tick()
    return stage


def test_a_message_waits_until_the_next_tick() -> None:
    stage = Stage(world(spec("a", send=("b",)), spec("b")))
    stage.start()
    now = stage.tick(a=lambda outbox: outbox.send("b", b"x"))
    assert now.bodies("b") == []
    after = stage.tick()
    assert after.bodies("b") == [b"x"]
    assert after.inbox("b")[0].tick == 1
    assert after.inbox("b")[0].source == 0


def test_with_linear_visibility_a_later_slot_of_the_same_tick_sees_it() -> None:
    stage = Stage(world(spec("a", send=("b",)), spec("b", send=("a",)), visibility="linear"))
    stage.start()
    now = stage.tick(a=lambda outbox: outbox.send("b", b"x"), b=lambda outbox: outbox.send("a", b"y"))
    assert now.order == ["a", "b"]
    assert now.bodies("b") == [b"x"]
    assert stage.tick().bodies("a") == [b"y"]


def test_messages_from_outside_come_after_what_was_sent_a_tick_before_and_in_arrival_order() -> None:
    stage = Stage(world(spec("a", send=("b",)), spec("b")))
    stage.start()
    stage.tick(a=lambda outbox: outbox.send("b", b"sent"))
    tick = stage.tick(message("b", b"one"), message("b", b"two"))
    assert tick.bodies("b") == [b"sent", b"one", b"two"]
    assert [item.source for item in tick.inbox("b")] == [0, OUTSIDE, OUTSIDE]
    assert [item.tick for item in tick.inbox("b")] == [1, 2, 2]


def test_a_publication_reaches_every_subscriber_under_one_number_in_subscription_order() -> None:
    stage = Stage(world(spec("p", publish=("t",)), spec("x", subscribe=("u", "t")), spec("y", subscribe=("t",))))
    stage.start()
    stage.tick(p=lambda outbox: outbox.publish("t", b"news"))
    tick = stage.tick()
    assert tick.bodies("x") == tick.bodies("y") == [b"news"]
    assert [item.destination for item in tick.inbox("x")] == [1]
    assert tick.inbox("x")[0].seq == tick.inbox("y")[0].seq


def test_an_agent_leaves_and_joins_by_record() -> None:
    stage = Stage(world(spec("p", publish=("t",)), spec("x", subscribe=("t",))))
    stage.start()
    tick = stage.tick(message("x"), x=both(Outbox.leave))
    assert [item.note for item in tick.notes(DerivedKind.LEFT)] == ["t"]
    stage.tick(p=lambda outbox: outbox.publish("t", b"missed"))
    tick = stage.tick(message("x"), x=both(Outbox.join))
    assert tick.bodies("x") == [b"hello"]
    assert [item.note for item in tick.notes(DerivedKind.JOINED)] == ["t"]
    stage.tick(message("p"), p=lambda outbox: outbox.publish("t", b"heard"))
    assert stage.tick().bodies("x") == [b"heard"]


def test_a_subscriber_that_joins_in_the_tick_of_a_publication_gets_it_if_its_slot_comes_first() -> None:
    stage = Stage(world(spec("x", subscribe=("t",)), spec("p", publish=("t",)), spec("y", subscribe=("t",))))
    stage.start()
    stage.tick(message("x"), message("y"), x=lambda outbox: outbox.leave("t"), y=lambda outbox: outbox.leave("t"))
    stage.tick(
        message("x"),
        message("p"),
        message("y"),
        x=lambda outbox: outbox.join("t"),
        p=lambda outbox: outbox.publish("t", b"between"),
        y=lambda outbox: outbox.join("t"),
    )
    tick = stage.tick()
    assert tick.bodies("x") == [b"between"]
    assert tick.bodies("y") == []


def test_the_last_writer_of_a_retained_topic_wins_and_the_lost_write_is_a_record() -> None:
    writers = [spec(name, publish=("t",)) for name in ("one", "two")]
    stage = Stage(world(*writers, spec("reader", subscribe=("t",))))
    stage.start()
    tick = stage.tick(
        one=lambda outbox: outbox.publish("t", b"first", retain=True),
        two=lambda outbox: outbox.publish("t", b"second", retain=True),
    )
    assert [(item.agent, item.note) for item in tick.notes(DerivedKind.LOST_WRITE)] == [(0, "t")]
    tick = stage.tick()
    assert tick.bodies("reader") == [b"second"]
    assert tick.kinds("reader") == [FrameKind.RETAINED]
    assert stage.machine.state.topics[0].version == 1


def test_who_joins_later_is_given_the_retained_value_once() -> None:
    stage = Stage(world(spec("w", publish=("t",)), spec("reader", subscribe=("t",))))
    stage.start()
    stage.tick(message("reader"), reader=lambda outbox: outbox.leave("t"))
    stage.tick(message("w"), w=lambda outbox: outbox.publish("t", b"value", retain=True))
    stage.tick(message("reader"), reader=lambda outbox: outbox.join("t"))
    assert stage.tick().bodies("reader") == [b"value"]
    assert stage.tick().bodies("reader") == []


@pytest.mark.parametrize("first", ["join", "write"])
def test_a_value_written_in_the_tick_of_the_join_is_given_once(first: str) -> None:
    names = ("reader", "w") if first == "join" else ("w", "reader")
    agents = {"w": spec("w", publish=("t",)), "reader": spec("reader", subscribe=("t",))}
    stage = Stage(world(*(agents[name] for name in names)))
    stage.start()
    stage.tick(message("reader"), reader=lambda outbox: outbox.leave("t"))
    stage.tick(
        message("w"),
        message("reader"),
        w=lambda outbox: outbox.publish("t", b"value", retain=True),
        reader=lambda outbox: outbox.join("t"),
    )
    assert stage.tick().bodies("reader") == [b"value"]


def test_a_retained_value_from_outside_is_delivered_in_its_tick() -> None:
    stage = Stage(world(spec("reader", subscribe=("t",))))
    stage.start()
    tick = stage.tick(Input(InputKind.PUBLISH_RETAINED, "operator", "t", body=b"storm"))
    assert tick.bodies("reader") == [b"storm"]


def test_rejected_messages_come_back_as_errors() -> None:
    stage = pair("reject", mailbox_messages=2)
    tick = stage.tick(message("sender"), sender=sender(3))
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["reject"]
    tick = stage.tick()
    assert len(tick.bodies("receiver")) == 2
    assert tick.errors("sender") == [(Refusal.TOO_BIG, "the receiver's mailbox is full")]


def test_drop_new_keeps_what_is_there() -> None:
    stage = pair("drop_new", mailbox_messages=2)
    tick = stage.tick(message("sender"), sender=sender(4))
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["drop_new"] * 2
    tick = stage.tick()
    assert [body[0] for body in tick.bodies("receiver")] == [0, 1]
    assert tick.errors("sender") == []


def test_drop_old_keeps_what_is_new() -> None:
    stage = pair("drop_old", mailbox_messages=2)
    tick = stage.tick(message("sender"), sender=sender(5))
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["drop_old"] * 3
    assert [body[0] for body in stage.tick().bodies("receiver")] == [3, 4]


def test_drop_old_by_bytes_drops_as_many_as_it_needs() -> None:
    stage = pair("drop_old", mailbox_bytes=3 * (HEADER + 8))

    def act(outbox: Outbox) -> None:
        for body in (b"a" * 8, b"b" * 8, b"c" * 8, b"d" * 48):
            outbox.send("receiver", body)

    tick = stage.tick(message("sender"), sender=act)
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["drop_old"] * 2
    assert [body[:1] for body in stage.tick().bodies("receiver")] == [b"c", b"d"]


def test_an_overflow_record_names_the_message_that_was_lost() -> None:
    stage = pair("drop_old", mailbox_messages=2)
    tick = stage.tick(message("sender"), sender=sender(4))
    lost = [item.number for item in tick.notes(DerivedKind.OVERFLOW)]
    kept = [item.seq for item in decode_frames(stage.tick().turns["receiver"].inbox)]
    assert lost == [kept[0] - 2, kept[0] - 1]


def test_drop_old_never_drops_a_timer_or_a_result() -> None:
    stage = pair("drop_old", mailbox_messages=2)
    stage.tick(message("receiver"), receiver=lambda outbox: outbox.timer(1, tag=7))
    stage.machine.state.agents[1].status = 1
    tick = stage.tick(*(message("receiver", bytes([n])) for n in range(4)))
    assert "receiver" not in tick.turns
    stage.machine.state.agents[1].status = 0
    tick = stage.tick()
    assert tick.kinds("receiver") == [FrameKind.TIMER_FIRED, FrameKind.MESSAGE]
    assert tick.bodies("receiver") == [bytes([3])]


def test_a_message_that_no_emptying_could_make_room_for_drops_nothing() -> None:
    stage = pair("drop_old", mailbox_bytes=2 * (HEADER + 8))

    def act(outbox: Outbox) -> None:
        outbox.send("receiver", b"small")
        outbox.send("receiver", bytes(100))

    tick = stage.tick(message("sender"), sender=act)
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["larger than the mailbox"]
    tick = stage.tick()
    assert tick.bodies("receiver") == [b"small"]
    assert tick.errors("sender") == [(Refusal.TOO_BIG, "message larger than the receiver's mailbox")]


def test_a_message_larger_than_the_inbox_is_refused() -> None:
    stage = pair("reject", inbox_bytes=4096)
    tick = stage.tick(message("sender"), sender=lambda outbox: outbox.send("receiver", bytes(5000)))
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["larger than the inbox"]
    assert stage.tick().errors("sender") == [(Refusal.TOO_BIG, "message larger than the receiver's inbox")]


def test_defer_keeps_messages_at_the_sender_who_is_not_planned_until_they_are_gone() -> None:
    stage = pair("defer", mailbox_messages=2)
    tick = stage.tick(message("sender"), sender=sender(5))
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["defer"] * 3
    seen = []
    for _ in range(2):
        tick = stage.tick(sender=sender(0))
        assert "sender" not in tick.turns
        seen += [body[0] for body in tick.bodies("receiver")]
    tick = stage.tick(sender=sender(0))
    assert "sender" in tick.turns
    seen += [body[0] for body in tick.bodies("receiver")]
    assert seen == [0, 1, 2, 3, 4]


def test_a_small_message_never_overtakes_a_large_one_that_was_deferred() -> None:
    stage = pair("defer", mailbox_bytes=200)

    def act(outbox: Outbox) -> None:
        for body in (bytes(100), b"\1" * 100, b"\2" * 8):
            outbox.send("receiver", body)

    stage.tick(message("sender"), sender=act)
    assert [body[0] for body in stage.tick().bodies("receiver")] == [0]
    assert [body[0] for body in stage.tick().bodies("receiver")] == [1, 2]


def test_two_agents_that_would_wait_for_each_other_are_refused_instead() -> None:
    tight = limits(overflow="defer", mailbox_messages=1)
    stage = Stage(world(spec("a", send=("b",), limits=tight), spec("b", send=("a",), limits=tight)))
    stage.start()
    tick = stage.tick(a=sender(2, target="b"), b=sender(2, target="a"))
    assert [(item.agent, item.note) for item in tick.notes(DerivedKind.OVERFLOW)] == [(1, "defer"), (0, "reject")]
    for _ in range(4):
        stage.tick()
    assert not stage.agent("a").deferred
    assert stage.machine.quiet


def test_an_agent_that_floods_itself_is_refused() -> None:
    tight = limits(overflow="defer", mailbox_messages=1)
    stage = Stage(world(spec("a", send=("a",), limits=tight)))
    stage.start()
    tick = stage.tick(a=sender(3, target="a"))
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["reject", "reject"]


def test_a_longer_ring_of_deferring_agents_is_refused_at_its_last_link() -> None:
    tight = limits(overflow="defer", mailbox_messages=1)
    names = ("a", "b", "c")
    stage = Stage(world(*(spec(n, send=(names[(i + 1) % 3],), limits=tight) for i, n in enumerate(names))))
    stage.start()
    tick = stage.run((), {n: sender(2, target=names[(i + 1) % 3]) for i, n in enumerate(names)})
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["defer", "defer", "reject"]


def test_an_input_does_not_wait_at_a_full_mailbox_that_defers() -> None:
    stage = pair("defer", mailbox_messages=1)
    tick = stage.tick(message("receiver"), message("receiver"))
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["reject"]
    assert [item.agent for item in tick.notes(DerivedKind.DEAD_LETTER)] == [OUTSIDE]


def test_deferred_messages_of_several_senders_drain_in_the_order_they_were_sent() -> None:
    stage = Stage(
        world(
            *(spec(f"s{n}", send=("receiver",)) for n in range(3)),
            spec("receiver", limits=limits(overflow="defer", mailbox_messages=1)),
        )
    )
    stage.start()
    served: list[int] = []
    for _ in range(12):
        tick = stage.run((), {f"s{n}": sender(1) for n in range(3)})
        served += [item.source for item in tick.inbox("receiver")]
    assert set(served[:4]) == set(served[-4:]) == {0, 1, 2}


def on_a_topic(**bounds: Any) -> Stage:
    """Return a stage with two publishers of one topic and a subscriber that defers."""
    stage = Stage(
        world(
            spec("one", publish=("t",)),
            spec("two", publish=("t",)),
            spec("receiver", subscribe=("t",), limits=limits(overflow="defer", **bounds)),
        )
    )
    stage.start()
    return stage


def test_a_message_of_a_topic_never_overtakes_one_of_another_sender_that_was_deferred() -> None:
    stage = on_a_topic(mailbox_bytes=200)

    def large(outbox: Outbox) -> None:
        for mark in (b"\0", b"\1"):
            outbox.publish("t", mark * 100)

    stage.tick(one=large, two=lambda outbox: outbox.publish("t", b"\2"))
    heard = [body[0] for _ in range(3) for body in stage.tick().bodies("receiver")]
    assert heard == [0, 1, 2]


def test_deferred_messages_of_a_topic_keep_their_order_when_only_a_later_one_finds_room() -> None:
    stage = on_a_topic(mailbox_bytes=200)

    def two(outbox: Outbox) -> None:
        outbox.publish("t", b"\2" * 60)

    def one(outbox: Outbox) -> None:
        for mark in (b"\0", b"\1"):
            outbox.publish("t", mark * 160)

    stage.tick(one=one, two=two)
    heard = [body[0] for _ in range(4) for body in stage.tick().bodies("receiver")]
    assert heard == [0, 1, 2]


def test_a_topic_from_outside_does_not_overtake_what_is_deferred() -> None:
    stage = on_a_topic(mailbox_bytes=300)

    def one(outbox: Outbox) -> None:
        outbox.publish("t", bytes(160))
        outbox.publish("t", bytes(100))

    stage.tick(one=one)
    tick = stage.tick(Input(InputKind.PUBLISH, "test", "t", body=b"small"))
    assert [item.note for item in tick.notes(DerivedKind.OVERFLOW)] == ["reject"]


def test_who_leaves_a_topic_is_not_told_what_was_deferred_there() -> None:
    stage = on_a_topic(mailbox_bytes=150)

    def one(outbox: Outbox) -> None:
        for _ in range(3):
            outbox.publish("t", bytes(100))

    def receiver(outbox: Outbox) -> None:
        outbox.leave("t")

    stage.tick(one=one)
    assert len(stage.agent("one").deferred) == 2
    tick = stage.tick(receiver=receiver)
    assert [item.note for item in tick.notes(DerivedKind.DEAD_LETTER)] == ["the receiver has left the topic"]
    assert not stage.agent("one").deferred
    assert len(stage.tick().bodies("receiver")) == 1


def test_what_a_stopped_sender_had_deferred_is_a_dead_letter_of_its_receiver() -> None:
    stage = pair("defer", mailbox_messages=1)
    stage.tick(message("sender"), sender=sender(2))
    tick = stage.tick(Input(InputKind.STOP_AGENT, "operator", "sender"))
    letters = tick.notes(DerivedKind.DEAD_LETTER)
    assert [(item.agent, item.note) for item in letters] == [(1, "the sender has stopped")]
    assert letters[0].number > 0


def test_what_waits_for_a_stopped_receiver_is_a_dead_letter() -> None:
    stage = pair("defer", mailbox_messages=1)
    stage.tick(message("sender"), sender=sender(2))
    tick = stage.tick(Input(InputKind.STOP_AGENT, "operator", "receiver"))
    reasons = [item.note for item in tick.notes(DerivedKind.DEAD_LETTER)]
    assert reasons == ["an operator stopped it", "the receiver has stopped"]
    assert not stage.agent("sender").deferred


def test_a_message_to_a_stopped_agent_is_a_dead_letter() -> None:
    stage = pair("reject")
    stage.tick(Input(InputKind.STOP_AGENT, "operator", "receiver"))
    tick = stage.tick(message("sender"), sender=sender(1))
    assert [item.note for item in tick.notes(DerivedKind.DEAD_LETTER)] == ["the receiver has stopped"]
    assert stage.machine.state.dead_letters == 1


def test_a_refusal_that_finds_no_room_is_a_dead_letter_and_no_further_refusal() -> None:
    tight = limits(mailbox_messages=1)
    stage = Stage(world(spec("a", send=("a",), limits=tight)))
    stage.start()
    tick = stage.tick(a=sender(3, target="a"))
    assert [item.note for item in tick.notes(DerivedKind.DEAD_LETTER)] == ["no room for a refusal"] * 2


def test_a_refusal_cut_short_is_still_text() -> None:
    stage = Stage(world(spec("a", skills=("s",)), skills=(SkillSpec("s"),)))
    stage.start()
    tick = stage.tick(a=lambda outbox: outbox.call("s", b""))
    body = ("x" + "é" * 300).encode()
    tick = stage.tick(Input(InputKind.RESULT, "effect", number=tick.effects[0].number, code=-1, body=body))
    assert tick.errors("a") == [(-1, "x" + "é" * 99)]


@pytest.mark.slow
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=6),
        min_size=3,
        max_size=12,
    ),
    st.sampled_from(["reject", "drop_new", "drop_old", "defer"]),
    st.sampled_from(["next", "linear"]),
    st.integers(1, 4),
)
def test_messages_of_a_pair_arrive_in_the_order_they_were_sent(
    turns: list[list[tuple[int, int]]], overflow: str, visibility: str, room: int
) -> None:
    """Law: FIFO per pair, under every overflow policy; a mailbox never holds more than its bound of messages."""
    bound = limits(overflow=overflow, mailbox_messages=room, mailbox_bytes=400)
    names = ("a", "b", "c")
    stage = Stage(world(*(spec(n, send=names, limits=bound) for n in names), visibility=visibility))
    stage.start()
    counter = 0
    seen: dict[tuple[int, str], list[int]] = {}
    for index in range(len(turns) + 20):
        plan = turns[index] if index < len(turns) else []

        def act(outbox: Outbox, plan: list[tuple[int, int]] = plan) -> None:
            nonlocal counter
            for target, size in plan:
                counter += 1
                outbox.send(names[target], counter.to_bytes(4, "little") + bytes(size))
            outbox.sleep(0)

        tick = stage.run((), {names[index % 3]: act})
        for name in names:
            for item in tick.inbox(name):
                if item.kind == FrameKind.MESSAGE:
                    seen.setdefault((item.source, name), []).append(int.from_bytes(item.body[:4], "little"))
    for received in seen.values():
        assert received == sorted(set(received))
