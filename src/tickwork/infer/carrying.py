"""Models on their way between stores: to and from an OCI registry, as ModelPack artifacts, or another folder.

Invariants:
    * A model keeps its digest wherever it goes: its manifest travels byte for byte.
    * Who signed it is judged before its files are asked for, and what it says of its graph is compared with the graph
      before it is kept.

Shape: in a registry, the model is the manifest under the tag of its version; its signature is a manifest whose subject
is the model's, under the tag ``sha256-DIGEST.sig``.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ..errors import ModelDamaged, ModelInvalid, ModelNotFound, RegistryFailed
from ..packages.oci import unlike
from ..packages.oci_files import OciFiles, Repository
from ..packages.package import Package
from ..packages.registry import absent, changed
from ..packages.rights import version_order
from ..packages.signature import Signed, decode_signed
from ..sandbox.manifest import Manifest as PackageManifest
from .adding import Inspect, Labels, add_model
from .manifest import (
    CONFIG_BYTES,
    CONFIG_TYPE,
    FILE_COUNT,
    NAME,
    PATH_ANNOTATION,
    SIGNED_BYTES,
    VERSION,
    Descriptor,
    Manifest,
    ModelConfig,
    SignatureManifest,
    check_descriptor,
    check_name,
    decode_config,
    decode_manifest,
    descriptor_of,
)
from .shelf import CHUNK_BYTES, Told, nobody
from .stage import Stage
from .store import ModelStore

SCHEME: Final = "oci://"
TITLE: Final = "org.opencontainers.image.title"
MODEL_PACK: Final = "application/vnd.cncf.model."
RAW: Final = ".raw"
"""What a layer's type begins and ends with where another tool has put a file into it as it is."""

Believe = Callable[[Package], object]
"""Is asked about a model before its files are; raises a ``PackageError`` for one that may not be used here."""


def anybody(_found: Package) -> None:
    """Believe a model, whoever signed it."""


class Offer(msgspec.Struct, frozen=True):
    """A model that is to be had somewhere.

    Attributes:
        data: The manifest, byte for byte.
        signed: None where nobody signed it.
    """

    data: bytes
    config: ModelConfig
    signed: Signed | None

    @property
    def manifest(self) -> Manifest:
        """What ``data`` says."""
        return decode_manifest(self.data)

    @property
    def digest(self) -> bytes:
        """Of the manifest. Shape: 32 bytes."""
        return descriptor_of(self.data, "").sha256


class Place(Protocol):
    """Where models are to be had, and may be brought."""

    def offer(self, version: str) -> Offer:
        """Return the model that a version or tag names; the newest for an empty one.

        Raises:
            ModelNotFound, RegistryFailed: TW6001, TW3211, there is none.
        """
        ...

    def chunks(self, layer: Descriptor) -> Iterator[bytes]:
        """Yield a file of it."""
        ...

    def bring(self, store: ModelStore, digest: bytes) -> str:
        """Keep a model of a store; return where, for people."""
        ...


@contextmanager
def place_of(address: str, name: str) -> Generator[Place]:
    """Yield the place of one model: a repository of a registry, or another store.

    Args:
        address: ``oci://HOST/PREFIX``, or a folder.

    Raises:
        ModelInvalid: TW6002, that is no name.
        RegistryFailed: TW3211.
    """
    check_name(name, "1")
    if address.startswith(SCHEME):
        with OciFiles(address).repository(name) as repository:
            yield _InRegistry(repository, name)
    else:
        yield _InStore(ModelStore(Path(address)), name)


def split_address(address: str) -> tuple[str, str, str]:
    """Return the place, name and version of ``oci://HOST/PREFIX/NAME:VERSION``; the version may be absent.

    Raises:
        ModelNotFound: TW6001, it has no name.
    """
    place, slash, last = address.removeprefix(SCHEME).rpartition("/")
    name, _, version = last.partition(":")
    if not slash or NAME.fullmatch(name) is None:
        raise ModelNotFound(f"{address} names no model", fix="write oci://HOST/PREFIX/NAME:VERSION")
    return f"{SCHEME}{place}", name, version


def push_model(store: ModelStore, digest: bytes, address: str, told: Told = nobody) -> str:
    """Bring a model and its signatures to a place; return where it is, for people.

    One that is there already, byte for byte, is left alone.

    Raises:
        ModelDamaged: TW6003, the store's bytes are not those of their digest.
        ModelExists: TW6011, another folder has the version with other bytes.
        RegistryFailed: TW3211, the same of a registry, or it does not take it.
    """
    store.files(digest, told)
    with place_of(address, store.config(digest).name) as place:
        return place.bring(store, digest)


