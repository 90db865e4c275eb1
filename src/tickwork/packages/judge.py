"""Judges one package: whether this machine may run it, and if not, by which rule.

Order: the bytes under the signature, the package's revocation, the key, its validity, its revocation, the name, the
capabilities, the version, the capabilities approved before. The first rule that fails is told.

Invariants:
    * What is decided depends on the bytes, the trust, the notes and the time given, and on nothing else.
    * A run that allows unsigned modules waives two rules: that there is a signature, and that its key is known. A
      package that says who signed it and does not hold, or is revoked, is refused in every run.
    * The developer's own packages are no updates: who would approve them has just built them.
"""

import shlex
from collections.abc import Iterable
from typing import Final

import msgspec

from ..errors import (
    CapabilityBeyondKey,
    CapabilityIncrease,
    KeyExpired,
    KeyRevoked,
    KeyUntrusted,
    ModuleUnsigned,
    NameNotAllowed,
    PackageDowngrade,
    PackageError,
)
from ..sandbox.gate import escape
from ..sandbox.manifest import Manifest
from .package import Package, read_package
from .rights import allowed, beyond, joined, version_order
from .seen import Asked, Seen, read_seen, write_seen
from .signature import Signature, invalid
from .times import format_time
from .trust import Key, Trust

MODELS: Final = "models/"
"""Begins the name under which it is noted what a machine has seen of a model."""


class Verdict(msgspec.Struct, frozen=True):
    """A package that may run.

    Attributes:
        key: The key it was believed for; None for one that runs because the run allows unsigned modules.
        seen: What is to be noted once it runs; None where nothing is new.
    """

    package: Package
    key: Key | None = None
    seen: Seen | None = None


def judge(
    package: bytes, trust: Trust, *, name: str, now_us: int, allow_unsigned: bool = False, update: bool = True
) -> Verdict:
    """Return the verdict on a package that may run here.

    Args:
        name: How messages call it.
        now_us: Units: microseconds since 1970, UTC.
        allow_unsigned: Let it run without a signature, or with one of a key nobody knows.
        update: Whether it is an update of what ran here before; a journal's modules are none, for it pins them.

    Raises:
        SignatureInvalid: TW3201, its bytes or its signature have changed.
        KeyRevoked: TW3204, it or its key is revoked.
        ModuleUnsigned: TW3004, nobody signed it.
        KeyUntrusted: TW3202, no key of this machine signed it.
        KeyExpired: TW3203.
        NameNotAllowed: TW3205.
        CapabilityBeyondKey: TW3206.
        PackageDowngrade: TW3207.
        CapabilityIncrease: TW3208.
        ModuleManifestInvalid: TW3006.
        ModuleRefused: TW3001, the bytes are no module.
    """
    found = read_package(package, name=name)
    return judge_package(found, trust, name=name, now_us=now_us, allow_unsigned=allow_unsigned, update=update)


def judge_package(
    found: Package, trust: Trust, *, name: str, now_us: int, allow_unsigned: bool = False, update: bool = True
) -> Verdict:
    """Return the verdict on a package that was read, whose signatures are over its very bytes.

    Args:
        name, now_us, allow_unsigned, update: As in ``judge``.

    Raises:
        PackageError: TW3201 to TW3208.
        ModuleUnsigned: TW3004.
    """
    shown = escape(name)
    refuse_revoked((found.content, found.digest), trust, shown)
    if found.signed is None:
        if allow_unsigned:
            return Verdict(found)
        raise _unsigned(found, shown)
    keys = [key for signature in found.signed.signatures if (key := _signer(found, signature, trust, name))]
    if not keys:
        if allow_unsigned:
            return Verdict(found)
        raise _untrusted(found, shown)
    refusals: list[PackageError] = []
    for key in keys:
        try:
            return Verdict(found, key, _believe(found, key, trust, shown, now_us, update=update))
        except PackageError as refusal:
            refusals.append(refusal)
    raise refusals[0]


def note(verdict: Verdict, trust: Trust) -> None:
    """Note what is new about a package that is about to run.

    Raises:
        TrustFileInvalid: TW3210, the note cannot be written.
    """
    if verdict.seen is not None and trust.folder is not None:
        write_seen(trust.folder, verdict.seen)


def refuse_revoked(digests: Iterable[bytes], trust: Trust, name: str) -> None:
    """Refuse what stands in the revocation list.

    Args:
        digests: Of what a package contains, and of its file.

    Raises:
        KeyRevoked: TW3204.
    """
    for digest in digests:
        if digest in trust.revoked:
            raise KeyRevoked(
                f"package {name!r} is revoked",
                where=f"digest {digest.hex()}",
                why=trust.revoked[digest] or "its digest stands in the revocation list of this machine",
                fix="use a newer version of it; `tickwork trust list` shows what is revoked",
            )


def _signer(found: Package, signature: Signature, trust: Trust, name: str) -> Key | None:
    """Return the key of this machine that made a signature, None if no such key is known."""
    assert found.signed is not None
    candidates = trust.candidates(signature.key)
    signer = next((key for key in candidates if found.signed.holds(signature, key.public_key)), None)
    if signer is None and len(candidates) == 1 and candidates[0].id == signature.key:
        raise invalid(name, f"it names the key of {candidates[0].publisher!r}, which did not make it")
    return signer


