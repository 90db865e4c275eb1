"""Windows as the kernel sees them: who may write, when they flip, what readers are shown."""

from typing import Any

import msgspec
import pytest

from tests.unit.kernel.stage import Act, Stage, Tick, failed, message, spec, supervision, trap, world
from tickwork.codec import encode_frame
from tickwork.kernel import Machine, decode_state, encode_state
from tickwork.kernel.windows import EPOCH, WRITE, Windows
from tickwork.native import Outbox
from tickwork.records import AgentSpec, DerivedKind, FrameKind, Header, Input, InputKind, Refusal, WindowSpec


def agent(name: str, **fields: Any) -> AgentSpec:
    return spec(name, **{"windows": ("board",), **fields})


def stage(kind: str = "frame", size: int = 100, *agents: AgentSpec, **fields: Any) -> Stage:
    """Return a writer ``w`` and readers ``r`` and ``s`` of one window, after their first tick."""
    window = WindowSpec("board", kind, size, "w", ("r", "s"))
    cast = agents or (agent("w"), agent("r"), agent("s"), agent("x"))
    made = Stage(world(*cast, **{"windows": (window,), **fields}))
    made.start()
    return made


def run(here: Stage, *inputs: Input, **acts: Act) -> Tick:
    """Run a tick in which agents that write have something to wake for."""
    return here.run([*inputs, *(message(name) for name in acts if name in "wx")], acts)


def write(length: int, offset: int = 0, digest: bytes = bytes(32), handle: int = 0) -> bytes:
    """Return the frame of a write; the digest is what a host has put there."""
    return encode_frame(FrameKind.WINDOW_WRITE, 0, 0, handle, 0, 0, WRITE.pack(offset, length, digest))


def shown(tick: Tick, name: str = "r") -> list[tuple[int, int, int, int]]:
    """Return epoch, total, offset and length of what an agent is told of."""
    return [EPOCH.unpack(item.body) for item in tick.inbox(name) if item.kind == FrameKind.WINDOW_EPOCH]


def views(tick: Tick, name: str = "r") -> list[tuple[int, int]]:
    """Return offset and length of what is copied for an agent."""
    return [(view.offset, view.length) for view in tick.turns[name].views] if name in tick.turns else []


def notes(tick: Tick, kind: DerivedKind) -> list[str]:
    return [item.note for item in tick.notes(kind)]


def test_a_write_flips_the_window_and_its_readers_see_it_in_the_next_tick() -> None:
    here = stage()
    first = run(here, w=write(40, digest=b"d" * 32))
    (flipped,) = first.notes(DerivedKind.WINDOW_FLIPPED)
    assert (flipped.agent, flipped.number, flipped.note, flipped.digest) == (0, 1, "board", b"d" * 32)
    assert shown(first) == []
    second = run(here)
    assert shown(second) == shown(second, "s") == [(1, 40, 0, 40)]
    assert views(second) == views(second, "s") == [(0, 40)]
    assert "x" not in second.turns
    assert shown(run(here, message("r"))) == []


def test_a_reader_that_was_away_is_shown_the_last_frame_alone() -> None:
    here = stage()
    run(here, Input(InputKind.SUSPEND_AGENT, "operator", "r"), w=write(40))
    run(here, w=write(50))
    assert shown(run(here, Input(InputKind.RESUME_AGENT, "operator", "r"))) == [(2, 50, 0, 50)]


def test_of_a_log_a_reader_is_shown_what_it_has_not_seen() -> None:
    here = stage("log")
    run(here, w=write(30, offset=7))
    assert shown(run(here, Input(InputKind.SUSPEND_AGENT, "operator", "r"), w=write(20)), "s") == [(1, 30, 0, 30)]
    run(here, w=write(10))
    tick = run(here, Input(InputKind.RESUME_AGENT, "operator", "r"))
    assert (shown(tick), shown(tick, "s")) == ([(3, 60, 0, 60)], [(3, 60, 50, 10)])


