"""``tickwork profile``: the commands for agents that goals are given to, each loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "add": ("profile_add:app", "Add a profile, from a file or from options."),
    "list": ("profile_list:app", "List the profiles: what each may use and spend."),
    "show": ("profile_show:app", "Show a profile, any of its versions, and what its runs have spent."),
    "set": ("profile_set:app", "Change a profile: its next version, for runs that begin from now on."),
    "pause": ("profile_status:pause", "Let no run of a profile begin."),
    "resume": ("profile_status:resume", "Let runs of a profile begin again."),
    "disable": ("profile_status:disable", "Let no run of a profile begin, and leave it out of lists."),
    "versions": ("profile_versions:app", "List the versions of a profile."),
}
"""Every subcommand, where it lies, and its one line. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork profile show default
    tickwork profile add analyst --allow sql_query --database weather.db --day-usd 2
    tickwork profile set analyst --allow sql_query --allow notify

A profile says on whose behalf a run is: what it may use, reach and spend, and
who is asked. A run pins the version that is current when it begins."""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="profile", help_epilogue=EPILOGUE)
    for position, (name, (place, line)) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.{place}", name=name, help=line, sort_key=position)
    return group


app = build_group()