def pull_model(
    store: ModelStore,
    address: str,
    reference: tuple[str, str],
    inspect: Inspect,
    *,
    believe: Believe = anybody,
    told: Told = nobody,
) -> bytes:
    """Fetch a model with its signatures into a store; return its digest.

    Args:
        reference: Its name, and its version, empty for the newest.
        inspect: As in ``add_model``.

    Raises:
        PackageError: It is not believed, or TW3211, the registry does not answer as it must.
        ModelInvalid: TW6002, it is no model, or is another than it says.
        ModelExists: TW6011, the store has that version with other bytes.
    """
    name, version = reference
    with place_of(address, name) as place:
        offer = place.offer(version)
        config = offer.config
        if config.name != name or version not in ("", config.version):
            raise ModelInvalid(
                f"what is kept as {name}:{version or 'latest'} says it is {config.name}:{config.version}",
                fix="do not use it; tell whoever runs the place",
            )
        believe(Package("model", offer.digest, offer.digest, offer.signed, PackageManifest(name, config.version)))
        if not _has(store, offer.digest):
            with store.staged() as stage:
                for layer in offer.manifest.layers:
                    _receive(stage, place, layer, told)
                found = inspect(stage.folder, config.entry)
                _compare(config, found)
                store.publish_as_it_is(stage, config, found.memory)
    if offer.signed is not None:
        store.keep_signature(offer.digest, offer.signed)
    return offer.digest


def _has(store: ModelStore, digest: bytes) -> bool:
    """Return whether a store has a model, whole."""
    try:
        store.find(f"sha256:{digest.hex()}")
        store.files(digest)
    except (ModelNotFound, ModelDamaged):
        return False
    return True


def add_artifact(store: ModelStore, address: str, labels: Labels, inspect: Inspect, *, told: Told = nobody) -> bytes:
    """Add a model that some registry keeps, whatever tool brought it there; return its digest.

    One of a Tickwork keeps its digest and its signatures, and labels can say nothing else of it. Of another one, the
    files are fetched and added as those of a folder are.

    Args:
        address: ``oci://HOST/PREFIX/NAME:VERSION``; the newest version where none is named.

    Raises:
        RegistryFailed: TW3211.
        ModelInvalid: TW6002.
        ModelExists: TW6011.
    """
    place, name, version = split_address(address)
    with OciFiles(place).repository(name) as repository:
        version = version or newest(repository, name)
        data = repository.manifest(_tag(version))
        if data is None:
            raise absent(name, version, repository.place)
        try:
            manifest = msgspec.json.decode(data, type=_Foreign)
        except msgspec.DecodeError as error:
            raise unlike(address, str(error)) from error
        if manifest.config.media_type != CONFIG_TYPE:
            if len(manifest.layers) > FILE_COUNT:
                raise unlike(address, f"the model has {len(manifest.layers):,} files, {FILE_COUNT:,} are allowed")
            with store.staged() as stage:
                for layer in manifest.layers:
                    check_descriptor(layer)
                    stage.receive(repository.chunks(layer.digest, layer.size), _foreign_path(layer), told)
                said = {"name": labels.name or name, "version": labels.version or _own_version(version)}
                labels = msgspec.structs.replace(labels, source=address, **said)
                return add_model(store, stage.folder, labels, inspect)
    return pull_model(store, place, (name, version), inspect, told=told)