def test_a_ring_goes_round_and_keeps_its_last_bytes() -> None:
    here = stage("ring")
    run(here, w=write(70))
    assert shown(run(here, w=write(60))) == [(1, 70, 0, 70)]
    tick = run(here, Input(InputKind.SUSPEND_AGENT, "operator", "r"))
    assert shown(tick, "s") == [(2, 130, 70, 60)]
    assert views(tick, "s") == [(70, 30), (0, 30)]
    tick = run(here, Input(InputKind.RESUME_AGENT, "operator", "r"))
    assert shown(tick) == [(2, 130, 70, 60)]
    run(here, w=write(90))
    assert shown(run(here)) == [(3, 220, 30, 90)]


def test_a_reader_of_a_ring_that_saw_nothing_gets_all_that_is_left() -> None:
    here = stage("ring")
    run(here, Input(InputKind.SUSPEND_AGENT, "operator", "r"), w=write(70))
    run(here, w=write(60))
    tick = run(here, Input(InputKind.RESUME_AGENT, "operator", "r"))
    assert shown(tick) == [(2, 130, 30, 100)]
    assert views(tick) == [(30, 70), (0, 30)]


def test_the_digest_of_a_log_covers_all_writes_in_order() -> None:
    heads = []
    for digests in ((b"a", b"b"), (b"b", b"a"), (b"a", b"b")):
        here = stage("log")
        ticks = [run(here, w=write(1, digest=one * 32)) for one in digests]
        heads.append(ticks[-1].notes(DerivedKind.WINDOW_FLIPPED)[0].digest)
    assert heads[0] == heads[2] != heads[1]


@pytest.mark.parametrize(
    ("who", "outbox", "code", "why"),
    [
        ("r", write(1), Refusal.DENIED, "is written by 'w' alone"),
        ("x", write(1), Refusal.DENIED, "is written by 'w' alone"),
        ("w", write(101), Refusal.TOO_BIG, "holds 100 bytes, not 101"),
        ("w", write(1, offset=1), Refusal.BAD_MESSAGE, "is a frame, whose writes begin at offset 0"),
        ("w", write(1) + write(2), Refusal.CONFLICT, "has a write of this turn already"),
        (
            "w",
            encode_frame(FrameKind.WINDOW_WRITE, 0, 0, 0, 0, 0, b"x"),
            Refusal.BAD_MESSAGE,
            "a write has a body of 48 bytes",
        ),
    ],
)
def test_a_write_that_cannot_be_is_a_record_and_an_error(who: str, outbox: bytes, code: int, why: str) -> None:
    here = stage()
    tick = run(here, **{who: outbox})
    assert notes(tick, DerivedKind.DENIED) == [f'window "board" {why}']
    (denied,) = tick.notes(DerivedKind.DENIED)
    assert (denied.agent, denied.number) == (here.machine.cast.numbers[who], FrameKind.WINDOW_WRITE)
    assert run(here).errors(who) == [(code, f'window "board" {why}')]
    assert tick.outcomes[who].status == 0


def test_of_two_writes_in_one_turn_the_second_is_refused_even_where_the_first_is() -> None:
    here = stage()
    tick = run(here, w=write(101) + write(7))
    assert notes(tick, DerivedKind.WINDOW_FLIPPED) == []
    assert [code for code, _ in run(here).errors("w")] == [Refusal.TOO_BIG, Refusal.CONFLICT]
    assert notes(run(here, w=write(7)), DerivedKind.WINDOW_FLIPPED) == ["board"]


def test_a_log_that_is_full_takes_no_more() -> None:
    here = stage("log")
    run(here, w=write(90))
    tick = run(here, w=write(11))
    assert notes(tick, DerivedKind.DENIED) == ['window "board" is full: 10 bytes are left, not 11']
    assert notes(run(here, w=write(10)), DerivedKind.WINDOW_FLIPPED) == ["board"]


