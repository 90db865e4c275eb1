"""``tickwork model canary``."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..driver.canary import CANARY_TICKS
from ..driver.fork import Edit
from ..driver.fork import fork as fork_run
from ..driver.model_canary import AnswerTally, ModelCanary
from ..driver.model_canary import model_canary as try_version
from ..driver.verify import Run
from ..errors import ReplayDivergence, UsageFault
from .documents import divergence_document, run_document
from .output import Document, Output, write_document, write_facts, write_line
from .session import Budget, Folder, ModelChoice, Providers, Store, Unsigned, Workers, options_for
from .swaps import parse_model_swaps

EXAMPLES: Final = """Examples:

    tickwork model canary weather.twk --model forecast=forecast:1.1.0
    tickwork model canary weather.twk --model forecast=better.onnx --at 40
    tickwork model canary weather.twk --model forecast=forecast:stable --apply new.twk

The last ticks run again in memory, with the inputs that are recorded, and the
new version is asked what the old one was asked. Nothing else is performed.
Ends with status 0 if all answers and records came out again, else with 3.

--apply then forks the run at the tick of the swap and goes on live, whether
or not answers differ; after a swap that failed it does nothing."""

app = App(name="canary", help_epilogue=EXAMPLES)


@app.default
def canary(
    journal: Annotated[Path, Parameter(help="The journal of a run.")],
    /,
    *,
    model: Annotated[str, Parameter(help="NAME=VERSION: whose place which version takes, one of the store or a file.")],
    ticks: Annotated[int, Parameter(help="Ticks at the run's end that are run again.")] = CANARY_TICKS,
    at: Annotated[int | None, Parameter(help="The tick to begin with, instead of --ticks.")] = None,
    apply: Annotated[Path | None, Parameter(help="Fork the run with the new version into this journal.")] = None,
    allow_unsigned: Unsigned = False,
    workers: Workers = None,
    folder: Folder = None,
    store: Store = None,
    providers: Providers = "",
    model_budget: Budget = "",
    output: Output = "text",
) -> int:
    """Run a run's last ticks again with another version of a model, and show what differs."""
    if at is not None and at < 0:
        raise UsageFault(f"--at {at} is no tick", fix="name a tick from 0 on")
    (named,) = parse_model_swaps([model], ticks=False)
    swap = msgspec.structs.replace(named, at=at)
    models = ModelChoice(store, providers, model_budget)
    with options_for("canary", workers=workers, folder=folder, models=models) as options:
        options = msgspec.structs.replace(options, allow_unsigned=allow_unsigned)
        found = try_version(journal, swap, ticks=ticks, options=options)
        applied: Run | None = None
        if apply is not None and not found.failed:
            edit = Edit(swaps=(msgspec.structs.replace(swap, at=found.first),))
            applied = fork_run(journal, at=found.first, to=apply, edit=edit, options=options)
    if output != "text":
        write_document(canary_document(found, applied), output)
    else:
        write_canary(found, applied)
    return 0 if found.equal else ReplayDivergence.exit_status


def canary_document(found: ModelCanary, applied: Run | None) -> Document:
    """Return what a canary found as a document."""
    return {
        "model": found.model,
        "first_tick": found.first,
        "ticks": found.ticks,
        "swap": found.swapped,
        "swap_failed": found.failed,
        "equal": found.equal,
        "compared_answers": found.compared,
        "differing_answers": found.differing,
        "largest_distance": found.largest,
        "answer": None if found.answer is None else msgspec.structs.asdict(found.answer),
        "differing_ticks": found.differing_ticks,
        "divergence": divergence_document(found.divergence),
        "unrecorded_requests": found.unrecorded,
        "old": msgspec.structs.asdict(found.old),
        "new": msgspec.structs.asdict(found.new),
        "applied": None if applied is None else run_document(applied),
    }


def write_canary(found: ModelCanary, applied: Run | None) -> None:
    """Print what a canary found."""
    last = found.first + found.ticks - 1
    facts: list[tuple[str, object]] = [
        ("model", found.model),
        ("swap", f"{'failed: ' if found.failed else ''}{found.swapped}, at tick {found.first}"),
    ]
    if not found.failed:
        facts += [
            ("ticks", f"{found.first} to {last}, {found.differing_ticks} of {found.ticks} differ"),
            ("answers", f"{found.compared} compared, {found.differing} differ{_distance(found)}"),
            ("old version", _tally(found.old)),
            ("new version", _tally(found.new)),
        ]
    if found.unrecorded:
        facts.append(("requests", f"{found.unrecorded} that the record does not have"))
    if applied is not None:
        facts += [("applied", applied.journal), ("head", applied.head.hex())]
    write_facts(facts)
    if found.equal:
        write_line("equal: every answer and every record came out again")
    if found.answer is not None:
        write_line(found.answer.sentence())
    if found.divergence is not None:
        write_line("of the run: " + found.divergence.sentence())


def _tally(tally: AnswerTally) -> str:
    return f"{tally.answers} answers, {tally.failed} of them refusals"


def _distance(found: ModelCanary) -> str:
    return f", by up to {found.largest:.6g}" if found.largest else ""
