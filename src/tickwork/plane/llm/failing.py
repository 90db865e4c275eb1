"""Failures of providers in one form: whether to try again, when, and what they said."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import msgspec

from ...clock import Clock
from ..errors import ProviderFailed

SHOWN: Final = 300
"""Characters of a provider's words in an error."""

LONGEST_WAIT_MS: Final = 3_600_000

OVERLOADED: Final = 529
TRANSIENT: Final = frozenset({408, 409, 429, 500, 502, 503, 504, OVERLOADED})
"""Statuses after which the same request may succeed. Nobody bills for them."""

_TRANSIENT_KINDS: Final = frozenset(
    {"overloaded_error", "api_error", "rate_limit_error", "timeout_error", "server_error"}
)

_FIXES: Final[Mapping[int, str]] = {
    400: "the request does not suit this model: compare the settings of the model with its provider's documentation",
    401: "put a valid key into the secret that `key` names",
    402: "pay the provider, or name another model",
    403: "the key may not use this model: name another one, or another key",
    404: "compare `base_url` and `model` with the provider's documentation",
    413: "ask for less at once: fewer skills, less memory, shorter parameters",
    429: "wait, or ask less often",
}


class _Told(msgspec.Struct):
    type: str | None = None
    message: str | None = None
    code: str | int | None = None


class _Body(msgspec.Struct):
    error: _Told | str | None = None
    message: str | None = None


def unreadable(why: str) -> ProviderFailed:
    """Return the failure of a provider whose answer is not of its protocol."""
    return _failed("the provider's answer cannot be read", why=shown(why), retryable=True)


def cut(why: str) -> ProviderFailed:
    """Return the failure of an answer that ended too early."""
    return _failed("the provider's answer was cut off", why=shown(why), retryable=True)


def unreachable(why: str) -> ProviderFailed:
    """Return the failure of a provider that gave no answer at all."""
    return _failed(
        "the provider cannot be reached", why=shown(why), fix="look at `base_url`, and at the network", retryable=True
    )


def told(kind: str, message: str) -> ProviderFailed:
    """Return the failure that a provider reported in the middle of an answer."""
    what = f"the provider gave up in the middle of its answer: {shown(kind)}"
    return _failed(what, why=shown(message), retryable=kind in _TRANSIENT_KINDS)


def of_status(status: int, headers: Mapping[str, str], body: bytes, clock: Clock) -> ProviderFailed:
    """Return the failure that an HTTP status stands for. ``headers`` have lower-case names."""
    known = status in HTTPStatus._value2member_map_
    name = "overloaded" if status == OVERLOADED else HTTPStatus(status).phrase.lower() if known else "no known status"
    again = status in TRANSIENT or status > HTTPStatus.INTERNAL_SERVER_ERROR
    fix = _FIXES.get(
        status, "wait and try again" if again else "compare the settings with the provider's documentation"
    )
    error = _failed(
        f"the provider answered {status} ({name})", why=_words(body) or "it said no more", fix=fix, retryable=again
    )
    error.retry_after_ms = retry_after_ms(headers, clock) if again else 0
    return error


def retry_after_ms(headers: Mapping[str, str], clock: Clock) -> int:
    """Return how long a provider asks to wait, at most an hour; 0 where it does not say so readably.

    Units: milliseconds.

    Source: RFC 9110, section 10.2.3; ``retry-after-ms`` is what some providers send besides.
    """
    exact, said = headers.get("retry-after-ms", ""), headers.get("retry-after", "").strip()
    if exact.isascii() and exact.isdigit() and len(exact) < 10:
        return min(int(exact), LONGEST_WAIT_MS)
    try:
        seconds = float(said)
    except ValueError:
        return _until(said, clock)
    return int(min(max(seconds, 0.0) * 1000, LONGEST_WAIT_MS)) if seconds == seconds else 0


def _until(said: str, clock: Clock) -> int:
    try:
        moment = parsedate_to_datetime(said).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0
    return min(max(0, int(moment * 1000) - clock.now_us() // 1000), LONGEST_WAIT_MS)


def shown(text: str) -> str:
    """Return words of a provider for a message: printable, on one line, and not too many."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * SHOWN])
    plain = " ".join(plain.split())
    return plain if len(plain) <= SHOWN else plain[: SHOWN - 1] + "…"


def _words(body: bytes) -> str:
    try:
        read = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return shown(body.decode("utf-8", "replace"))
    if isinstance(read.error, _Told):
        return shown(": ".join(part for part in (read.error.type, read.error.message) if part))
    return shown(read.error or read.message or "")


def _failed(what: str, *, why: str, fix: str = "try again, or name another model", retryable: bool) -> ProviderFailed:
    error = ProviderFailed(what, why=why, fix=fix)
    error.retryable = retryable
    return error
