"""The rarer frames of an outbox, and the inputs from outside."""

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel.stage import Act, Stage, limits, message, spec, world
from tickwork import codec
from tickwork.kernel import apply
from tickwork.kernel.apply import effect_key
from tickwork.kernel.state import MAX_TIMERS, RunStatus
from tickwork.native import Outbox
from tickwork.records import (
    OUTSIDE,
    DerivedKind,
    EffectClass,
    FrameKind,
    Input,
    InputKind,
    ModelSpec,
    Refusal,
    SkillSpec,
    Status,
)


def one(frame: bytes) -> Act:
    return frame


def raw(kind: int, destination: int, body: bytes, encoding: int = 0) -> bytes:
    return codec.encode_frame(kind, encoding, 0, destination, 0, 0, body)


def operator(kind: InputKind, target: str = "", number: int = 0, body: bytes = b"") -> Input:
    return Input(kind, "operator", target, number=number, body=body)


# -- timers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delay", "ticks"), [(0, 1), (1, 1), (2, 2), (5, 5)])
def test_a_timer_fires_after_its_delay_and_no_earlier_than_the_next_tick(delay: int, ticks: int) -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    stage.tick(a=lambda outbox: outbox.timer(delay, tag=9))
    for _ in range(ticks - 1):
        assert stage.tick().turns == {}
    tick = stage.tick()
    assert [(item.kind, item.destination, item.source) for item in tick.inbox("a")] == [
        (FrameKind.TIMER_FIRED, 9, OUTSIDE)
    ]
    assert len(tick.notes(DerivedKind.TIMER_FIRED)) == 1


def test_timers_fire_in_order_of_due_tick_agent_and_number() -> None:
    stage = Stage(world(spec("a"), spec("b")))
    stage.start()

    def set_timers(outbox: Outbox) -> None:
        for delay, tag in ((3, 1), (2, 2), (3, 3)):
            outbox.timer(delay, tag)

    stage.tick(a=set_timers, b=set_timers)
    fired = [[(n.agent, n.number) for n in stage.tick().notes(DerivedKind.TIMER_FIRED)] for _ in range(3)]
    assert fired[0] == []
    assert [agent for agent, _ in fired[1]] == [0, 1]
    assert [agent for agent, _ in fired[2]] == [0, 0, 1, 1]
    assert fired[2] == sorted(fired[2])


@pytest.mark.parametrize("body", [b"", b"1234567", b"123456789", struct.pack("<Q", (1 << 60) + 1)])
def test_a_timer_without_a_proper_delay_is_refused(body: bytes) -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    stage.tick(a=raw(FrameKind.TIMER, 0, body))
    assert stage.tick().errors("a") == [(Refusal.BAD_MESSAGE, "a timer's body is a delay in ticks, u64")]


def test_an_agent_may_set_a_bounded_number_of_timers() -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    frame = raw(FrameKind.TIMER, 0, struct.pack("<Q", 100))
    stage.tick(a=frame * (MAX_TIMERS + 1))
    assert stage.tick().errors("a") == [(Refusal.TOO_BIG, f"more than {MAX_TIMERS} timers")]
    assert len(stage.machine.state.timers) == MAX_TIMERS


def test_the_timers_of_a_stopped_agent_are_gone() -> None:
    stage = Stage(world(spec("a"), spec("b")))
    stage.start()
    stage.tick(a=lambda outbox: outbox.timer(10), b=lambda outbox: outbox.timer(10))
    stage.tick(operator(InputKind.STOP_AGENT, "a"))
    assert [timer.agent for timer in stage.machine.state.timers] == [1]


# -- spawn ------------------------------------------------------------------------------------------------------------


def spawning(**template: object) -> Stage:
    fields: dict[str, object] = {"subscribe": ("t",), **template}
    stage = Stage(
        world(
            spec("boss", spawn=("w",), send=("w-1", "w-2"), publish=("t",)),
            templates=(spec("w", config=b"default", **fields),),
        )
    )
    stage.start()
    return stage


def test_a_spawned_agent_begins_in_the_next_tick_with_the_given_configuration() -> None:
    stage = spawning()
    tick = stage.tick(boss=lambda outbox: outbox.spawn("w", b'{"n":1}'))
    assert [(item.agent, item.number, item.note) for item in tick.notes(DerivedKind.SPAWNED)] == [(1, 0, "w-1")]
    assert stage.machine.cast.done.placed[0][0] == 1
    tick = stage.tick()
    assert [item.body for item in tick.inbox("w-1")] == [b'{"n":1}']
    assert stage.agent("w-1").parent == 0


