"""``tickwork model add``."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..infer.adding import Labels, add_model, gather
from ..infer.carrying import SCHEME, add_artifact
from ..infer.signing import sign_as_developer
from ..infer.store import ModelStore
from .config import load_settings, trust_folder
from .kept import (
    DEADLINE_S,
    MEMORY_MIB,
    Deadline,
    Memory,
    inspector,
    kept_document,
    kept_facts,
    open_store,
    port_document,
    port_text,
    reading,
)
from .output import Format, Output, write_document, write_facts
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model add wind.onnx
    tickwork model add wind.onnx --name wind --version 1.1.0 --licence MIT
    tickwork model add exported/ --name wind --entry onnx/model.onnx
    tickwork model add oci://registry.example/models/wind:1.1.0
    tickwork model add minilm

Copies the file, or the folder with all that belongs to the model, looks into it
in a process of its own under limits, loads it once to measure what it takes,
and signs it with your developer key. A version never changes; adding the same
model again does nothing. PyTorch, Keras and the like are exported to ONNX
first; pickles are refused."""

app = App(name="add", help_epilogue=EXAMPLES)

Made = tuple[Path, Labels]


def _minilm(folder: Path) -> Made:
    from ..infer import minilm  # Loads what writes graphs.

    entry = minilm.write_minilm(folder)
    return folder, Labels(
        name=minilm.NAME,
        entry=entry,
        licence=minilm.LICENCE,
        description=minilm.DESCRIPTION,
        source=minilm.SOURCE,
    )


BUILT_IN: Final[Mapping[str, Callable[[Path], Made]]] = {"minilm": _minilm}
"""Models that are made of what is installed, by the word that stands for them in place of a path."""


@app.default
def add(
    source: Annotated[str, Parameter(help="An .onnx file, a folder, oci://HOST/PREFIX/NAME:VERSION, or minilm.")],
    /,
    *,
    name: Annotated[str, Parameter(help="What worlds call it; by default what its file or folder is called.")] = "",
    version: Annotated[str, Parameter(help="By default 1.0.0.")] = "",
    entry: Annotated[str, Parameter(help="Of a folder: the file that is loaded, where it has several graphs.")] = "",
    licence: Annotated[str, Parameter(help="An SPDX expression.")] = "",
    description: Annotated[str, Parameter(help="A line of text.")] = "",
    alias: Annotated[list[str] | None, Parameter(negative="", help="Another name of this version; several.")] = None,
    unsigned: Annotated[bool, Parameter(negative="", help="Leave the model unsigned.")] = False,
    deadline: Deadline = DEADLINE_S,
    memory: Memory = MEMORY_MIB,
    store: Store = None,
    output: Output = "text",
) -> int:
    """Look into a model, measure it, keep it in the store, and sign it."""
    shelf, inspect = open_store(store), inspector(deadline, memory)
    labels = Labels(name=name, version=version, entry=entry, licence=licence, description=description)
    with ExitStack() as held:
        if source.startswith(SCHEME):
            told = held.enter_context(reading("fetching"))
            digest = add_artifact(shelf, source, labels, inspect, told=told)
        else:
            path = Path(source)
            if source in BUILT_IN and not path.exists():
                made = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="tickwork-")))
                path, usual = BUILT_IN[source](made)
                labels = _joined(labels, usual)
            total = sum(file.stat().st_size for file in gather(path).values())
            told = held.enter_context(reading("copying", total, "looking into it"))
            digest = add_model(shelf, path, labels, inspect, told=told)
    if not unsigned:
        sign_as_developer(shelf, digest, trust_folder(load_settings()))
    for one in alias or ():
        shelf.alias(f"sha256:{digest.hex()}", one)
    _tell(shelf, digest, output)
    return 0


def _joined(said: Labels, usual: Labels) -> Labels:
    """Return what a person said, and where they said nothing what is usual."""
    given = {field: getattr(said, field) or getattr(usual, field) for field in Labels.__struct_fields__}
    return Labels(**given)


def _tell(store: ModelStore, digest: bytes, output: Format) -> None:
    kept, config = store.show(digest), store.config(digest)
    if output != "text":
        ports = {
            "inputs": [port_document(port) for port in config.inputs],
            "outputs": [port_document(port) for port in config.outputs],
        }
        write_document({**kept_document(kept), "licence": config.licence, **ports}, output)
        return
    facts = kept_facts(kept)
    for title, ports_of in (("takes", config.inputs), ("gives", config.outputs)):
        for index, port in enumerate(ports_of):
            facts.append((title if index == 0 else "", f"{port.name}: {port_text(port)}"))
    write_facts([*facts, ("signed", "yes" if kept.signed else "no")])
