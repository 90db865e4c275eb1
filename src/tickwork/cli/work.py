"""``tickwork work``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from .output import Output

EXAMPLES: Final = """Examples:

    tickwork work
    tickwork work RUN
    tickwork work --stay -o jsonl

Runs whose process died go on where they were. Any number of these commands may
run beside each other: a run is worked on by one of them at a time.

With --stay it waits for times to come, for answers, and for runs that others
queue with --no-work; Ctrl-C lets its runs go as they are."""

app = App(name="work", help_epilogue=EXAMPLES)


@app.default
def work(
    run: Annotated[str, Parameter(help="Only this run; by default all that can go on.")] = "",
    /,
    *,
    stay: Annotated[bool, Parameter(negative="", help="Wait for more to do until it is interrupted.")] = False,
    output: Output = "text",
) -> int:
    """Go on with every run that can: queued, interrupted, or woken by an answer or a time."""
    from .underway import Tally, find_run, go_on, open_engine

    if run and stay:
        raise UsageFault("--stay goes on with all runs, and one is named", fix="leave one of them out")
    with open_engine(quiet=output != "text", several=not run) as under:
        if run:
            return go_on(under, [find_run(under.store, run).id], output)
        tally = Tally(output, aloud=stay)
        count = under.engine.work_all(stop=under.stop, stay=stay, over=tally)
        tally.sum_up(under.store, count)
        return under.stop.status(0)