def _believe(found: Package, key: Key, trust: Trust, name: str, now_us: int, *, update: bool) -> Seen | None:
    """Return what is to be noted of a package that this key signed, if the key may do so."""
    _check_validity(key, trust, name, now_us)
    manifest = found.manifest
    if manifest is None:
        raise NameNotAllowed(
            f"package {name!r} has no manifest",
            why="a key signs for names, and nothing here says the package's name",
            fix="build it with `tickwork agent build`, which appends the manifest",
        )
    if not allowed(key.names, manifest.name):
        raise NameNotAllowed(
            f"the key of {key.publisher!r} may not sign {manifest.name!r}",
            where=name,
            why=f"it signs {', '.join(key.names) or 'no name at all'}",
            fix="if its publisher is to be believed for that name: tickwork trust add KEY --names "
            + shlex.quote(manifest.name),
        )
    more = beyond(manifest.capabilities, key.capabilities)
    if more:
        raise CapabilityBeyondKey(
            f"package {manifest.name!r} asks for more than its key may give: {', '.join(more)}",
            where=name,
            why=f"the key of {key.publisher!r} has no such capability in trust.toml",
            fix="if its publisher is to be believed for that: tickwork trust add KEY --capability KIND=PATTERN",
        )
    if not update or key.origin == "developer":
        return None
    if found.kind == "model":
        # A module may have the same name, and its notes are of another thing.
        manifest = msgspec.structs.replace(manifest, name=f"{MODELS}{manifest.name}")
    return _check_update(manifest, read_seen(trust.folder, manifest.name), trust, name)


def _check_validity(key: Key, trust: Trust, name: str, now_us: int) -> None:
    if not key.not_before_us <= now_us < key.not_after_us:
        late = now_us >= key.not_after_us
        bound = format_time(key.not_after_us if late else key.not_before_us)
        raise KeyExpired(
            f"the key of {key.publisher!r} is {'no longer' if late else 'not yet'} valid",
            where=f"{name}, key {key.id.hex()}",
            why=f"it is valid {'until' if late else 'from'} {bound}; now it is {format_time(now_us)}",
            fix="get the package signed with the publisher's present key" if late else "look at this machine's clock",
        )
    if key.revoked or key.id in trust.revoked:
        raise KeyRevoked(
            f"the key of {key.publisher!r} is revoked",
            where=f"{name}, key {key.id.hex()}",
            why=trust.revoked.get(key.id) or "trust.toml says so",
            fix="get the package signed with the publisher's present key",
        )


def _check_update(manifest: Manifest, seen: Seen | None, trust: Trust, name: str) -> Seen | None:
    if seen is None:
        return Seen(manifest.name, manifest.version, manifest.capabilities)
    # A name is anybody's text, and people paste what a message says into a shell.
    approve = f"tickwork trust approve {shlex.quote(manifest.name)}"
    older = version_order(manifest.version) < version_order(seen.version)
    more = beyond(manifest.capabilities, seen.capabilities)
    if (older or more) and trust.folder is not None:
        asked = Asked(manifest.version, manifest.capabilities)
        write_seen(trust.folder, msgspec.structs.replace(seen, asked=asked))
    if older:
        raise PackageDowngrade(
            f"package {manifest.name!r} has version {escape(manifest.version)!r}, older than what ran here before",
            where=name,
            why=f"version {escape(seen.version)!r} did; an old version may have faults that a newer one mends"
            + (f", and this one asks for what was not approved: {escape(', '.join(more))}" if more else ""),
            fix=f"use the newer one; if you mean to go back: {approve}",
        )
    if more:
        raise CapabilityIncrease(
            f"package {manifest.name!r} asks for more than was approved: {escape(', '.join(more))}",
            where=name,
            why=f"version {escape(seen.version)!r} did not ask for it, and nobody has approved it since",
            fix=f"if it may have that: {approve}",
        )
    fresh = Seen(manifest.name, manifest.version, joined(seen.capabilities, manifest.capabilities))
    return fresh if fresh != seen else None


def _unsigned(found: Package, name: str) -> ModuleUnsigned:
    model = found.kind == "model"
    return ModuleUnsigned(
        f"{'model' if model else 'module'} {name!r} is not signed",
        why=f"{'nobody signed it' if model else 'it carries no signature section'}, and the run does not allow that",
        fix=f"sign it: tickwork {'model sign NAME' if model else 'agent sign FILE'}; "
        "or run it with --allow-unsigned, which the run's header then says",
    )


def _untrusted(found: Package, name: str) -> KeyUntrusted:
    assert found.signed is not None
    keys = ", ".join(signature.key.hex() or "a key without id" for signature in found.signed.signatures)
    return KeyUntrusted(
        f"no trusted key signed {name!r}",
        where=f"key {keys}",
        why="its signature is of a key that this machine does not know",
        fix="if you trust its publisher: tickwork trust add KEY --publisher NAME --names PATTERN; "
        "or run it with --allow-unsigned, which the run's header then says",
    )
