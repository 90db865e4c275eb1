"""``tickwork approval modify``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .asked import Comment, Id, answer
from .output import Output
from .underway import By, NoWork, read_value

EXAMPLES: Final = """Examples:

    tickwork approval modify ID --arguments '{"to": "ann@example.com"}'
    tickwork approval modify ID --arguments @edited.json --by ann

What others have agreed to before is to be agreed to again."""

app = App(name="modify", help_epilogue=EXAMPLES)


@app.default
def modify(
    approval: Id,
    /,
    *,
    arguments: Annotated[str, Parameter(help="JSON of what is called with instead, @FILE, or - for standard input.")],
    by: By = "",
    comment: Comment = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Agree to a call with other arguments; the run goes on."""
    return answer(
        approval,
        "modify",
        by=by,
        comment=comment,
        output=output,
        no_work=no_work,
        value=read_value(arguments, "--arguments"),
    )