def test_a_window_that_is_not_granted_is_neither_written_nor_read() -> None:
    denied = ("windows:board",)
    here = stage("frame", 100, agent("w", denied=denied), agent("r"), agent("s"))
    tick = run(here, w=write(1))
    assert notes(tick, DerivedKind.DENIED) == ['window "board" is not granted']
    here = stage("frame", 100, agent("w"), agent("r", denied=denied), agent("s"))
    run(here, w=write(1))
    tick = run(here)
    assert (shown(tick), shown(tick, "s")) == ([], [(1, 1, 0, 1)])


def test_a_handle_that_the_agent_does_not_have_fails_the_turn() -> None:
    here = stage()
    tick = run(here, w=write(1, handle=1))
    assert tick.outcomes["w"].status == 6
    assert tick.undo == [0]


def test_a_window_keeps_its_hours() -> None:
    windows = (WindowSpec("board", "frame", 100, "w", ("r",), 3, 5),)
    here = stage("frame", 100, agent("w"), agent("r"), windows=windows)
    ticks = [run(here, w=write(1)) for _ in range(5)]
    found = [[DerivedKind(item.kind).name for item in tick.derived] for tick in ticks]
    assert found == [
        ["DENIED"],
        ["DENIED"],
        ["WINDOW_OPENED", "WINDOW_FLIPPED"],
        ["WINDOW_FLIPPED"],
        ["WINDOW_CLOSED", "DENIED"],
    ]
    assert notes(ticks[4], DerivedKind.DENIED) == ['window "board" is not open']
    assert [shown(tick) for tick in [*ticks, run(here)]] == [[], [], [], [(1, 1, 0, 1)], [(2, 1, 0, 1)], []]


def test_an_operator_closes_a_window_and_opens_it_empty() -> None:
    here = stage("log")
    run(here, w=write(10))
    tick = run(here, Input(InputKind.CLOSE_WINDOW, "operator", "board"), w=write(10))
    assert notes(tick, DerivedKind.WINDOW_CLOSED) == ["board: an operator closed it"]
    assert shown(tick) == [(1, 10, 0, 10)]
    tick = run(here, Input(InputKind.OPEN_WINDOW, "operator", "board"))
    assert [(item.note, item.number) for item in tick.notes(DerivedKind.WINDOW_OPENED)] == [("board", 1)]
    assert shown(tick) == []
    run(here, w=write(5))
    assert shown(run(here)) == [(2, 5, 0, 5)]


def test_an_operator_gives_a_window_another_writer() -> None:
    here = stage()
    other = msgspec.msgpack.encode(WindowSpec("board", "ring", 8, "x", ("w",)))
    run(here, Input(InputKind.CLOSE_WINDOW, "operator", "board"))
    run(here, Input(InputKind.OPEN_WINDOW, "operator", "board", body=other))
    run(here, x=write(8))
    assert shown(run(here), "w") == [(1, 8, 0, 8)]


@pytest.mark.parametrize(
    ("kind", "target", "body", "why"),
    [
        (InputKind.OPEN_WINDOW, "board", b"", "window 'board' is open"),
        (InputKind.OPEN_WINDOW, "other", b"", "no window 'other'"),
        (InputKind.CLOSE_WINDOW, "other", b"", "no open window 'other'"),
        (InputKind.OPEN_WINDOW, "n", msgspec.msgpack.encode(WindowSpec("m", "log", 1, "w")), "is called 'm', not 'n'"),
        (InputKind.OPEN_WINDOW, "n", msgspec.msgpack.encode(WindowSpec("n", "heap", 1, "w")), "no kind of window"),
        (InputKind.OPEN_WINDOW, "n", msgspec.msgpack.encode(WindowSpec("n", "log", 0, "w")), "a window holds 1 to"),
        (
            InputKind.OPEN_WINDOW,
            "n",
            msgspec.msgpack.encode(WindowSpec("n", "log", 1, "w", ("w",))),
            "'w' cannot both write and read it",
        ),
        (InputKind.OPEN_WINDOW, "n", b"x", "its body is no window"),
    ],
)
def test_an_input_that_opens_or_closes_nothing_is_refused(kind: int, target: str, body: bytes, why: str) -> None:
    (note,) = notes(stage().tick(Input(kind, "operator", target, body=body)), DerivedKind.REFUSED_INPUT)
    assert why in note


