"""Key files: a private key for whoever signs, and beside it a public one to hand out.

The private file holds 32 raw bytes and is readable by its owner alone. The public one is TOML; where the key follows an
older one, it carries that key's signature, by which whoever trusts the older key may take the new one for it.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from ..errors import TrustFileInvalid
from ..keys import KEY_BYTES, SIGNATURE_BYTES, generate_key, key_id, public_half
from .developer import read_private_key
from .files import PRIVATE, create_file, replace_file
from .trust import read_toml, sign_succession, toml_lines, unusable

SUFFIX: Final = ".pub"


class PublicKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A public key as its file writes it; all in hexadecimal.

    Attributes:
        succeeds, succession: The id of the key that this one follows, and that key's signature; empty where none.
    """

    public_key: str
    succeeds: str = ""
    succession: str = ""
    schema: Literal[1] = 1

    def id(self) -> bytes:
        """Return the key's id. Shape: 32 bytes."""
        return key_id(bytes.fromhex(self.public_key))


def make_key_files(path: Path, *, succeeds: Path | None = None) -> PublicKey:
    """Write a new private key to ``path`` and its public half beside it, and return that half.

    Args:
        succeeds: The private key that the new one shall follow; it signs the new one.

    Raises:
        TrustFileInvalid: TW3210, the files cannot be written, one is there already, or the older key cannot be read.
    """
    older = read_private_key(succeeds) if succeeds is not None else None
    private = generate_key()
    public = public_half(private)
    made = PublicKey(public.hex())
    if older is not None:
        made = PublicKey(public.hex(), key_id(public_half(older)).hex(), sign_succession(older, public).hex())
    beside = public_path(path)
    try:
        if beside.exists() or not create_file(path, private, mode=PRIVATE):
            raise unusable(
                path, "there is a key already, and a key that is gone cannot be made again", "name a new file"
            )
        replace_file(beside, encode_public_key(made))
    except OSError as error:
        raise unusable(path, error.strerror or str(error), "name a file you may write") from error
    return made


def public_path(path: Path) -> Path:
    """Return where the public half of a private key's file lies."""
    return path.with_name(path.name + SUFFIX)


def encode_public_key(key: PublicKey) -> bytes:
    """Return the file of a public key. Law: ``read_public_key`` gives it again."""
    fields = {"schema": key.schema, **msgspec.to_builtins(key)}
    return ("\n".join(toml_lines(fields)) + "\n").encode()


def read_public_key(path: Path) -> PublicKey:
    """Return the public key in a file.

    Raises:
        TrustFileInvalid: TW3210.
    """
    found = read_toml(path, PublicKey)
    check_hex(found.public_key, KEY_BYTES, path)
    if found.succeeds or found.succession:
        check_hex(found.succeeds, KEY_BYTES, path)
        check_hex(found.succession, SIGNATURE_BYTES, path)
    return found


def check_hex(text: str, length: int, path: Path) -> None:
    """Refuse a text that is not ``length`` bytes in hexadecimal.

    Raises:
        TrustFileInvalid: TW3210.
    """
    if len(text) != 2 * length or not set(text) <= set("0123456789abcdef"):
        raise _no_hex(text, length, path)


def _no_hex(text: str, length: int, path: Path) -> TrustFileInvalid:
    return unusable(path, f"{2 * length} hexadecimal digits in small letters are wanted, not {text[:80]!r}")
