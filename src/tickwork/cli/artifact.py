"""``tickwork artifact``: the commands for what runs have left, each loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "list": "List artifacts: by type, mime, tag, words, name or run.",
    "show": "Show what an artifact is, and its text.",
    "export": "Write artifacts to files.",
    "add": "Keep a file as an artifact, for runs to read.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``artifact_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork artifact list
    tickwork artifact list --mime 'image/*' --run 01a2
    tickwork artifact export report.md --to .

Artifacts lie under their digest; the bytes are compared with it at every look."""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="artifact", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.artifact_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
