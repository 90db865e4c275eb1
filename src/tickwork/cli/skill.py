"""``tickwork skill``: the commands for what plans call, each loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "list": "List the skills of this machine, with what each reaches and changes.",
    "show": "Show what a skill takes and gives, and what is known of it.",
    "call": "Call a skill once, outside of any plan.",
    "accept": "Accept what a server of skills offers now, and show what has changed.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``skill_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork skill list
    tickwork skill show json_transform
    tickwork skill call json_transform --params '{"value": [1, 2], "expression": "[0]"}'"""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="skill", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.skill_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
