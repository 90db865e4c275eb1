"""What of a machine an agent's skills may reach, made of the grants of its profile, and how a skill asks for it."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ...clock import Clock
from ..addresses import EgressPolicy
from ..deadlines import Threads
from ..errors import SkillRefused
from ..profile import GrantsTable
from ..secrets import HANDLE, Revealed
from .folders import Folders
from .registry import Registry
from .skill import CallContext

T = TypeVar("T")


class Databases(msgspec.Struct, frozen=True):
    """Databases that may be asked.

    Attributes:
        readable: Files, as they are written in the grants, or ``secret:NAME`` of an address. Order: as granted.
        writable: Those that may be changed.
        project: Folder that relative paths count from.
    """

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    project: Path = Path()


def grant_parts(grants: GrantsTable, *, project: Path, clock: Clock, threads: Threads | None = None) -> dict[str, Any]:
    """Return the parts of ``Ports`` that follow from the grants of a profile.

    They are ``network``, ``files``, ``databases``, and in ``secrets`` the names of those that parameters may name.
    """
    from ..egress import Egress

    policy = EgressPolicy(hosts=grants.hosts, loopback=grants.loopback)
    return {
        "network": Egress(policy, clock, threads=threads),
        "files": Folders(project, grants.read, grants.write),
        "databases": Databases((*grants.databases, *grants.writable), grants.writable, project),
        "secrets": frozenset(grants.secrets),
    }


def granted_secrets(grants: GrantsTable, registry: Registry) -> frozenset[str]:
    """Return the names of the secrets that calls may be shown: those of the grants, and those of the settings."""
    addresses = HANDLE.findall(" ".join((*grants.databases, *grants.writable)))
    return frozenset(grants.secrets) | frozenset(addresses) | registry.named_secrets()


def part_of(context: CallContext, name: str, kind: type[T]) -> T:
    """Return a part that a skill needs.

    Raises:
        SkillRefused: TW7005, the agent has none.
    """
    found = context.parts.get(name)
    if not isinstance(found, kind):
        raise SkillRefused(f"the agent has no {name}", fix=f"give the profile what {name} it may use, under `grants`")
    return found


def fill_secrets(context: CallContext, text: str) -> str:
    """Return a text of the settings with the secrets in it that it names as ``secret:NAME``.

    Raises:
        SkillRefused: TW7005, there is none of that name.
    """
    if isinstance(context.secrets, Revealed):
        return context.secrets.fill(text)
    return Revealed(context.secrets).fill(text)


def fill_named(context: CallContext, text: str) -> str:
    """Return a text of a plan with the secrets in it that it names, if the profile lets plans name them.

    Raises:
        SkillRefused: TW7005.
    """
    granted: object = context.parts.get("secrets")
    for name in HANDLE.findall(text):
        if not isinstance(granted, frozenset) or name not in granted:
            raise SkillRefused(
                f"the secret {name} is not granted", fix="name it under `secrets` in the grants of the profile"
            )
    return fill_secrets(context, text)
