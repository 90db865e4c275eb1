"""The journal: encoding and chaining, checking the chain, replaying and verifying."""

from collections.abc import Iterator
from pathlib import Path

import tickwork as tw
from tickwork import codec
from tickwork.journal.check import check
from tickwork.records import Operation, Outcome

from . import ours
from .measure import Effort, Line, Stand
from .ours import AGENTS
from .peers.plain import PackedEvents

ENCODE, PACKED, CHECK = "encode", "struct header + one hash per tick", "check"
RUN, REPLAY, VERIFY = "live run", "replay", "verify"
TICKS, CHECKED_TICKS, SMOKE_TICKS = 1500, 2000, 4


class _Encoding:
    """A tick's turns made into the frame that is appended: what a live tick does of this, and nothing more."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self._outcomes = outcomes
        self._heads = codec.start_chain(b"header", b"environment")
        self._tick = 0

    def run(self, ticks: int) -> None:
        """Encode and chain so many ticks."""
        step, empty = int(Operation.STEP), codec.encode_inputs(())
        for _ in range(ticks):
            parts, fuel = list[bytes](), list[int]()
            for agent, outcome in enumerate(self._outcomes):
                codec.encode_turn(agent, step, outcome, 0, parts)
                fuel.append(outcome.fuel)
            hints = codec.encode(codec.Hints(fuel, []))
            frame = codec.link(self._heads, self._tick, empty, b"".join(parts), codec.encode_derived(()), hints)
            self._heads = (frame.d, frame.f)
            self._tick += 1


def journal(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure what one event, a turn with its message, costs to encode and chain, and to check."""
    with Stand(folder) as stand:
        outcomes = stand.hold(ours.Turns(folder)).outcomes()
        stand.case(ENCODE, _Encoding(outcomes).run, AGENTS)
        stand.case(PACKED, PackedEvents([outcome.outbox for outcome in outcomes]).run, AGENTS)
        file, ticks = folder / "checked.twk", CHECKED_TICKS if effort.full else SMOKE_TICKS
        made = tw.run(ours.talking(1, ticks), journal=file, options=tw.Options(cache=folder))
        stand.case(CHECK, lambda times: _check(file, times), made.turns)
        found = stand.measure(effort)
    yield found.compared("journal-encode", ENCODE, PACKED, "us", "<= 2.5", note="per turn; both chains, fuel hints")
    yield found.absolute(
        "journal-check", CHECK, "events/s", ">= 1,000,000", note="turns; chain, seal and contents of a closed journal"
    )


def _check(file: Path, times: int) -> None:
    for _ in range(times):
        if check(file).damage is not None:
            raise RuntimeError("a journal that was just written is found damaged")


def folds(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure replay and verification against the live run that made the journal, each as a whole verb."""
    ticks = TICKS if effort.full else SMOKE_TICKS
    world, options = ours.talking(1, ticks), tw.Options(cache=folder)
    kept, again = folder / "kept.twk", folder / "again.twk"
    head = tw.run(world, journal=kept, options=options).head

    def live(times: int) -> None:
        for _ in range(times):
            again.unlink(missing_ok=True)
            assert tw.run(world, journal=again, options=options).head == head

    def replay(times: int) -> None:
        for _ in range(times):
            assert tw.replay(kept).head == head

    def verify(times: int) -> None:
        for _ in range(times):
            assert tw.verify(kept, options=options).equal

    with Stand(folder) as stand:
        stand.case(RUN, live, ticks)
        stand.case(REPLAY, replay, ticks)
        stand.case(VERIFY, verify, ticks)
        found = stand.measure(effort)
    yield found.compared("replay", REPLAY, RUN, "ticks/s", ">= 1.5", note="the whole verb")
    yield found.compared("verify", VERIFY, RUN, "ticks/s", ">= 0.8", note="checks the chains, executes every turn")
