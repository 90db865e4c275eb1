"""Statements to PostgreSQL.

Invariants:
    * Without a grant to write the statement is the query of a cursor in a transaction that only reads, begun before the
      statement is seen. The server then refuses whatever changes something, and itself holds the deadline.
    * One statement goes out, in the protocol that carries no more than one.
    * Nobody asks as somebody who may do everything: such a role reads files of the server and starts programs there,
      whatever kind of transaction it is in.
    * Rows are weighed on the server before they are sent: one value may have a gigabyte, which no size here would stop.
"""

import re
from importlib import import_module
from typing import Any, Final

from ...clock import Clock
from ..errors import GoalsMissing, OutputTooLarge, SkillFailed, StatementRefused
from ..extras import missing_package
from .statements import Asked, Rows, counted, failed, overdue

CONNECT_S: Final = 10
LOCK_MS: Final = 5000

REFUSED: Final = frozenset({"25001", "25006", "42501", "0A000"})
"""What the server says to a change in a transaction that reads, to making it write, to what the role may not do, and to
what no cursor can be of. Source: PostgreSQL, appendix A."""

_MIGHTY: Final = """SELECT EXISTS (
    SELECT FROM pg_catalog.pg_roles
    WHERE (rolsuper OR rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
    AND pg_catalog.pg_has_role(session_user, oid, 'MEMBER')
)"""
"""Whether a role is one that reaches outside of the database, or may become one."""

_WEIGH: Final = """DO $weigh$
DECLARE
    rows pg_catalog.refcursor := 'tickwork';
    one pg_catalog.record;
    room bigint := {most_bytes};
BEGIN
    FOR number IN 0..{most_rows} LOOP
        FETCH rows INTO one;
        EXIT WHEN NOT FOUND;
        -- The text is longer than what is kept packed, and is not made of what is too large as it is.
        IF pg_catalog.pg_column_size(one) <= room THEN
            room := room - pg_catalog.octet_length(one::pg_catalog.text);
        ELSE
            room := -1;
        END IF;
        IF room < 0 THEN
            RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'too many bytes';
        END IF;
    END LOOP;
    MOVE ABSOLUTE 0 FROM rows;
END $weigh$"""

_HEAVY: Final = "54TW0"
"""State of our own, of the class of limits that are passed."""

_WEIGHTS: Final = frozenset({_HEAVY, "54000", "53200"})
"""Rows of which even the text is too large for the server are too large here."""

_QUESTION: Final = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*(?:select|with|values|table)\b", re.IGNORECASE
)
"""How a statement begins that a cursor can be of. What it says is left to the server; this only words the refusal."""

OVERDUE: Final = frozenset({"57014", "55P03"})
AGAIN: Final = ("08", "40", "53", "57P")
"""Classes of states after which the same statement may succeed: connections, conflicts, resources, shutdowns."""


def ask(address: str, asked: Asked, clock: Clock) -> Rows:
    """Return what one statement gives.

    Args:
        address: A URI or keywords, as libpq takes them.

    Raises:
        StatementRefused: TW7030. SkillFailed: TW7008. SkillTimeout: TW7009. OutputTooLarge: TW7029.
        GoalsMissing: TW7020, psycopg is not installed.
    """
    psycopg = _package()
    left_ms = max(1, (asked.deadline_ns - clock.elapsed_ns()) // 1_000_000)
    options = f"-c statement_timeout={left_ms} -c lock_timeout={min(LOCK_MS, left_ms)}"
    options += f" -c idle_in_transaction_session_timeout={left_ms + CONNECT_S * 1000}"
    try:
        connection = psycopg.connect(
            address,
            options=options,
            connect_timeout=max(2, min(CONNECT_S, left_ms // 1000)),
            application_name="tickwork",
        )
    except psycopg.Error:
        # What the package says names hosts, and may name what the address holds.
        raise failed("the database cannot be reached", retryable=True, unsent=True) from None
    try:
        with connection:
            connection.read_only = not asked.write
            _check_role(connection)
            if asked.write:
                return _changed(psycopg, connection, asked)
            found = _read(psycopg, connection, asked)
            # Some servers let a transaction that reads make large objects; nothing of it stays.
            connection.rollback()
            return found
    except psycopg.Error as error:
        raise _told(error) from None


def _package() -> Any:
    try:
        return import_module("psycopg")
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: ImportError) -> GoalsMissing:
    # Without the library of C that it wraps, the package says only that it found none.
    return missing_package(error if error.name else ImportError(name="psycopg"))


def _read(psycopg: Any, connection: Any, asked: Asked) -> Rows:
    if not _QUESTION.match(asked.sql):
        raise StatementRefused("only questions are asked: SELECT, WITH, VALUES or TABLE")
    # The query of the role has fixed that the transaction only reads; a statement cannot take that back from then on.
    # What was weighed is what is sent: a scrollable cursor keeps its rows.
    with psycopg.RawServerCursor(connection, "tickwork", scrollable=True) as cursor:
        cursor.execute(asked.sql, asked.params)
        # Text is longer than what it stands for by quotation marks and escapes, and by no more than that.
        weigh = _WEIGH.format(most_bytes=4 * asked.most_bytes, most_rows=asked.most_rows, code=_HEAVY)
        connection.execute(weigh)
        # All rows come in one fetch, since the server holds its deadline for each statement anew.
        cursor.itersize = asked.most_rows + 1
        rows = list(counted(cursor.fetchmany(asked.most_rows + 1), asked))
        columns = tuple(str(column.name) for column in cursor.description or ())
    return Rows(columns, rows[: asked.most_rows], len(rows) > asked.most_rows)


def _check_role(connection: Any) -> None:
    """Refuse to ask as a role that may do everything.

    Raises:
        StatementRefused: TW7030.
    """
    if connection.execute(_MIGHTY).fetchone()[0]:
        raise StatementRefused(
            "the address names a role that may do more than ask the database",
            why="no transaction holds back a superuser, or who reads files of the server or starts programs there",
            fix="make one that may not: CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader",
        )


def _changed(psycopg: Any, connection: Any, asked: Asked) -> Rows:
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(asked.sql, asked.params, prepare=True)
        if cursor.description is None:
            return Rows((), [], changed=max(0, cursor.rowcount))
        columns = tuple(str(column.name) for column in cursor.description)
        rows = list(counted(cursor, asked))
        return Rows(columns, rows[: asked.most_rows], len(rows) > asked.most_rows, max(0, cursor.rowcount))


def _told(error: Any) -> SkillFailed | StatementRefused | OutputTooLarge | Exception:
    """Return what a refusal of the server becomes."""
    state = str(error.sqlstate or "")
    text = (str(error.diag.message_primary or "") or type(error).__name__).splitlines()[0]
    if state in OVERDUE:
        return overdue()
    if state in _WEIGHTS:
        return OutputTooLarge("the rows have more bytes than a result may have", fix="ask for fewer rows or columns")
    if state in REFUSED or (state == "42601" and "multiple commands" in text):
        return StatementRefused(f"PostgreSQL: {text[:500]}")
    return failed(f"PostgreSQL: {text}", retryable=not state or state.startswith(AGAIN))
