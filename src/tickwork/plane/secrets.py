"""Secrets of this machine: shown to the skill that needs one, and to nobody else.

A parameter or a setting names a secret by its handle, ``secret:NAME``. What it stands for is looked up while a call is
performed, goes where the skill sends it, and is taken out of whatever comes back before that becomes a record: of that
call, and of any other that might have been shown it, since who was told a secret may say it later.
"""

import base64
import json
import re
from collections.abc import Mapping
from itertools import groupby
from typing import Final, Protocol

from .errors import SkillRefused

HANDLE: Final = re.compile(r"secret:([A-Za-z][A-Za-z0-9_]{0,63})")
SHORTEST: Final = 6
"""Characters from which on a secret is looked for in what comes back: a shorter one would be found everywhere."""

SHORTEST_REFUSED: Final = 8
"""Characters from which on a plan that holds a secret is refused: a word of a language is shorter, as a rule."""

SHORTEST_OF_OTHERS: Final = 16
"""Characters from which on a secret is looked for that no call could be shown: another agent's key in a file, say."""

MOST_SLASHES: Final = 16
"""Backslashes that stand before an escaped letter in JSON that stands four times in JSON."""

_PASSWORD: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/?#@:]*:([^/?#]*)@|(?:^|\s)password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))", re.IGNORECASE
)
"""What is secret of an address of a database or site even without the rest. Source: RFC 3986, 3.2.1; libpq, 34.1.1."""

_ESCAPES: Final = {'"': "quot", "&": "amp", "'": "apos", "<": "lt", ">": "gt"}
_SHORT: Final = {'"': '"', "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


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
        self._hidings: tuple[Hiding, ...] | None = None

    @property
    def hidings(self) -> "tuple[Hiding, ...]":
        """What takes them out of texts: those that may be asked for, and whatever is long enough. Order: by name."""
        if self._hidings is None:
            self._hidings = tuple(
                Hiding(name, secret)
                for name, secret in sorted(self._values.items())
                if self._allowed is None or name in self._allowed or len(secret) >= SHORTEST_OF_OTHERS
            )
        return self._hidings

    def held_in(self, text: bytes) -> str:
        """Return the name of a secret that stands in a text as it is, or as JSON has it; empty for none of them."""
        for name, secret in sorted(self._values.items()):
            spelt = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
            if len(secret) >= SHORTEST_REFUSED and any(one.encode(errors="replace") in text for one in spelt):
                return name
        return ""

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
        """Return a text with every secret replaced by its handle, in whatever way it is spelt there.

        Law: where there is no secret, the same text.
        """
        known = {hiding.name: hiding for hiding in self._source.hidings} if isinstance(self._source, SecretBox) else {}
        for name, secret in self._shown.items():
            if name not in known:
                known[name] = Hiding(name, secret)
        if not known:
            return text
        lower = text.lower()
        for hiding in sorted(known.values(), key=lambda one: (-one.size, one.name)):
            hidden = hiding.hide(text, lower)
            if hidden is not text:
                text, lower = hidden, hidden.lower()
        return text


class Hiding:
    """Takes one secret out of texts.

    Args:
        name: Its handle, without what every handle begins with.
    """

    def __init__(self, name: str, secret: str) -> None:
        self.name = name
        self.size = len(secret)
        self._handle = b"secret:" + name.encode()
        parts = [secret, *(part for found in _PASSWORD.findall(secret) for part in found)]
        whole = [part for part in parts if len(part) >= SHORTEST]
        self._spelt = sorted(
            {one.lower() for part in whole for one in _spellings(part)}, key=lambda one: (-len(one), one)
        )
        self._escaped = [_escaped(part) for part in whole]

    def hide(self, text: bytes, lower: bytes) -> bytes:
        """Return a text without the secret; the very same text where it is not there.

        Args:
            lower: The text in lower case: what carries a secret on may have changed that.
        """
        for spelt in self._spelt:
            if spelt in lower:
                text = re.sub(re.escape(spelt), lambda _: self._handle, text, flags=re.IGNORECASE)
                lower = text.lower()
        if b"%" in text or b"\\" in text or b"&" in text or b"+" in text:
            for pattern in self._escaped:
                # A pattern that is not there gives an equal text and not the same one.
                text = pattern.sub(lambda _: self._handle, text) if pattern.search(text) else text
        return text


def _spellings(secret: str) -> list[bytes]:
    """Return how a secret may be spelt as a whole: plain, as base64 and as hexadecimal digits, each also in UTF-16."""
    raw = secret.encode(errors="surrogatepass")
    wide = [secret.encode(f"utf-16-{order}", errors="surrogatepass") for order in ("le", "be")]
    found = {raw, *wide, *(one.hex().encode() for one in (raw, *wide))}
    for text in (secret, "\0".join(secret)):
        # A text in a text of JSON is escaped twice.
        for ascii_only in (True, False):
            once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
            found |= {
                one.encode(errors="surrogatepass") for one in (once, json.dumps(once, ensure_ascii=ascii_only)[1:-1])
            }
    for one in (raw, *wide):
        found |= _in_base64(one)
    return [item for item in found if len(item) >= SHORTEST]


def _in_base64(raw: bytes) -> set[bytes]:
    """Return what base64 makes of bytes, wherever they stand in a longer text."""
    found = set[bytes]()
    for shift in range(3):
        # What comes before a secret moves its bits against the digits; those that are its own alone are looked for.
        for encoder in (base64.b64encode, base64.urlsafe_b64encode):
            digits = encoder(bytes(shift) + raw).rstrip(b"=")
            found.add(digits[(0, 2, 3)[shift] : len(digits) - (1 if (shift + len(raw)) % 3 else 0)])
    return found


def _escaped(secret: str) -> re.Pattern[bytes]:
    """Return what finds a secret of which any letter may be escaped: for an address, for JSON or for HTML."""
    runs = ("".join(run) for _, run in groupby(secret, lambda letter: letter == "\\"))
    parts = (_slashes(run) if run[0] == "\\" else b"".join(map(_letter, run)) for run in runs)
    return re.compile(b"".join(parts), re.IGNORECASE)


def _slashes(run: str) -> bytes:
    """Return what finds backslashes in a row, of which JSON in JSON makes twice as many each time."""
    count = len(run)
    return b"(?:" + rf"\\{{{count},{MOST_SLASHES * count}}}|".encode() + b"".join(map(_letter, run)) + b")"


def _letter(letter: str) -> bytes:
    """Return what finds a letter in each of its spellings. Source: RFC 3986, 2.1; RFC 8259, 7; HTML, 13.5."""
    raw, wide = letter.encode(errors="surrogatepass"), letter.encode("utf-16-be", errors="surrogatepass").hex()
    # So many backslashes and no more, and none given back: a long row of them is looked through once.
    slashes = rf"\\{{1,{MOST_SLASHES}}}+"
    units = "".join(f"{slashes}u{wide[at : at + 4]}" for at in range(0, len(wide), 4))
    ways = [
        b"".join(b"(?:%s|%%%02x)" % (re.escape(raw[at : at + 1]), byte) for at, byte in enumerate(raw)),
        units.encode(),
        rf"&#(?:0*{ord(letter)}|x0*{ord(letter):x});".encode(),
    ]
    if letter in _SHORT:
        ways.append(f"{slashes}{re.escape(_SHORT[letter])}".encode())
    if letter in _ESCAPES:
        ways.append(f"&{_ESCAPES[letter]};".encode())
    if letter == " ":
        ways.append(rb"\+")
    return b"(?:" + b"|".join(ways) + b")"
