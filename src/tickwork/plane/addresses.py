"""Which addresses of the network may be reached, whatever way they are spelt.

Invariants:
    * Only a name of letters, digits and hyphens, or an address in its one usual spelling, is a host. Everything else
      that some resolver would take for an address is refused before anybody resolves it.
    * An address is public or it is refused. What is public is said here and not left to a library, whose answer
      changes from version to version and has let services of clouds through.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

import msgspec

from .errors import AddressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL: Final = 8192
USUAL_PORTS: Final = {"http": 80, "https": 443}

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<place>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?", re.DOTALL)
_PLACE: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{0,5}))?")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")

_CLOSED_4: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
        "240.0.0.0/4",
    )
)  # fmt: skip
"""Source: the registry of special IPv4 addresses (IANA), and the addresses at which clouds tell a machine its keys:
169.254.169.254 of most, 168.63.129.16 of Azure, 192.0.0.192 of Oracle, 100.100.100.200 of Alibaba."""

_OPEN_6: Final = ipaddress.IPv6Network("2000::/3")
"""The only part of IPv6 that is given out to the public. Outside of it lie loopback, IPv4 in IPv6 in all its forms
(``::a.b.c.d``, ``::ffff:a.b.c.d``, ``64:ff9b::/96``), the addresses of one link and of one site, and multicast."""

_CLOSED_6: Final = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
"""Parts of it that are not: Teredo and other protocols, examples, and 6to4, which hides an IPv4 address."""

_LOOPBACK: Final = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))

LOCAL: Final = "localhost"
"""The name of this machine for itself, which no resolver may give to another. Source: RFC 6761, 6.3."""

_ISATAP: Final = (0x00005EFE, 0x02005EFE)
"""The upper half of an interface that tunnels to the IPv4 address in the lower half. Source: RFC 5214, 6.1."""


class Target(msgspec.Struct, frozen=True):
    """Where a request goes.

    Attributes:
        host: A name in lower-case ASCII without a dot at its end, or an address in its usual spelling, no brackets.
        path: With the query; begins with a slash.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What has to be the same for two addresses to be of one site."""
        return self.scheme, self.host, self.port

    @property
    def place(self) -> str:
        """Host and port as a header names them; a port that goes without saying is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == USUAL_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address."""
        return f"{self.scheme}://{self.place}{self.path}"


def parse_url(text: str) -> Target:
    """Return where a URL leads.

    Raises:
        AddressRefused: TW7024, it is none, or is spelt so that two readers would go to different places.
    """
    if len(text) > MAX_URL:
        raise _refused("the address is too long", f"it has {len(text):,} characters, and {MAX_URL:,} are allowed")
    if any(character <= " " or character == "\\" or character == "\x7f" for character in text):
        raise _refused("the address holds a blank, a backslash or a control character")
    found = _URL.fullmatch(text)
    if found is None:
        raise _refused("no address of the web", "it begins with http:// or https://")
    scheme = found["scheme"].lower()
    if scheme not in USUAL_PORTS:
        raise _refused(f"{scheme}: is not reached", "only http and https are")
    if "@" in found["place"]:
        raise _refused("the address names a user", "what stands before an @ hides where the address leads")
    place = _PLACE.fullmatch(found["place"])
    if place is None:
        raise _refused("the address has no host that can be read")
    port = int(place["port"]) if place["port"] else USUAL_PORTS[scheme]
    if not 1 <= port <= 65535:
        raise _refused(f"{port} is no port")
    path = found["rest"]
    return Target(scheme, parse_host(place["host"]), port, path if path.startswith("/") else f"/{path}")


def parse_host(text: str) -> str:
    """Return a host in its one usual spelling.

    Law: ``parse_host(parse_host(x)) == parse_host(x)`` for every name and IPv4 address.

    Raises:
        AddressRefused: TW7024, it is no host, or an address that is spelt in another way.
    """
    if text.startswith("["):
        return _parse_6(text[1:-1] if text.endswith("]") else text)
    name = _as_ascii(text).removesuffix(".")
    labels = name.split(".")
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(f"{_shown(text)} is no name of a host")
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers take 127.1, 0x7f.1, 0177.0.0.1 and 2130706433 for 127.0.0.1.
        if name != text:
            raise _refused(f"{_shown(text)} is an address in an unusual spelling", "write four numbers with dots")
        return _parse_4(name)
    return name


def _as_ascii(text: str) -> str:
    if text.isascii():
        return text.lower()
    import idna

    try:
        name = idna.encode(text, uts46=True).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise _refused(f"{_shown(text)} is no name of a host") from error
    if _NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]):
        raise _refused(f"{_shown(text)} is an address in an unusual spelling", "write four numbers with dots")
    return name.lower()


def _parse_4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        why = "write four numbers with dots, without leading zeros"
        raise _refused(f"{_shown(text)} is an address in an unusual spelling", why) from None


def _parse_6(text: str) -> str:
    if "%" in text:
        raise _refused(f"{_shown(text)} names an interface of this machine")
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise _refused(f"{_shown(text)} is no IPv6 address") from None


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() and not unicodedata.combining(c) else "?" for c in text[:100]) or "nothing"


def _refused(what: str, why: str = "", fix: str = "") -> AddressRefused:
    return AddressRefused(what, why=why, fix=fix)


class EgressPolicy(msgspec.Struct, frozen=True):
    """Where requests may go. Nothing is reachable that is not here.

    Attributes:
        hosts: ``api.example.com``, ``*.example.com`` for what lies below it, ``*`` for any; with ``:8080`` or ``:*`` on
            that port or any, else on the usual one alone. Order: does not matter.
        loopback: Whether they may be addresses of this machine, written as such or as ``localhost``. Another name that
            leads there was given that address by somebody else, and stays refused.
        networks: Private networks that they may lie in, as ``10.1.0.0/16``.
        redirects: How many are followed.
    """

    hosts: tuple[str, ...] = ()
    loopback: bool = False
    networks: tuple[str, ...] = ()
    redirects: int = 5

    def check_target(self, target: Target) -> None:
        """Refuse what ``hosts`` does not name.

        Raises:
            AddressRefused: TW7024.
        """
        if not any(_matches(pattern, target) for pattern in self.hosts):
            raise _refused(
                f"{target.place} may not be reached",
                "the agent may reach what its profile names alone",
                f"add {target.place!r} to `hosts` in the grants of the profile",
            )
        # A name is judged by what it is resolved to; an address is what it is.
        if (address := _literal(target.host)) is not None:
            self.check_addresses(target.host, [address])

    def check_addresses(self, host: str, addresses: Iterable[Address]) -> None:
        """Refuse a host if any of its addresses is not public and not granted.

        Raises:
            AddressRefused: TW7024.
        """
        granted = [ipaddress.ip_network(text, strict=False) for text in self.networks]
        if self.loopback and (host == LOCAL or host.endswith(f".{LOCAL}") or _literal(host) is not None):
            granted += _LOOPBACK
        for address in addresses:
            inside = any(address.version == network.version and address in network for network in granted)
            if not inside and not is_public(address):
                raise _refused(
                    f"{host} leads to an address that is not public",
                    "addresses of this machine, of private networks and of clouds' own services are not reached",
                    "grant `loopback` for a server of this machine",
                )


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public network."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    if address not in _OPEN_6 or any(address in network for network in _CLOSED_6):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _matches(pattern: str, target: Target) -> bool:
    host, port = _split(pattern)
    if port != "*" and target.port != (int(port) if port.isdigit() else USUAL_PORTS[target.scheme]):
        return False
    if host == "*":
        return True
    if host.startswith("*."):
        return target.host.endswith(host[1:].lower()) and _literal(target.host) is None
    try:
        return parse_host(host) == target.host
    except AddressRefused:
        return False


def _split(pattern: str) -> tuple[str, str]:
    if pattern.startswith("["):
        host, _, port = pattern.partition("]")
        return f"{host}]", port.removeprefix(":")
    host, _, port = pattern.partition(":")
    return host, port
