"""What the commands share that go on with runs of goals and plans: the engine, what is told meanwhile, and the end."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from ..driver.options import Options
from ..driver.shape import is_table
from ..errors import UsageFault
from ..infer.client import Models
from ..infer.embeddings import Embedder, best_embedder
from ..infer.store import ModelStore
from ..packages.times import format_time
from ..plane.approvals import Approvals, ApprovalView
from ..plane.engine import Engine, Outcome
from ..plane.errors import RunBusy
from ..plane.executor.state import StepStatus
from ..plane.fixes import code_in, fix_of
from ..plane.goals import Goals
from ..plane.json_text import read_json
from ..plane.live import Live
from ..plane.money import usd_text
from ..plane.results import read_ending_of
from ..plane.secrets import SecretBox
from ..plane.skills.registry import Registry
from ..plane.store.runs import OPEN, RunRow, Runs
from ..plane.store.store import Store
from ..plane.waits import APPROVAL, INPUT, SIGNAL, Waits, WaitView
from ..plane.workshop import Workshop
from .config import load_secrets, load_settings, models_folder, person_name, signing_key
from .models import own_or_running
from .output import Document, Format, printable, talk, write_document, write_facts, write_line
from .places import OWN
from .session import StopRequest, stop_on_signal
from .skills import open_registry
from .state import open_artifacts, open_state

EXIT: Final = {"succeeded": 0, "partially_succeeded": 0, "waiting": 6}
"""Exit status by the status of a run; 1 for all others."""

BUDGET: Final = "TW7010"
MOST_LINES: Final = 200
"""Steps of a plan up to which each is told of; of larger ones only how many have ended."""


class Under(msgspec.Struct, frozen=True):
    """An engine at work for one command."""

    store: Store
    engine: Engine
    goals: Goals
    registry: Registry
    stop: StopRequest


@contextmanager
def open_engine(*, quiet: bool = False, several: bool = False) -> Generator[Under]:
    """Yield an engine over the store of this folder; Ctrl-C lets its runs go as they are.

    Args:
        quiet: Whether nothing is told of steps.
        several: Whether steps of several runs are told of, each with its run.
    """
    with ExitStack() as held:
        store = held.enter_context(open_state())
        registry = held.enter_context(open_registry())
        stop = held.enter_context(stop_on_signal())
        ask_models = _once(lambda: held.enter_context(own_or_running(None, None)))
        secrets = load_secrets()
        workshop = Workshop(
            store,
            registry,
            folder=OWN.absolute(),
            secrets=secrets,
            shelf=open_artifacts(store),
            embedder=_once(lambda: _embedder(ask_models())),
            models=ask_models,
        )
        options = Options(signing_key=signing_key(load_settings()))
        told = None if quiet else Teller(several=several)
        engine = held.enter_context(Engine(store, workshop, options, told=told))
        yield Under(store, engine, Goals(engine, registry, SecretBox(secrets)), registry, stop)


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    return cache(make)


def _embedder(models: Models) -> Embedder:
    return best_embedder(ModelStore(models_folder(load_settings())), models)


class Teller:
    """Says on stderr what becomes of the steps of runs."""

    def __init__(self, *, several: bool = False) -> None:
        self._several = several
        self._known: dict[str, dict[str, int]] = {}

    def __call__(self, live: Live) -> None:
        """Tell what has changed in a run since the last tick, or since it was taken up again."""
        fresh = live.row.id not in self._known
        known = self._known.setdefault(live.row.id, {})
        found = dict(live.steps(MOST_LINES))
        if fresh and live.tick == live.taken_up:
            known.update(found)
        for path, status in found.items():
            if known.get(path) != status and status >= StepStatus.RUNNING:
                of = f"{live.row.id} " if self._several else ""
                talk(f"{of}{path}: {StepStatus(status).name.lower().replace('_', ' ')}")
        self._known[live.row.id] = found


class Tally:
    """Counts what has become of runs.

    Args:
        aloud: Whether each is told of at once.
    """

    def __init__(self, output: Format, *, aloud: bool) -> None:
        self._output: Format = output
        self._aloud = aloud
        self._statuses: dict[str, str] = {}

    def __call__(self, outcome: Outcome) -> None:
        """Note a run that was let go."""
        status, reason = outcome.progress.status, outcome.progress.reason
        self._statuses[outcome.run_id] = status
        if not self._aloud:
            return
        if self._output == "text":
            talk(f"{outcome.run_id}: {status}" + (f" ({reason})" if reason else ""))
        else:
            write_document({"run_id": outcome.run_id, "status": status, "reason": reason}, "jsonl")
            sys.stdout.flush()

    def sum_up(self, store: Store, count: int) -> None:
        """Print how many there were of each status."""
        statuses = list(self._statuses.values())
        tally = {status: statuses.count(status) for status in sorted(set(statuses))}
        left = len(Runs(store).page(statuses=OPEN, most=1000))
        if self._output != "text":
            write_document({"runs": count, "statuses": tally, "open": left}, self._output)
        elif not count:
            talk("nothing can go on" + (f"; waiting: {left}, see tickwork runs --status waiting" if left else ""))
        else:
            said = ", ".join(f"{number} {status}" for status, number in tally.items())
            talk(f"worked on {count} run{'' if count == 1 else 's'}: {said}")


def person(by: str) -> str:
    """Return who says something: the name given, else that of the user of this machine."""
    return by or person_name()


def go_on(under: Under, runs: Sequence[str], output: Format) -> int:
    """Work on runs until none can go on, print how they stand, and return the exit status of the last."""
    under.engine.work(runs, stop=under.stop)
    status = 0
    for run_id in runs:
        status = under.stop.status(write_outcome(under.store, run_id, output))
    return status


def carry_on(under: Under, row: RunRow, *, made: bool, no_work: bool, output: Format) -> int:
    """Go on with a run that was asked for, if anybody wants that, and print how it stands; return the exit status."""
    if not made:
        talk(f"the key stands for run {row.id}, whose status is {row.status}")
    if no_work or row.status not in OPEN:
        return write_outcome(under.store, row.id, output)
    try:
        return go_on(under, [row.id], output)
    except RunBusy as error:
        talk(f"{error.what}; it goes on there")
        return write_outcome(under.store, row.id, output)


def write_outcome(store: Store, run_id: str, output: Format) -> int:
    """Print how a run stands and what it waits for; return its exit status."""
    row = Runs(store).get(run_id)
    result = read_result(store, row)
    waiting = waiting_for(store, row)
    document = {
        "run_id": row.id,
        "name": row.name,
        "status": row.status,
        "reason": row.reason,
        "fix": advice(row),
        "output": result.get("output"),
        "steps": result.get("steps", {}),
        "degraded": bool(row.degraded),
        "ticks": row.ticks,
        "calls": row.calls,
        "cost_micros": row.cost_micros,
        "tokens": row.tokens_in + row.tokens_out,
        "head": result.get("head", ""),
        "waiting": waiting,
    }
    if output != "text":
        write_document(document, output)
    else:
        _write_facts(row, document)
    for one in waiting if row.status in OPEN else ():
        talk(f"waiting for {one['what']}")
        for command in one["commands"]:
            talk(f"  {command}")
    if row.status in ("queued", "running") and output == "text" and not waiting:
        talk("go on with: tickwork work")
    if row.status not in (*OPEN, "succeeded") and output == "text":
        talk(f"see how it came to that: tickwork show {row.id}")
    if code_in(row.reason) == BUDGET and row.status not in OPEN:
        return 5
    return EXIT.get(row.status, 0 if row.status in OPEN else 1)


def advice(row: RunRow) -> str:
    """Return what to do about a run that did not come to what it should; empty for every other."""
    return "" if row.status in (*OPEN, "succeeded") else fix_of(row.reason, row.id, row.profile)


def _write_facts(row: RunRow, document: Document) -> None:
    # The row of a goal bears the name of its profile, since it had no plan when it was made.
    of = ("plan", row.name) if row.plan_digest else ("goal", row.goal)
    facts: list[tuple[str, object]] = [("run", row.id), of, ("status", row.status)]
    if row.reason:
        facts.append(("why", row.reason))
    if fix := advice(row):
        facts.append(("fix", fix))
    if row.degraded:
        facts.append(("degraded", "a fallback stood in for a step"))
    steps = document["steps"]
    if is_table(steps) and steps:
        facts.append(("steps", ", ".join(f"{count} {status}" for status, count in steps.items())))
    facts += [("ticks", row.ticks), ("calls", row.calls), ("cost", f"{usd_text(row.cost_micros)} USD")]
    if document["head"]:
        facts.append(("head", document["head"]))
    write_facts(facts)
    if document["output"] is not None:
        write_line("")
        write_line(msgspec.json.format(msgspec.json.encode(document["output"]), indent=2).decode())


def read_result(store: Store, row: RunRow) -> dict[str, Any]:
    """Return the output, the numbers of steps and the head of a run that has ended; nothing of one that has not."""
    if row.status in OPEN:
        return {}
    with store.journals.open_run(row.id) as journal:
        ending, head = read_ending_of(journal), journal.head()
    if ending is None:
        return {"head": head.d.hex()}
    return {"output": msgspec.json.decode(ending.output), "steps": dict(ending.steps), "head": head.d.hex()}


def waiting_for(store: Store, row: RunRow) -> list[dict[str, Any]]:
    """Return what a run waits for, each with the commands that answer it. Order: the oldest first."""
    approvals = {one.id: one for one in Approvals(store).list(run_id=row.id)}
    found = list[dict[str, Any]]()
    for wait in Waits(store).list(run_id=row.id):
        what, commands = _asked(wait, approvals.get(wait.id))
        due = format_time(wait.due_us) if wait.due_us is not None else ""
        one = {"id": wait.id, "kind": wait.kind, "step": wait.step, "what": what, "due": due, "commands": commands}
        found.append(one)
    return found


def _asked(wait: WaitView, approval: ApprovalView | None) -> tuple[str, list[str]]:
    if wait.kind == APPROVAL and approval is not None:
        by = f" by {', '.join(approval.allowed)}" if approval.allowed else ""
        message = f": {approval.message}" if approval.message else ""
        what = f"an approval of step {wait.step}{by}{message}"
        if approval.error:
            what += f"\n  it failed with {printable(approval.error)}"
        if approval.skill:
            what += f"\n  {approval.skill} {printable(approval.arguments.decode())[:500]}"
        return what, [f"tickwork approval grant {wait.id}", f"tickwork approval deny {wait.id}"]
    message = f": {wait.message}" if wait.message else ""
    if wait.kind == INPUT:
        return f"an input of step {wait.step}{message}", [f"tickwork input give {wait.id} JSON"]
    if wait.kind == SIGNAL:
        return f"the signal {wait.name} of step {wait.step}", [f"tickwork signal {wait.run_id} {wait.name}"]
    return f"a time, for step {wait.step}: {format_time(wait.due_us or 0)}", ["tickwork work"]


def read_value(text: str, option: str) -> Any:
    """Return JSON of the command line: a value, ``@FILE``, or ``-`` for standard input.

    Raises:
        UsageFault: TW1001.
    """
    try:
        if text == "-":
            return read_json(sys.stdin.buffer.read())
        return read_json(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UsageFault(f"{option} cannot be read", why=why, fix="give JSON, or @FILE") from error


def find_run(store: Store, reference: str) -> RunRow:
    """Return the run that a word of the command line names.

    Raises:
        RunNotFound: TW7011.
    """
    return Runs(store).find(reference)