class _Foreign(msgspec.Struct, frozen=True):
    """What is read of a manifest that another tool wrote."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def _foreign_path(layer: Descriptor) -> str:
    path = layer.annotations.get(PATH_ANNOTATION) or layer.annotations.get(TITLE, "")
    if not path or not layer.media_type.startswith(MODEL_PACK) or not layer.media_type.endswith(RAW):
        raise ModelInvalid(
            "the model in the registry cannot be taken as it is",
            why=f"a layer of it is of type {layer.media_type!r}, or does not say where its file lies",
            fix="fetch it with the tool that brought it there, and add the folder",
        )
    return path


def _own_version(tag: str) -> str:
    version = tag.removeprefix("v").replace("_", "+")
    return version if VERSION.fullmatch(version) else ""


def _receive(stage: Stage, place: Place, layer: Descriptor, told: Told) -> None:
    taken = stage.receive(place.chunks(layer), layer.path, told)
    if taken != layer:
        raise ModelInvalid(f"the file {layer.path!r} is another than the manifest says", fix="get the model again")


def _compare(said: ModelConfig, found: ModelConfig) -> None:
    """Refuse a model that says something else of its graph than whoever looks into it."""
    for name in ("kind", "inputs", "outputs", "ir", "opsets", "operators", "screening", "batch_axis"):
        if getattr(said, name) != getattr(found, name):
            raise ModelInvalid(
                f"the manifest of {said.name}:{said.version} says something else than its graph",
                where=name.replace("_", " "),
                why="what a model takes, gives and consists of is read again wherever it is fetched",
                fix="do not use it, or add its files as a model of your own: tickwork model add",
            )


class _InStore:
    """A model of another folder."""

    def __init__(self, store: ModelStore, name: str) -> None:
        self._store = store
        self._name = name
        self._files = dict[str, Path]()

    def offer(self, version: str) -> Offer:
        digest = self._store.find(f"{self._name}:{version}" if version else self._name)
        manifest = self._store.manifest(digest)
        self._files = self._store.files(digest)
        data = self._store.content(digest)
        return Offer(data, self._store.stored_config(manifest), self._store.signature(digest))

    def chunks(self, layer: Descriptor) -> Iterator[bytes]:
        with self._files[layer.path].open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def bring(self, store: ModelStore, digest: bytes) -> str:
        config = store.stored_config(store.manifest(digest))
        with self._store.staged() as stage:
            for path, file in store.files(digest).items():
                stage.take(file, path)
            self._store.publish_as_it_is(stage, config, 0)
        signed = store.signature(digest)
        if signed is not None:
            self._store.keep_signature(digest, signed)
        return f"{self._store.folder}: {config.name}:{config.version}"


class _InRegistry:
    """A model of an OCI registry."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository
        self._name = name

    def offer(self, version: str) -> Offer:
        version = version or newest(self._repository, self._name)
        data = self._repository.manifest(_tag(version))
        if data is None:
            raise absent(self._name, version, self._repository.place)
        manifest = decode_manifest(data)
        if manifest.config.size > CONFIG_BYTES:
            raise ModelInvalid("the config of the model is too long", why=f"{CONFIG_BYTES:,} bytes are allowed")
        config = decode_config(self._repository.content(manifest.config.digest, manifest.config.size))
        return Offer(data, config, self._signed(descriptor_of(data, "").sha256))

    def chunks(self, layer: Descriptor) -> Iterator[bytes]:
        return self._repository.chunks(layer.digest, layer.size)

    def bring(self, store: ModelStore, digest: bytes) -> str:
        manifest = store.manifest(digest)
        config = store.stored_config(manifest)
        tag = _tag(config.version)
        data = store.content(digest)
        there = self._repository.manifest(tag)
        if there is not None and there != data:
            raise changed(config.name, config.version, self._repository.place)
        for blob in (manifest.config, *manifest.layers):
            self._repository.put_file(store.path(blob.sha256), blob.digest)
        if there is None:
            self._repository.put_manifest(tag, data)
        line = store.signature_manifest(digest)
        if line is not None:
            own = msgspec.json.decode(store.content(line), type=SignatureManifest)
            for blob in (own.config, *own.layers):
                self._repository.put_file(store.path(blob.sha256), blob.digest)
            self._repository.put_manifest(_signature_tag(digest), store.content(line))
        return f"{self._repository.place}:{tag}"

    def _signed(self, digest: bytes) -> Signed | None:
        data = self._repository.manifest(_signature_tag(digest))
        if data is None:
            return None
        try:
            manifest = msgspec.json.decode(data, type=SignatureManifest)
        except msgspec.DecodeError as error:
            raise RegistryFailed("the signature of a model cannot be read", why=str(error)) from error
        payload = manifest.layers[0] if len(manifest.layers) == 1 else None
        if payload is None or manifest.subject.digest != f"sha256:{digest.hex()}" or payload.size > SIGNED_BYTES:
            raise RegistryFailed("the signature of a model is of another one", where=self._repository.place)
        check_descriptor(payload)
        signed = decode_signed(self._repository.content(payload.digest, payload.size), self._name)
        if signed.content != digest:
            raise RegistryFailed("the signature of a model is of another one", where=self._repository.place)
        return signed


def newest(repository: Repository, name: str) -> str:
    """Return the newest version in a repository.

    Raises:
        RegistryFailed: TW3211, there is none.
    """
    versions = [tag.replace("_", "+") for tag in repository.tags() if VERSION.fullmatch(tag)]
    if not versions:
        raise absent(name, "", repository.place)
    return max(versions, key=version_order)


def _tag(version: str) -> str:
    # A tag has no plus sign; as in other tools an underscore stands for it.
    return version.replace("+", "_")


def _signature_tag(digest: bytes) -> str:
    return f"sha256-{digest.hex()}.sig"
