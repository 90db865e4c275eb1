"""``tickwork approval``: what people are asked, and what they answer; each command loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "list": "List what people are asked, the oldest first.",
    "show": "Show exactly what would be called, who may decide, and what was said.",
    "grant": "Agree; the run goes on.",
    "deny": "Refuse; the run goes on without it, as its plan says.",
    "modify": "Agree with other arguments.",
    "delegate": "Have somebody else decide.",
    "skip": "Go on without a step that failed.",
    "complete": "Say what a step that failed, or a call that was lost, has come to.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``approval_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork approval list
    tickwork approval show ID
    tickwork approval grant ID

An answer lets the run go on at once; with --no-work it waits for tickwork work.
The same answer given again changes nothing."""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="approval", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.approval_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
