"""A model's manifest: what it is, what it takes and gives, and which files it consists of, each by digest.

Shape: an OCI image manifest of the ModelPack kind. Its config is the JSON of a ``ModelConfig``, its layers are the
model's files. The digest of the manifest is the digest of the model. Both are canonical JSON: keys sorted, no blanks,
what has its usual value left out, so that equal models are equal bytes.

Invariants:
    * Nothing in a manifest depends on the machine: equal files under an equal name have an equal digest everywhere.
    * A path in a manifest stays in the model's folder on every system, and no two of them are one file on any.

Source: OCI image specification 1.1; CNCF model specification.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ..errors import ModelInvalid
from ..tensors import NAMES

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.tickwork.model.config.v1+json"
WEIGHT_TYPE: Final = "application/vnd.cncf.model.weight.v1.raw"
SIGNATURE_TYPE: Final = "application/vnd.tickwork.model.signature.v1"
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
PATH_ANNOTATION: Final = "org.cncf.model.filepath"

ONNX: Final = "onnx"
LLM: Final = "llm"
"""Kinds of models."""

DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
NAME: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", re.ASCII)
VERSION: Final = re.compile(r"[0-9][A-Za-z0-9._+-]{0,127}", re.ASCII)
ALIAS: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
"""What names of models, their versions and aliases look like. No text is both a version and an alias."""

NAME_CHARACTERS: Final = 128
MANIFEST_BYTES: Final = 1 << 20
CONFIG_BYTES: Final = 4 << 20
SIGNED_BYTES: Final = 4096
EMPTY: Final = b"{}"
"""What stands where a manifest must have a config and has nothing to say."""

FILE_COUNT: Final = 1000
PATH_BYTES: Final = 255
TEXT_CHARACTERS: Final = 1000
PORT_COUNT: Final = 1024
MODEL_BYTES: Final = 1 << 40
"""More than any model has; sizes in a manifest add up to no more."""

ESTIMATE_BYTES: Final = 64 << 20
"""Of a worker with a model that has no weights. Units: bytes of memory, rounded up from what was measured."""

_DEVICES: Final = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
"""File names that Windows keeps for itself, with any ending."""

_BANNED: Final = frozenset('<>:"|?*\\')

PROFILES: Final = ("exact-1", "exact-portable", "fast")
BATCHING: Final = ("row", "tick", "certified")
KINDS: Final = ("tensor", "sequence", "optional", "optional sequence", "map")
"""Kinds of inputs and outputs."""


class Port(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An input or output of a model.

    Attributes:
        kind: ``tensor``, ``sequence``, ``optional``, ``optional sequence`` or ``map``; of a map nothing is passed on.
        dtype: A type code of ``tensors``.
        shape: Each dimension a number, a name for one that callers choose, or empty for one without a name.
        ranked: Whether the shape is known at all.
        optional: Whether an input may be left out.
    """

    name: str
    dtype: int
    shape: tuple[int | str, ...] = ()
    ranked: bool = True
    optional: bool = False
    kind: str = "tensor"


class Screening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What its operators mean for exactness. Source: the screens of ``infer/screen.py``.

    Attributes:
        rules: Version of the screens.
        random: Operators that draw numbers; the exact profiles refuse them.
        neighbours: Operators by which a row's result depends on other rows; certified batches refuse them.
        inexact: Operators whose results differ between processors; exact-portable refuses them.
    """

    rules: int = 1
    random: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    inexact: tuple[str, ...] = ()


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What there is to know about a model besides its bytes.

    Attributes:
        kind: ``onnx`` or ``llm``.
        entry: Path of the file that is loaded, among the layers; for a language model its folder's config.
        opsets: Domain and version of each operator set the graph imports.
        memory: What a worker with the model takes: as it was measured when the model was added here, else as its files
            let expect. Units: bytes.
        warmup: Shape of each input's zeros that a worker is warmed up and probed with, by input name.
        licence: An SPDX expression, or empty where nobody has said.
        batch_axis: Whether all inputs and outputs have a first dimension that callers choose, the same name in each.
    """

    name: str
    version: str
    kind: str = ONNX
    entry: str = ""
    description: str = ""
    licence: str = ""
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    ir: int = 0
    opsets: tuple[tuple[str, int], ...] = ()
    operators: tuple[str, ...] = ()
    screening: Screening = Screening()
    batch_axis: bool = False
    memory: int = 0
    warmup: dict[str, tuple[int, ...]] = {}
    source: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A file by digest: a descriptor of OCI."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}

    @property
    def sha256(self) -> bytes:
        """The digest as bytes."""
        return bytes.fromhex(self.digest.removeprefix("sha256:"))

    @property
    def path(self) -> str:
        """Where the file lies in the model's folder."""
        return self.annotations.get(PATH_ANNOTATION, "")


class Manifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The manifest of a model as it is stored."""

    schema_version: int = 2
    media_type: str = MANIFEST_TYPE
    artifact_type: str = ARTIFACT_TYPE
    config: Descriptor
    layers: tuple[Descriptor, ...] = ()


class SignatureManifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The manifest of a signature, which other tools find by its subject. Source: OCI image specification 1.1."""

    schema_version: int = 2
    media_type: str = MANIFEST_TYPE
    artifact_type: str = SIGNATURE_TYPE
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor


def descriptor_of(data: bytes, media_type: str) -> Descriptor:
    """Return the descriptor of some bytes."""
    return Descriptor(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


def encode_config(config: ModelConfig) -> bytes:
    """Return the canonical JSON. Law: ``decode_config(encode_config(config)) == config``."""
    return msgspec.json.encode(config, order="sorted")


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical JSON; its SHA-256 is the digest of the model."""
    return msgspec.json.encode(manifest, order="sorted")


def estimate_memory(layers: Iterable[Descriptor]) -> int:
    """Return what a worker with such files is taken to need where nobody has measured it. Units: bytes."""
    return ESTIMATE_BYTES + 2 * sum(layer.size for layer in layers)


def decode_config(data: bytes) -> ModelConfig:
    """Return the config encoded in ``data``.

    Raises:
        ModelInvalid: TW6002, it is none, or not canonical.
    """
    if len(data) > CONFIG_BYTES:
        raise _invalid("config", f"it has {len(data):,} bytes, {CONFIG_BYTES:,} are allowed")
    try:
        config = msgspec.json.decode(data, type=ModelConfig)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _invalid("config", str(error)) from error
    if encode_config(config) != data:
        raise _invalid("config", _SPELLING)
    check_config(config)
    return config


def decode_manifest(data: bytes) -> Manifest:
    """Return the manifest encoded in ``data``.

    Raises:
        ModelInvalid: TW6002, it is none, not canonical, or names a file that may not be in a model.
    """
    if len(data) > MANIFEST_BYTES:
        raise _invalid("manifest", f"it has {len(data):,} bytes, {MANIFEST_BYTES:,} are allowed")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _invalid("manifest", str(error)) from error
    if encode_manifest(manifest) != data:
        raise _invalid("manifest", _SPELLING)
    check_manifest(manifest)
    return manifest


_SPELLING: Final = (
    "it is not canonical: keys sorted, no blanks, nothing that is not known; a newer Tickwork may know it"
)


def check_manifest(manifest: Manifest) -> None:
    """Refuse a manifest that is not what this version writes.

    Raises:
        ModelInvalid: TW6002.
    """
    kinds = (manifest.schema_version, manifest.media_type, manifest.artifact_type, manifest.config.media_type)
    if kinds != (2, MANIFEST_TYPE, ARTIFACT_TYPE, CONFIG_TYPE):
        raise _invalid("manifest", f"it is of another kind: {' '.join(map(str, kinds))}")
    if not 1 <= len(manifest.layers) <= FILE_COUNT:
        raise _invalid("manifest", f"it has {len(manifest.layers)} files, 1 to {FILE_COUNT:,} are allowed")
    for blob in (manifest.config, *manifest.layers):
        check_descriptor(blob)
    if any(layer.media_type != WEIGHT_TYPE or set(layer.annotations) != {PATH_ANNOTATION} for layer in manifest.layers):
        raise _invalid("manifest", f"each of its layers is a file of type {WEIGHT_TYPE} with its path")
    if sum(layer.size for layer in manifest.layers) > MODEL_BYTES:
        raise _invalid("manifest", f"its files have more than {MODEL_BYTES:,} bytes")
    paths = [layer.path for layer in manifest.layers]
    check_paths(paths)
    if paths != sorted(paths, key=str.encode):
        raise _invalid("manifest", "its files are not in the order of their paths")


def check_descriptor(blob: Descriptor) -> None:
    """Refuse a descriptor whose digest or size is none.

    Raises:
        ModelInvalid: TW6002.
    """
    if not blob.digest.startswith("sha256:") or DIGEST.fullmatch(blob.digest.removeprefix("sha256:")) is None:
        raise _invalid("manifest", f"{_shown(blob.digest)} is no digest: sha256: and 64 small hexadecimal digits")
    if blob.size < 0:
        raise _invalid("manifest", f"a file of it has {blob.size:,} bytes")


def check_paths(paths: Sequence[str]) -> None:
    """Refuse paths that lead out of a model's folder, or that some system cannot keep apart.

    Raises:
        ModelInvalid: TW6002.
    """
    files, folders = set[str](), set[str]()
    for path in paths:
        why = _path_fault(path)
        if why:
            raise _invalid("manifest", f"the path {_shown(path)} {why}")
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in files:
            raise _invalid("manifest", f"the path {_shown(path)} is there twice, but for capitals")
        files.add(folded)
        parts = folded.split("/")
        folders.update("/".join(parts[:end]) for end in range(1, len(parts)))
    both = sorted(files & folders)
    if both:
        raise _invalid("manifest", f"{_shown(both[0])} is a file and a folder")


def _path_fault(path: str) -> str:
    if not path or len(path.encode(errors="replace")) > PATH_BYTES:
        return f"is empty or has more than {PATH_BYTES} bytes"
    if not path.isprintable() or _BANNED & set(path):
        return "has a character that some system does not allow"
    for part in path.split("/"):
        if part in ("", ".", "..") or part != part.strip() or part.endswith("."):
            return "leads out of the model's folder, or is not kept as it is by some system"
        if part.split(".")[0].casefold() in _DEVICES:
            return "is a device on Windows"
    return ""


def check_name(name: str, version: str) -> None:
    """Refuse a name or version that no store keeps.

    Raises:
        ModelInvalid: TW6002.
    """
    if NAME.fullmatch(name) is None or len(name) > NAME_CHARACTERS:
        raise ModelInvalid(
            f"{_shown(name)} is no name of a model",
            why=f"it has small letters and digits, with single . _ - between them, {NAME_CHARACTERS} in all",
            fix="choose another with --name",
        )
    if VERSION.fullmatch(version) is None:
        raise ModelInvalid(
            f"{_shown(version)} is no version of a model",
            why="it begins with a digit and has letters, digits and . _ + -; aliases begin with a letter",
            fix="write one like --version 1.0.0",
        )


def check_config(config: ModelConfig) -> None:
    """Refuse a config that says what cannot be.

    Raises:
        ModelInvalid: TW6002.
    """
    check_name(config.name, config.version)
    if config.kind not in (ONNX, LLM):
        raise _invalid("config", f"there is no kind of model {_shown(config.kind)}")
    if not config.entry:
        raise _invalid("config", "it does not say which file is loaded")
    for text in (config.description, config.licence, config.source):
        if len(text) > TEXT_CHARACTERS or not text.isprintable():
            raise _invalid("config", f"{_shown(text)} is no line of at most {TEXT_CHARACTERS:,} printable characters")
    if config.memory < 0 or config.ir < 0:
        raise _invalid("config", "memory or ir is less than 0")
    for ports in (config.inputs, config.outputs):
        if len(ports) > PORT_COUNT or len({port.name for port in ports}) != len(ports):
            raise _invalid("config", f"it has a port twice, or more than {PORT_COUNT:,}")
        for port in ports:
            _check_port(port)
    unknown = sorted(set(config.warmup) - {port.name for port in config.inputs})
    if unknown:
        raise _invalid("config", f"it warms up {_shown(unknown[0])}, which is no input")
    if any(size < 0 for shape in config.warmup.values() for size in shape):
        raise _invalid("config", "a dimension of its warm-up is less than 0")


def _check_port(port: Port) -> None:
    if port.kind not in KINDS:
        raise _invalid("config", f"there is no kind of port {_shown(port.kind)}")
    if port.kind == "tensor" and port.dtype not in NAMES:
        raise _invalid("config", f"{_shown(port.name)} has type code {port.dtype}, which is none")
    if any(isinstance(size, int) and size < 0 for size in port.shape):
        raise _invalid("config", f"{_shown(port.name)} has a dimension less than 0")


def _shown(text: str) -> str:
    return repr(text.encode("unicode_escape").decode()[:80])


def _invalid(what: str, why: str) -> ModelInvalid:
    return ModelInvalid(
        f"the {what} of a model is not what it must be",
        why=why.encode("unicode_escape").decode()[:4096],
        fix="get the model again, or add it anew from its files",
    )
