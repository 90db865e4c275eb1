"""``tickwork model show``."""

from typing import Final

import msgspec
from cyclopts import App

from ..errors import TickworkError
from ..infer.manifest import Manifest, ModelConfig
from ..infer.store import ModelStore
from .kept import Reference, judge_here, kept_document, kept_facts, open_store, port_document, port_text
from .output import Output, write_document, write_facts, write_line
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model show wind
    tickwork model show wind:1.1.0 -o json"""

app = App(name="show", help_epilogue=EXAMPLES)


@app.default
def show(model: Reference, /, *, store: Store = None, output: Output = "text") -> int:
    """Show what a model takes and gives, its files, its operators, and who signed it."""
    shelf = open_store(store)
    digest = shelf.find(model)
    kept, manifest, config = shelf.show(digest), shelf.manifest(digest), shelf.config(digest)
    signature = _signature(shelf, digest)
    if output != "text":
        document = {**_document(config), **kept_document(kept), "files": _files(manifest)}
        document |= {"signed_by": list(signature.signers), "trusted": signature.trusted}
        write_document(document, output)
        return 0
    signers = ", ".join(signature.signers) or "nobody"
    write_facts([*kept_facts(kept), *_facts(config), ("signed by", signers), ("trusted", signature.trusted)])
    for title, ports in (("takes", config.inputs), ("gives", config.outputs)):
        write_line(f"\n{title}")
        width = max((len(port.name) for port in ports), default=0)
        for port in ports:
            write_line(f"  {port.name:<{width}}  {port_text(port)}{'  may be left out' if port.optional else ''}")
    write_line("\nfiles")
    width = max(len(layer.path) for layer in manifest.layers)
    for layer in manifest.layers:
        write_line(f"  {layer.path:<{width}}  {layer.size:>14,} bytes  {layer.sha256.hex()[:16]}")
    return 0


def _facts(config: ModelConfig) -> list[tuple[str, object]]:
    screening = config.screening
    found: list[tuple[str, object]] = [
        ("kind", config.kind),
        ("entry", config.entry),
        ("description", config.description),
        ("licence", config.licence or "nobody has said"),
        ("source", config.source),
        ("opsets", ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in config.opsets)),
        ("operators", ", ".join(config.operators)),
        ("random", ", ".join(screening.random)),
        ("rows depend", ", ".join(screening.neighbours)),
        ("inexact", ", ".join(screening.inexact)),
        ("batches", "yes" if config.batch_axis else "no"),
    ]
    return [(name, text) for name, text in found if text]


def _document(config: ModelConfig) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(config)
    ports = {
        "inputs": [port_document(port) for port in config.inputs],
        "outputs": [port_document(port) for port in config.outputs],
    }
    whole = {
        "kind": config.kind,
        "licence": config.licence,
        "screening": msgspec.structs.asdict(config.screening),
        "batch_axis": config.batch_axis,
        "warmup": {name: list(shape) for name, shape in config.warmup.items()},
    }
    return {**found, **whole, **ports}


def _files(manifest: Manifest) -> list[dict[str, object]]:
    return [{"path": layer.path, "bytes": layer.size, "sha256": layer.sha256.hex()} for layer in manifest.layers]


class _Signature(msgspec.Struct, frozen=True):
    """Who signed a model, and what this machine makes of it."""

    signers: tuple[str, ...]
    trusted: str


def _signature(store: ModelStore, digest: bytes) -> _Signature:
    try:
        signed = store.signature(digest)
        verdict = judge_here(store, digest, allow_unsigned=True, update=False)
    except TickworkError as error:
        return _Signature((), f"no: {error.code}, {error.what}")
    signers = tuple(one.key.hex() for one in signed.signatures) if signed is not None else ()
    return _Signature(signers, f"yes, {verdict.key.publisher}" if verdict.key is not None else "no")
