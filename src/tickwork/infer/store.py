"""The store: models by digest in one folder, with names, versions, aliases and pins.

Invariants:
    * A version never changes: what is there under it stays, and other bytes are refused.
    * Whoever gets a model's files gets bytes that were read to the end and compared just now, every time.
    * A pinned version, and one that an alias names, is never removed.

Shape: of the folder, an OCI image layout (``oci-layout``, ``index.json``, ``blobs/sha256``), beside it ``unpacked``,
which has each model as its files, and ``staging`` and ``lock`` of those who write.
"""

import contextlib
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Final

import msgspec

from ..errors import ModelDamaged, ModelExists, ModelInvalid, ModelKept, ModelNotFound
from ..packages.files import replace_file
from ..packages.signature import Signed, decode_signed, encode_signed
from .index import (
    ALIAS_OF,
    LATEST,
    MEMORY,
    PINNED,
    REFERENCE,
    SIGNS,
    SIZE,
    Index,
    Line,
    decode_index,
)
from .kept import Checked, Collected, Kept
from .manifest import (
    ALIAS,
    ARTIFACT_TYPE,
    CONFIG_BYTES,
    DIGEST,
    EMPTY,
    EMPTY_TYPE,
    MANIFEST_BYTES,
    MANIFEST_TYPE,
    SIGNATURE_TYPE,
    SIGNED_BYTES,
    Descriptor,
    Manifest,
    ModelConfig,
    SignatureManifest,
    check_config,
    decode_config,
    decode_manifest,
    descriptor_of,
    encode_config,
    encode_manifest,
    estimate_memory,
)
from .shelf import Shelf, Told, damaged, failing, nobody, remove_file
from .stage import Stage
from .unpacked import Unpacked, listed

INDEX_FILE: Final = "index.json"
LAYOUT_FILE: Final = "oci-layout"
LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
PREFIX_DIGITS: Final = 8
"""Digits of a digest that are enough where no other digest begins with them."""

SHOWN: Final = 10


