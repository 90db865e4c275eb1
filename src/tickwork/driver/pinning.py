"""Turns what a world says of its models into what a run's header pins: digests, whatever names meant before.

Invariants:
    * A name or alias is looked up once, when the run begins; from then on the digest is the model.
    * A model of the store is judged as a module is. A file that a world names is part of the world, as the sources of
      native agents are: it needs no signature, and is refused only where it was revoked.
    * Equal files under an equal name are pinned by an equal digest on every machine.
    * A run that was given no store can have what lies in files: they are kept for as long as it lasts.
"""

import hashlib
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from ..errors import ModelExists, ModelNotFound, TickworkError
from ..packages.judge import note
from ..packages.trust import load_trust
from ..records import INFER_PREFIX, Header
from .options import Options
from .resolve import ModelSource, World

_NAMELESS: Final = re.compile(r"[^a-z0-9]+")
_WHOLE: Final = re.compile("sha256:([0-9a-f]{64})")


class Pin(msgspec.Struct, frozen=True):
    """What a reference or file turned out to be."""

    digest: bytes
    version: str = ""


@contextmanager
def storing(world: World, options: Options) -> Generator[Options]:
    """Yield the options of a run: as they are, or with a store of its own where files are all that it needs one for."""
    asked = [one.path is not None for one in world.models if INFER_PREFIX + one.name not in options.performers]
    asked += [isinstance(swap.to, Path) for swap in world.model_swaps]
    if options.store is not None or not asked or not all(asked):
        yield options
        return
    with TemporaryDirectory(prefix="tickwork-models-", ignore_cleanup_errors=True) as folder:
        yield msgspec.structs.replace(options, store=Path(folder))


def pin_models(world: World, options: Options) -> World:
    """Return a world whose models are pinned by digest; one that has none, or has them pinned, as it is.

    A model that a performer given with the run answers for stays without a digest.

    Raises:
        ModelNotFound: TW6001. ModelInvalid: TW6002, a file is no model. ModelsMissing: TW6012.
        PackageError: TW3201 to TW3210, a model is not believed. ModuleUnsigned: TW3004.
    """
    if not world.models:
        return world
    pins = {
        source.name: find_model(source, options, allow_unsigned=world.header.allow_unsigned)
        for source in world.models
        if INFER_PREFIX + source.name not in options.performers
    }
    models = tuple(
        msgspec.structs.replace(spec, digest=pins[spec.name].digest, version=pins[spec.name].version)
        if spec.name in pins
        else spec
        for spec in world.header.models
    )
    header: Header = msgspec.structs.replace(world.header, models=models)
    return msgspec.structs.replace(world, header=header, models=())


def find_model(source: ModelSource, options: Options, *, allow_unsigned: bool) -> Pin:
    """Return what a reference means in the store now, or a file as it was put into the store.

    Args:
        allow_unsigned: Whether a model of the store may go without a signature that this machine believes.

    Raises:
        ModelError, PackageError: As ``pin_models``, with the place.
    """
    try:
        if options.store is None:
            return _known_without_store(source)
        if source.path is not None:
            return _take_in(source.name, source.path, options)
        return _look_up(source.reference, options, allow_unsigned=allow_unsigned)
    except TickworkError as error:
        error.where = "; ".join(filter(None, [source.where, error.where]))
        raise


def _known_without_store(source: ModelSource) -> Pin:
    whole = _WHOLE.fullmatch(source.reference)
    if whole is not None:
        return Pin(bytes.fromhex(whole[1]))  # Whoever is asked knows what it is.
    of_a_file = f"the file of model {source.name!r} has no store to lie in"
    raise ModelNotFound(
        of_a_file if source.path is not None else f"nobody knows what model {source.name!r} is",
        why="the run was given no store of models",
        fix="name the store with --store, in Python with Options(store=...), or give a performer for the model",
    )


def _look_up(reference: str, options: Options, *, allow_unsigned: bool) -> Pin:
    from ..infer.store import ModelStore

    assert options.store is not None, "the caller has looked"
    store = ModelStore(options.store)
    digest = store.find(reference)
    judge_pinned(digest, options, allow_unsigned=allow_unsigned, update=True)
    return Pin(digest, store.config(digest).version)


def judge_pinned(digest: bytes, options: Options, *, allow_unsigned: bool, update: bool = False) -> None:
    """Refuse a model of the store that this machine does not believe.

    Args:
        update: Whether it is an update of what ran here before; a journal's models are none, for it pins them.

    Raises:
        PackageError: TW3201 to TW3210. ModuleUnsigned: TW3004. ModelDamaged: TW6003.
    """
    from ..infer.signing import judge_model
    from ..infer.store import ModelStore

    assert options.store is not None, "the caller has looked"
    trust = load_trust(options.trust)
    store, now_us = ModelStore(options.store), options.clock.now_us()
    note(judge_model(store, digest, trust, now_us=now_us, allow_unsigned=allow_unsigned, update=update), trust)


def _take_in(name: str, path: Path, options: Options) -> Pin:
    """Put a file or folder into the store, unless it is there, and return it."""
    from ..infer.adding import OF_A_FILE, Labels, add_model
    from ..infer.store import ModelStore

    assert options.store is not None, "the caller has looked"
    store = ModelStore(options.store)
    files = _digests(path)
    shelf, version = _NAMELESS.sub("-", name.lower()).strip("-") or "model", f"{OF_A_FILE}{_content(files).hex()[:16]}"
    try:
        digest = store.find(f"{shelf}:{version}")
        if any(files.get(layer.path) != layer.sha256 for layer in store.manifest(digest).layers):
            # A name that somebody chose for a model of theirs says nothing of what is in it.
            raise ModelExists(
                f"{shelf}:{version} in the store is another model than {path.name}",
                why="files of a world are kept under a version that follows from their bytes",
                fix=f"do not use that one; remove it: tickwork model rm {shelf}:{version}",
            )
    except ModelNotFound:
        from ..infer.inspection import inspect_model

        if options.notice is not None:
            options.notice(f"looking into model {name!r} for the first time")
        digest = add_model(store, path, Labels(name=shelf, version=version), inspect_model)
    judge_pinned(digest, options, allow_unsigned=True)
    return Pin(digest, version)


def _content(files: Mapping[str, bytes]) -> bytes:
    """Return the SHA-256 of a model's files with their names. Shape: 32 bytes."""
    whole = hashlib.sha256()
    for name, digest in files.items():
        whole.update(len(name.encode()).to_bytes(4, "little") + name.encode() + digest)
    return whole.digest()


def _digests(path: Path) -> dict[str, bytes]:
    """Return the SHA-256 of each of a model's files by its path in it. Order: by path.

    Raises:
        ModelNotFound: TW6001, one of them cannot be read.
        ModelInvalid: TW6002, they are no files of a model.
    """
    from ..infer.adding import gather

    found = dict[str, bytes]()
    for name, file in gather(path).items():
        try:
            with file.open("rb") as opened:
                found[name] = hashlib.file_digest(opened, "sha256").digest()
        except OSError as error:
            why = error.strerror or str(error)
            raise ModelNotFound(f"{file} cannot be read", why=why, fix="name a file that you may read") from error
    return found
