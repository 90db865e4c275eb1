"""``tickwork verify``."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..driver.opening import read_header, reading
from ..driver.reexecute import Reexecution
from ..driver.reexecute import reexecute as ask_again
from ..driver.verify import Run, Verification, examine
from ..driver.verify import verify as verify_journal
from ..errors import JournalDamaged, ReplayDivergence, UsageFault
from ..journal.seal import Damage
from ..journal.shared import SharedJournal
from .documents import unreadable, write_verification
from .output import Output
from .session import Budget, Folder, ModelChoice, Store, Workers, options_for
from .sources import Reference, known_world, open_source, placed

EXAMPLES: Final = """Examples:

    tickwork verify weather.twk
    tickwork verify weather.twk --workers 2 -o json
    tickwork verify weather.twk --chain-only
    tickwork verify weather.twk --reexecute

Ends with status 3 if a byte has changed or a turn comes out differently, and
names the place. No effect is performed.

--reexecute then asks the models again what agents asked them and compares
every answer bit for bit. It needs the models, and refuses where this machine
computes otherwise than the recorded one."""

app = App(name="verify", help_epilogue=EXAMPLES)


@app.default
def verify(
    run: Reference,
    /,
    *,
    workers: Workers = None,
    chain_only: Annotated[
        bool, Parameter(negative="", help="Check the file and its chains, and execute nothing.")
    ] = False,
    reexecute: Annotated[
        bool, Parameter(negative="", help="Ask the models again and compare their answers with the recorded ones.")
    ] = False,
    model: Annotated[
        list[str] | None,
        Parameter(negative="", help="With --reexecute, a model to ask; without it all are. May be repeated."),
    ] = None,
    folder: Folder = None,
    store: Store = None,
    model_budget: Budget = "",
    output: Output = "text",
) -> int:
    """Check a journal's chains, execute every turn again, and compare every byte."""
    if chain_only and reexecute:
        raise UsageFault("--chain-only executes nothing, --reexecute does", fix="leave one of them out")
    if model and not reexecute:
        raise UsageFault("--model goes with --reexecute", fix="add --reexecute")
    models = ModelChoice(store, budget=model_budget)
    again: Reexecution | None = None
    with options_for("verify", workers=workers, folder=folder, models=models) as options, open_source(run) as source:
        world = None if chain_only else known_world(source)
        try:
            found = verify_chain(source) if chain_only else verify_journal(source, world=world, options=options)
        except JournalDamaged as error:
            found = unreadable(run, error)
        found = msgspec.structs.replace(found, run=placed(found.run, source))
        if reexecute and found.equal:
            again = ask_again(source, models=model or (), world=world, options=options)
    write_verification(found, output, executed=not chain_only, again=again)
    return 0 if found.equal and (again is None or again.equal) else ReplayDivergence.exit_status


def verify_chain(source: Path | SharedJournal) -> Verification:
    """Return whether a journal is what was written; whether its turns would come out again is not asked."""
    report = examine(source)
    assert report is not None, "a command line names no journal in memory"
    path = source if isinstance(source, Path) else None
    damage = report.damage
    if damage is None and report.signature_ok is False:
        damage = Damage("a signature does not hold, or is of another chain", record=report.signed_tick)
    head = report.head.d if report.head is not None else b""
    if damage is not None:
        return Verification(
            Run("", "", "damaged", report.ticks, head, path, 0, 0, report.ticks), equal=False, damage=damage
        )
    with reading(source) as journal:
        header, environment = read_header(journal)
    status = report.status.text if report.status is not None and report.status.closed else "interrupted"
    run = Run(environment.run_id, header.name, status, report.ticks, head, path, 0, 0, report.ticks)
    return Verification(run, equal=True, signed_by=report.key_id.hex())
