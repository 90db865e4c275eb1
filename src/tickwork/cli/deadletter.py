"""``tickwork deadletter``: runs that could not be gone on with; each command loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "list": "List runs that were set aside, with the reason.",
    "requeue": "Have a run gone on with again, once what kept it is mended.",
    "discard": "Say that a run is not to be gone on with.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``deadletter_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork deadletter list
    tickwork deadletter requeue RUN"""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="deadletter", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.deadletter_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
