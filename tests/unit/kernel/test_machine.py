"""The tick: when turns happen, what they are given, how a run closes."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.kernel.stage import Act, Stage, failed, limits, message, spec, supervision, trap, world
from tickwork import codec
from tickwork.kernel import Machine
from tickwork.kernel.state import RunStatus, decode_state, encode_state
from tickwork.native import Outbox
from tickwork.records import (
    DerivedKind,
    FrameKind,
    Input,
    InputKind,
    Operation,
    Outcome,
    SkillSpec,
    Status,
    TaskSpec,
)

CLOSE = Input(InputKind.CLOSE, "driver")


def sleep(ticks: int) -> Act:
    return lambda outbox: outbox.sleep(ticks)


def test_an_agent_is_initialised_with_its_configuration_in_its_first_tick() -> None:
    stage = Stage(world(spec("a", config=b'{"x":1}')))
    tick = stage.start()
    assert tick.turns["a"].operation == Operation.INIT
    assert [(item.kind, item.body) for item in tick.inbox("a")] == [(FrameKind.CONFIG, b'{"x":1}')]
    assert stage.tick().turns["a"].operation == Operation.STEP


def test_mail_that_comes_before_the_first_turn_is_kept_for_the_second() -> None:
    stage = Stage(world(spec("a")))
    assert stage.tick(message("a", b"early")).kinds("a") == [FrameKind.CONFIG]
    assert stage.tick().bodies("a") == [b"early"]


def test_sleep_counts_the_ticks_without_a_step() -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    planned = ["a" in stage.tick(a=sleep(2)).turns for _ in range(7)]
    assert planned == [True, False, False, True, False, False, True]


def test_a_message_wakes_a_sleeping_agent() -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    stage.tick(a=sleep(100))
    assert "a" not in stage.tick().turns
    assert "a" in stage.tick(message("a")).turns


def test_again_and_a_full_outbox_mean_the_next_tick() -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    for act in (lambda outbox: outbox.again(), Outcome(Status.OK, -7, 1, b"")):
        assert "a" in stage.tick(a=act).turns
    assert "a" in stage.tick().turns
    assert "a" not in stage.tick().turns


def test_an_inbox_holds_no_more_than_its_capacity_and_the_rest_waits() -> None:
    stage = Stage(world(spec("a", limits=limits(inbox_bytes=100))))
    stage.start()
    stage.tick()
    tick = stage.tick(*(message("a", bytes([n]) * 8) for n in range(5)))
    assert len(tick.turns["a"].inbox) <= 100
    seen = [tick.bodies("a")]
    while (tick := stage.tick()).turns:
        seen.append(tick.bodies("a"))
    assert [[body[0] for body in part] for part in seen] == [[0, 1], [2, 3], [4]]


def test_an_agents_stream_of_seeds_does_not_depend_on_the_others() -> None:
    alone, crowded = Stage(world(spec("a"))), Stage(world(spec("a"), spec("b"), spec("c")))
    for _ in range(130):
        one, other = alone.tick(a=sleep(0)), crowded.tick(a=sleep(0), b=sleep(3))
        assert one.turns["a"].seed == other.turns["a"].seed


def test_seeds_differ_between_agents_and_ticks_and_follow_a_new_seed() -> None:
    stage = Stage(world(spec("a"), spec("b")))
    seeds = [turn.seed for _ in range(10) for turn in stage.tick(a=sleep(0), b=sleep(0)).turns.values()]
    assert len(set(seeds)) == 20
    plain = stage.machine.state.tick
    reseeded = stage.tick(Input(InputKind.RESEED, "operator", number=7), a=sleep(0)).turns["a"].seed
    other = Stage(world(spec("a"), seed=7))
    for _ in range(plain):
        other.tick(a=sleep(0))
    assert other.tick(a=sleep(0)).turns["a"].seed == reseeded


def test_only_an_agent_with_the_capability_sees_the_clock() -> None:
    stage = Stage(world(spec("a", clock=True), spec("b")))
    clock = Input(InputKind.CLOCK, "driver", number=1_700_000_000_000_000)
    assert stage.machine.clocked
    stage.start()
    tick = stage.tick(clock, a=sleep(0), b=sleep(0))
    assert (tick.turns["a"].wall_us, tick.turns["b"].wall_us) == (1_700_000_000_000_000, 0)
    assert stage.tick().turns["a"].wall_us == 0


def test_an_agent_waits_for_the_next_window_when_this_one_cannot_cover_a_turn() -> None:
    stage = Stage(world(spec("a", limits=limits(fuel=100, window_fuel=250, window_ticks=4))))
    planned = ["a" in stage.tick(a=sleep(0)).turns for _ in range(8)]
    assert planned == [True, True, False, False, True, True, False, False]


def test_a_turn_never_gets_more_fuel_than_its_window_has() -> None:
    stage = Stage(world(spec("a", limits=limits(fuel=1000, window_fuel=250, window_ticks=4))))
    assert stage.tick(a=sleep(0)).turns["a"].fuel == 250


def test_a_closing_run_lets_unfinished_work_go_on() -> None:
    stage = Stage(world(spec("a")))
    stage.start()
    stage.tick(a=Outbox.again)
    stage.tick(Input(InputKind.CLOSE, "driver"), a=Outbox.again)
    assert "a" in stage.tick(a=Outbox.again).turns
    assert stage.tick(a=sleep(0)).turns["a"].operation == Operation.STEP
    assert stage.tick(a=sleep(0)).turns["a"].operation == Operation.SHUTDOWN


def test_a_replay_leaves_the_state_of_a_live_run_with_windows_too() -> None:
    header = world(spec("a", limits=limits(window_fuel=10**6, window_ticks=3)), checkpoint_every=2)
    live, replay = Stage(header), Stage(header)
    for _ in range(12):
        assert live.run((), {"a": sleep(0)}).records == replay.run((), {"a": sleep(0)}, replaying=True).records


def test_more_frames_than_the_quota_allows_are_denied_as_a_whole() -> None:
    bound = limits(messages_per_turn=2)
    stage = Stage(world(spec("a", send=("b",), limits=bound, supervision=supervision("retry", 3)), spec("b")))
    stage.start()

    def act(outbox: Outbox) -> None:
        for _ in range(3):
            outbox.send("b", b"x")

    tick = stage.tick(a=act)
    assert tick.outcomes["a"].status == Status.DENIED
    assert tick.outcomes["a"].outbox == b""
    assert tick.undo == [0]
    assert stage.tick().bodies("b") == []


def test_a_refused_outbox_leaves_no_trace_but_its_outcome() -> None:
    header = world(
        spec("a", send=("b",), publish=("t",), skills=("s",), supervision=supervision("retry", 9)),
        spec("b", subscribe=("t",)),
        skills=(SkillSpec("s"),),
    )
    one, other = Stage(header), Stage(header)
    one.start(), other.start()

    def act(outbox: Outbox) -> None:
        outbox.send("b", b"x")
        outbox.publish("t", b"y", retain=True)
        outbox.timer(1)
        outbox.call("s", b"z")

    outbox = Outbox(header.agents[0])
    act(outbox)
    refused = one.tick(a=outbox.encode() + codec.encode_frame(FrameKind.SEND, 0, 0, 9, 0, 0, b""))
    trapped = other.tick(a=trap())
    assert refused.outcomes["a"].status == Status.ABI_VIOLATION
    assert encode_state(one.machine.state) == encode_state(other.machine.state)
    assert [item.kind for item in refused.derived] == [item.kind for item in trapped.derived]


def test_exit_takes_effect_after_the_other_frames_of_its_outbox() -> None:
    stage = Stage(world(spec("a", send=("a", "b")), spec("b")))
    stage.start()

    def act(outbox: Outbox) -> None:
        outbox.exit()
        outbox.timer(1 << 40)
        outbox.send("a", b"to myself")
        outbox.send("b", b"farewell")
        outbox.task("a", 1, b"")

    tick = stage.tick(a=act)
    assert [item.note for item in tick.notes(DerivedKind.STOPPED)] == ["it asked to exit"]
    assert len(tick.notes(DerivedKind.TASK_FAILED)) == 1
    assert tick.retire == [0]
    tick = stage.tick()
    assert tick.bodies("b") == [b"farewell"]
    assert stage.machine.idle


def test_a_run_drains_stops_and_completes() -> None:
    stage = Stage(world(spec("a", send=("b",)), spec("b")))
    stage.start()
    stage.tick(a=lambda outbox: outbox.send("b", b"last"))
    assert stage.tick(CLOSE).bodies("b") == [b"last"]
    assert stage.status() == RunStatus.STOPPING
    tick = stage.tick()
    assert {turn.operation for turn in tick.turns.values()} == {Operation.SHUTDOWN}
    assert [item.note for item in tick.notes(DerivedKind.STOPPED)] == ["the run closed"] * 2
    assert stage.status() == RunStatus.COMPLETE
    assert len(tick.notes(DerivedKind.CLOSED)) == 1


def test_two_agents_that_never_stop_talking_are_drained_for_a_bounded_time() -> None:
    stage = Stage(world(spec("a", send=("b",)), spec("b", send=("a",))))
    stage.start()
    talk: dict[str, Act] = {"a": lambda o: o.send("b", b"x"), "b": lambda o: o.send("a", b"x")}
    stage.run((), talk)
    stage.run((CLOSE,), talk)
    ticks = 0
    while stage.status() < RunStatus.COMPLETE:
        stage.run((), talk)
        ticks += 1
    assert ticks == 16


def test_effects_of_a_shutdown_are_settled_before_the_run_completes() -> None:
    stage = Stage(world(spec("a", skills=("s",)), skills=(SkillSpec("s"),)))
    stage.start()
    stage.tick()
    stage.tick(CLOSE)
    tick = stage.tick(a=lambda outbox: outbox.call("s", b"report"))
    stage.tick()
    assert stage.status() == RunStatus.SETTLING
    last = stage.tick(Input(InputKind.RESULT, "effect", number=tick.effects[0].number))
    assert [item.kind for item in last.derived] == [DerivedKind.EFFECT_SETTLED, DerivedKind.CLOSED]
    assert stage.status() == RunStatus.COMPLETE


def test_a_turn_that_fails_while_closing_is_not_retried() -> None:
    stage = Stage(world(spec("a", supervision=supervision("retry", 5))))
    stage.start()
    stage.tick()
    stage.tick(CLOSE)
    stage.tick(a=trap())
    assert stage.status() == RunStatus.COMPLETE


def test_a_run_is_idle_when_only_something_new_from_outside_could_move_it() -> None:
    stage = Stage(world(spec("a")))
    assert not stage.machine.idle
    stage.start()
    stage.tick(a=lambda outbox: outbox.timer(2))
    assert not stage.machine.idle
    stage.tick()
    stage.tick()
    assert stage.machine.idle
    stage.tick(message("a"), a=sleep(5))
    assert not stage.machine.idle


def test_a_run_that_waits_for_an_effect_is_quiet_and_not_idle() -> None:
    stage = Stage(world(spec("a", skills=("s",)), skills=(SkillSpec("s"),)))
    stage.start()
    tick = stage.tick(a=lambda outbox: outbox.call("s", b""))
    assert (stage.machine.quiet, stage.machine.idle) == (True, False)
    stage.tick(Input(InputKind.RESULT, "effect", number=tick.effects[0].number))
    assert stage.machine.idle


def test_a_sender_that_waits_for_a_suspended_receiver_leaves_the_run_idle() -> None:
    stage = Stage(world(spec("a", send=("b",)), spec("b", limits=limits(overflow="defer", mailbox_messages=1))))
    stage.start()
    stage.tick(Input(InputKind.SUSPEND_AGENT, "operator", "b"))

    def act(outbox: Outbox) -> None:
        outbox.send("b", b"1")
        outbox.send("b", b"2")

    stage.tick(message("a"), a=act)
    assert stage.machine.idle
    stage.tick(Input(InputKind.RESUME_AGENT, "operator", "b"))
    stage.tick()
    assert stage.machine.idle


def test_a_state_root_stands_at_each_checkpoint() -> None:
    stage = Stage(world(spec("a"), checkpoint_every=3))
    roots = [stage.tick(a=sleep(0)).notes(DerivedKind.STATE_ROOT) for _ in range(6)]
    assert [len(found) for found in roots] == [0, 0, 1, 0, 0, 1]
    assert roots[5][0].digest == codec.digest(encode_state(stage.machine.state))


def test_a_large_outbox_is_detached_from_its_record() -> None:
    stage = Stage(world(spec("a", send=("b",)), spec("b", limits=limits(inbox_bytes=1 << 20))))
    stage.start()
    machine = stage.machine
    machine.admit([])
    turns = machine.turns(machine.plan())
    outbox = codec.encode_frame(FrameKind.SEND, 0, 0, 0, 0, 0, bytes(40_000))
    machine.commit(turns, [Outcome(Status.OK, 0, 1, outbox), Outcome(Status.OK, 0, 1, b"")])
    sealed = machine.seal()
    record = next(iter(codec.decode_turns(sealed.turns)))
    assert sealed.content == [outbox]
    assert (record.digest, record.size) == (codec.digest(outbox), len(outbox))
    assert stage.tick().bodies("b") == [bytes(40_000)]


def test_details_of_failed_turns_are_hints_by_slot() -> None:
    stage = Stage(world(spec("a"), spec("b", supervision=supervision("retry", 1))))
    stage.start()
    machine = stage.machine
    machine.admit([])
    turns = machine.turns(machine.plan())
    machine.commit(turns, [Outcome(Status.OK, 0, 11, b""), failed(-3)])
    sealed = machine.seal()
    assert sealed.fuel == [11, 10]
    assert sealed.details == [(1, "")]


RICH = world(
    spec("a", send=("a", "b", "c", "w-4"), publish=("t",), skills=("s",), spawn=("w",), clock=True),
    spec("b", send=("a", "c"), subscribe=("t",), limits=limits(overflow="defer", mailbox_messages=2)),
    spec(
        "c",
        send=("b",),
        subscribe=("t",),
        supervision=supervision("retry", 1),
        limits=limits(window_fuel=900, window_ticks=5),
    ),
    spec("d", send=("b",), publish=("t",), supervision=supervision("restart"), limits=limits(overflow="drop_old")),
    templates=(spec("w", send=("a",), subscribe=("t",), supervision=supervision("escalate")),),
    skills=(SkillSpec("s"),),
    tasks=(TaskSpec("one", "b", 1, 0, b"x"), TaskSpec("two", "c", 2, 0, b"y", (0,))),
    checkpoint_every=4,
)


def _frames(agent: str, choices: list[int]) -> Act:
    def act(outbox: Outbox) -> None:
        known = next((item for item in RICH.agents if item.name == agent), RICH.templates[0])
        for place, choice in enumerate(choices):
            match choice % 9:
                case 0 | 1 | 2 if known.send:
                    outbox.send(known.send[choice % len(known.send)], bytes([place]) * (choice % 30))
                case 3 if known.publish:
                    outbox.publish("t", bytes([choice]), retain=choice % 2 == 0)
                case 4:
                    outbox.timer(choice % 5, tag=place)
                case 5 if known.skills:
                    outbox.call("s", b"ask")
                case 6 if known.spawn:
                    outbox.spawn("w", b"{}")
                case 7 if known.subscribe:
                    (outbox.leave if choice % 2 else outbox.join)("t")
                case 8 if known.send:
                    outbox.task(known.send[0], choice * 7 + place, b"work", priority=place)
                case _:
                    outbox.log("nothing")
        outbox.sleep(sum(choices) % 3)

    if choices and choices[0] % 11 == 10:
        return trap(choices[0] % 3)
    return act


Script = list[dict[str, list[int]]]
scripts: st.SearchStrategy[Script] = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 120), max_size=6)), min_size=4, max_size=14
)


def _run(stage: Stage, script: Script, first: int = 0) -> list[tuple[bytes, bytes]]:
    records = []
    for index, entry in enumerate(script[first:], start=first):
        inputs = [Input(InputKind.CLOCK, "driver", number=index), message("b", b"in"), message("nobody")]
        open_effects = stage.machine.state.effects
        if open_effects and index % 2:
            inputs.append(Input(InputKind.RESULT, "effect", number=open_effects[0].number, code=-(index % 3)))
        records.append(stage.run(inputs, {name: _frames(name, list(part)) for name, part in entry.items()}).records)
    return records


@pytest.mark.slow
@settings(max_examples=40)
@given(scripts, st.sampled_from(["next", "linear"]), st.sampled_from(["fifo", "round_robin", "dag", "priority"]))
def test_a_machine_goes_on_from_a_decoded_state_to_the_same_records(
    script: Script, visibility: str, policy: str
) -> None:
    """Law of Machine: the state is complete."""
    header = msgspec.structs.replace(RICH, visibility=visibility, policy=policy, turns_per_tick=len(script) % 4)
    whole = Stage(header)
    expected = _run(whole, script)
    cut = len(script) // 2
    stage = Stage(header)
    _run(stage, script[:cut])
    encoded = encode_state(stage.machine.state)
    rebuilt = Stage(header, Machine(header, bytes(32), state=decode_state(encoded)))
    assert _run(rebuilt, script, cut) == expected[cut:]
    assert encode_state(rebuilt.machine.state) == encode_state(whole.machine.state)


@pytest.mark.slow
@settings(max_examples=40)
@given(scripts)
def test_equal_inputs_and_outcomes_give_equal_records(script: Script) -> None:
    assert _run(Stage(RICH), script) == _run(Stage(RICH), script)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.binary(max_size=120), min_size=1, max_size=6), st.sampled_from(["next", "linear"]))
def test_no_outbox_whatever_it_holds_raises(outboxes: list[bytes], visibility: str) -> None:
    stage = Stage(msgspec.structs.replace(RICH, visibility=visibility))
    stage.start()
    for outbox in outboxes:
        tick = stage.tick(message("d"), message("a"), d=outbox, a=outbox)
        for outcome in tick.outcomes.values():
            assert outcome.status in (Status.OK, Status.ABI_VIOLATION, Status.DENIED)


@pytest.mark.slow
@settings(max_examples=150)
@given(
    st.lists(
        st.builds(
            lambda kind, encoding, destination, body: codec.encode_frame(kind, encoding, 0, destination, 0, 0, body),
            st.one_of(st.integers(0, 45), st.integers(0, 0xFFFF)),
            st.integers(0, 0xFFFF),
            st.one_of(st.integers(0, 3), st.integers(0, 0xFFFFFFFF), st.integers(0x80000000, 0x80000005)),
            st.binary(max_size=40),
        ),
        max_size=5,
    )
)
def test_no_frame_whatever_it_asks_for_raises(frames: list[bytes]) -> None:
    stage = Stage(RICH)
    stage.start()
    for frame in [*frames, b"".join(frames)]:
        stage.tick(message("a"), a=frame)
    stage.tick()


@pytest.mark.slow
@settings(max_examples=150)
@given(
    st.lists(
        st.builds(
            Input,
            st.one_of(st.integers(0, 14), st.integers(-(2**31), 2**31)),
            st.just("operator"),
            st.sampled_from(["a", "b", "t", "nobody", ""]),
            st.integers(-(2**63), 2**64 - 1),
            st.integers(-20, 20),
            st.integers(-5, 2**17),
            st.one_of(st.binary(max_size=20), st.sampled_from([b"priority", b"fuel"])),
        ),
        max_size=6,
    )
)
def test_no_input_whatever_it_says_raises(inputs: list[Input]) -> None:
    stage = Stage(RICH)
    stage.start()
    for item in inputs:
        if stage.status() >= RunStatus.COMPLETE:
            break
        stage.tick(item)


def test_what_is_still_under_way_when_draining_ends_is_a_dead_letter() -> None:
    def to_itself(outbox: Outbox) -> None:
        outbox.send("a", b"on and on")
        outbox.sleep(0)

    stage = Stage(world(spec("a", send=("a",))))
    stage.start()
    tick = stage.tick(message("a"), Input(InputKind.CLOSE, "driver"), a=to_itself)
    while stage.machine.state.status == RunStatus.DRAINING:
        tick = stage.tick(a=to_itself)
    assert len(tick.notes(DerivedKind.DEAD_LETTER)) == 1
    assert stage.tick().turns["a"].count == 0
