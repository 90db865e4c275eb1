"""What of a machine an agent's skills may reach, made of the grants of its profile, and how a skill asks for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ...clock import Clock
from ..addresses import EgressPolicy
from ..deadlines import Threads
from ..errors import SkillRefused
from ..profile import GrantsTable
from ..secrets import Revealed
from .folders import Folders
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
    """Return the parts of ``Ports`` that follow from the grants of a profile: network, files and databases."""
    from ..egress import Egress

    policy = EgressPolicy(hosts=grants.hosts, loopback=grants.loopback)
    return {
        "network": Egress(policy, clock, threads=threads),
        "files": Folders(project, grants.read, grants.write),
        "databases": Databases((*grants.databases, *grants.writable), grants.writable, project),
    }


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
    """Return a text with the secrets in it that it names as ``secret:NAME``.

    Raises:
        SkillRefused: TW7005.
    """
    if isinstance(context.secrets, Revealed):
        return context.secrets.fill(text)
    return Revealed(context.secrets).fill(text)


def fill_all(context: CallContext, texts: Mapping[str, str]) -> dict[str, str]:
    """Return texts by name with their secrets.

    Raises:
        SkillRefused: TW7005.
    """
    return {name: fill_secrets(context, text) for name, text in texts.items()}