def test_a_spawned_agent_without_configuration_has_its_templates() -> None:
    stage = spawning()
    stage.tick(boss=lambda outbox: outbox.spawn("w"))
    assert [item.body for item in stage.tick().inbox("w-1")] == [b"default"]


def greet(outbox: Outbox) -> None:
    outbox.send("w-1", b"hello")
    outbox.publish("t", b"all")


def test_handles_that_name_a_spawned_agent_are_bound_when_it_comes_into_being() -> None:
    stage = spawning()
    tick = stage.tick(boss=lambda outbox: outbox.send("w-1", b"too early"))
    assert tick.outcomes["boss"].status != 0
    stage = spawning()
    stage.tick(boss=lambda outbox: outbox.spawn("w"))
    stage.tick(message("boss"), boss=greet)
    tick = stage.tick()
    assert tick.bodies("w-1") == [b"hello", b"all"]


def test_a_denied_handle_stays_denied_when_its_agent_comes_into_being() -> None:
    stage = Stage(
        world(
            spec("boss", spawn=("w",), send=("w-2",)),
            spec("other", send=("w-2",), denied=("send:w-2",)),
            templates=(spec("w"),),
        )
    )
    stage.start()
    stage.tick(boss=lambda outbox: outbox.spawn("w"))
    tick = stage.tick(message("other"), other=lambda outbox: outbox.send("w-2", b"x"))
    assert tick.outcomes["other"].status == 7


def test_a_spawned_agent_may_answer_and_be_answered() -> None:
    stage = spawning()
    stage.tick(boss=lambda outbox: outbox.spawn("w"))
    stage.tick(message("boss"), boss=lambda outbox: outbox.send("w-1", b"question"))
    stage.run((), {"w-1": lambda outbox: outbox.send(0, b"answer")})
    assert stage.tick().bodies("boss") == [b"answer"]


def test_an_agent_nobody_may_send_to_cannot_be_sent_to_by_number() -> None:
    stage = Stage(world(spec("a"), spec("b")))
    stage.start()
    assert stage.tick(a=lambda outbox: outbox.send(1, b"x")).outcomes["a"].status == 7


def test_a_star_lets_an_agent_send_to_any_number() -> None:
    stage = Stage(world(spec("a", send=("*",)), spec("b")))
    stage.start()
    stage.tick(a=lambda outbox: outbox.send(1, b"x"))
    assert stage.tick().bodies("b") == [b"x"]


def test_a_run_holds_a_bounded_number_of_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "MAX_AGENTS", 2)
    stage = spawning()

    def act(outbox: Outbox) -> None:
        outbox.spawn("w")
        outbox.spawn("w")

    tick = stage.tick(boss=act)
    assert len(tick.notes(DerivedKind.SPAWNED)) == 1
    assert stage.tick().errors("boss") == [(Refusal.NO_MEMORY, "a run holds at most 2 agents")]


def test_a_configuration_larger_than_the_inbox_is_refused() -> None:
    stage = spawning(limits=limits(inbox_bytes=4096))
    stage.tick(boss=lambda outbox: outbox.spawn("w", bytes(5000)))
    assert stage.tick().errors("boss") == [(Refusal.TOO_BIG, "the configuration is larger than the new agent's inbox")]


def test_a_spawned_name_never_takes_another_agents() -> None:
    stage = Stage(world(spec("boss", spawn=("w",)), spec("w-2"), templates=(spec("w"),)))
    stage.start()
    stage.tick(boss=lambda outbox: outbox.spawn("w"))
    assert stage.tick().errors("boss") == [(Refusal.CONFLICT, "there is an agent 'w-2' already")]


# -- tasks ------------------------------------------------------------------------------------------------------------


def tasked() -> Stage:
    stage = Stage(world(spec("boss", send=("w", "v")), spec("w"), spec("v")))
    stage.start()
    stage.tick()
    return stage


def test_a_task_is_given_to_its_agent_and_done_with_its_turn() -> None:
    stage = tasked()
    tick = stage.tick(message("boss"), boss=lambda outbox: outbox.task("w", 5, b"work"))
    assert [(item.agent, item.note) for item in tick.notes(DerivedKind.TASK_ADDED)] == [(1, "boss/5")]
    tick = stage.tick()
    assert [(item.kind, item.destination, item.body) for item in tick.inbox("w")] == [
        (FrameKind.TASK_READY, 5, b"work")
    ]
    assert len(tick.notes(DerivedKind.TASK_STARTED)) == 1
    assert len(tick.notes(DerivedKind.TASK_DONE)) == 1


