"""``tickwork step``: what people say of a step; each command loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "complete": "Say what a step has come to, in place of doing it.",
    "skip": "Go on without a step.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``step_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork show RUN
    tickwork step skip RUN STEP
    tickwork step complete RUN STEP --output-value '{"n": 3}'"""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="step", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.step_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
