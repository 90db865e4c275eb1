"""``tickwork agent canary``."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import App, Parameter

from ..driver.canary import CANARY_TICKS, Canary
from ..driver.canary import canary as try_version
from ..driver.fork import Edit
from ..driver.fork import fork as fork_run
from ..driver.plans import Swap
from ..driver.verify import Run
from ..errors import ReplayDivergence, UsageFault
from .config import base_folders
from .documents import divergence_document, run_document
from .output import Document, Output, write_document, write_facts, write_line
from .session import Folder, Unsigned, Workers, options_for

EXAMPLES: Final = """Examples:

    tickwork agent canary market.twk --agent trader --module trader-2.wasm
    tickwork agent canary market.twk --agent trader --module trader-2.wasm --ticks 200
    tickwork agent canary market.twk --agent trader --module trader-2.wasm --apply new.twk

The last ticks run again in memory, with the inputs that are recorded and the
new version in the agent's place. Nothing is performed. Ends with status 0 if
every record came out again, else with 3.

--apply then forks the run at the tick of the swap and goes on live, whether
or not records differ; after a swap that failed it does nothing."""

Mode = Literal["migrate", "restart", "keep_image"]

app = App(name="canary", help_epilogue=EXAMPLES)


@app.default
def canary(
    journal: Annotated[Path, Parameter(help="The journal of a run.")],
    /,
    *,
    agent: Annotated[str, Parameter(help="Whose place the new version takes.")],
    module: Annotated[Path, Parameter(help="The new version.")],
    ticks: Annotated[int, Parameter(help="Ticks at the run's end that are run again.")] = CANARY_TICKS,
    at: Annotated[int | None, Parameter(help="The tick to begin with, instead of --ticks.")] = None,
    mode: Annotated[Mode, Parameter(help="What becomes of the agent's state.")] = "migrate",
    grant: Annotated[
        list[str] | None,
        Parameter(negative="", help="What it may do beyond the old version, such as publish:TOPIC; may be repeated."),
    ] = None,
    apply: Annotated[Path | None, Parameter(help="Fork the run with the new version into this journal.")] = None,
    allow_unsigned: Unsigned = False,
    workers: Workers = None,
    folder: Folder = None,
    output: Output = "text",
) -> int:
    """Run a run's last ticks again with another version of an agent, and show what differs."""
    if at is not None and at < 0:
        raise UsageFault(f"--at {at} is no tick", fix="name a tick from 0 on")
    swap = Swap(agent, module, at, mode, tuple(grant or ()), base_folders())
    with options_for("canary", workers=workers, folder=folder) as options:
        options = msgspec.structs.replace(options, allow_unsigned=allow_unsigned)
        found = try_version(journal, swap, ticks=ticks, options=options)
        applied: Run | None = None
        if apply is not None and not found.failed:
            at_first = msgspec.structs.replace(swap, at=found.first)
            applied = fork_run(journal, at=found.first, to=apply, edit=Edit(swaps=(at_first,)), options=options)
    if output != "text":
        write_document(canary_document(found, applied), output)
    else:
        write_canary(found, applied)
    return 0 if found.equal else ReplayDivergence.exit_status


def canary_document(found: Canary, applied: Run | None) -> Document:
    """Return what a canary found as a document."""
    return {
        "agent": found.agent,
        "first_tick": found.first,
        "ticks": found.ticks,
        "swap": found.swapped,
        "swap_failed": found.failed,
        "equal": found.equal,
        "differing_ticks": found.differing,
        "agent_divergence": divergence_document(found.agent_divergence),
        "divergence": divergence_document(found.divergence),
        "old": msgspec.structs.asdict(found.old),
        "new": msgspec.structs.asdict(found.new),
        "unanswered_effects": found.unanswered,
        "applied": None if applied is None else run_document(applied),
    }


def write_canary(found: Canary, applied: Run | None) -> None:
    """Print what a canary found."""
    last = found.first + found.ticks - 1
    facts: list[tuple[str, object]] = [
        ("agent", found.agent),
        ("swap", f"{'failed: ' if found.failed else ''}{found.swapped}, at tick {found.first}"),
    ]
    if not found.failed:
        facts += [("ticks", f"{found.first} to {last}, {found.differing} of {found.ticks} differ")]
        facts += [
            (name, f"{tally.turns} turns, {tally.failed} failed, {tally.sent} frames, {tally.fuel:,} fuel")
            for name, tally in (("old version", found.old), ("new version", found.new))
        ]
    if found.unanswered:
        facts.append(("effects", f"{found.unanswered} that the record has no answer to"))
    if applied is not None:
        facts += [("applied", applied.journal), ("head", applied.head.hex())]
    write_facts(facts)
    if found.equal:
        write_line("equal: every record came out again")
    if found.agent_divergence is not None:
        write_line("of the agent: " + found.agent_divergence.sentence())
    if found.divergence is not None:
        write_line("of the run: " + found.divergence.sentence())