def test_again_keeps_a_task() -> None:
    stage = tasked()
    stage.tick(message("boss"), boss=lambda outbox: outbox.task("w", 5, b"work"))
    assert stage.tick(w=lambda outbox: outbox.again()).notes(DerivedKind.TASK_DONE) == []
    assert len(stage.tick().notes(DerivedKind.TASK_DONE)) == 1


def test_a_task_waits_for_those_it_depends_on() -> None:
    stage = tasked()

    def act(outbox: Outbox) -> None:
        outbox.task("w", 1, b"first")
        outbox.task("v", 2, b"second", depends_on=[1, 1])
        outbox.task("v", 3, b"third", depends_on=[1, 2])

    stage.tick(message("boss"), boss=act)
    started = [[item.note for item in stage.tick().notes(DerivedKind.TASK_STARTED)] for _ in range(4)]
    assert started == [["boss/1"], ["boss/2"], ["boss/3"], []]


def test_the_queue_of_an_agent_is_ordered_by_priority_then_rank_then_number() -> None:
    stage = tasked()

    def act(outbox: Outbox) -> None:
        outbox.task("w", 1, b"", priority=-1)
        outbox.task("w", 2, b"")
        outbox.task("w", 3, b"", priority=7)
        outbox.task("w", 4, b"")

    stage.tick(message("boss"), boss=act)
    started = [item.note for _ in range(4) for item in stage.tick().notes(DerivedKind.TASK_STARTED)]
    assert started == ["boss/3", "boss/2", "boss/4", "boss/1"]


def test_a_task_behind_a_full_inbox_is_not_done_before_it_is_seen() -> None:
    stage = Stage(world(spec("boss", send=("w",)), spec("w", limits=limits(inbox_bytes=100))))
    stage.start()
    stage.tick()
    stage.tick(message("boss"), boss=lambda outbox: outbox.task("w", 1, b"work"))
    tick = stage.tick(*(message("w", bytes(40)) for _ in range(2)))
    assert (len(tick.notes(DerivedKind.TASK_STARTED)), tick.notes(DerivedKind.TASK_DONE)) == (1, [])
    while FrameKind.TASK_READY not in tick.kinds("w"):
        assert tick.notes(DerivedKind.TASK_DONE) == []
        tick = stage.tick()
    assert len(tick.notes(DerivedKind.TASK_DONE)) == 1


def test_a_task_no_inbox_can_hold_fails() -> None:
    stage = Stage(world(spec("boss", send=("w",)), spec("w", limits=limits(inbox_bytes=4096))))
    stage.start()
    stage.tick()

    def act(outbox: Outbox) -> None:
        outbox.task("w", 1, bytes(5000))
        outbox.task("w", 2, b"small")
        outbox.task("w", 3, b"after", depends_on=[1])

    stage.tick(message("boss"), boss=act)
    tick = stage.tick()
    assert [item.note for item in tick.notes(DerivedKind.TASK_FAILED)] == ["boss/1", "boss/3"]
    assert [item.note for item in tick.notes(DerivedKind.TASK_DONE)] == ["boss/2"]


def test_a_failed_task_fails_all_that_waits_for_it() -> None:
    stage = tasked()

    def act(outbox: Outbox) -> None:
        outbox.task("w", 1, b"")
        outbox.task("v", 2, b"", depends_on=[1])
        outbox.task("w", 3, b"", depends_on=[2])

    stage.tick(message("boss"), boss=act)
    tick = stage.tick(operator(InputKind.STOP_AGENT, "w"))
    assert [item.note for item in tick.notes(DerivedKind.TASK_FAILED)] == ["boss/1", "boss/2", "boss/3"]
    assert stage.machine.idle
    tick = stage.tick(message("boss"), boss=lambda outbox: outbox.task("v", 4, b"", depends_on=[3]))
    assert [item.note for item in tick.notes(DerivedKind.TASK_FAILED)] == ["boss/4"]


