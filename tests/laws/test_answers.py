"""Answers of models: one head, whatever is asked together, finds no room, lies in windows, is swapped or cut."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from tests.laws.recorded import Recorded, prefix, record
from tests.unit.driver.oracle import MODEL, Oracle
from tests.unit.driver.troupe import Memory, acting, options, spec, stage
from tickwork import codec
from tickwork.driver.fork import fork
from tickwork.driver.options import Options
from tickwork.driver.plans import ModelSwap
from tickwork.driver.reexecute import reexecute
from tickwork.driver.resolve import World
from tickwork.driver.run import resume_journal
from tickwork.driver.verify import replay, verify
from tickwork.errors import ModelInvalid
from tickwork.infer.asking import Reply, Wanted
from tickwork.infer.fingerprint import Fingerprint
from tickwork.infer.manifest import ModelConfig
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import Encoding, FrameKind, Input, InputKind, Message, ModelSpec, Supervision, WindowSpec

pytestmark = pytest.mark.slow

NEW, BROKEN = bytes(reversed(MODEL)), b"broken" + bytes(26)


class Crowded(Oracle):
    """Answers by version and by all that is asked in one batch; one version cannot be loaded."""

    def load(self, wanted: Wanted, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        if wanted.model == BROKEN:
            raise ModelInvalid("nothing of this machine's enters a run", why="neither does this")
        return super().load(wanted, tick=tick)

    def ask_batch(self, wanted: Wanted, bodies: Sequence[bytes], **fields: Any) -> list[Reply]:
        mark = codec.digest(wanted.model + b"|".join(bodies))[:8]
        replies = super().ask_batch(wanted, bodies, **fields)
        return [msgspec.structs.replace(reply, body=mark + reply.body) for reply in replies]


def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
    """Tell what was heard, paint, ask for several things, and fail now and then."""
    for item in inbox:
        if item.kind in (FrameKind.RESULT, FrameKind.ERROR):
            outbox.log(f"{item.kind} {item.body[-40:]!r}")
    outbox.sleep(0)
    if context.agent == 0:
        outbox.write("sky", b"%06d" % context.tick * 4)
    for number in range(2):
        outbox.infer("brain", b"%d/%d/%d" % (context.agent, context.tick, number), encoding=Encoding.TENSOR)
    if context.tick % 4 == 2:
        outbox.infer("brain", b"no tensors", encoding=Encoding.MSGPACK)
    if context.tick % 3 == context.agent:
        outbox.infer_window("brain", "sky", 0, 18)
    if context.tick == 6 and context.agent == 1:
        raise RuntimeError("once")


def asking(batch: str, most: int, room: int, *, visibility: str = "next") -> World:
    """Return three agents that ask in every tick, and are told things, while the model is swapped, once for nothing."""
    retry = Supervision("retry", 3)
    actors = {spec(f"a{at}", models=("brain",), windows=("sky",), supervision=retry): acting(step) for at in range(3)}
    made = stage(
        actors, ticks=10, models=(ModelSpec("brain", MODEL, batch=batch, most=most),), max_inputs=room,
        windows=(WindowSpec("sky", "frame", 100, "a0", ("a1", "a2")),), visibility=visibility, checkpoint_every=3,
    )  # fmt: skip
    versions = ((4, NEW), (5, MODEL), (6, BROKEN), (8, NEW))
    swaps = tuple(ModelSwap("brain", f"sha256:{version.hex()}", tick) for tick, version in versions)
    said = [Input(InputKind.MESSAGE, "operator", "a1", body=b"%d" % at, size=1) for at in range(9)]
    inputs = tuple(zip((2, 2, 2, 3, 4, 4, 4, 5, 9), said, strict=True))
    return msgspec.structs.replace(made, model_swaps=swaps, inputs=inputs)


def fresh(asker: Oracle | None = None) -> Options:
    """Return options of somebody who has asked nothing yet."""
    return options(asker=asker or Crowded(), snapshot_ticks=4)


WORLDS = {
    "alone": partial(asking, "row", 64, 4096),
    "alone, little room": partial(asking, "row", 64, 2),
    "together": partial(asking, "tick", 64, 4096),
    "in threes": partial(asking, "tick", 3, 4096),
    "in threes, little room": partial(asking, "tick", 3, 2),
    "in threes, little room, linear": partial(asking, "tick", 3, 1, visibility="linear"),
}


@pytest.fixture(scope="module", params=WORLDS)
def made(request: pytest.FixtureRequest) -> Recorded:
    return record(WORLDS[request.param](), fresh())


def tallies(journal: MemoryJournal, world: World) -> list[tuple[int, int, int]]:
    found = reexecute(journal, world=world, options=fresh())
    return [(tally.equal, tally.different, tally.skipped) for tally in found.models]


def test_nobody_is_asked_to_replay_or_to_verify(made: Recorded) -> None:
    silent = Crowded()
    assert replay(made.journal, options=fresh(silent)).head == made.run.head
    assert verify(made.journal, world=made.world, options=fresh(silent)).equal
    assert (silent.asked, silent.loads) == ([], [])


def test_wherever_a_run_is_cut_it_comes_to_the_same_head_and_every_answer_comes_out_again(made: Recorded) -> None:
    whole = tallies(made.journal, made.world)
    assert all(equal and not different for equal, different, _ in whole)
    for length in range(made.journal.length()):
        for snapshots in (True, False):
            cut = prefix(made, length, snapshots=snapshots)
            done = resume_journal(cut, None, world=made.world, decisions={}, options=fresh())
            assert done.head == made.run.head, length
            assert length % 3 or tallies(cut, made.world) == whole, length


def test_wherever_a_run_is_forked_it_comes_to_the_same_head(made: Recorded) -> None:
    for at in range(made.journal.length() + 1):
        copy = MemoryJournal(*made.journal.header())
        done = fork(made.journal, at=at, to=copy, world=made.world, options=fresh())
        assert done.head == made.run.head, at
        assert not any(different for _, different, _ in tallies(copy, made.world)), at
