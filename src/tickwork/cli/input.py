"""``tickwork input``: what runs want to know from people; each command loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "list": "List the inputs that runs wait for, the oldest first.",
    "give": "Give an input; the run goes on.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``input_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork input list
    tickwork input give ID '"blue"'"""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="input", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.input_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