def test_a_task_for_a_stopped_agent_fails_at_once_or_when_its_turn_comes() -> None:
    stage = tasked()

    def act(outbox: Outbox) -> None:
        outbox.task("v", 1, b"")
        outbox.task("w", 2, b"", depends_on=[1])
        outbox.task("v", 3, b"", depends_on=[2])

    stage.tick(message("boss"), boss=act)
    tick = stage.tick(operator(InputKind.STOP_AGENT, "w"))
    assert [item.note for item in tick.notes(DerivedKind.TASK_FAILED)] == ["boss/2", "boss/3"]
    tick = stage.tick(message("boss"), boss=lambda outbox: outbox.task("w", 4, b""))
    assert [item.note for item in tick.notes(DerivedKind.TASK_FAILED)] == ["boss/4"]


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"short", Refusal.BAD_MESSAGE, "a task's body is shorter than its head"),
        (struct.pack("<iIII", 0, 1, 100, 0), Refusal.BAD_MESSAGE, "a task's dependencies run past its body"),
        (struct.pack("<iIII", 0, 1, 0xFFFFFFFF, 0), Refusal.BAD_MESSAGE, "a task's dependencies run past its body"),
        (struct.pack("<iIIIII", 0, 1, 1, 0, 8, 0), Refusal.NOT_FOUND, "no earlier task 8"),
        (struct.pack("<iIIIII", 0, 1, 1, 0, 1, 0), Refusal.NOT_FOUND, "no earlier task 1"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(body: bytes, code: int, text: str) -> None:
    stage = tasked()
    stage.tick(message("boss"), boss=raw(FrameKind.TASK, 0, body))
    assert stage.tick().errors("boss") == [(code, text)]
    assert stage.machine.state.tasks == []


def test_a_tag_names_one_task_of_an_agent() -> None:
    stage = tasked()

    def act(outbox: Outbox) -> None:
        outbox.task("w", 1, b"")
        outbox.task("w", 1, b"")

    stage.tick(message("boss"), boss=act)
    assert stage.tick().errors("boss") == [(Refusal.CONFLICT, "task 1 exists already")]


def test_a_run_holds_a_bounded_number_of_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "MAX_TASKS", 1)
    stage = tasked()

    def act(outbox: Outbox) -> None:
        outbox.task("w", 1, b"")
        outbox.task("w", 2, b"")

    stage.tick(message("boss"), boss=act)
    assert stage.tick().errors("boss") == [(Refusal.NO_MEMORY, "a run holds at most 1 tasks")]


def test_a_finished_task_keeps_no_body() -> None:
    stage = tasked()
    stage.tick(message("boss"), boss=lambda outbox: outbox.task("w", 5, bytes(1000)))
    stage.tick()
    assert [task.body for task in stage.machine.state.tasks] == [b""]


# -- effects ----------------------------------------------------------------------------------------------------------


def skilled(**fields: object) -> Stage:
    stage = Stage(world(spec("a", skills=("s", "t"), **fields), skills=(SkillSpec("t", 1), SkillSpec("s", 2))))
    stage.start()
    return stage


def result(number: int, body: bytes = b"done", code: int = 0) -> Input:
    return Input(InputKind.RESULT, "effect", number=number, code=code, encoding=2, body=body)


def ask(outbox: Outbox) -> None:
    outbox.call("s", b"one")
    outbox.call("t", b"two")


def test_an_effect_is_a_record_and_its_result_comes_back_by_its_number() -> None:
    stage = skilled()
    tick = stage.tick(a=ask)
    assert [(effect.skill, effect.effect_class, effect.body) for effect in tick.effects] == [
        ("s", 2, b"one"),
        ("t", 1, b"two"),
    ]
    assert [item.digest for item in tick.notes(DerivedKind.EFFECT)] == [effect.key for effect in tick.effects]
    tick = stage.tick(result(tick.effects[1].number), result(tick.effects[0].number, b"", -4))
    first, second = tick.inbox("a")
    assert (first.kind, first.destination, first.body, first.encoding) == (FrameKind.RESULT, 1, b"done", 2)
    assert (second.kind, second.body[4:8]) == (FrameKind.ERROR, int(FrameKind.SKILL).to_bytes(4, "little"))
    assert stage.machine.state.effects == []


def test_a_second_result_has_no_effect() -> None:
    stage = skilled()
    number = stage.tick(a=ask).effects[0].number
    tick = stage.tick(result(number), result(number))
    assert len(tick.inbox("a")) == 1
    assert [item.note for item in tick.notes(DerivedKind.REFUSED_INPUT)] == ["no such effect is open"]
    assert len(stage.tick(result(number)).notes(DerivedKind.REFUSED_INPUT)) == 1


