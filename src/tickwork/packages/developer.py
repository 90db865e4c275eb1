"""The developer's own key: made on first use, kept in the trust folder, trusted on this machine and nowhere else.

``tickwork agent build`` signs with it, so that what one has just built runs at once and without an exception.
"""

import os
import stat
import sys
from pathlib import Path
from typing import Final

from ..errors import TrustFileInvalid
from ..keys import KEY_BYTES, generate_key, public_half
from .files import PRIVATE, create_file
from .package import sign_package

KEY_FILE: Final = "developer.key"


def sign(package: bytes, trust: Path, *, name: str = "") -> bytes:
    """Return a module or a source bundle with the developer's signature in place of any it had.

    Args:
        package: Its manifest names it: a module has its manifest section, a bundle its ``manifest.json``.
        trust: The trust folder, as ``cli.config.trust_folder`` says; the key is made there if there is none.
        name: How messages call it.

    Raises:
        TrustFileInvalid: TW3210, the key cannot be read or made.
        ModuleRefused: TW3001, the bytes are no package.
    """
    return sign_package(package, developer_key(trust), name=name)


def developer_key(trust: Path) -> bytes:
    """Return the developer's private key, made on first use. Shape: 32 bytes.

    Raises:
        TrustFileInvalid: TW3210.
    """
    path = trust / KEY_FILE
    try:
        if not path.exists():
            create_file(path, generate_key(), mode=PRIVATE)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), "name a folder you may write to: TICKWORK_TRUST") from error
    return read_private_key(path)


def developer_public_key(trust: Path) -> bytes | None:
    """Return the public half of the developer's key, None where none was made yet.

    Raises:
        TrustFileInvalid: TW3210, there is one that cannot be read.
    """
    path = trust / KEY_FILE
    return public_half(read_private_key(path)) if path.exists() else None


def read_private_key(path: Path) -> bytes:
    """Return the private key in a file. Shape: 32 bytes, raw.

    Raises:
        TrustFileInvalid: TW3210, it cannot be read, holds no key, or others may read it.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), "make one: tickwork agent keygen FILE") from error
    if sys.platform != "win32" and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _unusable(path, "others may read it, and whoever reads it can sign as you", f"chmod 600 {path}")
    if len(key) != KEY_BYTES:
        raise _unusable(path, f"a raw Ed25519 key has {KEY_BYTES} bytes", "make one: tickwork agent keygen FILE")
    return key


def _unusable(path: Path, why: str, fix: str) -> TrustFileInvalid:
    return TrustFileInvalid("a private key cannot be used", where=str(path), why=why, fix=fix)
