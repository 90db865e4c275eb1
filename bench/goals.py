"""Durable plans: three steps, each durable before the next, one run after another and sixteen at once.

What a disk allows stands beside them: the frames of the same runs, committed in the same groups by a store that does
nothing else.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Final

import msgspec

from tickwork import codec
from tickwork.clock import SystemClock
from tickwork.driver.performers import Terms
from tickwork.journal.shared import SharedJournals
from tickwork.kinds import EffectClass
from tickwork.plane.asking import waiting_performers
from tickwork.plane.calls import Answer, SkillCall
from tickwork.plane.compiled import AgentPin, Assignment, Call, Compiled, Plan, SkillPin, Step
from tickwork.plane.engine import Engine
from tickwork.plane.live import Staff
from tickwork.plane.store.runs import SUCCEEDED, NewRun, RunRow
from tickwork.plane.store.store import Store
from tickwork.plane.waits import Waits
from tickwork.records import Effect, Frame, Header, Result

from .measure import Effort, Line, Stand, judged
from .peers.durable import AT_ONCE, DbosSqlite, LangGraphSqlite

OURS, FRAMES, LANGGRAPH, DBOS = "plan of three steps", "its frames alone", "LangGraph SqliteSaver", "DBOS on SQLite"
OURS_AT_ONCE, FRAMES_AT_ONCE, LANGGRAPH_AT_ONCE, DBOS_AT_ONCE = (
    f"{name}, {AT_ONCE} at once" for name in (OURS, FRAMES, LANGGRAPH, DBOS)
)
STEPS: Final = 3
PLAN_BARS: Final = (
    "plan-steps",
    "plan-langgraph",
    "plan-dbos",
    "plan-steps-at-once",
    "plan-langgraph-at-once",
    "plan-dbos-at-once",
    "plan-overhead-p99",
    "plan-limit",
    "plan-limit-at-once",
)

_calls: Final = msgspec.msgpack.Decoder(SkillCall)


class _Adds:
    """A skill that adds one, called where the run is; ``at`` says when. Units: seconds."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def perform(self, effect: Effect) -> Result:
        self.at.append(perf_counter())
        call = _calls.decode(effect.body)
        output = msgspec.json.encode({"x": msgspec.json.decode(call.params)["x"] + 1})
        return Result(effect.number, 0, 2, codec.encode(Answer(call.number, output)))


def _compiled() -> Compiled:
    pin = SkillPin("add", "1", codec.digest(b"add"), int(EffectClass.IDEMPOTENT))
    sources = ("inputs.x", "steps.a.output.x", "steps.b.output.x")
    steps = tuple(
        Step(name, call=Call(0, b'{"x":"${%s}"}' % source.encode(), False), after=(place - 1,) if place else ())
        for place, (name, source) in enumerate(zip("abc", sources, strict=True))
    )
    plan = Plan("bench", "1", steps, outputs=b'{"x":"${steps.c.output.x}"}')
    return Compiled((plan,), (pin,), b"{}", codec.digest(b"bench"))


class Plans:
    """An engine over a store on disk."""

    def __init__(self, folder: Path) -> None:
        self._store = Store.open(folder / "state.db", SystemClock())
        self._waits = Waits(self._store)
        self._engine = Engine(self._store, self)
        self._compiled = _compiled()
        self._adds = _Adds()

    def staff(self, row: RunRow, header: Header, assignment: Assignment) -> Staff:
        """Return who performs the effects of a run."""
        performers = {**waiting_performers(self._waits, row.id), "add@1": self._adds}
        return Staff(performers, {"add@1": Terms(header.ordering == "issue", inline=True)})

    def _submit(self, number: int) -> str:
        inputs = msgspec.json.encode({"x": number})
        return self._engine.submit(NewRun(name="bench"), Assignment("", inputs, AgentPin(), self._compiled))[0].id

    def _check(self, runs: list[str]) -> None:
        for run_id in runs:
            assert self._engine.outcomes.pop(run_id).progress.status == SUCCEEDED

    def run(self, times: int) -> None:
        """Run so many plans, one after another."""
        self._adds.at.clear()
        for number in range(times):
            run_id = self._submit(number)
            self._engine.work()
            self._check([run_id])

    def run_at_once(self, times: int) -> None:
        """Run so many times sixteen plans at once."""
        self._adds.at.clear()
        for first in range(0, times * AT_ONCE, AT_ONCE):
            with self._store.writing_quickly():
                runs = [self._submit(first + number) for number in range(AT_ONCE)]
            self._engine.work()
            self._check(runs)

    def frames(self) -> tuple[tuple[bytes, bytes], list[list[Frame]]]:
        """Return what a run leaves in its journal: both headers, and its frames as they are committed."""
        run_id = self._submit(0)
        self._engine.work()
        self._check([run_id])
        with self._store.journals.open_run(run_id) as journal:
            found = list(journal.frames())
            return journal.header(), [*([one] for one in found[:STEPS]), found[STEPS:]]

    def overheads(self, times: int) -> list[float]:
        """Return what each step of so many plans has taken: from its call to what follows from it. Units: seconds."""
        taken = list[float]()
        for number in range(times):
            self._adds.at.clear()
            began = perf_counter()
            run_id = self._submit(number)
            self._engine.work()
            ended = perf_counter()
            # The first step has the run's beginning, the last one its end.
            marks = [began, *self._adds.at[1:], ended]
            taken += [later - earlier for earlier, later in pairwise(marks)]
            self._check([run_id])
        return taken

    def close(self) -> None:
        """Let go of the file."""
        self._engine.close()
        self._store.close()


