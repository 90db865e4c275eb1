"""driver/snapshots.py: what a snapshot holds, which one is taken up, and what makes one useless."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
import pytest

from tests.laws.corpus import CORPUS, options
from tests.laws.recorded import Recorded, prefix, record
from tests.unit.driver.troupe import acting, spec, stage
from tickwork import codec
from tickwork.driver.crew import Crew
from tickwork.driver.fold import open_machine
from tickwork.driver.opening import executing
from tickwork.driver.options import Options
from tickwork.driver.run import resume_journal
from tickwork.driver.snapshots import (
    VERSION,
    Snapshot,
    Snapshots,
    last_snapshot,
    read_snapshot,
    restore_machine,
    snapshot_bodies,
)
from tickwork.driver.windows import WindowPieces, WindowStore
from tickwork.errors import JournalDamaged, JournalIncomplete
from tickwork.journal.memory import MemoryJournal
from tickwork.kernel import AgentStatus, decode_state
from tickwork.native import Context, Outbox
from tickwork.records import Input, InputKind, Message
from tickwork.sandbox.image import Image
from tickwork.sandbox.pages import PAGE_BYTES


@pytest.fixture(scope="module")
def gossip(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(CORPUS["gossip"](), options(tmp_path_factory.mktemp("compiled")))


def named(made: Recorded) -> list[tuple[int, bytes]]:
    """Return the ticks after which a snapshot was taken, with its digest."""
    found = [(frame.tick, codec.decode_hints(frame.hints).snapshot) for frame in made.journal.frames()]
    return [(tick, digest) for tick, digest in found if digest]


def read(made: Recorded, digest: bytes) -> Snapshot:
    found = read_snapshot(made.journal, digest)
    assert found is not None
    return found


class Without:
    """A journal some of whose contents are gone, damaged or replaced."""

    def __init__(self, journal: MemoryJournal, changed: dict[bytes, bytes | Exception]) -> None:
        self._journal = journal
        self._changed = changed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def content(self, digest: bytes) -> bytes:
        found = self._changed.get(digest)
        if isinstance(found, Exception):
            raise found
        return self._journal.content(digest) if found is None else found


def gone(digest: bytes) -> JournalIncomplete:
    return JournalIncomplete(f"no content {digest.hex()}")


def test_a_snapshot_is_taken_after_every_so_many_ticks(gossip: Recorded) -> None:
    every = gossip.options.snapshot_ticks
    ticks = [tick + 1 for tick, _ in named(gossip)]
    assert ticks == [every * (index + 1) for index in range(len(ticks))]
    assert gossip.run.ticks - every < ticks[-1] <= gossip.journal.length()


def test_it_holds_the_state_after_its_tick_and_an_image_of_each_agent_that_runs(gossip: Recorded) -> None:
    tick, digest = named(gossip)[0]
    found = read(gossip, digest)
    state = decode_state(found.state)
    assert (found.version, state.tick) == (VERSION, tick + 1)
    assert [agent.number for agent in found.agents] == [a.number for a in state.agents if a.started]
    assert all((agent.image is None) != (agent.native is None) for agent in found.agents)
    assert found.turns > 0
    assert restore_machine(codec.decode_header(gossip.journal.header()[0]), b"", found).state.tick == tick + 1


def test_the_last_one_within_a_length_is_taken_up(gossip: Recorded) -> None:
    ticks = [tick for tick, _ in named(gossip)]
    for length in (0, ticks[0], ticks[0] + 1, ticks[1], ticks[1] + 1, gossip.journal.length()):
        found = last_snapshot(gossip.journal, length)
        wanted = max((tick + 1 for tick in ticks if tick < length), default=None)
        assert (None if found is None else decode_state(found.state).tick) == wanted


def pages_of(snapshot: Snapshot) -> list[bytes]:
    return [name for agent in snapshot.agents if agent.image for name in agent.image.pages if name]


Change = Callable[[Recorded, bytes], dict[bytes, bytes | Exception]]

CHANGES: dict[str, Change] = {
    "absent": lambda made, digest: {digest: gone(digest)},
    "damaged": lambda made, digest: {digest: JournalDamaged("rot", record=1, offset=None)},
    "unreadable": lambda made, digest: {digest: b"\xc1"},
    "of another version": lambda made, digest: {
        digest: codec.encode(msgspec.structs.replace(read(made, digest), version=VERSION + 1))
    },
}


def forged(**changes: Any) -> Change:
    """Return a change that keeps a snapshot's form and changes the image of its first agent."""

    def change(made: Recorded, digest: bytes) -> dict[bytes, bytes | Exception]:
        found = read(made, digest)
        agent = found.agents[0]
        assert agent.image is not None
        image: Any = msgspec.structs.replace(agent.image, **{k: v for k, v in changes.items() if k != "number"})
        first: Any = msgspec.structs.replace(agent, image=image, number=changes.get("number", agent.number))
        return {digest: codec.encode(msgspec.structs.replace(found, agents=(first, *found.agents[1:])))}

    return change


