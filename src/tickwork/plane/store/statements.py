"""Statements that are made once and run without SQLAlchemy's part of the way: for what every step of a run pays."""

from typing import Final

from ...journal.dbapi import Database, Row, Value
from .sql import ClauseElement, sqlite_dialect

_DIALECT: Final = sqlite_dialect(paramstyle="qmark")


class Statement:
    """A statement of SQLAlchemy with named values, as SQLite's own text.

    Values and columns are plain: integers, text, bytes and None, as all tables of the plane have them.
    """

    def __init__(self, clause: ClauseElement) -> None:
        compiled = clause.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        names = getattr(compiled, "positiontup", None)
        assert names is not None
        self.text: Final = str(compiled)
        self.names: Final[tuple[str, ...]] = tuple(names)
        self._known: Final[dict[str, Value]] = {
            name: value for name, value in (compiled.params or {}).items() if value is not None
        }

    def __call__(self, database: Database, **values: Value) -> list[Row]:
        """Run it within a transaction of ``database``; return its rows."""
        known = self._known
        return database.query(self.text, [values[name] if name in values else known[name] for name in self.names])
