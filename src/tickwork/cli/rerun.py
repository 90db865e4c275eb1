"""``tickwork rerun``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .output import Output
from .wishes import Inputs, Key, NoWork, Tags

EXAMPLES: Final = """Examples:

    tickwork rerun RUN
    tickwork rerun RUN --input city=LAX
    tickwork rerun RUN --key retry-1 -o json
    tickwork diff RUN NEW_RUN

The plan and the profile are those that the run has pinned. Skills get other
idempotency keys than they got from it."""

app = App(name="rerun", help_epilogue=EXAMPLES)


@app.default
def rerun(
    run: Annotated[str, Parameter(help="The run, by its id or the beginning of it.")],
    /,
    *,
    input: Inputs = None,
    key: Key = "",
    tag: Tags = None,
    seed: Annotated[int, Parameter(help="Of random numbers; 0 for that of the run.")] = 0,
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Do again what a run was to do, from the beginning, with other inputs where they are given."""
    from ..plane.goals import Wish
    from .plans import read_settings
    from .underway import carry_on, find_run, open_engine

    with open_engine(quiet=output != "text") as under:
        parent = find_run(under.store, run)
        inputs = read_settings(input, under.goals.inputs_of(parent))
        wish = Wish(inputs, key=key, tags=tuple(tag or ()), seed=seed, work=not no_work)
        row, made = under.goals.rerun(parent, wish)
        return carry_on(under, row, made=made, no_work=no_work, output=output)
