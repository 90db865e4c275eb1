"""Changes of a trust file, each a new file from an old one: keys added, taken out and revoked, updates approved."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..sandbox.manifest import Capabilities
from .identity import PublicKey
from .rights import MESSAGES, joined
from .seen import Seen, read_seen, write_seen
from .trust import (
    TRUST_FILE,
    Key,
    KeyEntry,
    RevokedEntry,
    Trust,
    TrustFile,
    check_succession,
    load_trust,
    read_trust_file,
    unusable,
    write_trust_file,
)


class Rights(msgspec.Struct, frozen=True):
    """What a key is to be given; None leaves it as it is or as the older key has it."""

    publisher: str = ""
    names: tuple[str, ...] = ()
    capabilities: Capabilities | None = None
    not_before: str = ""
    not_after: str = ""


def add_key(folder: Path, public: PublicKey, rights: Rights, now_us: int) -> KeyEntry:
    """Trust a key, or give one that is trusted more names and capabilities; return its entry.

    A key that follows a trusted one has the rights of that one where none are given.

    Args:
        now_us: Units: microseconds since 1970, UTC.

    Raises:
        TrustFileInvalid: TW3210, the key follows none that may hand on its rights, or names or publisher are missing.
    """
    path, trust = folder / TRUST_FILE, load_trust(folder)
    file = _read(folder)
    entry = next((entry for entry in file.keys if entry.public_key == public.public_key), None)
    if entry is None:
        entry = _fresh(public, rights, trust, path, now_us)
    else:
        entry = msgspec.structs.replace(
            entry,
            publisher=rights.publisher or entry.publisher,
            names=tuple(dict.fromkeys((*entry.names, *rights.names))),
            capabilities=joined(entry.capabilities, rights.capabilities or Capabilities()),
            not_before=rights.not_before or entry.not_before,
            not_after=rights.not_after or entry.not_after,
        )
    check_succession(entry, trust.keys, path)
    others = tuple(one for one in file.keys if one.public_key != entry.public_key)
    write_trust_file(folder, msgspec.structs.replace(file, keys=(*others, entry)))
    return entry


def _fresh(public: PublicKey, rights: Rights, trust: Trust, path: Path, now_us: int) -> KeyEntry:
    before = next((key for key in trust.keys if key.id.hex() == public.succeeds), None) if public.succeeds else None
    if before is not None and (lost := _why_lost(before, trust, now_us)):
        raise unusable(
            path,
            f"the key of {before.publisher!r} is {lost} and hands nothing on",
            "ask the publisher, and trust the new key for itself: its public key in hexadecimal, --publisher, --names",
        )
    publisher = rights.publisher or (before.publisher if before is not None else "")
    names = rights.names or (before.names if before is not None else ())
    if not publisher or not names:
        raise unusable(
            path,
            "a key needs a publisher and the names it may sign",
            "say --publisher NAME --names PATTERN; a key that follows a trusted one has that one's",
        )
    given = rights.capabilities or (before.capabilities if before is not None else MESSAGES)
    succeeds, succession = (public.succeeds, public.succession) if before is not None else ("", "")
    return KeyEntry(
        publisher=publisher,
        public_key=public.public_key,
        names=names,
        capabilities=given,
        not_before=rights.not_before,
        not_after=rights.not_after,
        succeeds=succeeds,
        succession=succession,
    )


def _why_lost(key: Key, trust: Trust, now_us: int) -> str:
    """Return why a key is believed no more, empty where it is: whoever has an old one could name any heir."""
    if key.revoked or key.id in trust.revoked:
        return "revoked"
    return "" if key.not_before_us <= now_us < key.not_after_us else "not valid now"


def remove_key(folder: Path, key: Key) -> None:
    """Take a key out of the trust file.

    Raises:
        TrustFileInvalid: TW3210, it is not in the file.
    """
    file = _read(folder)
    kept = tuple(entry for entry in file.keys if entry.public_key != key.public_key.hex())
    if len(kept) == len(file.keys):
        raise unusable(
            folder / TRUST_FILE,
            f"the key of {key.publisher!r} does not stand in it",
            f"revoke it instead: tickwork trust revoke {key.id.hex()}",
        )
    write_trust_file(folder, msgspec.structs.replace(file, keys=kept))


def revoke(folder: Path, digest: str, reason: str) -> None:
    """Add a package or a key to the revocation list.

    Raises:
        TrustFileInvalid: TW3210.
    """
    file = _read(folder)
    others = tuple(one for one in file.revoked if one.digest != digest)
    write_trust_file(folder, msgspec.structs.replace(file, revoked=(*others, RevokedEntry(digest, reason))))


def approve(folder: Path, name: str) -> tuple[Seen, Seen] | None:
    """Let the last refused update of a name run from now on; return what was known before and what is known now.

    Returns:
        None where nothing waits for approval.

    Raises:
        TrustFileInvalid: TW3210.
    """
    seen = read_seen(folder, name)
    if seen is None or seen.asked is None:
        return None
    fresh = Seen(name, seen.asked.version, joined(seen.capabilities, seen.asked.capabilities))
    write_seen(folder, fresh)
    return seen, fresh


def find_keys(trust: Trust, words: str) -> Sequence[Key]:
    """Return the keys that an id, the beginning of one, or a publisher's name may mean."""
    known = [key for key in trust.keys if key.id.hex() == words or key.publisher == words]
    return known or [key for key in trust.keys if len(words) >= 8 and key.id.hex().startswith(words)]


def _read(folder: Path) -> TrustFile:
    path = folder / TRUST_FILE
    return read_trust_file(path) if path.exists() else TrustFile()
