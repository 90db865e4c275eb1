"""Models in the kernel: which version is asked, how another takes its place, and tensors that lie in windows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel.stage import Stage, Tick, failed, message, spec, trap, world
from tickwork import codec
from tickwork.kernel import Machine, apply, decode_state, encode_state
from tickwork.kernel.models import PLACE, REQUEST, Place, read_place
from tickwork.kernel.windows import WRITE
from tickwork.native import Outbox
from tickwork.records import (
    AgentSpec,
    DerivedKind,
    EffectClass,
    Encoding,
    FrameKind,
    Input,
    InputKind,
    ModelOrder,
    ModelSpec,
    Refusal,
    WindowSpec,
)

OLD, NEW, NEWER = b"o" * 32, b"n" * 32, b"w" * 32
SECOND = ModelSpec("m", NEW, "2.0.0")
HANDLE = 0x80000000


def on_stage(**fields: Any) -> Stage:
    """Return an agent that may ask model ``m``, beside another model, after the first tick."""
    models = (ModelSpec("x"), ModelSpec("m", OLD, "1.0.0"))
    made = Stage(world(spec("a", models=("m", "x")), **{"models": models, **fields}))
    made.start()
    return made


def swap(to: ModelSpec = SECOND, replaces: bytes = OLD, *, target: str = "m", code: int = 0, reason: str = "") -> Input:
    body = codec.encode(ModelOrder(to, replaces, reason))
    return Input(InputKind.SWAP_MODEL, "operator", target, code=code, body=body, size=len(body))


def ask(outbox: Outbox) -> None:
    outbox.infer("m", b"what?", encoding=Encoding.TENSOR)


def asked(tick: Tick) -> list[bytes]:
    """Return the versions that a tick's effects ask."""
    return [effect.model for effect in tick.effects]


# -- versions ----------------------------------------------------------------------------------------------------------


def test_a_swap_of_a_model_is_one_record_and_the_next_request_asks_the_new_version() -> None:
    stage = on_stage()
    tick = stage.tick(swap(), message("a"), a=ask)
    (note,) = tick.notes(DerivedKind.MODEL_SWAPPED)
    assert (note.note, note.digest) == ("m 1.0.0 (6f6f6f6f) -> 2.0.0 (6e6e6e6e)", NEW)
    assert asked(tick) == [NEW]
    assert stage.machine.state.models[1] == SECOND


def test_a_request_made_before_a_swap_keeps_its_version_and_gets_its_answer() -> None:
    stage = on_stage()
    (before,) = stage.tick(message("a"), a=ask).effects
    (after,) = stage.tick(swap(), message("a"), a=ask).effects
    assert (before.model, after.model) == (OLD, NEW)
    assert [effect.model for effect in stage.machine.state.effects] == [OLD, NEW]
    answer = stage.tick(Input(InputKind.RESULT, "effect", number=before.number, body=b"late")).inbox("a")
    assert [(item.kind, item.destination, item.body) for item in answer] == [(FrameKind.RESULT, HANDLE, b"late")]


def test_a_swap_that_failed_is_one_record_and_changes_nothing() -> None:
    stage = on_stage()
    stage.tick()
    before = encode_state(stage.machine.state)
    tick = stage.tick(swap(code=Refusal.UNSUPPORTED, reason="TW6002: it is no model"))
    (note,) = tick.notes(DerivedKind.MODEL_SWAP_FAILED)
    assert note.note == "m to 2.0.0 (6e6e6e6e): TW6002: it is no model"
    assert not tick.notes(DerivedKind.MODEL_SWAPPED)
    stage.machine.state.tick -= 1
    assert encode_state(stage.machine.state) == before


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (swap(replaces=NEW), "it was prepared for another version than model 'm' has"),
        (swap(ModelSpec("other", NEW)), "the new version is of model 'other'"),
        (swap(ModelSpec("gone", NEW), target="gone"), "there is no model 'gone'"),
        (swap(ModelSpec("m"), OLD), "model 'm' is answered for by a performer"),
        (swap(ModelSpec("x", NEW), b"", target="x"), "model 'x' is answered for by a performer"),
        (swap(ModelSpec("m", NEW, "2.0.0", batch="tick")), "model 'm' is run in another way"),
        (swap(ModelSpec("m", NEW, "2.0.0", most=1)), "model 'm' is run in another way"),
        (swap(code=-1), "it failed"),
    ],
)
def test_a_version_that_cannot_take_the_place_says_why(item: Input, why: str) -> None:
    stage = on_stage()
    (note,) = stage.tick(item).notes(DerivedKind.MODEL_SWAP_FAILED)
    assert why in note.note
    assert [model.digest for model in stage.machine.state.models] == [b"", OLD]


def test_an_input_that_is_no_swap_of_a_model_is_refused_by_record() -> None:
    (note,) = on_stage().tick(Input(InputKind.SWAP_MODEL, "operator", "m", body=b"?")).notes(DerivedKind.REFUSED_INPUT)
    assert note.note == "its body is no swap of a model"


