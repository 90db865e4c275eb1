"""The contents of windows, kept by the shell."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import msgspec
import pytest

from tests.unit.driver.troupe import Echo, acting, empty, spec, stage, stop_after
from tests.unit.driver.troupe import options as troupe_options
from tickwork import codec
from tickwork.driver.resolve import World
from tickwork.driver.run import resume_journal, run
from tickwork.driver.verify import replay, verify
from tickwork.driver.windows import PIECE_BYTES, WindowStore, with_tensors
from tickwork.journal.memory import MemoryJournal
from tickwork.kernel import Flip, Machine
from tickwork.kernel.models import Place
from tickwork.native import Context, Outbox
from tickwork.records import (
    AgentSpec,
    Effect,
    EffectClass,
    Encoding,
    FrameKind,
    InputKind,
    Message,
    ModelSpec,
    Operation,
    Outcome,
    Refusal,
    Status,
    Turn,
    View,
    WindowSpec,
    Written,
)


def turn(agent: int = 0, *views: View) -> Turn:
    return Turn(agent, Operation.STEP, 1, 0, 0, 0, 0, b"", views)


def wrote(content: bytes) -> Outcome:
    return Outcome(Status.OK, 0, 0, b"", written=(Written(0, 0, content),))


def put(store: WindowStore, kind: str, content: bytes, offset: int, capacity: int = 10) -> None:
    """Write as a commit does."""
    store.note([turn()], [wrote(content)])
    store.flip([Flip(3, kind, capacity, 0, 0, offset, len(content))])


def seen(store: WindowStore, offset: int, length: int) -> bytes:
    (found,) = store.attach([turn(1, View(0, 3, 1, 0, offset, length))])
    return bytes(found.views[0].content)


def test_a_frame_is_what_was_written_last() -> None:
    store = WindowStore()
    put(store, "frame", b"before", 0)
    put(store, "frame", b"now", 0)
    assert seen(store, 0, 3) == b"now"


def test_a_ring_goes_on_at_its_start() -> None:
    store = WindowStore()
    put(store, "ring", b"abcdefgh", 0)
    put(store, "ring", b"ijklm", 8)
    assert (seen(store, 8, 2), seen(store, 0, 3), seen(store, 3, 5)) == (b"ij", b"klm", b"defgh")
    put(store, "ring", b"0123456789", 3)
    assert seen(store, 3, 7) + seen(store, 0, 3) == b"0123456789"


def test_a_log_keeps_everything() -> None:
    store = WindowStore()
    put(store, "log", b"abc", 0)
    put(store, "log", b"def", 3)
    assert (seen(store, 0, 6), seen(store, 3, 3)) == (b"abcdef", b"def")


def test_what_was_shown_is_not_changed_by_later_writes() -> None:
    store = WindowStore()
    put(store, "log", b"abc", 0)
    put(store, "log", b"def", 3)
    (early,) = store.attach([turn(1, View(0, 3, 2, 6, 0, 6))])
    put(store, "ring", b"XXXXXX", 0)
    assert early.views[0].content == b"abcdef"


def test_what_the_kernel_refused_never_becomes_content() -> None:
    store = WindowStore()
    put(store, "frame", b"old", 0)
    store.note([turn()], [wrote(b"new")])
    store.flip([])
    assert seen(store, 0, 3) == b"old"


def test_turns_that_are_shown_nothing_stay_as_they_are() -> None:
    turns = [turn(0), turn(1)]
    assert WindowStore().attach(turns) is turns


@pytest.mark.parametrize("kind", ["frame", "ring", "log"])
def test_a_snapshot_brings_everything_back(kind: str) -> None:
    store, again = WindowStore(), WindowStore()
    size = 2 * PIECE_BYTES + 5
    content = bytes(range(251)) * (size // 251)
    put(store, kind, content, 0, size)
    pieces, bodies = store.split()
    again.restore(pieces, {hashlib.sha256(body).digest(): body for body in bodies}.__getitem__)
    assert seen(again, 0, len(content)) == content
    put(again, kind, b"x", 0 if kind == "frame" else len(content), size)
    assert seen(again, 0, 1) == (b"x" if kind == "frame" else content[:1])


def test_nothing_is_looked_at_where_no_agent_declares_a_window() -> None:
    store = WindowStore()
    store.expect(AgentSpec("a", "native", "a:A", b""))
    assert not store.used
    store.expect(AgentSpec("a", "native", "a:A", b"", windows=("w",)))
    assert store.used


# -- tensors of requests -----------------------------------------------------------------------------------------------

WINDOW = WindowSpec("sky", "frame", 4096, "painter", ("gazer",))


def paint(state: Any, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
    outbox.sleep(0)
    outbox.write("sky", b"%04d" % context.tick * 700)


def gaze(state: Any, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
    outbox.sleep(0)
    outbox.infer_window("eye", "sky", 0, 2800 if context.tick < 9 else 4096)


def gallery(**fields: Any) -> World:
    """Return an agent that paints a window in each tick, and one that asks a model for what is there."""
    actors = {
        spec("painter", windows=("sky",)): acting(paint),
        spec("gazer", windows=("sky",), models=("eye",)): acting(gaze),
    }
    return stage(actors, ticks=12, models=(ModelSpec("eye"),), windows=(WINDOW,), **fields)


def gazing(eye: Echo, **fields: Any) -> Any:
    return msgspec.structs.replace(troupe_options(**fields), performers={"infer:eye": eye})


def recorded(world: World, ticks: int = 1000) -> tuple[MemoryJournal, Echo]:
    """Return the journal of a run that stopped after so many ticks, and who was asked."""
    journal, eye = empty(world), Echo()
    run(world, journal=journal, options=gazing(eye, stop=stop_after(ticks)))
    return journal, eye


def test_a_performer_is_given_the_bytes_that_lie_in_the_window() -> None:
    journal, eye = recorded(gallery())
    assert [(one.tick, one.encoding, one.body) for one in eye.seen] == [
        (tick, Encoding.TENSOR, b"%04d" % tick * 700) for tick in range(1, 9)
    ]
    assert not any(b"0005" * 9 in frame.turns + frame.derived for frame in journal.frames()), "no record holds them"


@pytest.mark.parametrize("visibility", ["next", "linear"])
def test_a_run_with_tensors_in_windows_comes_out_again(visibility: str) -> None:
    world = gallery(visibility=visibility)
    journal, _ = recorded(world)
    assert replay(journal).head == journal.head().d
    found = verify(journal, world=world, options=gazing(Echo()))
    assert found.equal, found.divergence


@pytest.mark.parametrize("ticks", [3, 5, 8, 11])
def test_a_resumed_run_hands_the_same_bytes_out_again(ticks: int) -> None:
    world = gallery()
    whole, _ = recorded(world)
    journal, before = recorded(world, ticks)
    eye = Echo()
    done = resume_journal(journal, None, world=world, decisions={}, options=gazing(eye))
    assert done.head == whole.head().d
    again = [one for one in eye.seen if one.tick == ticks - 1]
    assert again == [one for one in before.seen if one.tick == ticks - 1]


def test_a_request_whose_window_has_been_written_since_has_failed() -> None:
    world = gallery()
    machine = Machine(world.header, bytes(32))
    store = WindowStore()
    store.note([turn()], [wrote(b"abcdef")])
    store.flip([Flip(0, "frame", 10, 0, 0, 0, 6)])
    window = machine.state.windows[0]
    window.total, window.digest = 6, codec.digest(b"abcdef")

    def asked(place: Place, **fields: Any) -> Effect:
        known = Effect(7, 1, 1, "infer:eye", EffectClass.PURE, b"", Encoding.IN_WINDOW, place.encode())
        return msgspec.structs.replace(known, **fields)

    fresh = asked(Place(0, 2, 3, window.digest))
    stale = asked(Place(0, 2, 3, codec.digest(b"before")), number=8)
    other = asked(Place(0, 0, 0, bytes(32)), number=9, encoding=Encoding.TENSOR)
    skill = asked(Place(0, 0, 0, bytes(32)), number=10, skill="look")
    ready, lost = with_tensors([fresh, stale, other, skill], machine.state, store)
    assert ready == [msgspec.structs.replace(fresh, encoding=Encoding.TENSOR, body=b"cde"), other, skill]
    ((number, code, text),) = [(one.number, one.code, one.body) for one in lost]
    assert (number, code, text) == (8, Refusal.FAILED, b'window "sky" has been written since the request was made')


@pytest.mark.parametrize("kind", ["frame", "ring", "log"])
def test_a_part_of_a_window_is_read_whatever_its_kind(kind: str) -> None:
    store = WindowStore()
    assert store.read(3, 0, 0) == b""
    put(store, kind, b"abcdef", 0)
    assert (store.read(3, 0, 6), store.read(3, 1, 3), store.read(3, 6, 0)) == (b"abcdef", b"bcd", b"")


def test_what_is_refused_is_told_to_the_agent_and_the_run_goes_on() -> None:
    journal, _ = recorded(gallery())
    errors = [
        item
        for frame in journal.frames()
        for item in codec.decode_derived(frame.derived)
        if item.note == 'window "sky" holds 2800 bytes, not 4096 at 0'
    ]
    assert errors
    assert all(item.number == FrameKind.INFER for item in errors)


class Never(Executor):
    """Takes everything and finishes nothing."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        return Future()


def test_after_a_crash_a_late_request_fails_whose_window_has_been_written_since() -> None:
    world = gallery()
    late = msgspec.structs.replace(world.header, models=(ModelSpec("eye", delivery="async"),))
    world = msgspec.structs.replace(world, header=late)
    journal = empty(world)
    run(world, journal=journal, options=gazing(Echo(), stop=stop_after(5), executor=Never))
    eye = Echo()
    resume_journal(journal, None, world=world, decisions={}, options=gazing(eye))
    results = [
        (item.code, item.body)
        for frame in journal.frames(5, 5)
        for item in codec.decode_inputs(frame.inputs)
        if item.kind == InputKind.RESULT
    ]
    assert [code for code, _ in results] == [Refusal.FAILED] * 3 + [0]
    assert {body for _, body in results[:3]} == {b'window "sky" has been written since the request was made'}
    assert eye.seen[0].body == b"0004" * 700
    assert replay(journal).head == journal.head().d
