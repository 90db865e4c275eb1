"""``tickwork plan schema``."""

from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from .output import Output, write_document, write_line

EXAMPLES: Final = """Examples:

    tickwork plan schema > plan.schema.json
    tickwork plan schema report.toml

For editors: put #:schema plan.schema.json in the first line of a plan of TOML,
or "$schema" into the settings of the editor for one of JSON."""

app = App(name="schema", help_epilogue=EXAMPLES)


@app.default
def schema(
    plan: Annotated[str, Parameter(help="Print the schema of this plan's inputs instead.")] = "",
    /,
    *,
    output: Output = "text",
) -> int:
    """Print the JSON Schema of plans, or that of a plan's inputs."""
    from ..plane.plan_inputs import inputs_schema
    from ..plane.plan_text import plan_schema
    from .plans import find_plan

    raw = msgspec.json.encode(inputs_schema(find_plan(plan).table.inputs)) if plan else plan_schema()
    if output != "text":
        write_document({"schema": msgspec.Raw(raw)}, output)
    else:
        write_line(msgspec.json.format(raw, indent=2).decode().rstrip("\n"))
    return 0