class Frames:
    """Journals of a store on disk, to which the frames of a run are written again and again."""

    def __init__(self, folder: Path, ours: Plans) -> None:
        self._journals = SharedJournals.open(folder / "frames.db", create=True)
        self._header, self._groups = ours.frames()
        self._made = 0

    def _write(self, runs: int) -> None:
        made = range(self._made, self._made + runs)
        self._made += runs
        journals = [self._journals.create(f"r_{number}", *self._header) for number in made]
        for group in self._groups:
            for journal in journals:
                for frame in group:
                    journal.append(frame)
                if group is self._groups[-1]:
                    journal.end_run("complete")
            self._journals.flush(durable=True)

    def run(self, times: int) -> None:
        """Write the frames of so many runs, one after another."""
        for _ in range(times):
            self._write(1)

    def run_at_once(self, times: int) -> None:
        """Write so many times the frames of sixteen runs at once."""
        for _ in range(times):
            self._write(AT_ONCE)

    def close(self) -> None:
        """Let go of the file."""
        self._journals.close()


def plans(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure durable steps beside those of others, in the same rounds on the same disk."""
    with Stand(folder) as stand:
        ours = stand.hold(Plans(folder))
        stand.case(OURS, ours.run, STEPS)
        stand.case(OURS_AT_ONCE, ours.run_at_once, STEPS * AT_ONCE)
        frames = stand.hold(Frames(folder, ours))
        stand.case(FRAMES, frames.run, STEPS)
        stand.case(FRAMES_AT_ONCE, frames.run_at_once, STEPS * AT_ONCE)
        langgraph = LangGraphSqlite
        stand.peer(LANGGRAPH, lambda: langgraph(folder), lambda peer: peer.run, STEPS)
        stand.peer(LANGGRAPH_AT_ONCE, lambda: langgraph(_own(folder)), lambda peer: peer.run_at_once, STEPS * AT_ONCE)
        dbos = list[DbosSqlite]()
        stand.peer(DBOS, lambda: _shared(dbos, folder), lambda peer: peer.run, STEPS)
        stand.peer(DBOS_AT_ONCE, lambda: _Lent(_shared(dbos, folder)), lambda peer: peer.run_at_once, STEPS * AT_ONCE)
        found = stand.measure(effort)
        overheads = ours.overheads(300 if effort.full else 4)
    unit = "steps/s"
    yield found.absolute("plan-steps", OURS, unit, ">= 4,000", note="one run after another, each step durable")
    yield found.compared("plan-langgraph", OURS, LANGGRAPH, unit, ">= 4", note="durability=sync, synchronous=FULL")
    yield found.compared("plan-dbos", OURS, DBOS, unit, ">= 4", note="default settings")
    yield found.absolute(
        "plan-steps-at-once", OURS_AT_ONCE, unit, ">= 8,000", note="one commit for a round of all runs"
    )
    yield found.compared("plan-langgraph-at-once", OURS_AT_ONCE, LANGGRAPH_AT_ONCE, unit, ">= 4")
    yield found.compared("plan-dbos-at-once", OURS_AT_ONCE, DBOS_AT_ONCE, unit, ">= 4")
    worst = quantiles(overheads, n=100, method="inclusive")[98] * 1e3
    yield judged("plan-overhead-p99", [worst], "ms", "<= 5", "99th percentile of a step of one run after another")
    note = "what the disk and SQLite leave to everything else; no bar"
    yield _told(found.compared("plan-limit", OURS, FRAMES, unit, ">= 0", note=note))
    yield _told(found.compared("plan-limit-at-once", OURS_AT_ONCE, FRAMES_AT_ONCE, unit, ">= 0", note=note))


def _told(line: Line) -> Line:
    """Return a line that only tells: what the machine allows is no bar."""
    return msgspec.structs.replace(line, bound="none", holds=None)


def _own(folder: Path) -> Path:
    other = folder / "at-once"
    other.mkdir(exist_ok=True)
    return other


def _shared(made: list[DbosSqlite], folder: Path) -> DbosSqlite:
    """Return the one DBOS that a process can have."""
    if not made:
        made.append(DbosSqlite(folder))
    return made[0]


class _Lent:
    """A peer that somebody else closes."""

    def __init__(self, peer: DbosSqlite) -> None:
        self.run_at_once = peer.run_at_once
