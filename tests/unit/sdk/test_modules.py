"""The small agents in tests/modules do what their first comment says."""

import struct

import pytest

from tickwork.codec import decode_frames
from tickwork.records import AGAIN, OUTSIDE, RAW_AGENT, UNTIL_MESSAGE, FrameKind, Limits, Refusal, Status

from .seat import MODULES, Seat, frame

SEND = FrameKind.SEND


def seat(name: str, config: bytes = b"{}", *, number: int = 0, limits: Limits | None = None) -> Seat:
    made = Seat(MODULES / f"{name}.wasm", config, number=number, limits=limits)
    assert made.began.status == Status.OK, made.began
    return made


def test_echo_answers_its_source() -> None:
    agent = seat("echo")
    left = agent.turn(frame(b"hello", source=5), frame(b"", source=6), frame(b"nobody", source=OUTSIDE))
    assert [(item.kind, item.destination, item.body) for item in left] == [
        (SEND, RAW_AGENT | 5, b"hello"),
        (SEND, RAW_AGENT | 6, b""),
    ]


def test_chatter_talks_to_those_who_follow_it_in_the_ring() -> None:
    agent = seat("chatter", b'{"count":3,"first":10,"length":40,"peers":4}', number=12)
    left = agent.turn()
    assert [item.destination for item in left] == [3, 0, 1]
    assert all(len(item.body) == 40 for item in left)
    assert [struct.unpack_from("<QII", item.body) for item in left] == [(1, 2, 0), (1, 2, 1), (1, 2, 2)]


def test_chatter_hears_what_it_is_told() -> None:
    agent, deaf = seat("chatter"), seat("chatter")
    agent.turn(frame(bytes(range(64))))
    deaf.turn()
    assert agent.turn()[0].body != deaf.turn()[0].body
    assert [item.body for item in agent.shutdown()] == [b"heard=1"]


def test_chatter_sends_twenty_messages_of_64_bytes_in_a_page_of_memory() -> None:
    agent = seat("chatter", b'{"count":20,"length":64,"peers":50}', limits=Limits(memory_pages=1))
    assert len(agent.turn(*[frame(bytes(64))] * 20)) == 20


def test_gossip_chooses_by_its_seed_alone() -> None:
    config = b'{"fanout":3,"peers":8}'
    first, second, other = seat("gossip", config), seat("gossip", config), seat("gossip", config)
    other.seed = 99
    told = [[item.destination for item in agent.turn() if item.kind == SEND] for agent in (first, second, other)]
    assert told[0] == told[1] != told[2]
    assert all(0 <= peer < 8 for peer in told[0])


def test_gossip_passes_the_largest_rumour_on() -> None:
    rumour = frame(struct.pack("<QII", 1 << 62, 4, 9))
    told: set[tuple[int, int, int]] = set()
    for seed in range(5):
        agent = seat("gossip", b'{"fanout":1,"peers":2}')
        agent.seed = seed
        told |= {struct.unpack("<QII", item.body) for item in agent.turn(rumour) if item.kind == SEND}
    assert (1 << 62, 5, 0) in told


def test_spin_uses_fuel_in_proportion() -> None:
    few, many = seat("spin", b'{"iterations":1000}'), seat("spin", b'{"iterations":11000}')
    assert 10.5 < many.outcome().fuel / few.outcome().fuel < 11


def test_timers_sets_its_timer_anew() -> None:
    agent = seat("timers", b'{"period":7}')
    [told, again] = agent.turn(frame(b"", kind=FrameKind.TIMER_FIRED, source=OUTSIDE, destination=1))
    assert struct.unpack("<IIQ", told.body) == (1, 1, 0)
    assert (again.kind, again.destination, again.body) == (FrameKind.TIMER, 1, struct.pack("<Q", 7))
    assert len(agent.turn(frame(b"", kind=FrameKind.TIMER_FIRED, source=OUTSIDE, destination=2))) == 1


def test_tasks_plans_a_diamond() -> None:
    agent = Seat(MODULES / "tasks.wasm", b'{"plan":1}')
    heads: list[tuple[int, int, tuple[int, ...]]] = []
    for item in decode_frames(agent.began.outbox):
        priority, tag, count, _ = struct.unpack_from("<iIII", item.body)
        heads.append((tag, priority, struct.unpack_from(f"<{count}I", item.body, 16)))
    assert heads == [(1, 0, ()), (2, 0, (1,)), (3, 0, (1,)), (4, 0, (2, 3)), (5, 9, ())]
    [told] = agent.turn(frame(struct.pack("<I", 4), kind=FrameKind.TASK_READY, source=0, destination=4))
    assert struct.unpack("<IIQ", told.body) == (4, 4, 0)


