"""``tickwork model``: the commands for the models that agents ask, each loaded when it is called."""

from collections.abc import Mapping
from typing import Final

from cyclopts import App

COMMANDS: Final[Mapping[str, str]] = {
    "add": "Look into a model, measure it, keep it in the store, and sign it.",
    "list": "List the models of the store.",
    "show": "Show what a model takes and gives, its files, its operators, and who signed it.",
    "verify": "Read every byte of models again, compare it, and say whether this machine would use them.",
    "alias": "Let a name such as stable stand for a version.",
    "pin": "Keep a version until it is unpinned.",
    "unpin": "Let a version be removed again.",
    "rm": "Remove versions, and the files that no other needs.",
    "gc": "Remove files that no model needs, and old versions where that is asked.",
    "push": "Put a model into an OCI registry, or into another folder.",
    "pull": "Get a model from an OCI registry, or from another folder.",
    "sign": "Sign models with your key, or with a publisher's.",
    "embed": "Turn texts into vectors, and show how alike they are.",
    "canary": "Run a run's last ticks again with another version of a model, and show what differs.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``model_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork model add wind.onnx --name wind
    tickwork model show wind
    tickwork models infer wind --help"""


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="model", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.model_{name}:app", name=name, help=line, sort_key=position)
    return group


app = build_group()
