"""``tickwork approval modify``."""

from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from ..plane.errors import PlaneError, SkillInputInvalid
from ..plane.json_text import write_json
from .output import Output
from .wishes import ApprovalId, By, Comment, NoWork

EXAMPLES: Final = """Examples:

    tickwork approval modify ID --arguments '{"to": "ann@example.com"}'
    tickwork approval modify ID --arguments @edited.json --by ann

What others have agreed to before is to be agreed to again."""

app = App(name="modify", help_epilogue=EXAMPLES)


@app.default
def modify(
    approval: ApprovalId,
    /,
    *,
    arguments: Annotated[str, Parameter(help="JSON of what is called with instead, @FILE, or - for standard input.")],
    by: By = "",
    comment: Comment = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Agree to a call with other arguments; the run goes on."""
    from .asked import answer
    from .underway import read_value

    value = read_value(arguments, "--arguments")
    _check(approval, value)
    return answer(
        approval,
        "modify",
        by=by,
        comment=comment,
        output=output,
        no_work=no_work,
        value=value,
    )


def _check(wanted: str, value: Any) -> None:
    """Refuse arguments that the skill would refuse, while they can still be mended.

    Raises:
        SkillInputInvalid: TW7006. WaitNotFound: TW7012.
    """
    from ..plane.approvals import Approvals
    from .skills import open_registry
    from .state import open_state

    with open_state() as store:
        view = Approvals(store).find(wanted)
    if not isinstance(value, dict) or view.status != "open":
        return  # What decides says what is wrong.
    with open_registry() as registry:
        try:
            shape = registry.find(view.skill).skill.shapes[0]
        except PlaneError:
            return  # The call itself will say why the skill cannot be used.
        try:
            shape.check(write_json(value))
        except ValueError as error:
            what = f"{view.skill} does not take these arguments"
            fix = f"give others; `tickwork skill show {view.skill}` says which it takes"
            raise SkillInputInvalid(what, where=view.id, why=str(error), fix=fix) from error