def test_spawner_starts_the_next_generation_once_and_exits() -> None:
    agent = seat("spawner", b'{"children":2,"generations":3,"life":2}')
    first, second = agent.turn(), agent.turn()
    assert [item.kind for item in first] == [FrameKind.PUBLISH, FrameKind.SPAWN, FrameKind.SPAWN]
    assert first[1].body == b'{"children":2,"generations":2,"life":2}'
    assert [item.kind for item in second] == [FrameKind.PUBLISH, FrameKind.EXIT]


ACTS = {
    "trap": Status.TRAP,
    "loop": Status.OUT_OF_FUEL,
    "recursion": Status.DEPTH_LIMIT,
    "stack": Status.TRAP,
    "length": Status.ABI_VIOLATION,
    "count": Status.ABI_VIOLATION,
    "frame": Status.ABI_VIOLATION,
    "tail": Status.ABI_VIOLATION,
    "code": Status.FAILED,
    "none": Status.OK,
}
SMALL = Limits(fuel=3_000_000, memory_pages=16, depth=500)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("where", ["step", "receive"])
def test_a_rogue_misbehaves_at_its_tick_and_goes_on_unharmed(act: str, where: str) -> None:
    config = b'{"act":"%s","at":2,"publish":1,"where":"%s"}' % (act.encode(), where.encode())
    agent, good = seat("rogue", config, limits=SMALL), seat("rogue", b'{"publish":1}', limits=SMALL)
    outcomes = [agent.outcome(frame(b"")) for _ in range(5)]
    assert outcomes[2].status == ACTS[act]
    assert [outcome.status for outcome in outcomes[:2] + outcomes[3:]] == [Status.OK] * 4
    if act == "none":
        return
    assert outcomes[2].outbox == b""
    calm = [good.outcome(frame(b"")) for _ in range(2)]
    good.tick += 1
    calm += [good.outcome(frame(b"")) for _ in range(2)]
    assert [outcome.outbox for outcome in outcomes[:2] + outcomes[3:]] == [outcome.outbox for outcome in calm]


def test_a_memory_bomb_hits_a_limit_and_nothing_remains_of_it() -> None:
    agent = seat("rogue", b'{"act":"memory","at":0}', limits=Limits(memory_pages=64))
    before = len(agent.pool.image(0))
    assert agent.outcome().status in (Status.MEMORY_LIMIT, Status.TRAP, Status.OUT_OF_FUEL)
    assert agent.outcome().status == Status.OK
    assert len(agent.pool.image(0)) < 2 * before


def test_a_rogue_returns_the_code_it_is_told() -> None:
    agent = seat("rogue", b'{"act":"code","at":0,"code":-1234}')
    assert (agent.outcome().code, agent.outcome().code) == (-1234, 0)
    full = seat("rogue", b'{"act":"code","at":0,"code":-7}')
    outcome = full.outcome()
    assert (outcome.status, outcome.code) == (Status.OK, Refusal.OUTBOX_FULL)


def test_a_rogue_can_fail_at_its_start() -> None:
    agent = Seat(MODULES / "rogue.wasm", b'{"act":"trap","where":"init"}')
    assert agent.began.status == Status.TRAP


def test_sleep_codes_are_those_of_the_header() -> None:
    header = (MODULES.parents[1] / "sdk" / "c" / "tickwork.h").read_text()
    assert f"#define TW_AGAIN {AGAIN:#x}" in header
    assert f"#define TW_UNTIL_MESSAGE {UNTIL_MESSAGE:#x}" in header


@pytest.mark.parametrize("kind", FrameKind)
def test_kinds_are_those_of_the_header(kind: FrameKind) -> None:
    header = (MODULES.parents[1] / "sdk" / "c" / "tickwork.h").read_text()
    assert f"TW_{kind.name} = {kind.value}" in header


@pytest.mark.parametrize("code", Refusal)
def test_codes_are_those_of_the_header(code: Refusal) -> None:
    header = (MODULES.parents[1] / "sdk" / "c" / "tickwork.h").read_text()
    assert f"TW_{code.name} = {code.value}" in header
