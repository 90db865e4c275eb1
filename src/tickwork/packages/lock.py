"""``tickwork.lock``: what a world ran on when somebody last looked, by digest.

It lies beside the world file. ``tickwork run`` refuses a world that would run on anything else, so an update happens
where somebody asks for it and nowhere else.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from ..errors import LockMismatch
from ..records import AgentSpec, Header
from .files import replace_file
from .trust import read_toml, toml_lines, unusable

LOCK_FILE: Final = "tickwork.lock"
_WASM: Final = "wasm"


class Locked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, order=True):
    """One thing that is pinned.

    Attributes:
        name: What its manifest calls it; of a native agent ``module:Class``; of a base nothing.
        digest: SHA-256 in hexadecimal: of the file, of a native agent's source, or of a model's manifest. Empty for a
            model that a performer answers for.
        file: Of such a model: a file that its performer uses, relative to the lock file's folder.
    """

    name: str = ""
    version: str = ""
    digest: str = ""
    file: str = ""


class Lock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lock file.

    Attributes:
        engine: Name and version of the WebAssembly engine.
        profile: The engine profile, which says what the engine must do.
        modules, bundles, bases, natives, models: Each once. Order: by name, version and digest.
    """

    schema: Literal[1] = 1
    engine: str = ""
    profile: str = ""
    modules: tuple[Locked, ...] = ()
    bundles: tuple[Locked, ...] = ()
    bases: tuple[Locked, ...] = ()
    natives: tuple[Locked, ...] = ()
    models: tuple[Locked, ...] = ()


KINDS: Final = ("modules", "bundles", "bases", "natives", "models")


def make_lock(header: Header, engine: str, folder: Path, models: Mapping[str, str]) -> Lock:
    """Return what a world runs on.

    Args:
        header: As the world file says it.
        engine: Name and version of the WebAssembly engine here.
        folder: Where the lock file lies, and where files of models are looked up.
        models: Files by the name of a model that the world uses and that a performer answers for; others of those are
            pinned by name alone.

    Raises:
        TrustFileInvalid: TW3210, a model's file cannot be read, or the world uses no such model or has it pinned.
    """
    found: dict[str, set[Locked]] = {kind: set() for kind in KINDS}
    for spec in (*header.agents, *header.templates):
        for kind, locked in _of_spec(spec):
            found[kind].add(locked)
    used = {
        *(model.name for model in header.models),
        *(name for spec in (*header.agents, *header.templates) for name in spec.models),
    }
    for name in sorted(set(models) - used):
        fix = f"name one of {', '.join(sorted(used))}" if used else "leave it out"
        raise unusable(folder / LOCK_FILE, f"the world uses no model {name!r}", fix)
    pinned = {model.name: model for model in header.models if model.digest}
    for name in sorted(set(models) & set(pinned)):
        raise unusable(folder / LOCK_FILE, f"the model {name!r} is pinned by its own digest", "name no file for it")
    found["models"] = {_of_model(name, models.get(name, ""), folder) for name in used - set(pinned)}
    found["models"] |= {Locked(model.name, model.version, model.digest.hex()) for model in pinned.values()}
    lists = {kind: tuple(sorted(found[kind])) for kind in KINDS}
    return msgspec.structs.replace(Lock(engine=engine, profile=header.engine_profile), **lists)


def _of_spec(spec: AgentSpec) -> Iterator[tuple[str, Locked]]:
    if spec.kind != _WASM:
        yield "natives", Locked(spec.entry, spec.version, spec.digest.hex())
    elif spec.source:
        yield "bundles", Locked(spec.entry, spec.version, spec.source.hex())
        yield "bases", Locked(digest=spec.digest.hex())
    else:
        yield "modules", Locked(spec.entry, spec.version, spec.digest.hex())


def _of_model(name: str, file: str, folder: Path) -> Locked:
    if not file:
        return Locked(name)
    if (folder / file).exists() and not (folder / file).is_file():
        raise unusable(folder / file, "it is no file", "name the model's file")
    try:
        with (folder / file).open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise unusable(folder / file, error.strerror or str(error), "name the model's file") from error
    return Locked(name, digest=digest, file=file)


def read_lock(path: Path) -> Lock:
    """Return what a lock file says.

    Raises:
        TrustFileInvalid: TW3210.
    """
    return read_toml(path, Lock)


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock file in one step.

    Raises:
        TrustFileInvalid: TW3210, its folder cannot be written.
    """
    try:
        replace_file(path, encode_lock(lock))
    except OSError as error:
        raise unusable(path, error.strerror or str(error), "name a folder you may write to") from error


def encode_lock(lock: Lock) -> bytes:
    """Return a lock as TOML. Law: ``read_lock`` gives it again, and equal locks are equal bytes."""
    lines = ["# What this world runs on. `tickwork agent lock` writes it; `tickwork run` refuses anything else."]
    fields: dict[str, object] = msgspec.to_builtins(lock)
    lines += toml_lines({name: value for name, value in fields.items() if name not in KINDS})
    for kind in KINDS:
        for locked in getattr(lock, kind):
            lines += ["", f"[[{kind}]]", *toml_lines(msgspec.to_builtins(locked))]
    return ("\n".join(lines) + "\n").encode()


def check_lock(path: Path, header: Header, engine: str) -> Lock:
    """Return the lock of a world that runs on what it pins.

    Raises:
        LockMismatch: TW3209, naming all that differs.
        TrustFileInvalid: TW3210, the lock or a model's file cannot be read.
    """
    lock = read_lock(path)
    used = {model.name: model.file for model in lock.models if model.file}
    known = {
        *(model.name for model in header.models),
        *(name for spec in (*header.agents, *header.templates) for name in spec.models),
    }
    known -= {model.name for model in header.models if model.digest}
    fresh = make_lock(header, engine, path.parent, {name: file for name, file in used.items() if name in known})
    found = list(differences(lock, fresh))
    if found:
        raise LockMismatch(
            f"the world does not run on what {path.name} pins: {found[0]}",
            where=str(path),
            why="; ".join(found[1:]) or "everything else is what it pins",
            fix="put back what was pinned; or, if the update is meant: tickwork agent lock WORLD",
        )
    return lock


def differences(lock: Lock, fresh: Lock) -> Iterator[str]:
    """Yield what differs, as a person would say it. Order: engine, then by kind and name."""
    for name in ("engine", "profile"):
        pinned, here = getattr(lock, name), getattr(fresh, name)
        if pinned != here:
            yield f"{name} {here or 'none'}, pinned is {pinned or 'none'}"
    for kind in KINDS:
        pinned, here = set(getattr(lock, kind)), set(getattr(fresh, kind))
        for one in sorted(here - pinned):
            yield f"{kind[:-1]} {_shown(one)} is not pinned"
        for one in sorted(pinned - here):
            yield f"{kind[:-1]} {_shown(one)} is pinned and not used"


def _shown(locked: Locked) -> str:
    return " ".join(part for part in (locked.name, locked.version, locked.digest[:16]) if part)
