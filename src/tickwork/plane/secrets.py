"""Secrets of this machine: shown to the skill that needs one, and to nobody else.

A parameter or a setting names a secret by its handle, ``secret:NAME``. What it stands for is looked up while a call is
performed, goes where the skill sends it, and is taken out of whatever comes back before that becomes a record.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Final, Protocol

from .errors import SkillRefused

HANDLE: Final = re.compile(r"secret:([A-Za-z][A-Za-z0-9_]{0,63})")
SHORTEST: Final = 6
"""Characters from which on a secret is looked for in what comes back: a shorter one would be found everywhere."""


class Secrets(Protocol):
    """Secrets of this machine, by handle. They enter no parameter, no record and no text of an error."""

    def reveal(self, handle: str) -> str:
        """Return a secret.

        Raises:
            SkillRefused: TW7005, there is none of that name, or the agent may not use it.
        """
        ...


class SecretBox:
    """Secrets by name.

    Args:
        values: What they stand for.
        allowed: Names that may be asked for; None for all of them.
    """

    def __init__(self, values: Mapping[str, str], allowed: frozenset[str] | None = None) -> None:
        self._values = values
        self._allowed = allowed

    def reveal(self, handle: str) -> str:
        """Return a secret. ``handle`` is its name, or ``secret:NAME``.

        Raises:
            SkillRefused: TW7005, there is none of that name, or the agent may not use it.
        """
        name = handle.removeprefix("secret:")
        if self._allowed is not None and name not in self._allowed:
            raise SkillRefused(
                f"the secret {name} is not granted", fix="name it under `secrets` in the grants of the profile"
            )
        if name not in self._values:
            raise SkillRefused(
                f"there is no secret called {name}", fix=f"set TICKWORK_SECRET_{name}, or write it to secrets.toml"
            )
        return self._values[name]


class Revealed:
    """Secrets as one call sees them: it remembers what it has shown, so that it can be taken out again.

    Args:
        source: Where they come from.
    """

    def __init__(self, source: Secrets | None) -> None:
        self._source = source
        self._shown = dict[str, str]()

    def reveal(self, handle: str) -> str:
        """Return a secret.

        Raises:
            SkillRefused: TW7005.
        """
        if self._source is None:
            raise SkillRefused(f"there is no secret called {handle.removeprefix('secret:')}")
        text = self._source.reveal(handle)
        self._shown[handle.removeprefix("secret:")] = text
        return text

    def fill(self, text: str) -> str:
        """Return a text with every ``secret:NAME`` in it replaced by what it stands for.

        Raises:
            SkillRefused: TW7005.
        """
        return HANDLE.sub(lambda found: self.reveal(found[1]), text)

    def hide(self, text: bytes) -> bytes:
        """Return a text with every secret that was shown replaced by its handle, in whatever way it is spelt there.

        Law: without a secret shown, the same text.
        """
        for name, secret in sorted(self._shown.items(), key=lambda item: (-len(item[1]), item[0])):
            if len(secret) >= SHORTEST:
                for spelt in _spellings(secret):
                    text = text.replace(spelt, b"secret:" + name.encode())
        return text


def _spellings(secret: str) -> list[bytes]:
    """Return how a secret may be spelt: plain, in JSON, for an address, as base64 and hexadecimal. Order: longest."""
    raw = secret.encode()
    found = {raw, json.dumps(secret)[1:-1].encode(), json.dumps(secret, ensure_ascii=False)[1:-1].encode()}
    found |= {_quoted(raw, b"/"), _quoted(raw, b""), raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        # What comes before a secret moves its bits against the digits; those that are its own alone are looked for.
        for encoder in (base64.b64encode, base64.urlsafe_b64encode):
            digits = encoder(bytes(shift) + raw).rstrip(b"=")
            cut = digits[(0, 2, 3)[shift] : len(digits) - (1 if (shift + len(raw)) % 3 else 0)]
            found.add(cut)
    return sorted((item for item in found if len(item) >= SHORTEST), key=lambda item: (-len(item), item))


def _quoted(raw: bytes, safe: bytes) -> bytes:
    """Return bytes as an address spells them. Source: RFC 3986, 2.1 and 2.3."""
    plain = safe + b"-._~"
    return b"".join(bytes((byte,)) if bytes((byte,)).isalnum() or byte in plain else b"%%%02X" % byte for byte in raw)
