"""``tickwork models``: the commands for models that run, each loaded when it is called."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..infer.client import Models
from .config import load_settings, models_folder, service_socket
from .session import read_providers

COMMANDS: Final[Mapping[str, str]] = {
    "serve": "Run models for all programs of this user, until it is interrupted.",
    "list": "List the models that the service has in memory.",
    "stats": "Show what the service has done, and what its memory holds.",
    "infer": "Ask a model once, and print its answer.",
}
"""Every subcommand with its one line; ``NAME`` lies in ``models_NAME.py`` as ``app``. Order: as help shows them."""

EPILOGUE: Final = """Begin with:

    tickwork model add wind.onnx --name wind
    tickwork models infer wind --json '{"x": [[1.0, 2.0]]}'

Runs start what they need by themselves; a service is for several programs that
share models and memory."""

Address = Annotated[Path | None, Parameter(help="Socket of the service, instead of the usual one of this user.")]


def build_group() -> App:
    """Return the group with its commands, none of them imported yet."""
    group = App(name="models", help_epilogue=EPILOGUE)
    for position, (name, line) in enumerate(COMMANDS.items()):
        group.command(f"tickwork.cli.models_{name}:app", name=name, help=line, sort_key=position)
    return group


def reach_running(address: Path | None) -> Models:
    """Return what asks the service; nothing is started."""
    return Models(models_folder(load_settings()), address=address or service_socket())


def own_or_running(store: Path | None, address: Path | None, providers: str = "") -> Models:
    """Return what asks the service that was named, else the one that runs already, else processes of its own.

    A service of the usual place has the usual store, so who names another store and no service asks by itself.
    """
    settings = load_settings()
    usual = service_socket() if store is None else None
    return Models(
        store or models_folder(settings),
        providers=read_providers(providers or settings.providers),
        address=address or (usual if usual is not None and usual.exists() else None),
    )


app = build_group()
