"""Trust: which keys this machine believes, for which names and capabilities, how long, and what is revoked.

Invariants:
    * A right is written down or absent: no list of names and no capability is filled in.
    * What was revoked stays refused, whoever signs it: a package is revoked by what it contains.
    * A trust file never goes back to an older one: its version rises, and the highest one seen is kept beside it.
    * The keys of the modules that Tickwork ships are believed for the names of those modules alone.

Source: The Update Framework 1.0.34, sections 5.3.5 (rising versions) and 6.1 (keys that follow keys), as a subset of
one role.
"""

import json
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from ..errors import TrustFileInvalid
from ..keys import KEY_BYTES, SIGNATURE_BYTES, key_id, sign_bytes, verify_bytes
from ..sandbox.manifest import Capabilities
from .developer import developer_public_key
from .files import replace_file
from .rights import EVERYTHING, allowed, beyond
from .times import FOREVER, parse_time

TRUST_FILE: Final = "trust.toml"
HIGHEST_FILE: Final = "highest"
PUBLISHERS: Final = Path(__file__).with_name("publishers.toml")
DEVELOPER: Final = "you, on this machine"
FILE_BYTES: Final = 1 << 20
DIGEST_BYTES: Final = 32
OTHER_FOLDER: Final = "name a folder you may write to: TICKWORK_TRUST"

_SUCCESSION: Final = b"tickwork.succession\0"

_Form = TypeVar("_Form")

Origin = Literal["file", "shipped", "developer"]


class KeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A key as the file writes it.

    Attributes:
        public_key: 64 hexadecimal digits.
        names: Patterns of the packages it may sign; ``*`` stands for any text.
        capabilities: The most that a package of this key may declare, as patterns.
        not_before, not_after: ``2026-05-31`` or ``2026-05-31T12:00:00Z``; empty for no bound.
        succeeds, succession: The key that this one follows, and that key's signature over it; both hexadecimal.
    """

    publisher: str
    public_key: str
    names: tuple[str, ...]
    capabilities: Capabilities = Capabilities()
    not_before: str = ""
    not_after: str = ""
    revoked: bool = False
    succeeds: str = ""
    succession: str = ""


class RevokedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A package or a key that is believed no more.

    Attributes:
        digest: Of a package, of what it contains, or the id of a key; 64 hexadecimal digits.
    """

    digest: str
    reason: str = ""


class TrustFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trust file.

    Attributes:
        version: Rises with every change.
    """

    schema: Literal[1] = 1
    version: int = 0
    keys: tuple[KeyEntry, ...] = ()
    revoked: tuple[RevokedEntry, ...] = ()


class Key(msgspec.Struct, frozen=True):
    """A key this machine believes.

    Attributes:
        id: SHA-256 of the public half. Shape: 32 bytes.
        not_before_us, not_after_us: The first moment it is valid and the first it is not. Units: microseconds of UTC.
        origin: The user's file, the list that Tickwork ships, or the developer's own key.
    """

    publisher: str
    public_key: bytes
    id: bytes
    names: tuple[str, ...]
    capabilities: Capabilities
    not_before_us: int = 0
    not_after_us: int = FOREVER
    revoked: bool = False
    origin: Origin = "file"


class Trust(msgspec.Struct, frozen=True):
    """Whom and what this machine believes.

    Attributes:
        folder: Where what must persist is kept; None keeps nothing.
        keys: Order: the user's, the developer's, those that Tickwork ships.
        revoked: Reasons by digest of a package or id of a key.
    """

    folder: Path | None
    version: int
    keys: tuple[Key, ...]
    revoked: Mapping[bytes, str]

    def candidates(self, named: bytes) -> tuple[Key, ...]:
        """Return the keys that a signature may be of.

        Args:
            named: The key id in the signature: a full one names one key, any other says nothing.
        """
        if len(named) != DIGEST_BYTES:
            return self.keys
        return tuple(key for key in self.keys if key.id == named)


def load_trust(folder: Path | None) -> Trust:
    """Return whom this machine believes: the folder's trust file, the developer's key and the shipped keys.

    Args:
        folder: The trust folder; it may be absent. None believes the shipped keys alone.

    Raises:
        TrustFileInvalid: TW3210, the file is not what it must be, others may write it, or it is older than one that
            was read before.
    """
    shipped = [_key(entry, PUBLISHERS, "shipped") for entry in read_trust_file(PUBLISHERS).keys]
    if folder is None:
        return Trust(None, 0, tuple(shipped), {})
    path = folder / TRUST_FILE
    own_folder(folder, path)
    file = read_trust_file(path) if path.exists() else TrustFile()
    _refuse_older(folder, file.version)
    known = [_key(entry, path, "file") for entry in file.keys]
    public = developer_public_key(folder)
    if public is not None:
        known.append(Key(DEVELOPER, public, key_id(public), ("*",), EVERYTHING, origin="developer"))
    known += [key for key in shipped if key.id not in {other.id for other in known}]
    for entry in file.keys:
        check_succession(entry, known, path)
    revoked = {_hex(one.digest, DIGEST_BYTES, "digest", path): one.reason for one in file.revoked}
    return Trust(folder, file.version, tuple(known), revoked)


def read_trust_file(path: Path) -> TrustFile:
    """Return what a trust file says.

    Raises:
        TrustFileInvalid: TW3210, it cannot be read or is not of this form.
    """
    return read_toml(path, TrustFile)


def read_toml(path: Path, form: type[_Form]) -> _Form:
    """Return what a TOML file of the user's says, as the struct it must fit.

    Raises:
        TrustFileInvalid: TW3210, it cannot be read or is not of this form.
    """
    import tomllib

    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
        if len(content) > FILE_BYTES:
            raise unusable(path, f"it has more than {FILE_BYTES:,} bytes")
        return msgspec.convert(tomllib.loads(content.decode()), form)
    except OSError as error:
        raise unusable(path, error.strerror or str(error), "make it readable, or name another one") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise unusable(path, f"it is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise unusable(path, str(error)) from error


def write_trust_file(folder: Path, file: TrustFile) -> TrustFile:
    """Write a trust file with the next version, in one step, and return it as it is written.

    Raises:
        TrustFileInvalid: TW3210, the folder cannot be written, or what the file says cannot be believed.
    """
    path = folder / TRUST_FILE
    file = msgspec.structs.replace(file, version=max(file.version, _highest(folder)) + 1)
    keys = [_key(entry, path, "file") for entry in file.keys]
    if len({key.id for key in keys}) != len(keys):
        raise unusable(path, "a key is there twice", "take one of the two entries out")
    for one in file.revoked:
        _hex(one.digest, DIGEST_BYTES, "digest", path)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, encode_trust_file(file))
    except OSError as error:
        raise unusable(path, error.strerror or str(error), OTHER_FOLDER) from error
    _refuse_older(folder, file.version)
    return file


def encode_trust_file(file: TrustFile) -> bytes:
    """Return a trust file as TOML. Law: reading it gives ``file`` again."""
    lines = [
        "# Whom this machine believes. `tickwork trust list` shows it, `tickwork trust add` and its kin write it anew.",
        f"schema = {file.schema}",
        f"version = {file.version}",
    ]
    for entry in file.keys:
        lines += ["", "[[keys]]", *toml_lines(msgspec.to_builtins(entry)), ""]
        given: dict[str, object] = msgspec.to_builtins(entry.capabilities)
        lines += ["[keys.capabilities]", *toml_lines({kind: value for kind, value in given.items() if value})]
    for one in file.revoked:
        lines += ["", "[[revoked]]", *toml_lines(msgspec.to_builtins(one))]
    return ("\n".join(lines) + "\n").encode()


def toml_lines(table: Mapping[str, object]) -> list[str]:
    """Return the plain values of a table as lines of TOML; tables in it are left to the caller."""
    shown = ((name, value) for name, value in table.items() if not isinstance(value, dict))
    # A JSON text is a TOML text, save that TOML wants DEL escaped.
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f") for name, value in shown]


def succession_text(public_key: bytes) -> bytes:
    """Return the bytes that an older key signs to say that ``public_key`` follows it."""
    return _SUCCESSION + public_key


def sign_succession(private_key: bytes, public_key: bytes) -> bytes:
    """Return the older key's word that ``public_key`` follows it. Shape: 64 bytes."""
    return sign_bytes(private_key, succession_text(public_key))