def test_a_full_mailbox_does_not_keep_a_result_out() -> None:
    stage = skilled(limits=limits(mailbox_messages=1))
    effects = stage.tick(a=ask).effects
    tick = stage.tick(message("a"), result(effects[0].number), result(effects[1].number, b"no", -1))
    assert tick.kinds("a") == [FrameKind.MESSAGE, FrameKind.RESULT, FrameKind.ERROR]


def test_a_result_larger_than_the_inbox_becomes_an_error() -> None:
    stage = skilled(limits=limits(inbox_bytes=4096))
    effects = stage.tick(a=ask).effects
    tick = stage.tick(result(effects[0].number, bytes(5000)))
    assert tick.errors("a") == [(Refusal.TOO_BIG, "a result of 5000 bytes is larger than the inbox")]


def test_a_code_no_refusal_has_is_a_failure() -> None:
    stage = skilled()
    effects = stage.tick(a=ask).effects
    assert stage.tick(result(effects[0].number, b"why", 77)).errors("a") == [(Refusal.FAILED, "why")]


def test_a_result_for_a_stopped_agent_is_settled_and_nothing_more() -> None:
    stage = skilled()
    effects = stage.tick(a=ask).effects
    tick = stage.tick(operator(InputKind.STOP_AGENT, "a"), result(effects[0].number))
    assert [item.kind for item in tick.derived][-1] == DerivedKind.EFFECT_SETTLED
    assert tick.notes(DerivedKind.DEAD_LETTER) == []
    assert len(stage.machine.state.effects) == 1


def test_an_agent_may_have_a_bounded_number_of_effects_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "MAX_EFFECTS", 1)
    stage = skilled()
    number = stage.tick(a=ask).effects[0].number
    tick = stage.tick(result(number))
    assert tick.errors("a") == [(Refusal.TOO_BIG, "more than 1 effects without result")]
    assert len(stage.tick(message("a"), a=lambda outbox: outbox.call("s", b"")).effects) == 1


def test_logs_and_metrics_have_no_consequence() -> None:
    stage = Stage(world(spec("a")))
    stage.start()

    def act(outbox: Outbox) -> None:
        outbox.log("hello")
        outbox.metric("x", 1)

    assert stage.tick(a=act).derived == ()


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 99))
def test_an_idempotency_key_depends_on_lineage_agent_tick_and_number_alone(
    lineage: bytes, agent: int, tick: int, number: int
) -> None:
    key = effect_key(lineage, agent, tick, number)
    assert key == effect_key(lineage, agent, tick, number)
    assert key != effect_key(lineage, agent, tick, number + 1)
    assert key != effect_key(codec.digest(lineage), agent, tick, number)


def test_another_lineage_gives_other_keys() -> None:
    one, other = skilled(), skilled()
    edited = other.tick(operator(InputKind.LINEAGE, body=b"edit"), a=ask)
    assert one.tick(a=ask).effects[0].key != edited.effects[0].key


# -- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (message("nobody"), "no agent 'nobody'"),
        (operator(InputKind.PUBLISH, "nowhere"), "no topic 'nowhere'"),
        (operator(InputKind.PUBLISH_RETAINED, "nowhere"), "no topic 'nowhere'"),
        (operator(InputKind.RESULT, number=5), "no such effect is open"),
        (operator(InputKind.STOP_AGENT, "nobody"), "no running agent 'nobody'"),
        (operator(InputKind.SUSPEND_AGENT, "nobody"), "no active agent 'nobody'"),
        (operator(InputKind.RESUME_AGENT, "a"), "no suspended agent 'a'"),
        (operator(InputKind.CONFIGURE_AGENT, "a", 1, b"name"), "no agent 'a' with a setting 'name'"),
        (operator(InputKind.CONFIGURE_AGENT, "a", 0, b"fuel"), "fuel cannot be 0"),
        (operator(InputKind.CONFIGURE_AGENT, "a", 1 << 63, b"priority"), f"priority cannot be {1 << 63}"),
        (operator(InputKind.RESEED, number=-1), "a seed is u64"),
        (operator(InputKind.CLOCK, number=-1), "a clock sample is microseconds since 1970, u64"),
        (Input(99, "operator"), "unknown kind of input"),
        (Input(InputKind.MESSAGE, "operator", "a", encoding=70_000), "no encoding 70000"),
    ],
)
def test_an_input_that_fits_nothing_is_a_record(item: Input, reason: str) -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    assert [note.note for note in stage.tick(item).notes(DerivedKind.REFUSED_INPUT)] == [reason]


