"""``tickwork skill list``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..plane.errors import PlaneError
from ..plane.skills.registry import Found
from .output import Output, talk, write_rows

EXAMPLES: Final = """Examples:

    tickwork skill list
    tickwork skill list --servers
    tickwork skill list -o json

What .tickwork/skills.toml configures is listed under its own name. A skill that
cannot be used as it is configured is listed with the reason."""

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_skills(
    *,
    servers: Annotated[bool, Parameter(negative="", help="Ask servers for theirs too, which starts them.")] = False,
    output: Output = "text",
) -> int:
    """List the skills of this machine, with what each reaches and changes."""
    from .skills import open_registry, skill_document

    able = list[Found]()
    unable = list[tuple[str, PlaneError]]()
    with open_registry() as registry:
        names = registry.names()
        for server in registry.servers() if servers else ():
            try:
                names += registry.names_of(server)
            except PlaneError as error:
                unable.append((server, error))
        for name in sorted(names):
            try:
                able.append(registry.find(name))
            except PlaneError as error:
                unable.append((name, error))
    if output != "text":
        rows = [*map(skill_document, able), *({"name": name, "unusable": fault.problem()} for name, fault in unable)]
        write_rows(rows, "skills", {}, output)
        return 0
    from .screen import write_table  # Loads rich.

    write_table(("skill", "class", "reaches", "description"), [_row(found) for found in able])
    for name, fault in unable:
        talk(f"{name} cannot be used: {'; '.join(filter(None, (fault.what, fault.why, fault.fix)))}")
    return 0


def _row(found: Found) -> tuple[object, ...]:
    from .skills import class_name

    reaches = ", ".join(found.traits.capabilities) or "nothing"
    return found.reference, class_name(found.pin.effect_class), reaches, found.traits.description