def check_succession(entry: KeyEntry, known: Iterable[Key], path: Path) -> None:
    """Refuse a key that says it follows another one unless that one has signed it and may do as much.

    Raises:
        TrustFileInvalid: TW3210.
    """
    if not entry.succeeds:
        return
    older = _hex(entry.succeeds, DIGEST_BYTES, "succeeds", path)
    before = next((key for key in known if key.id == older), None)
    where = f"the key of {entry.publisher!r} says it follows {entry.succeeds}"
    if before is None:
        raise unusable(path, f"{where}, which is not a key of this machine", "add the older key, or leave succeeds out")
    succession = _hex(entry.succession, SIGNATURE_BYTES, "succession", path)
    public = _hex(entry.public_key, KEY_BYTES, "public_key", path)
    if not verify_bytes(before.public_key, succession_text(public), succession):
        raise unusable(path, f"{where}, which has not signed it", "get the new key from its publisher again")
    more = [name for name in entry.names if not allowed(before.names, name)]
    more += beyond(entry.capabilities, before.capabilities)
    if more:
        raise unusable(
            path,
            f"{where}, and may do more than that one: {', '.join(more)}",
            "take that out, or leave succeeds out to trust the key for itself",
        )


def own_folder(folder: Path, path: Path) -> None:
    """Refuse a file of trust that somebody else could have written, as far as the system tells.

    Raises:
        TrustFileInvalid: TW3210.
    """
    if sys.platform == "win32":
        return
    for one in (folder, path):
        if not one.exists():
            continue
        found = one.stat()
        if found.st_uid not in (os.geteuid(), 0) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            why = "somebody else may write it, and so decide what runs here"
            raise unusable(one, why, f"own it, and take the right away: chmod go-w {one}")


def unusable(
    path: Path, why: str, fix: str = "correct it; its page in the reference names every field"
) -> TrustFileInvalid:
    """Return the refusal of a trust, key or lock file."""
    return TrustFileInvalid(f"{path.name} cannot be used", where=str(path), why=why, fix=fix)


def _key(entry: KeyEntry, path: Path, origin: Origin) -> Key:
    public = _hex(entry.public_key, KEY_BYTES, "public_key", path)
    try:
        before = parse_time(entry.not_before) if entry.not_before else 0
        after = parse_time(entry.not_after) if entry.not_after else FOREVER
    except ValueError as error:
        raise unusable(path, f"the key of {entry.publisher!r}: {error}") from error
    return Key(
        entry.publisher, public, key_id(public), entry.names, entry.capabilities, before, after, entry.revoked, origin
    )


def _hex(text: str, length: int, what: str, path: Path) -> bytes:
    # Python also reads blanks and capitals; a digest has one spelling, by which people find it.
    if len(text) != 2 * length or not set(text) <= set("0123456789abcdef"):
        raise unusable(path, f"{what} has {2 * length} hexadecimal digits in small letters, not {text[:80]!r}")
    return bytes.fromhex(text)


def _refuse_older(folder: Path, version: int) -> None:
    highest = _highest(folder)
    if version < highest:
        raise unusable(
            folder / TRUST_FILE,
            f"its version is {version}, and version {highest} was read here before",
            f"put the newer file back; if you mean to go back, give it version {highest + 1}",
        )
    if version > highest:
        path = folder / HIGHEST_FILE
        try:
            replace_file(path, b"%d\n" % version)
        except OSError as error:
            raise unusable(path, error.strerror or str(error), OTHER_FOLDER) from error


def _highest(folder: Path) -> int:
    path = folder / HIGHEST_FILE
    try:
        text = path.read_bytes()[:32].strip()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unusable(path, error.strerror or str(error), f"make it readable, or {OTHER_FOLDER}") from error
    if not text.isdigit():
        raise unusable(
            path, "it holds no number", "put it back from a copy, or write the version of trust.toml into it"
        )
    return int(text)