def test_a_turn_that_fails_is_shown_the_same_again() -> None:
    retry = agent("r", supervision=supervision("retry", 3))
    here = stage("log", 100, agent("w"), retry, agent("s"))
    run(here, w=write(10))
    assert shown(run(here, w=write(5), r=trap())) == [(1, 10, 0, 10)]
    assert shown(run(here, message("r", b"more"), r=failed(-1))) == [(2, 15, 0, 15)]
    tick = run(here)
    assert shown(tick) == [(2, 15, 0, 15)]
    assert tick.bodies("r") == [b"more"]


def test_a_write_of_a_turn_that_failed_never_happened() -> None:
    here = stage()
    tick = run(here, w=trap())
    assert tick.notes(DerivedKind.WINDOW_FLIPPED) == []


def test_an_agent_that_begins_again_is_shown_everything_again() -> None:
    restart = agent("r", supervision=supervision("restart"))
    here = stage("log", 100, agent("w"), restart, agent("s"))
    run(here, w=write(10))
    run(here)
    run(here, message("r"), r=trap())
    assert shown(run(here, w=write(2))) == []
    assert shown(run(here)) == [(2, 12, 0, 12)]


def test_what_windows_show_leaves_room_for_fewer_messages() -> None:
    small = agent("r", limits=msgspec.structs.replace(spec("r").limits, inbox_bytes=110))
    here = stage("frame", 100, agent("w"), small, agent("s"))
    run(here, w=write(10))
    tick = run(here, message("r", b"1"), message("r", b"2"))
    assert tick.kinds("r") == [FrameKind.WINDOW_EPOCH, FrameKind.MESSAGE]
    assert (tick.turns["r"].count, tick.bodies("r"), run(here).bodies("r")) == (2, [b"1"], [b"2"])


def test_a_message_that_only_fits_alone_goes_first() -> None:
    small = agent("r", limits=msgspec.structs.replace(spec("r").limits, inbox_bytes=100))
    here = stage("frame", 100, agent("w"), small, agent("s"))
    run(here, w=write(10))
    big = message("r", bytes(60))
    assert run(here, big, w=write(10)).kinds("r") == [FrameKind.MESSAGE]
    assert shown(run(here)) == [(2, 10, 0, 10)]


def test_windows_never_show_more_than_an_inbox_holds() -> None:
    names = ("one", "two", "three")
    small = agent("r", windows=names, limits=msgspec.structs.replace(spec("r").limits, inbox_bytes=150))
    windows = tuple(WindowSpec(name, "frame", 100, "w", ("r",)) for name in names)
    here = stage("frame", 100, agent("w", windows=names), small, windows=windows)
    run(here, w=b"".join(write(10, handle=handle) for handle in range(3)))
    first, second = run(here), run(here)
    assert [len(first.turns["r"].inbox), len(shown(first)), len(shown(second))] == [128, 2, 1]
    assert here.machine.quiet


def test_an_inbox_that_holds_no_word_of_a_window_is_a_record() -> None:
    tiny = agent("r", limits=msgspec.structs.replace(spec("r").limits, inbox_bytes=60))
    here = stage("frame", 100, agent("w"), tiny, agent("s"))
    run(here, w=write(10))
    tick = run(here)
    assert notes(tick, DerivedKind.DENIED) == ['window "board" needs an inbox of 64 bytes']
    assert (shown(tick), shown(tick, "s"), here.machine.quiet) == ([], [(1, 10, 0, 10)], True)


