"""``tickwork agent``: the commands for who writes agents, each loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "new": "Begin an agent: a folder with its source, its project file and a world that runs it.",
    "build": "Compile a project, give the module its manifest, check it, and sign it.",
    "test": "Run an agent's scripts in every way that must make no difference, and compare what it did.",
    "bench": "Measure an agent's turns: time, fuel, memory, and what a start and a compilation take.",
    "dev": "Build on every save, run the last ticks again with the new code, and show the first difference.",
    "check": "Say what a host would refuse of a package, what may surprise, and what it asks for.",
    "inspect": "Show what a package says of itself, who signed it, and what is in it.",
    "disasm": "List a module's code, one instruction a line, with source lines where they are known.",
    "sign": "Sign packages: the signature lies inside each, so that one file is all there is.",
    "verify": "Say who signed a package, what it asks for, and whether this machine would run it.",
    "push": "Put a package into a registry: a folder, or an OCI registry.",
    "pull": "Get a package from a registry, and say who signed it and what it asks for.",
    "lock": "Pin the digests of all that a world runs, or check that they are the pinned ones.",
    "keygen": "Make a key that signs packages.",
    "canary": "Run a run's last ticks again with another version of an agent, and show what differs.",
    "debug": "Step through a run, forwards and backwards, and look into its agents.",
}
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
