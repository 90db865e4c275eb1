"""``tickwork replay``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..driver.verify import replay as replay_journal
from .documents import write_run
from .output import Output
from .session import options_for

EXAMPLES: Final = """Examples:

    tickwork replay weather.twk
    tickwork replay weather.twk -o json

Nothing is executed or performed: recorded outcomes are believed, and all that
follows from them is computed again."""

app = App(name="replay", help_epilogue=EXAMPLES)


@app.default
def replay(journal: Annotated[Path, Parameter(help="The journal of a run.")], /, *, output: Output = "text") -> int:
    """Fold a journal again without performing anything, and print the head that comes out."""
    with options_for("replay") as options:
        done = replay_journal(journal, options=options)
    write_run(done, output)
    return 0
