"""A model's manifest: what it is, what it takes and gives, and which files it consists of, each by digest.

Shape: an OCI image manifest of the ModelPack kind. Its config is the JSON of a ``ModelConfig``, its layers are the
model's files. The digest of the manifest is the digest of the model.

Source: OCI image specification 1.1; CNCF model specification.
"""

from typing import Final

import msgspec

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.tickwork.model.config.v1+json"
WEIGHT_TYPE: Final = "application/vnd.cncf.model.weight.v1.raw"
PATH_ANNOTATION: Final = "org.cncf.model.filepath"

ONNX: Final = "onnx"
LLM: Final = "llm"
"""Kinds of models."""

PROFILES: Final = ("exact-1", "exact-portable", "fast")
BATCHING: Final = ("row", "tick", "certified")


class Port(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An input or output of a model.

    Attributes:
        kind: ``tensor``, ``sequence`` or ``optional``; what is no tensor can be loaded and not be asked by agents.
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
        memory: What a worker with the model takes, measured when it was added. Units: bytes.
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


class Blob(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
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
    config: Blob
    layers: tuple[Blob, ...] = ()