def test_a_long_reason_is_cut_in_the_record() -> None:
    (note,) = on_stage().tick(swap(code=-1, reason="x" * 9000)).notes(DerivedKind.MODEL_SWAP_FAILED)
    assert len(note.note) < 450


def test_a_state_taken_after_a_swap_goes_on_with_the_new_version() -> None:
    stage = on_stage()
    stage.tick(swap())
    state = decode_state(encode_state(stage.machine.state))
    again = Stage(stage.header, Machine(stage.header, bytes(32), state=state))
    ticks = [one.tick(message("a"), a=ask) for one in (stage, again)]
    assert asked(ticks[0]) == asked(ticks[1]) == [NEW]
    assert ticks[0].records == ticks[1].records


@given(st.lists(st.tuples(st.sampled_from([OLD, NEW, NEWER]), st.sampled_from([OLD, NEW, NEWER]), st.booleans())))
def test_a_request_asks_what_the_last_swap_that_succeeded_left(orders: list[tuple[bytes, bytes, bool]]) -> None:
    stage, current = on_stage(), OLD
    for replaces, to, fails in orders:
        item = swap(ModelSpec("m", to), replaces, code=-1 if fails else 0)
        tick = stage.tick(item, message("a"), a=ask)
        if not fails and replaces == current:
            current = to
        assert asked(tick) == [current]
        assert len(tick.notes(DerivedKind.MODEL_SWAPPED)) + len(tick.notes(DerivedKind.MODEL_SWAP_FAILED)) == 1


# -- tensors in windows ------------------------------------------------------------------------------------------------


def glass(kind: str = "frame", size: int = 100, **fields: Any) -> Stage:
    """Return a writer ``w``, a reader ``r`` and a stranger ``s`` of a window, all of whom may ask model ``m``."""

    def agent(name: str) -> AgentSpec:
        return spec(name, models=("x", "m"), windows=("other", "board"))

    window = WindowSpec("board", kind, size, "w", ("r",), **fields)
    header = world(agent("w"), agent("r"), agent("s"), models=(ModelSpec("m", OLD), ModelSpec("x")), windows=(window,))
    made = Stage(header)
    made.start()
    return made


def write(length: int, digest: bytes = b"d" * 32) -> bytes:
    return codec.encode_frame(FrameKind.WINDOW_WRITE, 0, 0, 1, 0, 0, WRITE.pack(0, length, digest))


def look(length: int, offset: int = 0, handle: int = 1, zero: int = 0) -> bytes:
    """Return a request whose tensors lie in a window."""
    return infer(REQUEST.pack(handle, zero, offset, length))


def infer(body: bytes) -> bytes:
    return codec.encode_frame(FrameKind.INFER, Encoding.IN_WINDOW, 0, 1, 0, 0, body)


def do(stage: Stage, **outboxes: bytes) -> Tick:
    return stage.run([message(name) for name in outboxes], outboxes)


def test_a_request_may_say_that_its_tensors_lie_in_a_window() -> None:
    stage = glass()
    do(stage, w=write(40))
    tick = do(stage, r=look(24, 8))
    (effect,) = tick.effects
    assert (effect.skill, effect.effect_class, effect.encoding) == ("infer:m", EffectClass.PURE, Encoding.IN_WINDOW)
    assert (effect.model, effect.agent) == (OLD, 1)
    assert read_place(effect.body) == Place(0, 8, 24, b"d" * 32)
    (note,) = tick.notes(DerivedKind.EFFECT)
    assert (note.agent, note.slot, note.number, note.digest) == (1, 0, effect.number, effect.key)
    assert stage.machine.state.effects == [effect]


@pytest.mark.parametrize("first", [True, False])
def test_the_tensors_are_what_the_window_holds_when_the_tick_is_committed(first: bool) -> None:
    stage = glass()
    do(stage, w=write(10, b"1" * 32))
    frames = [write(50, b"2" * 32), look(50)]
    (own,) = do(stage, w=b"".join(frames if first else reversed(frames))).effects
    assert read_place(own.body).digest == b"2" * 32
    readers = do(stage, w=write(60, b"3" * 32), r=look(60)).effects
    assert [read_place(effect.body).digest for effect in readers] == [b"3" * 32]


def test_effects_are_issued_in_the_order_of_their_requests_wherever_the_tensors_lie() -> None:
    stage = glass()
    here = codec.encode_frame(FrameKind.INFER, Encoding.TENSOR, 0, 1, 0, 0, b"here")
    tick = do(stage, w=write(8) + look(8) + here, r=here + look(8))
    assert [effect.encoding for effect in tick.effects] == [5, 3, 3, 5]
    numbers = [effect.number for effect in tick.effects]
    assert numbers == sorted(numbers)
    assert stage.machine.state.effects == tick.effects


