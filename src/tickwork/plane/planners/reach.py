"""What a profile's grants let its skills reach, as a planner is told: nobody could guess what a table is called.

Invariants:
    * Nothing is told of what is not granted, and no secret's value, only its handle.
    * Names that somebody else has chosen, of tables and columns, are labelled with their database.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ...clock import Clock
from ...errors import TickworkError
from ...infer.client import Models
from ...infer.manifest import Port
from ...tensors import NAMES
from ..profile import GrantsTable
from ..skills import sqlite
from ..skills.statements import Asked

MOST_COLUMNS: Final = 1_000
"""Of all tables of a database together; what is beyond is left out."""

MOST_MODELS: Final = 50
MOST_CHARACTERS: Final = 200
"""Of a name that somebody else has chosen."""

WITHIN_NS: Final = 2_000_000_000

_COLUMNS: Final = """
SELECT t.name, c.name, c.type FROM pragma_table_list t, pragma_table_xinfo(t.name) c
WHERE t.schema = 'main' AND t.type IN ('table', 'view', 'virtual') AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
ORDER BY t.name, c.cid"""


class Reach(msgspec.Struct, frozen=True):
    """What skills can reach.

    Attributes:
        shown: JSON object: ``hosts``, ``read``, ``write``, ``databases``, ``models``, ``secrets``; what is empty is
            left out.
        labels: Where names in it come from. Order: sorted.
    """

    shown: Mapping[str, Any] = {}
    labels: tuple[str, ...] = ()


def look(grants: GrantsTable, project: Path, clock: Clock, models: Callable[[], Models] | None = None) -> Reach:
    """Return what the skills of a profile can reach.

    Args:
        project: Folder that relative paths count from.
        models: What asks models of this machine; None where no skill may.
    """
    shown: dict[str, Any] = {
        "hosts": list(grants.hosts),
        "read": list(grants.read),
        "write": list(grants.write),
        "secrets": [f"secret:{name}" for name in grants.secrets],
        "models": _models(models) if models is not None else {},
    }
    databases, labels = dict[str, Any](), list[str]()
    for name in dict.fromkeys((*grants.databases, *grants.writable)):
        tables = {} if name.startswith("secret:") else _tables(project / name, clock)
        databases[name] = {"may be changed": name in grants.writable, "tables": tables}
        if tables:
            labels.append(f"database:{name}")
    shown["databases"] = databases
    return Reach({name: value for name, value in shown.items() if value}, tuple(sorted(labels)))


def _tables(path: Path, clock: Clock) -> dict[str, list[str]]:
    """Return the columns of each table, with their types; nothing where they cannot be read."""
    asked = Asked(_COLUMNS, (), MOST_COLUMNS, 1 << 20, False, clock.elapsed_ns() + WITHIN_NS)
    try:
        rows = sqlite.ask(path, asked, clock).rows[:MOST_COLUMNS]
    except TickworkError:
        return {}
    tables = dict[str, list[str]]()
    for table, column, kind in rows:
        tables.setdefault(_short(table), []).append(_short(f"{column} {kind}".strip()))
    return tables


def _models(models: Callable[[], Models]) -> dict[str, Any]:
    """Return the inputs and outputs of each model that is kept; of several versions those of the newest."""
    try:
        kept = models().catalogue()
    except TickworkError:
        return {}
    newest = {config.name: config for config in kept if config.inputs}
    return {
        name: {"inputs": _ports(config.inputs), "outputs": _ports(config.outputs)}
        for name, config in list(newest.items())[:MOST_MODELS]
    }


def _ports(ports: tuple[Port, ...]) -> dict[str, str]:
    return {port.name: f"{NAMES.get(port.dtype, port.kind)}{_shape(port)}" for port in ports}


def _shape(port: Port) -> str:
    return f"[{', '.join(str(size or '?') for size in port.shape)}]" if port.ranked else ""


def _short(name: str) -> str:
    return name if len(name) <= MOST_CHARACTERS else f"{name[:MOST_CHARACTERS]}..."
