"""A store with small real models in it, for tests of what runs them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from tickwork.infer.adding import Labels, add_model
from tickwork.infer.asking import Wanted
from tickwork.infer.graph import read_graph
from tickwork.infer.manifest import ModelConfig
from tickwork.infer.screen import has_batch_axis, screen
from tickwork.infer.store import ModelStore

MIB = 1 << 20


def look(folder: Path, entry: str, memory: int = 64 * MIB) -> ModelConfig:
    """Return what a model takes and gives, read here and not in a process of its own."""
    graph = read_graph(folder, entry)
    return ModelConfig(
        name="net",
        version="1.0.0",
        entry=entry,
        inputs=graph.inputs,
        outputs=graph.outputs,
        ir=graph.ir,
        opsets=graph.opsets,
        operators=graph.operators,
        screening=screen(graph),
        batch_axis=has_batch_axis(graph.inputs, graph.outputs),
        memory=memory,
    )


def keep(store: ModelStore, name: str, data: bytes, memory: int = 64 * MIB, profile: str = "exact-1") -> Wanted:
    """Add a model to a store and return how to ask for it."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.onnx"
        file.write_bytes(data)
        digest = add_model(
            store,
            file,
            Labels(name=name),
            lambda inside, entry: msgspec.structs.replace(look(inside, entry), memory=memory),
        )
    return Wanted(digest, profile)
