"""``tickwork agent new``."""

import re
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..authoring.project import NAME_CHARACTERS, NAME_PATTERN, Language
from ..authoring.sdk import template_folder
from ..authoring.templates import write_template
from ..errors import UsageFault
from .output import Output, talk, write_document, write_line

EXAMPLES: Final = """Examples:

    tickwork agent new c counter
    tickwork agent new rust trader
    tickwork agent new python reporter -o json

Makes a folder of that name: the agent's source, agent.toml with what it asks
for, and world.toml, a run of it that works at once."""

app = App(name="new", help_epilogue=EXAMPLES)


@app.default
def new(
    language: Annotated[Language, Parameter(help="What the agent is written in.")],
    name: Annotated[str, Parameter(help="Names the agent and its folder: lower-case letters, digits, - and _.")],
    /,
    *,
    output: Output = "text",
) -> int:
    """Begin an agent: a folder with its source, its project file and a world that runs it."""
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > NAME_CHARACTERS:
        raise UsageFault(
            f"{name!r} cannot name an agent",
            why=f"a name is lower-case letters, digits, - and _, begins with a letter and has at most "
            f"{NAME_CHARACTERS} characters",
            fix="choose another, for example: " + (_suggested(name) or "counter"),
        )
    folder = Path(name)
    if folder.exists():
        raise UsageFault(
            f"{folder} exists already",
            why="a new project overwrites nothing",
            fix="choose another name, or remove what is there",
        )
    try:
        files = write_template(template_folder(language), folder, name)
    except OSError as error:
        raise UsageFault(
            f"{folder} cannot be made",
            where=str(folder.absolute()),
            why=error.strerror or str(error),
            fix="go to a folder you may write to",
        ) from error
    if output == "text":
        for path in files:
            write_line(str(path))
        talk(f"next: cd {name} && tickwork agent build && tickwork run world.toml")
    else:
        write_document({"name": name, "language": language, "files": [str(path) for path in files]}, output)
    return 0


def _suggested(name: str) -> str:
    return re.sub(r"^[^a-z]+|[^a-z0-9]+$", "", re.sub(r"[^a-z0-9_]+", "-", name.lower()))[:NAME_CHARACTERS]
