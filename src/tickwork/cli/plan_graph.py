"""``tickwork plan graph``."""

from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from .output import Output, write_document, write_line
from .wishes import ForProfile, PlanReference

EXAMPLES: Final = """Examples:

    tickwork plan graph report.toml
    tickwork plan graph report.toml --format dot | dot -Tsvg > report.svg
    tickwork plan graph report.toml --format mermaid

A line that goes down from a step is waited for by the steps that it is joined
to; where a line only crosses another one, that one is drawn whole."""

app = App(name="graph", help_epilogue=EXAMPLES)


@app.default
def graph(
    plan: PlanReference,
    /,
    *,
    format: Annotated[Literal["text", "dot", "mermaid"], Parameter(help="What the drawing is for.")] = "text",
    profile: ForProfile = "",
    output: Output = "text",
) -> int:
    """Draw a plan: with characters, for Graphviz, or for Mermaid."""
    from ..plane import plan_graph
    from .plans import compile_file, find_plan, find_profile

    compiled = compile_file(find_plan(plan), find_profile(profile))
    draw = {"text": plan_graph.draw, "dot": plan_graph.dot, "mermaid": plan_graph.mermaid}[format]
    text = draw(compiled)
    if output != "text":
        write_document({"format": format, "graph": text}, output)
    else:
        write_line(text.rstrip("\n"))
    return 0
