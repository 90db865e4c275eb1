"""``tickwork plan run``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..plane.profile import DEFAULT
from .output import Output
from .wishes import Inputs, Key, NoWork, PlanReference, ProfileName, Tags

EXAMPLES: Final = """Examples:

    tickwork plan run report.toml --input city=JFK
    tickwork plan run report.toml --input city=JFK --key report-2026-01-31
    tickwork plan run report --profile analyst --tag nightly -o json

A run that waits for people ends with status 6 and says what to type. It then
goes on where it was, also after a crash. Ctrl-C lets it go as it is."""

app = App(name="run", help_epilogue=EXAMPLES)


@app.default
def run(
    plan: PlanReference,
    /,
    *,
    input: Inputs = None,
    profile: ProfileName = DEFAULT,
    key: Key = "",
    tag: Tags = None,
    priority: Annotated[int, Parameter(help="Runs of a higher one are gone on with first.")] = 0,
    seed: Annotated[int, Parameter(help="Of random numbers, such as waits before another attempt.")] = 0,
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Run a plan; every step is journaled, and the run can be stopped and gone on with at any point."""
    from ..plane.goals import Wish
    from .plans import find_plan, read_settings
    from .underway import carry_on, open_engine

    file = find_plan(plan)
    inputs = read_settings(input, file.table.inputs)
    with open_engine(quiet=output != "text") as under:
        wish = Wish(inputs, profile, key, tuple(tag or ()), priority, seed, not no_work)
        row, made = under.goals.run_plan(file, wish)
        return carry_on(under, row, made=made, no_work=no_work, output=output)
