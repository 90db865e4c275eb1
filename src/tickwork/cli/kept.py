"""What the commands for models share: the store, limits of an inspection, progress, and saying what a model is."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from ..clock import SystemClock
from ..errors import UsageFault
from ..infer.kept import Kept
from ..infer.manifest import ModelConfig, Port
from ..infer.shelf import Told, nobody
from ..infer.signing import judge_model
from ..infer.store import ModelStore
from ..packages.judge import Verdict
from ..packages.trust import load_trust
from ..tensors import NAMES
from .config import load_settings, models_folder, trust_folder
from .output import Document

Reference = Annotated[
    str, Parameter(help="NAME for its latest version, NAME:VERSION, NAME:ALIAS, or digits of its digest.")
]
References = Annotated[str, Parameter(help="As NAME:VERSION, NAME:ALIAS, NAME, or digits of a digest.")]
Deadline = Annotated[
    int, Parameter(help="Seconds that looking into the model, loading it and warming it up may take together.")
]
Memory = Annotated[int, Parameter(help="Mebibytes of memory that this may take.")]

DEADLINE_S: Final = 120
MEMORY_MIB: Final = 4096
"""What looking into a model may take where nobody says."""

Inspector = Callable[[Path, str], ModelConfig]


def open_store(folder: Path | None) -> ModelStore:
    """Return the store that a command line names, or the usual one."""
    return ModelStore(folder or models_folder(load_settings()))


def inspector(deadline: int, memory: int) -> Inspector:
    """Return what looks into a model, in a process of its own under these limits.

    Args:
        deadline: Units: seconds.
        memory: Units: mebibytes.

    Raises:
        UsageFault: TW1001, a limit leaves room for nothing.
    """
    for option, limit in (("--deadline", deadline), ("--memory", memory)):
        if limit < 1:
            raise UsageFault(f"{option} {limit} leaves room for nothing", fix="give 1 or more")
    from ..infer.inspection import inspect_model

    return partial(inspect_model, deadline_s=deadline, memory=memory << 20)


def judge_here(store: ModelStore, digest: bytes, *, allow_unsigned: bool = False, update: bool = True) -> Verdict:
    """Return the verdict of this machine on a model, now.

    Raises:
        PackageError: TW3201 to TW3207. ModuleUnsigned: TW3004.
    """
    trust = load_trust(trust_folder(load_settings()))
    now_us = SystemClock().now_us()
    return judge_model(store, digest, trust, now_us=now_us, allow_unsigned=allow_unsigned, update=update)


@contextmanager
def reading(verb: str, total: int = 0, then: str = "") -> Generator[Told]:
    """Show how many bytes were read, where somebody looks.

    Args:
        total: Units: bytes; 0 where nobody knows.
        then: What is done once all are there, if that takes a while.
    """
    if not sys.stderr.isatty():
        yield nobody
        return
    from .screen import bytes_bar  # Loads rich, which is for eyes only.

    with bytes_bar(verb, total, then) as told:
        yield told


def kept_document(kept: Kept) -> dict[str, object]:
    """Return a version as a document."""
    return {
        "name": kept.name,
        "version": kept.version,
        "digest": kept.digest.hex(),
        "bytes": kept.size,
        "memory": kept.memory,
        "aliases": list(kept.aliases),
        "pinned": kept.pinned,
        "signed": kept.signed,
    }


def kept_facts(kept: Kept) -> list[tuple[str, object]]:
    """Return a version as named values, for people."""
    return [
        ("model", f"{kept.name}:{kept.version}"),
        ("digest", f"sha256:{kept.digest.hex()}"),
        ("bytes", f"{kept.size:,}"),
        *([("memory", f"{kept.memory:,}")] if kept.memory else []),
        ("aliases", ", ".join(kept.aliases) or "none"),
        ("pinned", "yes" if kept.pinned else "no"),
    ]


def port_text(port: Port) -> str:
    """Return an input or output as people write it: ``float32 [batch, 4]``."""
    shape = ", ".join(str(size) if size != "" else "?" for size in port.shape)
    kind = "" if port.kind == "tensor" else f"{port.kind} of "
    return f"{kind}{NAMES.get(port.dtype, '?')} {f'[{shape}]' if port.ranked else '[...]'}"


def port_document(port: Port) -> Document:
    """Return an input or output as a document."""
    return {
        "name": port.name,
        "kind": port.kind,
        "dtype": NAMES.get(port.dtype, ""),
        "shape": list(port.shape) if port.ranked else None,
        "optional": port.optional,
    }
