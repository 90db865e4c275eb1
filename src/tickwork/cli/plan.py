"""``tickwork plan``: the commands for plans, each loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "validate": "Say everything that is wrong with plans, each with its place and a way to mend it.",
    "show": "Show the steps of a plan, or all of one step.",
    "graph": "Draw a plan: with characters, for Graphviz, or for Mermaid.",
    "run": "Run a plan; every step is journaled, and the run goes on after any crash.",
    "dry-run": "Show what a plan would call, in which order, with what and at what cost; nothing is done.",
    "schema": "Print the JSON Schema of plans, or that of a plan's inputs.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``plan_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork plan validate report.toml
    tickwork plan graph report.toml
    tickwork plan dry-run report.toml --input city=JFK

A plan is a file of TOML or JSON, or the name of one in .tickwork/plans."""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="plan", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        module = f"tickwork.cli.plan_{name.replace('-', '_')}:app"
        group.command(module, name=name, help=line, sort_key=position)
    return group


app = build_group()
