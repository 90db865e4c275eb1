"""``tickwork verify``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..driver.verify import verify as verify_journal
from ..errors import JournalDamaged, ReplayDivergence
from .documents import unreadable, write_verification
from .output import Output
from .session import Folder, Workers, options_for

EXAMPLES: Final = """Examples:

    tickwork verify weather.twk
    tickwork verify weather.twk --workers 2 -o json

Ends with status 3 if a byte has changed or a turn comes out differently, and
names the place. No effect is performed."""

app = App(name="verify", help_epilogue=EXAMPLES)


@app.default
def verify(
    journal: Annotated[Path, Parameter(help="The journal of a run.")],
    /,
    *,
    workers: Workers = None,
    folder: Folder = None,
    output: Output = "text",
) -> int:
    """Check a journal's chains, execute every turn again, and compare every byte."""
    with options_for("verify", workers=workers, folder=folder) as options:
        try:
            found = verify_journal(journal, options=options)
        except JournalDamaged as error:
            found = unreadable(journal, error)
    write_verification(found, output)
    return 0 if found.equal else ReplayDivergence.exit_status
