"""From files to a model in the store: which of them belong to it, and what somebody else says of the graph in them.

Invariants:
    * What is looked at is the copy that is kept, never the files it was made of: nobody can change it in between.
    * Nothing here reads a graph. Whoever does so works in a process of its own, under limits.
    * No pickle is taken, let alone opened: it is a program that runs when it is read.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from ..errors import ModelInvalid, ModelNotFound
from .manifest import LLM, ONNX, ModelConfig, check_name, check_paths
from .shelf import Told, nobody
from .store import ModelStore

GRAPH: Final = ".onnx"
LANGUAGE: Final = "genai_config.json"
"""The file that says a folder is a language model."""

MAGIC_BYTES: Final = 32
FIRST: Final = "1.0.0"
"""The version of a model of which nobody says another."""

OF_A_FILE: Final = "0+"
"""Begins the versions of files that worlds name. They belong to their worlds, and need no signature."""

_PICKLES: Final = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".pt2", ".mar")

_EXPORT: Final = "export it to ONNX and add the .onnx file; see: docs/guides/models.md"
_MAGIC: Final[Mapping[bytes, str]] = {
    b"PK\x03\x04": "an archive, such as a checkpoint of PyTorch, which holds a pickle",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, such as a model of Keras",
    b"GGUF": "a GGUF file of llama.cpp",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"(\xb5/\xfd": "compressed with Zstandard",
    b"version https://g": "the pointer of Git LFS to a file, and not the file",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
"""What the first bytes of a file say it is."""

Inspect = Callable[[Path, str], ModelConfig]
"""Returns what a model takes and gives, from its folder and the path of the file that is loaded. Name and version are
not asked for. Raises a ``ModelError``."""


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of a model.

    Attributes:
        name: Empty for the name of the file or folder.
        version: Empty for the first.
        entry: Path of the file that is loaded; empty for the only one it can be.
    """

    name: str = ""
    version: str = ""
    entry: str = ""
    licence: str = ""
    description: str = ""
    source: str = ""


def add_model(store: ModelStore, source: Path, labels: Labels, inspect: Inspect, *, told: Told = nobody) -> bytes:
    """Add a file, or a folder with all that belongs to a model, and return the model's digest.

    Args:
        inspect: What looks into the copy.
        told: Is told of every piece that was copied.

    Raises:
        ModelNotFound: TW6001, there is no such file or folder.
        ModelInvalid: TW6002, it is no model, or it is not clear which file is loaded.
        ModelExists: TW6011, the version is there with other bytes.
        ModelStoreFailed: TW6017.
        ModelError: What ``inspect`` raises.
    """
    files = gather(source)
    entry = choose_entry(files, labels.entry, source)
    if entry.endswith(GRAPH):
        # A graph reads no other one: those beside it are other spellings of the model.
        files = {path: file for path, file in files.items() if path == entry or not path.endswith(GRAPH)}
    for path, file in files.items():
        _refuse_pickle(path, file)
    refuse_strange(files[entry])
    name, version = labels.name or _name_of(source, entry), labels.version or FIRST
    check_name(name, version)
    with store.staged() as stage:
        for path, file in files.items():
            stage.take(file, path, told)
        found = inspect(stage.folder, entry)
        config = msgspec.structs.replace(
            found,
            name=name,
            version=version,
            kind=LLM if entry.rpartition("/")[2] == LANGUAGE else ONNX,
            entry=entry,
            licence=labels.licence,
            description=labels.description,
            source=labels.source,
        )
        return store.publish(stage, config)


def gather(source: Path) -> dict[str, Path]:
    """Return the files of a model by their paths in it. Order: by path.

    Hidden files stay out; all else in the folder belongs to the model.

    Raises:
        ModelNotFound: TW6001, there is nothing.
        ModelInvalid: TW6002, a link leads out of the folder, or something in it is no plain file.
    """
    if source.is_file():
        return {source.name: source}
    if not source.is_dir():
        raise ModelNotFound(
            f"there is no file or folder {source}", fix="name an .onnx file, or a folder with one in it"
        )
    root, files = source.resolve(), dict[str, Path]()
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(folder) / name
            if not file.resolve().is_relative_to(root):
                raise ModelInvalid(
                    f"{file} leads out of the folder of the model",
                    why="a model consists of what lies in its folder, so that its digest covers all of it",
                    fix="put the file itself into the folder, in place of the link",
                )
            if not file.is_file():
                raise ModelInvalid(
                    f"{file} is no plain file",
                    why="whoever reads what another program writes may wait for ever",
                    fix="take it out of the folder",
                )
            files[file.relative_to(source).as_posix()] = file
    if not files:
        raise ModelNotFound(f"the folder {source} is empty", fix="name a folder with an .onnx file in it")
    check_paths(list(files))
    return dict(sorted(files.items(), key=lambda item: item[0].encode()))


def choose_entry(files: Mapping[str, Path], wanted: str, source: Path) -> str:
    """Return the path of the file that is loaded.

    Args:
        wanted: What a person said; may be empty.

    Raises:
        ModelNotFound: TW6001, there is no such file.
        ModelInvalid: TW6002, there are several it could be, or none.
    """
    if wanted:
        if wanted not in files:
            raise ModelNotFound(f"there is no file {wanted!r} in {source}", fix="--entry is a path in the folder")
        return wanted
    if LANGUAGE in files:
        return LANGUAGE
    if len(files) == 1:
        return next(iter(files))
    graphs = [path for path in files if path.endswith(GRAPH)]
    if len(graphs) == 1:
        return graphs[0]
    for path, file in files.items() if not graphs else ():
        _refuse_pickle(path, file)
    raise ModelInvalid(
        f"it is not clear which file of {source} is loaded",
        why=f"it has {', '.join(graphs[:10])}" if graphs else f"it has no {GRAPH} file",
        fix=f"name it: --entry {graphs[0]}" if graphs else _EXPORT,
    )


def refuse_strange(file: Path) -> None:
    """Refuse a file that its first bytes say is no ONNX graph.

    Raises:
        ModelInvalid: TW6002.
    """
    head = _head(file)
    found = next((text for magic, text in _MAGIC.items() if head.startswith(magic)), "")
    if not head:
        found = "empty"
    elif head[4:8] == b"TFL3":
        found = "a model of TensorFlow Lite"
    elif head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        found = "a file of safetensors, which has weights and no graph"
    if found:
        raise ModelInvalid(f"{file.name} is no model that can be loaded", why=f"it is {found}", fix=_EXPORT)


def _refuse_pickle(path: str, file: Path) -> None:
    head = _head(file)
    # Protocols 2 to 5 begin with their number; older ones are known by the names people give them.
    modern = head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")
    archive = head.startswith(b"PK\x03\x04") and path.lower().endswith((*_PICKLES, ".bin"))
    if modern or archive or path.lower().endswith(_PICKLES):
        raise ModelInvalid(
            f"{path} is a pickle",
            why="that is a program, which runs as whoever opens it; it is not taken, and was not opened",
            fix=f"{_EXPORT}; of a folder, leave it out",
        )


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAGIC_BYTES)
    except OSError as error:
        raise ModelNotFound(
            f"{file} cannot be read", why=error.strerror or str(error), fix="name a file that you may read"
        ) from error


def _name_of(source: Path, entry: str) -> str:
    """Return the name of a model of which nobody says one: that of its file or folder, in small letters."""
    words = source.resolve().name.lower()
    if source.is_file() and entry.endswith(GRAPH):
        words = words.removesuffix(GRAPH)
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in words)
    return "-".join(filter(None, kept.split("-")))