CHANGES |= {
    "with a memory of half a page": forged(size=(1 << 18) + 4096, pages=(b"",) * 65),
    "with more memory than its agent may have": forged(size=257 << 16, pages=(b"",) * (257 * 16)),
    "with pages that make another size": forged(pages=(b"",)),
    "of an agent that is not there": forged(number=99),
    "with a state that is none": lambda made, digest: {
        digest: codec.encode(msgspec.structs.replace(read(made, digest), state=b"\xc1"))
    },
    "with a page that is none": lambda made, digest: {pages_of(read(made, digest))[-1]: bytes((1 << 20) + 1)},
    "with a window nobody made": lambda made, digest: {
        digest: codec.encode(msgspec.structs.replace(read(made, digest), windows=(WindowPieces(7, True, ()),)))
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_where_one_cannot_be_used_the_one_before_it_is(change: str, gossip: Recorded) -> None:
    (earlier, _), (_, digest) = named(gossip)[:2]
    journal: Any = Without(gossip.journal, CHANGES[change](gossip, digest))
    assert read_snapshot(journal, digest) is None
    length = named(gossip)[1][0] + 1
    found = last_snapshot(journal, length)
    assert found is not None
    assert decode_state(found.state).tick == earlier + 1


def test_one_whose_page_is_missing_is_no_use_to_who_executes(gossip: Recorded) -> None:
    (_, first), (tick, digest) = named(gossip)[:2]
    own = [name for name in pages_of(read(gossip, digest)) if name not in pages_of(read(gossip, first))]
    assert own, "the agents write into their memories"
    journal: Any = Without(gossip.journal, {own[0]: gone(own[0])})
    assert read_snapshot(journal, digest) is None
    assert read_snapshot(journal, digest, pages=False) is not None
    assert list(snapshot_bodies(journal, digest)) == []
    with executing(journal, gossip.world, gossip.options, until=tick + 1) as (_, _, fold):
        assert 0 < fold.begins < tick + 1


class Candid:
    """A native agent that tells what it may do."""

    def init(self, config: bytes, context: Context) -> tuple[int, Outbox]:
        return 0, context.outbox()

    def turn(self, state: int, inbox: tuple[Message, ...], context: Context) -> tuple[int, Outbox]:
        outbox = context.outbox()
        outbox.sleep(0)
        outbox.log(f"{context.spec.denied} {context.spec.priority}")
        return state + 1, outbox

    def shutdown(self, state: int, context: Context) -> tuple[int, Outbox]:
        return state, context.outbox()


def test_a_native_agent_sees_the_same_spec_before_and_after_a_snapshot() -> None:
    inputs = (
        (2, Input(InputKind.REVOKE, "operator", "a", body=b"publish:t")),
        (2, Input(InputKind.CONFIGURE_AGENT, "operator", "a", number=7, body=b"priority")),
    )
    world = msgspec.structs.replace(stage({spec("a", publish=("t",)): Candid}, ticks=12), inputs=inputs)
    made = record(world, Options(snapshot_ticks=4))
    assert named(made)
    assert record(world, Options()).run.head == made.run.head
    cut = prefix(made, 9)
    assert resume_journal(cut, None, world=world, decisions={}, options=made.options).head == made.run.head


def test_whoever_has_stopped_is_not_kept_in_memory(gossip: Recorded) -> None:
    class Crews:
        windows = WindowStore()

        def images(self, agents: Sequence[int]) -> list[Image]:
            return [Image(bytes([agent + 1]) * PAGE_BYTES, b"") for agent in agents]

    _, machine = open_machine(gossip.journal.header()[0])
    for agent in machine.state.agents[:2]:
        agent.started = True
    taker, crew = Snapshots(), cast(Crew, Crews())
    taker.take(machine, crew, 0, 0)
    machine.state.agents[0].status = AgentStatus.STOPPED
    taker.take(machine, crew, 0, 0)
    assert list(taker._book._known) == [1]


def test_equal_pages_are_kept_once(gossip: Recorded) -> None:
    digests = [digest for _, digest in named(gossip)]
    bodies = [codec.digest(body) for body in snapshot_bodies(gossip.journal, digests[0])]
    assert len(bodies) == len(set(bodies))
    assert bodies[-1] == digests[0]
    assert set(bodies[:-1]) == set(pages_of(read(gossip, digests[0])))


class Odd:
    """A state for which there is no encoding."""


def unencodable(state: Any, inbox: Sequence[Message], context: Context, outbox: Outbox) -> None:
    outbox.sleep(0)


class Opaque:
    def init(self, config: bytes, context: Context) -> tuple[Odd, Outbox]:
        outbox = context.outbox()
        outbox.sleep(0)
        return Odd(), outbox

    def turn(self, state: Odd, inbox: tuple[Message, ...], context: Context) -> tuple[Odd, Outbox]:
        outbox = context.outbox()
        outbox.sleep(0)
        return state, outbox

    def shutdown(self, state: Odd, context: Context) -> tuple[Odd, Outbox]:
        return state, context.outbox()


@pytest.mark.parametrize(("actor", "kept"), [(acting(unencodable), True), (Opaque, False)])
def test_a_run_with_a_native_state_that_has_no_encoding_keeps_no_snapshot(actor: type, kept: bool) -> None:
    made = record(stage({spec("a"): actor}, ticks=9), Options(snapshot_ticks=3))
    assert bool(named(made)) is kept
    assert made.run.status == "complete"
    with executing(made.journal, made.world, made.options, until=8) as (_, _, fold):
        assert (fold.begins > 0) is kept


def test_snapshots_change_no_head_of_d(gossip: Recorded) -> None:
    without = record(gossip.world, msgspec.structs.replace(gossip.options, snapshot_ticks=0))
    assert named(without) == []
    assert without.run.head == gossip.run.head
    assert without.journal.head().f != gossip.journal.head().f