class ModelStore:
    """Models in a folder. Several processes may use one folder at once.

    Args:
        folder: Need not exist; it is made when something is added.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shelf = Shelf(folder)
        self._unpacked = Unpacked(self._shelf)

    def find(self, reference: str) -> bytes:
        """Return the digest of a model. Shape: 32 bytes.

        Args:
            reference: ``NAME`` for its latest, ``NAME:VERSION``, ``NAME:ALIAS``, ``sha256:DIGEST``, or at least eight
                digits of its digest.

        Raises:
            ModelNotFound: TW6001.
            ModelDamaged: TW6003, the index cannot be read, or calls another model so.
        """
        line = self._line(self._index(), reference)
        digest = bytes.fromhex(line.hex)
        try:
            config = self.stored_config(decode_manifest(self.content(digest)))
        except ModelDamaged:
            return digest  # Whoever reads it is told.
        if (config.name, config.version) != (line.name, line.tag):
            raise damaged(line.hex, f"the index calls it {line.name}:{line.tag}, and it calls itself something else")
        return digest

    def manifest(self, digest: bytes) -> Manifest:
        """Return a model's manifest.

        Raises:
            ModelNotFound: TW6001. ModelInvalid: TW6002, its bytes are no manifest.
            ModelDamaged: TW6003, they are not those of the digest, or are not there although the index has it.
        """
        try:
            return decode_manifest(self.content(digest))
        except ModelDamaged:
            self.find(f"sha256:{digest.hex()}")
            raise

    def config(self, digest: bytes) -> ModelConfig:
        """Return what there is to know of a model, with the memory it was measured to take here.

        Raises:
            ModelDamaged: TW6003.
            ModelInvalid: TW6002.
        """
        config = self.stored_config(self.manifest(digest))
        lines = (line for line in self._index().versions(config.name) if line.hex == digest.hex())
        measured = max((line.count(MEMORY) for line in lines), default=0)
        found: ModelConfig = msgspec.structs.replace(config, memory=measured) if measured else config
        return found

    def stored_config(self, manifest: Manifest) -> ModelConfig:
        """Return the config that a manifest names, as it is in the store.

        Raises:
            ModelDamaged: TW6003.
            ModelInvalid: TW6002.
        """
        config = decode_config(self._shelf.read(manifest.config.sha256.hex(), CONFIG_BYTES))
        if config.entry not in {layer.path for layer in manifest.layers}:
            raise damaged(manifest.config.sha256.hex(), f"the file {config.entry!r} that is loaded is not in the model")
        return config

    def files(self, digest: bytes, told: Told = nobody) -> dict[str, Path]:
        """Return a model's files by their paths in it, laid out in one folder, each read and compared just now.

        Raises:
            ModelDamaged: TW6003, any byte of the model is another than it must be.
            ModelInvalid: TW6002.
            ModelStoreFailed: TW6017.
        """
        manifest = self.manifest(digest)
        self.stored_config(manifest)
        self.signature(digest)
        return self._unpacked.lay_out(digest, manifest.layers, told)

    def content(self, digest: bytes) -> bytes:
        """Return the bytes of a manifest.

        Raises:
            ModelDamaged: TW6003.
        """
        return self._shelf.read(digest.hex(), MANIFEST_BYTES)

    def path(self, digest: bytes) -> Path:
        """Return where a file of this digest lies. Nobody has compared it."""
        return self._shelf.path(digest.hex())

    def unpacked(self, digest: bytes) -> Path:
        """Return the folder in which ``files`` lays a model out."""
        return self._unpacked.folder(digest)

    def list(self) -> list[Kept]:
        """Return every version. Order: by name, then oldest first.

        Raises:
            ModelDamaged: TW6003, the index cannot be read.
        """
        index = self._index()
        return [self._kept(index, line) for line in index.versions()]

    def show(self, digest: bytes) -> Kept:
        """Return a version.

        Raises:
            ModelNotFound: TW6001.
        """
        index = self._index()
        return self._kept(index, self._line(index, f"sha256:{digest.hex()}"))

    def verify(self, digest: bytes, told: Told = nobody) -> tuple[Checked, ...]:
        """Read every file of a model and compare it; return what was found of each. Order: manifest, config, files."""
        name = digest.hex()
        try:
            data = self._shelf.read(name, MANIFEST_BYTES)
        except ModelDamaged as error:
            return (Checked("<manifest>", name, 0, error.why),)
        manifest = decode_manifest(data)
        found = [Checked("<manifest>", name, len(data))]
        for path, blob in [("<config>", manifest.config), *((layer.path, layer) for layer in manifest.layers)]:
            why = ""
            try:
                self._shelf.check(blob.sha256.hex(), blob.size, told)
            except ModelDamaged as error:
                why = error.why
            found.append(Checked(path, blob.sha256.hex(), blob.size, why))
        line = self._index().signature(name)
        if line is not None:
            try:
                self.signature(digest)
                why = ""
            except ModelDamaged as error:
                why = error.why
            found.append(Checked("<signature>", line.hex, line.size, why))
        return tuple(found)

    @contextlib.contextmanager
    def staged(self) -> Generator[Stage]:
        """Yield a stage for a model's files; what was not published from it is gone afterwards.

        Raises:
            ModelStoreFailed: TW6017.
        """
        with self._shelf.staged() as folder:
            yield Stage(folder)

    def add(self, source: Path, config: ModelConfig, *, told: Told = nobody) -> bytes:
        """Copy a file or folder into the store as a model; return its digest. Nothing of it is looked at.

        Args:
            config: Its memory is what was measured here; the manifest has an estimate in its place.

        Raises:
            ModelExists: TW6011, the version is there with other bytes.
            ModelInvalid: TW6002, the config or a path is not what it must be.
            ModelNotFound: TW6001, there is no such file.
            ModelStoreFailed: TW6017.
        """
        with self.staged() as stage:
            if source.is_dir():
                for path in sorted(listed(source)):
                    stage.take(source / path, path, told)
            else:
                stage.take(source, source.name, told)
            return self.publish(stage, config)

    def publish(self, stage: Stage, config: ModelConfig) -> bytes:
        """Make a stage's files a model; return its digest. A model that is there already, byte for byte, is left alone.

        Args:
            config: As in ``add``.

        Raises:
            ModelExists: TW6011.
            ModelInvalid: TW6002.
            ModelStoreFailed: TW6017.
        """
        estimate = estimate_memory(stage.layers.values())
        return self.publish_as_it_is(stage, msgspec.structs.replace(config, memory=estimate), config.memory)

    def publish_as_it_is(self, stage: Stage, config: ModelConfig, measured: int) -> bytes:
        """Make a stage's files a model with exactly this config; return its digest.

        Args:
            measured: What a worker with it takes here, 0 where nobody measured. Units: bytes.

        Raises:
            ModelExists: TW6011.
            ModelInvalid: TW6002.
            ModelStoreFailed: TW6017.
        """
        check_config(config)
        manifest = stage.manifest(config)
        data = encode_manifest(manifest)
        decode_manifest(data)
        if config.entry not in stage.layers:
            raise ModelNotFound(f"the model has no file {config.entry!r}", fix="name the file to load with --entry")
        line = _version_line(manifest, config, measured)
        with self._changing() as index:
            old = next((one for one in index.versions(config.name) if one.tag == config.version), None)
            if old is not None and old.hex != line.hex:
                raise _exists(config.name, config.version, old.hex)
            for path, layer in stage.layers.items():
                self._shelf.keep(stage.folder.joinpath(*path.split("/")), layer.sha256.hex())
            self._shelf.put(encode_config(config))
            self._shelf.put(data)
            if old is not None:
                line = old.noted(MEMORY, line.annotations.get(MEMORY, old.annotations.get(MEMORY)))
            self._write(index.replaced(old, line))
        return bytes.fromhex(line.hex)

    def alias(self, reference: str, alias: str) -> Kept:
        """Let an alias name a version, wherever it led before.

        Args:
            reference: As in ``find``.

        Raises:
            ModelNotFound: TW6001.
            ModelInvalid: TW6002, that is no alias; it may be spelled like a version.
        """
        if ALIAS.fullmatch(alias) is None:
            raise ModelInvalid(
                f"{alias[:80]!r} is no alias",
                why="it begins with a small letter and has small letters, digits, _ and -; versions begin with a digit",
                fix="choose one like stable",
            )
        with self._changing() as index:
            version = self._line(index, reference)
            old = next((line for line in index.manifests if (line.name, line.tag) == (version.name, alias)), None)
            line = Line(version.media_type, version.digest, version.size, version.artifact_type)
            line = line.noted(REFERENCE, f"{version.name}:{alias}").noted(ALIAS_OF, version.tag)
            index = index.replaced(old, line)
            self._write(index)
            return self._kept(index, version)

    def unalias(self, reference: str) -> None:
        """Take an alias away, ``NAME:ALIAS``; ``latest`` is the newest version again.

        Raises:
            ModelNotFound: TW6001, there is no such alias.
        """
        with self._changing() as index:
            lines = [line for line in index.manifests if line.is_alias and f"{line.name}:{line.tag}" == reference]
            if not lines:
                fix = "write NAME:ALIAS; see: tickwork model list"
                raise ModelNotFound(f"there is no alias {reference[:80]!r}", fix=fix)
            self._write(index.without(*lines))

    def pin(self, reference: str, *, pinned: bool = True) -> Kept:
        """Keep a version until it is unpinned, or no longer.

        Raises:
            ModelNotFound: TW6001.
        """
        with self._changing() as index:
            old = self._line(index, reference)
            line = old.noted(PINNED, "true" if pinned else None)
            index = index.replaced(old, line)
            self._write(index)
            return self._kept(index, line)

    def unpin(self, reference: str) -> Kept:
        """Let a version be removed again.

        Raises:
            ModelNotFound: TW6001.
        """
        return self.pin(reference, pinned=False)

    def remove(self, reference: str) -> Collected:
        """Remove a version, and the files that no other needs.

        Args:
            reference: As in ``find``; a bare name where it has one version.

        Raises:
            ModelKept: TW6016, it is pinned, or has an alias that somebody set.
            ModelNotFound: TW6001.
        """
        with self._changing() as index:
            line = self._line(index, reference)
            if ":" not in reference and len(versions := index.versions(reference)) > 1:
                shown = ", ".join(one.tag for one in versions[-SHOWN:])
                raise ModelNotFound(f"{reference} has several versions", why=shown, fix="name one: NAME:VERSION")
            aliases = index.aliases(line.name, line.tag)
            if line.pinned or aliases:
                why = "it is pinned" if line.pinned else f"it is {', '.join(f'{line.name}:{one}' for one in aliases)}"
                named = f"{line.name}:{line.tag}"
                fix = f"unpin {named}" if line.pinned else f"alias --remove {line.name}:{aliases[0]}"
                raise ModelKept(f"{named} is kept", why=why, fix=f"first: tickwork model {fix}")
            return self._drop(index, [line])

    def gc(self, keep: int = 0) -> Collected:
        """Remove files that no model needs, and what crashes have left.

        Args:
            keep: Where it is not 0, older versions than the newest so many of each name are removed too, save those
                that are pinned or have an alias that somebody set.

        Raises:
            ModelStoreFailed: TW6017.
        """
        with self._changing() as index:
            gone: list[Line] = []
            for name in sorted({line.name for line in index.versions()}) if keep else ():
                older = index.versions(name)[:-keep]
                gone += [line for line in older if not line.pinned and not index.aliases(name, line.tag)]
            return self._drop(index, gone)

    def signature(self, digest: bytes) -> Signed | None:
        """Return who signed a model, None where nobody did. Whether they are believed is the verdict's.

        Raises:
            ModelDamaged: TW6003.
            SignatureInvalid: TW3201, it is malformed.
        """
        line = self._index().signature(digest.hex())
        if line is None:
            return None
        try:
            manifest = msgspec.json.decode(self._shelf.read(line.hex, MANIFEST_BYTES), type=SignatureManifest)
        except msgspec.DecodeError as error:
            raise damaged(line.hex, str(error)) from error
        if manifest.subject.sha256 != digest or len(manifest.layers) != 1:
            raise damaged(line.hex, "it is the signature of another model")
        self._shelf.check(manifest.config.sha256.hex(), manifest.config.size)
        signed = decode_signed(self._shelf.read(manifest.layers[0].sha256.hex(), SIGNED_BYTES))
        if signed.content != digest:
            raise damaged(line.hex, "it is the signature of another model")
        return signed

    def signature_manifest(self, digest: bytes) -> bytes | None:
        """Return the digest of the manifest of a model's signature, None where nobody signed it. Shape: 32 bytes."""
        line = self._index().signature(digest.hex())
        return bytes.fromhex(line.hex) if line is not None else None

    def keep_signature(self, digest: bytes, signed: Signed | None) -> None:
        """Keep a model's signatures in place of those it had; None takes them away.

        Raises:
            ModelNotFound: TW6001.
            ModelStoreFailed: TW6017.
        """
        with self._changing() as index:
            version = self._line(index, f"sha256:{digest.hex()}")
            old = index.signature(digest.hex())
            if signed is None:
                self._write(index.without(*([old] if old is not None else [])))
                return
            payload = encode_signed(signed)
            manifest = SignatureManifest(
                config=descriptor_of(EMPTY, EMPTY_TYPE),
                layers=(descriptor_of(payload, SIGNATURE_TYPE),),
                subject=Descriptor(MANIFEST_TYPE, version.digest, version.size),
            )
            data = msgspec.json.encode(manifest, order="sorted")
            for content in (EMPTY, payload, data):
                self._shelf.put(content)
            blob = descriptor_of(data, MANIFEST_TYPE)
            line = Line(MANIFEST_TYPE, blob.digest, blob.size, SIGNATURE_TYPE, {SIGNS: digest.hex()})
            self._write(index.replaced(old, line))

    # -----------------------------------------------------------------------------------------------------------------

    def _index(self) -> Index:
        with failing(self.folder):
            try:
                return decode_index((self.folder / INDEX_FILE).read_bytes())
            except FileNotFoundError:
                return Index()

    @contextlib.contextmanager
    def _changing(self) -> Generator[Index]:
        """Hold the lock and yield the index as it is now."""
        with self._shelf.locked():
            yield self._index()

    def _write(self, index: Index) -> None:
        if not (self.folder / LAYOUT_FILE).exists():
            replace_file(self.folder / LAYOUT_FILE, LAYOUT)
        self._shelf.synchronize()
        replace_file(self.folder / INDEX_FILE, msgspec.json.encode(index, order="sorted"))

    def _line(self, index: Index, reference: str) -> Line:
        name, colon, tag = reference.partition(":")
        if name == "sha256" and colon:
            found = [line for line in index.versions() if line.hex == tag]
        else:
            line = index.tagged(name, tag if colon else LATEST)
            found = [line] if line is not None else []
            if (
                not found
                and not colon
                and DIGEST.fullmatch(reference.ljust(64, "0"))
                and len(reference) >= PREFIX_DIGITS
            ):
                found = [line for line in index.versions() if line.hex.startswith(reference)]
        if len(found) != 1:
            raise _absent(index, reference, len(found))
        return found[0]

    def _kept(self, index: Index, line: Line) -> Kept:
        aliases = index.aliases(line.name, line.tag)
        if index.tagged(line.name, LATEST) == line and LATEST not in aliases:
            aliases = sorted([*aliases, LATEST])
        return Kept(
            name=line.name,
            version=line.tag,
            digest=bytes.fromhex(line.hex),
            size=line.count(SIZE),
            memory=line.count(MEMORY),
            aliases=tuple(aliases),
            pinned=line.pinned,
            signed=index.signature(line.hex) is not None,
        )

    def _drop(self, index: Index, gone: Iterable[Line]) -> Collected:
        """Take versions out of the index, and remove the files that are then no model's. The caller holds the lock."""
        gone = list(gone)
        index = index.without(*gone)
        self._write(index)
        self._shelf.clear_stages()
        for half in self.folder.glob(f".{INDEX_FILE}.*"):
            remove_file(half)
        versions = tuple(f"{line.name}:{line.tag}" for line in gone)
        needed, unread = self._needed(index)
        files = size = 0
        for path in self._shelf.all() if not unread else ():
            if path.name not in needed:
                with contextlib.suppress(OSError):
                    length = path.lstat().st_size
                    remove_file(path)
                    files, size = files + 1, size + length
        self._unpacked.clear({line.hex for line in index.versions()})
        left = tuple(f"{line.name}:{line.tag}" for line in index.versions() if line.hex in unread)
        return Collected(versions, files, size, left)

    def _needed(self, index: Index) -> tuple[set[str], set[str]]:
        """Return the digests of all files that are in use, and of the models that need nobody knows which others."""
        needed, unread = set[str](), set[str]()
        for line in index.manifests:
            try:
                data = self._shelf.read(line.hex, MANIFEST_BYTES)
                blobs = msgspec.json.decode(data, type=_Files)
            except (ModelDamaged, msgspec.DecodeError):
                unread.add(line.signs or line.hex)
                continue
            needed |= {line.hex, *(blob.digest.removeprefix("sha256:") for blob in (blobs.config, *blobs.layers))}
        return needed, unread


