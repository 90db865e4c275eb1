"""``tickwork work``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .output import Output, talk, write_document

EXAMPLES: Final = """Examples:

    tickwork work
    tickwork work RUN
    tickwork work -o json

Runs whose process died go on where they were. Any number of these commands may
run beside each other: a run is worked on by one of them at a time."""

app = App(name="work", help_epilogue=EXAMPLES)


@app.default
def work(
    run: Annotated[str, Parameter(help="Only this run; by default all that can go on.")] = "",
    /,
    *,
    output: Output = "text",
) -> int:
    """Go on with every run that can: queued, interrupted, or woken by an answer or a time."""
    from ..plane.store.runs import OPEN, Runs
    from .underway import find_run, go_on, open_engine

    with open_engine(quiet=output != "text", several=not run) as under:
        if run:
            return go_on(under, [find_run(under.store, run).id], output)
        count = under.engine.work_all(stop=under.stop)
        statuses = [under.engine.outcomes[one].progress.status for one in under.engine.outcomes]
        tally = {status: statuses.count(status) for status in sorted(set(statuses))}
        left = len(Runs(under.store).page(statuses=OPEN, most=1000))
        if output != "text":
            write_document({"runs": count, "statuses": tally, "open": left}, output)
        elif not count:
            talk("nothing can go on" + (f"; waiting: {left}, see tickwork runs --status waiting" if left else ""))
        else:
            talk(
                f"worked on {count} run{'' if count == 1 else 's'}: "
                + ", ".join(f"{number} {status}" for status, number in tally.items())
            )
        return under.stop.status(0)
