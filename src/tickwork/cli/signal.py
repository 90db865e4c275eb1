"""``tickwork signal``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..plane.json_text import write_json
from .output import Output, talk
from .wishes import By, NoWork

EXAMPLES: Final = """Examples:

    tickwork signal RUN paid
    tickwork signal RUN paid '{"amount": 3}' --key invoice-7

A signal that no step waits for yet is kept for the one that will."""

app = App(name="signal", help_epilogue=EXAMPLES)


@app.default
def signal(
    run: Annotated[str, Parameter(help="The run, by its id or the beginning of it.")],
    name: Annotated[str, Parameter(help="Name of the signal.")],
    body: Annotated[str, Parameter(help="JSON, @FILE, or - for standard input.")] = "null",
    /,
    *,
    key: Annotated[str, Parameter(help="The same key is the same signal, however often it is sent.")] = "",
    by: By = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Send a run a signal; a step that waits for it goes on with its body."""
    from ..plane.waits import Waits
    from .asked import work_on
    from .state import open_state
    from .underway import find_run, person, read_value

    value = write_json(read_value(body, "the body"))
    with open_state() as store:
        row = find_run(store, run)
        fresh = Waits(store).send(row.id, name, value, by=person(by), key=key)
    if not fresh:
        talk("that signal was sent already; nothing has changed")
    return work_on(row.id, output, no_work=no_work or not fresh)