@pytest.mark.parametrize(
    ("kind", "writes", "held"), [("frame", (30, 20), 20), ("log", (30, 20), 50), ("ring", (80, 90), 100)]
)
def test_tensors_lie_within_what_the_window_holds(kind: str, writes: tuple[int, ...], held: int) -> None:
    stage = glass(kind)
    for length in writes:
        do(stage, w=write(length))
    (effect,) = do(stage, r=look(held - 3, 3)).effects
    assert read_place(effect.body).length == held - 3
    tick = do(stage, r=look(held, 1))
    assert not tick.effects
    why = f'window "board" holds {held} bytes, not {held} at 1'
    assert [item.note for item in tick.notes(DerivedKind.DENIED)] == [why]
    (answer,) = stage.tick().inbox("r")
    assert (answer.kind, answer.destination) == (FrameKind.ERROR, HANDLE | 1)
    assert int.from_bytes(answer.body[:4], "little", signed=True) == Refusal.BAD_MESSAGE
    assert int.from_bytes(answer.body[4:8], "little") == FrameKind.INFER


@pytest.mark.parametrize(
    ("frame", "who", "code", "why"),
    [
        (infer(b"short"), "r", Refusal.BAD_MESSAGE, "named by 24 bytes, not 5"),
        (infer(bytes(32)), "r", Refusal.BAD_MESSAGE, "named by 24 bytes, not 32"),
        (look(1, handle=2), "r", Refusal.BAD_MESSAGE, "are to lie in window 2, and the agent declares 2"),
        (look(1, zero=1), "r", Refusal.BAD_MESSAGE, "are to lie in window 1"),
        (look(1, offset=(1 << 64) - 1), "r", Refusal.BAD_MESSAGE, "holds 9 bytes"),
        (look(1, handle=0), "r", Refusal.BAD_STATE, 'window "other" is not open'),
        (look(1), "s", Refusal.DENIED, "is neither written nor read by 's'"),
    ],
)
def test_a_request_that_names_no_bytes_it_may_read_is_refused(frame: bytes, who: str, code: int, why: str) -> None:
    stage = glass()
    do(stage, w=write(9))
    tick = do(stage, **{who: frame})
    assert not tick.effects
    assert not stage.machine.state.effects
    ((given, text),) = stage.tick().errors(who)
    assert given == code
    assert why in text


def test_a_window_that_is_not_granted_lends_no_tensors() -> None:
    stage = glass()
    do(stage, w=write(9))
    stage.tick(Input(InputKind.REVOKE, "operator", "r", body=b"windows:board"))
    do(stage, r=look(9))
    assert stage.tick().errors("r") == [(Refusal.DENIED, 'window "board" is not granted')]


def test_an_empty_window_lends_nothing_but_an_empty_body() -> None:
    (effect,) = do(glass(), r=look(0)).effects
    assert read_place(effect.body) == Place(0, 0, 0, bytes(32))


def test_a_window_that_has_closed_still_lends_what_it_shows() -> None:
    stage = glass(closes=3)
    do(stage, w=write(9))
    stage.tick()
    (effect,) = do(stage, r=look(9)).effects
    assert read_place(effect.body).length == 9


@pytest.mark.parametrize("outcome", [trap(), failed(-1)])
def test_a_turn_that_is_undone_asks_for_nothing(outcome: Any) -> None:
    stage = glass()
    do(stage, w=write(9))
    assert not stage.run([message("r")], {"r": outcome}).effects


def test_requests_in_windows_count_as_open_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "MAX_EFFECTS", 1)
    stage = glass()
    tick = do(stage, w=write(9) + look(9) + look(9))
    assert len(tick.effects) == stage.agent("w").effects == 1
    assert [item.note for item in tick.notes(DerivedKind.DENIED)] == ["more than 1 effects without result"]
    number = tick.effects[0].number
    stage.tick(Input(InputKind.RESULT, "effect", number=number, body=b"answer"))
    assert stage.agent("w").effects == 0


@pytest.mark.parametrize("visibility", ["next_tick", "linear"])
def test_replaying_gives_the_same_requests(visibility: str) -> None:
    def played(*, replaying: bool) -> list[Any]:
        stage = glass()
        stage = Stage(world(*stage.header.agents, models=stage.header.models, windows=stage.header.windows,
                            visibility=visibility, checkpoint_every=1))  # fmt: skip
        stage.start()
        acts: list[dict[str, bytes]] = [{"w": write(9) + look(9), "r": look(9)}, {"r": look(10) + look(4)}]
        ticks = [stage.run([message(name) for name in act], act, replaying=replaying) for act in acts]
        return [(tick.records, tick.effects) for tick in ticks]

    assert played(replaying=True) == played(replaying=False)


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.binary(
    min_size=32, max_size=32))  # fmt: skip
def test_a_place_survives_its_bytes(window: int, offset: int, length: int, digest: bytes) -> None:
    place = Place(window, offset, length, digest)
    assert read_place(place.encode()) == place
    assert len(place.encode()) == PLACE.size == 56


@given(st.binary(max_size=40) | st.builds(REQUEST.pack, *[st.integers(0, 3)] * 2, *[st.integers(0, 120)] * 2))
def test_whatever_a_request_says_it_is_issued_or_refused_and_lies_within_the_window(body: bytes) -> None:
    stage = glass()
    do(stage, w=write(90))
    tick = do(stage, r=infer(body))
    assert len(tick.effects) + len(tick.notes(DerivedKind.DENIED)) == 1
    for effect in tick.effects:
        place = read_place(effect.body)
        assert place.offset + place.length <= 90
