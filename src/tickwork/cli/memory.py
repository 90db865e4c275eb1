"""``tickwork memory``: the commands for what profiles remember, each loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "add": "Remember a fact, or something that happened.",
    "list": "List what a profile remembers, or what was said.",
    "search": "Find what a profile remembers, by words and by meaning.",
    "context": "Show what of its memory a planner would be shown for a goal, and how much of each share is used.",
    "block": "Show, write or remove notes that always are in the context.",
    "forget": "Remove items.",
    "reindex": "Make vectors anew for items that have those of another embedder.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``memory_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork memory add "Snow closes the pass from December to March."
    tickwork memory block persona "Answers in one paragraph, with sources."
    tickwork memory context "Will the pass be open next week?"

Every profile has a memory of its own; --profile says whose."""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="memory", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.memory_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