def test_a_region_that_is_too_small_is_a_record_and_not_tried_again() -> None:
    here = stage("log", 100, agent("w"), agent("r", regions=(20,)), agent("s"))
    run(here, w=write(15))
    assert shown(run(here, w=write(15))) == [(1, 15, 0, 15)]
    tick = run(here)
    assert notes(tick, DerivedKind.DENIED) == ['window "board" needs a region of 30 bytes, the agent has 20']
    assert run(here).derived == ()


def test_with_linear_visibility_a_later_slot_reads_in_the_same_tick() -> None:
    here = stage(visibility="linear")
    tick = run(here, w=write(40))
    assert shown(tick) == [(1, 40, 0, 40)]
    assert shown(run(here)) == []


def test_a_closing_run_still_shows_what_was_written() -> None:
    here = stage()
    run(here, w=write(3))
    assert shown(run(here, Input(InputKind.CLOSE, "driver"))) == [(1, 3, 0, 3)]


def test_a_run_is_not_quiet_while_a_reader_has_something_to_see() -> None:
    here = stage()
    run(here)
    assert here.machine.quiet
    run(here, w=write(3))
    assert not here.machine.quiet
    run(here)
    assert here.machine.quiet


def tells_twice(outbox: Outbox) -> None:
    outbox.send("x", b"1")
    outbox.send("x", b"2")


def test_a_reader_that_waits_for_a_full_mailbox_keeps_no_run_awake() -> None:
    small = spec("x", limits=msgspec.structs.replace(spec("x").limits, mailbox_messages=1, overflow="defer"))
    here = stage("frame", 100, agent("w"), agent("r", send=("x",)), agent("s"), small)
    run(here, Input(InputKind.SUSPEND_AGENT, "operator", "x"), message("r"), message("r"))
    run(here, message("r"), r=tells_twice)
    run(here, w=write(3))
    run(here)
    assert here.agent("r").deferred
    assert here.machine.quiet


def test_what_is_written_is_handed_to_the_shell_once() -> None:
    here = stage("ring")
    run(here, w=write(70))
    (first,) = here.machine.take_flips()
    assert (first.window, first.kind, first.capacity, first.agent, first.handle) == (0, "ring", 100, 0, 0)
    run(here, w=write(50))
    assert [(flip.offset, flip.length) for flip in here.machine.take_flips()] == [(70, 50)]
    assert here.machine.take_flips() == []


def test_windows_that_nobody_reads_wake_nobody() -> None:
    here = stage("frame", 10, agent("w"), windows=(WindowSpec("board", "frame", 10, "w", ("nobody",)),))
    run(here, w=write(3))
    assert here.machine.cast.windows.fresh() == frozenset()


@pytest.mark.parametrize("kind", ["frame", "ring", "log"])
def test_a_machine_from_an_encoded_state_shows_the_same(kind: str) -> None:
    def acts(tick: int) -> dict[str, Act]:
        return {"w": write(9, digest=bytes([tick]) * 32)} if tick % 3 else {"r": trap()}

    header: Header = stage(kind, 20, agent("w"), agent("r", supervision=supervision("retry", 99)), agent("s")).header
    one, other = Stage(header), Stage(header)
    for tick in range(12):
        state = decode_state(encode_state(other.machine.state))
        other = Stage(header, Machine(header, bytes(32), state=state))
        assert one.run((), acts(tick)).records == other.run((), acts(tick)).records


def test_an_agent_asks_by_name() -> None:
    def act(outbox: Outbox) -> None:
        outbox.write("board", b"x" * 7)

    here = stage()
    run(here, w=act)
    assert shown(run(here)) == [(1, 7, 0, 7)]


def test_a_run_holds_a_bounded_number_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    from tickwork.kernel import windows

    monkeypatch.setattr(windows, "MAX_WINDOWS", 1)
    here = stage()
    assert isinstance(here.machine.cast.windows, Windows)
    body = msgspec.msgpack.encode(WindowSpec("n", "log", 1, "w"))
    tick = run(here, Input(InputKind.OPEN_WINDOW, "operator", "n", body=body))
    assert notes(tick, DerivedKind.REFUSED_INPUT) == ["a run holds at most 1 windows"]
