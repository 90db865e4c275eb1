"""``sql_query``: one statement to a database that the profile grants, SQLite or PostgreSQL."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, cast

import msgspec
import pydantic
from msgspec import Meta

from ...kinds import EffectClass
from ..calls import MAX_OUTPUT_BYTES
from ..errors import SkillInputInvalid, StatementRefused
from .configuration import read_keys
from .granting import Databases, fill_secrets, part_of
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits
from .statements import Asked, Rows

MAX_STATEMENT: Final = 100_000
MAX_ROWS: Final = 10_000
DEADLINE_MS: Final = 30_000


class SqlKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a table of the kind ``sql_query`` may say."""

    database: str = ""
    write: bool = False
    most_rows: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = 1000


class Given(pydantic.BaseModel):
    """What goes in. Values never stand in the statement: they are given beside it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    sql: str = pydantic.Field(max_length=MAX_STATEMENT, description="One statement; `?` of SQLite, `$1` of PostgreSQL.")
    params: list[str | int | float | bool | None] = pydantic.Field(default=[], max_length=1000)
    database: str = pydantic.Field(default="", max_length=1024, description="As the profile grants it.")
    most_rows: int = pydantic.Field(default=0, ge=0, le=MAX_ROWS, description="Rows that are wanted; 0 for the usual.")


class Made(pydantic.BaseModel):
    """What comes out. Of columns of one name the later ones are called ``NAME_2`` and so on."""

    columns: list[str]
    rows: list[dict[str, pydantic.JsonValue]]
    truncated: bool = pydantic.Field(description="Whether there are more rows.")
    changed: int = pydantic.Field(default=0, description="Rows that the statement changed.")


class SqlQuery:
    """Asks a database. It changes nothing unless both the skill and the profile say that it may."""

    def __init__(self, keys: SqlKeys) -> None:
        self._keys = keys
        self.traits = Traits(
            "sql_query",
            "1",
            "Change a database with one statement." if keys.write else "Ask a database with one statement.",
            EffectClass.UNSAFE if keys.write else EffectClass.IDEMPOTENT,
            side_effects=keys.write,
            outside=True,
            capabilities=("databases:write",) if keys.write else ("databases:read",),
        )

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        return _SHAPES

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "SqlQuery":
        """Return the skill.

        Raises:
            SkillInvalid: TW7004.
        """
        return cls(read_keys(config, SqlKeys))

    def call(self, given: Given, context: CallContext) -> Any:
        """Return the rows.

        Raises:
            StatementRefused: TW7030. SkillRefused: TW7005. SkillFailed: TW7008. SkillTimeout: TW7009.
        """
        name, place = self._database(given, part_of(context, "databases", Databases), context)
        if "\0" in given.sql:
            raise SkillInputInvalid("the statement holds a character that none may hold")
        asked = Asked(
            given.sql,
            tuple(given.params),
            given.most_rows or self._keys.most_rows,
            MAX_OUTPUT_BYTES,
            self._keys.write,
            context.clock.elapsed_ns() + context.left_ms(DEADLINE_MS) * 1_000_000,
        )
        # Each loads the package that speaks to its databases.
        if isinstance(place, Path):
            from . import sqlite

            found = sqlite.ask(place, asked, context.clock)
        else:
            from . import postgres

            found = postgres.ask(place, asked, context.clock)
        context.labels.add(f"database:{name}")
        return _made(found)

    def _database(self, given: Given, granted: Databases, context: CallContext) -> tuple[str, Path | str]:
        """Return the name of the database that is meant, and its file or address.

        Raises:
            StatementRefused: TW7030, it is not granted. SkillInputInvalid: TW7006, none is named.
        """
        name = self._keys.database or given.database
        if not name and len(set(granted.readable)) == 1:
            name = granted.readable[0]
        if not name or (self._keys.database and given.database not in ("", self._keys.database)):
            raise SkillInputInvalid("the statement goes to no database: name one that the profile grants")
        allowed = granted.writable if self._keys.write else granted.readable
        if name not in allowed:
            raise StatementRefused(
                f"the database {name} may not be {'changed' if self._keys.write else 'read'}",
                fix=f"add it to `{'writable' if self._keys.write else 'databases'}` in the grants of the profile",
            )
        if name.startswith("secret:"):
            return name, fill_secrets(context, name)
        return name, granted.project / name


def _made(found: Rows) -> dict[str, Any]:
    columns = unique_names(found.columns)
    rows = [dict(zip(columns, map(plain, row), strict=True)) for row in found.rows]
    return {"columns": columns, "rows": rows, "truncated": found.truncated, "changed": found.changed}


def unique_names(names: Iterable[str]) -> list[str]:
    """Return names of which no two are alike. Order: as given."""
    seen = dict[str, int]()
    unique = list[str]()
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        chosen = name if seen[name] == 1 else f"{name}_{seen[name]}"
        while chosen in unique:
            chosen += "_"
        unique.append(chosen)
    return unique


def plain(value: object) -> Any:
    """Return a value of a database as JSON holds it: what has no form there as text, bytes as base64."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray):
        return {"base64": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in cast("Mapping[object, object]", value).items()}
    write: Any = getattr(value, "isoformat", None)
    return str(write()) if callable(write) else str(value)


_SHAPES: Final[tuple[Shape, Shape]] = (ModelShape(Given), ModelShape(Made))
