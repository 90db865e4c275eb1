"""``tickwork agent``: the commands for who writes agents, each loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {}
"""Every subcommand with its one line; ``NAME`` lies in ``agent_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork agent new c counter
    cd counter
    tickwork agent build
    tickwork run world.toml"""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="agent", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.agent_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