def test_a_publication_from_outside_reaches_subscribers() -> None:
    stage = Stage(world(spec("a", subscribe=("t",))))
    stage.start()
    assert stage.tick(operator(InputKind.PUBLISH, "t", body=b"news")).bodies("a") == [b"news"]


def test_a_suspended_agent_keeps_its_mail_until_it_is_resumed() -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    tick = stage.tick(operator(InputKind.SUSPEND_AGENT, "a"), message("a", b"kept"))
    assert tick.turns == {}
    assert len(tick.notes(DerivedKind.SUSPENDED)) == 1
    tick = stage.tick(operator(InputKind.RESUME_AGENT, "a"))
    assert tick.bodies("a") == [b"kept"]
    assert len(tick.notes(DerivedKind.RESUMED)) == 1


def test_priority_and_fuel_can_be_changed() -> None:
    stage = Stage(world(spec("a"), spec("b"), policy="priority"))
    stage.start()
    tick = stage.tick(
        operator(InputKind.CONFIGURE_AGENT, "b", 9, b"priority"), operator(InputKind.CONFIGURE_AGENT, "a", 77, b"fuel")
    )
    assert tick.order == ["b", "a"]
    assert tick.turns["a"].fuel == 77


def test_closing_twice_is_refused() -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    tick = stage.tick(operator(InputKind.CLOSE), operator(InputKind.CLOSE))
    assert [item.note for item in tick.notes(DerivedKind.REFUSED_INPUT)] == ["the run is closing already"]
    assert stage.status() != RunStatus.OPEN


def test_a_user_kind_is_delivered_as_it_is() -> None:
    stage = Stage(world(spec("a", send=("b",)), spec("b")))
    stage.start()
    stage.tick(a=raw(0x8001, 0, b"mine"))
    assert [(item.kind, item.body) for item in stage.tick().inbox("b")] == [(0x8001, b"mine")]


def test_limits_of_the_header_are_not_touched_by_a_change() -> None:
    header = world(spec("a"))
    stage = Stage(header)
    stage.tick(operator(InputKind.CONFIGURE_AGENT, "a", 77, b"fuel"))
    assert header == msgspec.structs.replace(header)
    assert header.agents[0].limits.fuel != 77


def asking() -> tuple[Stage, int]:
    """Return an agent that has asked the second of its models, and the effect's number."""
    stage = Stage(world(spec("a", models=("n", "m")), models=(ModelSpec("m"), ModelSpec("n"))))
    stage.start()
    tick = stage.tick(message("a"), a=lambda outbox: outbox.infer("m", b"what?", encoding=0))
    (effect,) = tick.effects
    assert (effect.skill, effect.effect_class, effect.body) == ("infer:m", EffectClass.PURE, b"what?")
    assert [item.note for item in tick.notes(DerivedKind.EFFECT)] == ["infer:m"]
    return stage, effect.number


def test_a_models_answer_names_its_handle() -> None:
    stage, number = asking()
    (answer,) = stage.tick(Input(InputKind.RESULT, "effect", number=number, body=b"that")).inbox("a")
    assert (answer.kind, answer.destination, answer.body) == (FrameKind.RESULT, 0x80000001, b"that")


@pytest.mark.parametrize(("code", "body"), [(Refusal.UNSUPPORTED, b"nobody"), (0, bytes(70_000))])
def test_a_models_failure_names_its_handle(code: int, body: bytes) -> None:
    stage, number = asking()
    (answer,) = stage.tick(Input(InputKind.RESULT, "effect", number=number, code=code, body=body)).inbox("a")
    assert (answer.kind, answer.destination) == (FrameKind.ERROR, 0x80000001)
    assert int.from_bytes(answer.body[4:8], "little") == FrameKind.INFER


def test_too_many_requests_to_models_are_refused_by_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "MAX_EFFECTS", 1)
    stage, _ = asking()
    tick = stage.tick(message("a"), a=lambda outbox: outbox.infer("n", b"and?"))
    assert [item.note for item in tick.notes(DerivedKind.DENIED)] == ["more than 1 effects without result"]
    (answer,) = stage.tick().inbox("a")
    assert (answer.kind, answer.destination) == (FrameKind.ERROR, 0x80000000)


def test_a_model_the_run_has_not_is_denied() -> None:
    stage = Stage(world(spec("a", models=("m",))))
    stage.start()
    tick = stage.tick(message("a"), a=lambda outbox: outbox.infer("m", b""))
    assert tick.outcomes["a"].status == Status.DENIED