class _Files(msgspec.Struct, frozen=True):
    """What of any manifest says which files it needs."""

    config: Descriptor
    layers: tuple[Descriptor, ...] = ()


def _version_line(manifest: Manifest, config: ModelConfig, measured: int) -> Line:
    blob = descriptor_of(encode_manifest(manifest), MANIFEST_TYPE)
    notes = {REFERENCE: f"{config.name}:{config.version}", SIZE: str(sum(layer.size for layer in manifest.layers))}
    if measured:
        notes[MEMORY] = str(measured)
    return Line(MANIFEST_TYPE, blob.digest, blob.size, ARTIFACT_TYPE, notes)


def _exists(name: str, version: str, digest: str) -> ModelExists:
    return ModelExists(
        f"{name}:{version} is there already, with other bytes",
        where=f"sha256:{digest}",
        why="a version never changes, so that what a run pinned stays what it was",
        fix="give it a new version: --version; or remove the old one: tickwork model rm",
    )


def _absent(index: Index, reference: str, count: int) -> ModelNotFound:
    shown = repr(reference.encode("unicode_escape").decode()[:200])
    name = reference.partition(":")[0]
    versions = [line.tag for line in index.versions(name)][-SHOWN:] if name else []
    names = sorted({line.name for line in index.versions()})[:SHOWN]
    if count:
        why = f"{count} digests begin so"
    elif versions:
        why = f"it has the versions {', '.join(versions)}"
    else:
        why = f"the store has {', '.join(names)}" if names else "the store is empty"
    fix = "`tickwork model list` shows what there is; add it with `tickwork model add`, or name another --store"
    return ModelNotFound(f"there is no model {shown}", why=why, fix=fix)
