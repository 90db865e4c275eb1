"""Statements to SQLite files.

Invariants:
    * Without a grant to write the file is opened for reading alone, and the authorizer lets nothing else through.
    * With one, rows may be changed and nothing else: no schema, no setting, no other file. The statement is one
      transaction.
    * A statement ends at its deadline, whatever it computes. SQLite looks at the time between its instructions alone,
      so none of them may take long.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import apsw

from ...clock import Clock
from ..errors import StatementRefused
from .statements import Asked, Rows, counted, failed, overdue

STEPS: Final = 200
"""Instructions between two looks at the deadline: microseconds, or a second where each makes a text of megabytes."""

BUSY_MS: Final = 5000
LIMITS: Final = {
    apsw.SQLITE_LIMIT_LENGTH: 4 << 20,
    apsw.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    apsw.SQLITE_LIMIT_COLUMN: 500,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 200,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    apsw.SQLITE_LIMIT_VDBE_OP: 250_000,
    apsw.SQLITE_LIMIT_FUNCTION_ARG: 100,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 250,
    apsw.SQLITE_LIMIT_VARIABLE_NUMBER: 1000,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
}
"""Far above what a question needs and far below what would exhaust a machine."""

READING: Final = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE})
WRITING: Final = READING | {apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE}
ASKING: Final = frozenset(
    {"data_version", "foreign_key_list", "index_info", "index_list", "table_info", "table_list", "table_xinfo"}
)
"""Pragmas that only tell: of the schema, and to full-text tables whether they are current."""

CLOSED: Final = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "fts5"}) | {
    "json_patch",
    "jsonb_patch",
}
"""Functions that reach outside of the database, or into the process; and those of JSON that take minutes for what is
within the limits, where nothing interrupts them."""

SLOW: Final[Mapping[tuple[str, int], int]] = {
    ("instr", 2): 1 << 34,
    ("replace", 3): 1 << 34,
    ("trim", 2): 1 << 30,
    ("ltrim", 2): 1 << 30,
    ("rtrim", 2): 1 << 30,
    ("unhex", 2): 1 << 30,
}
"""Functions whose time grows with the product of the lengths of their first two arguments, by name and number of
arguments, and the largest product that they are given: about a second. Two texts of four megabytes take them hours, in
one instruction."""


def ask(path: Path, asked: Asked, clock: Clock) -> Rows:
    """Return what one statement gives.

    Raises:
        StatementRefused: TW7030, it does what is not granted, or is more than one statement.
        SkillFailed: TW7008, SQLite does not carry it out. SkillTimeout: TW7009. OutputTooLarge: TW7029.
    """
    flags = apsw.SQLITE_OPEN_READWRITE if asked.write else apsw.SQLITE_OPEN_READONLY
    try:
        connection = apsw.Connection(str(path), flags=flags)
    except apsw.Error:
        raise failed("the database cannot be opened", unsent=True) from None
    asking = _Asking(connection, asked, clock)
    try:
        return asking.rows()
    finally:
        asking.close()


class _Asking:
    """One statement on one connection."""

    def __init__(self, connection: apsw.Connection, asked: Asked, clock: Clock) -> None:
        # The package does not say all of its types.
        self._connection: Any = connection
        self._asked = asked
        self._clock = clock
        self._refused = ""
        self._begun = 0
        self._columns: tuple[str, ...] = ()
        self._plain: Any = None

    def rows(self) -> Rows:
        """Return what the statement gives."""
        connection, asked = self._connection, self._asked
        try:
            connection.set_busy_timeout(max(1, min(BUSY_MS, self._left_ms())))
            connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
            connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
            for limit, value in LIMITS.items():
                connection.limit(limit, value)
            connection.set_progress_handler(self._is_late, STEPS)
            for (name, count), most in SLOW.items():
                connection.create_scalar_function(
                    name, self._bounded(name, count, most), count, deterministic=True, flags=apsw.SQLITE_INNOCUOUS
                )
            if asked.write:
                connection.execute("BEGIN IMMEDIATE")
            connection.set_authorizer(self._judge)
            connection.set_exec_trace(self._count)
            before = connection.total_changes()
            found = self._fetch()
            connection.set_exec_trace(None)
            connection.set_authorizer(None)
            if asked.write:
                connection.execute("COMMIT")
            return Rows(found.columns, found.rows, found.truncated, connection.total_changes() - before)
        except apsw.AuthError:
            raise self._refusal() from None
        except apsw.InterruptError:
            raise overdue() from None
        except apsw.BusyError:
            raise failed("the database is held by somebody else", retryable=True, unsent=True) from None
        except apsw.Error as error:
            if self._refused:
                raise self._refusal() from None
            raise failed(f"SQLite: {_first_line(error)}") from None

    def close(self) -> None:
        """Let the database go."""
        self._connection.close()
        if self._plain is not None:
            self._plain.close()

    def _fetch(self) -> Rows:
        """Return the rows. Raises what apsw raises."""
        asked = self._asked
        cursor = self._connection.cursor()
        cursor.execute(asked.sql, asked.params)
        rows = list(counted(cursor, asked))
        truncated = len(rows) > asked.most_rows
        if not truncated:
            # What follows the first statement is only looked at once that has ended.
            cursor.close()
        elif asked.write:
            for _ in cursor:
                pass
        return Rows(self._columns, rows[: asked.most_rows], truncated)

    def _count(self, cursor: Any, _sql: str, _params: Any) -> bool:
        """Let the first statement pass and no second one; what its columns are called can be asked only now."""
        self._begun += 1
        if self._begun > 1:
            self._refused = "more than one statement is not carried out"
            return False
        self._columns = tuple(str(entry[0]) for entry in cursor.get_description())
        return True

    def _bounded(self, name: str, count: int, most: int) -> Callable[..., Any]:
        """Return a function of SQLite that refuses what would take it too long."""
        call = f"SELECT {name}({', '.join('?' * count)})"

        def bounded(*given: Any) -> Any:
            if _size(given[0]) * _size(given[1]) > most:
                raise apsw.TooBigError(f"{name} of texts so large takes too long")
            if self._is_late():
                raise apsw.InterruptError
            if self._plain is None:
                self._plain = apsw.Connection(":memory:")
            return self._plain.execute(call, given).fetchone()[0]

        return bounded

    def _judge(self, action: int, first: str | None, second: str | None, _base: str | None, _inner: str | None) -> int:
        """Say whether a statement may do something."""
        allowed = WRITING if self._asked.write else READING
        closed = action == apsw.SQLITE_FUNCTION and str(second).lower() in CLOSED
        asks = action == apsw.SQLITE_PRAGMA and str(first).lower() in ASKING
        if (action in allowed and not closed) or asks:
            return apsw.SQLITE_OK
        name: object = apsw.mapping_authorizer_function.get(action, "this")
        what = str(name).removeprefix("SQLITE_").replace("_", " ")
        self._refused = f"{what}{f' {second}' if closed else ''} is not what the skill may do"
        return apsw.SQLITE_DENY

    def _refusal(self) -> StatementRefused:
        return StatementRefused(
            self._refused or "the statement does what is not granted",
            why="a question reads; a skill with `write = true` changes rows, and nothing else",
        )

    def _left_ms(self) -> int:
        return (self._asked.deadline_ns - self._clock.elapsed_ns()) // 1_000_000

    def _is_late(self) -> bool:
        return self._left_ms() <= 0


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | bytes) else 0


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
