"""``tickwork input give``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .output import Output, talk
from .wishes import By, NoWork

EXAMPLES: Final = """Examples:

    tickwork input give ID '"blue"'
    tickwork input give ID @answer.json --by ann
    tickwork input give ID - < answer.json"""

app = App(name="give", help_epilogue=EXAMPLES)


@app.default
def give(
    input: Annotated[str, Parameter(help="The input, by its id or the beginning of it.")],
    value: Annotated[str, Parameter(help="JSON, @FILE, or - for standard input.")],
    /,
    *,
    by: By = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Give an input that a run waits for; the run goes on."""
    from ..plane.waits import Waits
    from .asked import work_on
    from .state import open_state
    from .underway import person, read_value

    given = read_value(value, "the value")
    with open_state() as store:
        wait, changed = Waits(store).give(input, given, by=person(by))
    talk(f"{wait.id}: given" if changed else f"{wait.id}: that has been given already; nothing has changed")
    return work_on(wait.run_id, output, no_work=no_work or not changed)
