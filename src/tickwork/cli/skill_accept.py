"""``tickwork skill accept``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .output import Output, write_document, write_line

EXAMPLES: Final = """Examples:

    tickwork skill accept github
    tickwork skill accept github -o json

The first listing of a server is accepted as it is. What it offers otherwise
later is refused (TW7026) until somebody has looked at it and accepts it.
What is accepted lies in .tickwork/servers, one file for each server."""

app = App(name="accept", help_epilogue=EXAMPLES)


@app.default
def accept(
    server: Annotated[str, Parameter(help="A server of .tickwork/skills.toml, by name.")],
    /,
    *,
    output: Output = "text",
) -> int:
    """Accept what a server of skills offers now, and show what has changed since it was accepted before."""
    from .skills import open_registry

    with open_registry() as registry:
        changes = registry.accept(server)
    if output != "text":
        write_document({"server": server, "changes": changes}, output)
        return 0
    for line in changes or ["nothing has changed"]:
        write_line(line)
    return 0
