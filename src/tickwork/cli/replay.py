"""``tickwork replay``."""

from typing import Final

from cyclopts import App

from ..driver.verify import replay as replay_journal
from .documents import write_run
from .output import Output
from .session import options_for
from .sources import Reference, open_source, placed

EXAMPLES: Final = """Examples:

    tickwork replay weather.twk
    tickwork replay weather.twk -o json

Nothing is executed or performed: recorded outcomes are believed, and all that
follows from them is computed again."""

app = App(name="replay", help_epilogue=EXAMPLES)


@app.default
def replay(run: Reference, /, *, output: Output = "text") -> int:
    """Fold a journal again without performing anything, and print the head that comes out."""
    with options_for("replay") as options, open_source(run) as source:
        done = placed(replay_journal(source, options=options), source)
    write_run(done, output)
    return 0
