"""What of SQLAlchemy the plane's rows are read and written with; the package is known to this folder alone."""

from typing import Any, Final

from ..extras import missing_package

try:
    from sqlalchemy import (
        BigInteger,
        ClauseElement,
        Column,
        ColumnElement,
        Connection,
        Engine,
        Index,
        Integer,
        LargeBinary,
        MetaData,
        PrimaryKeyConstraint,
        RowMapping,
        Select,
        Table,
        Text,
        UniqueConstraint,
        bindparam,
        create_engine,
        delete,
        func,
        insert,
        or_,
        select,
        text,
        update,
    )
    from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
    from sqlalchemy.exc import IntegrityError, OperationalError
    from sqlalchemy.pool import StaticPool
    from sqlalchemy.sql.elements import UnaryExpression
    from sqlalchemy.sql.operators import custom_op
except ImportError as error:
    raise missing_package(error) from error

__all__ = (
    "BigInteger",
    "ClauseElement",
    "Column",
    "ColumnElement",
    "Connection",
    "Engine",
    "Index",
    "Integer",
    "IntegrityError",
    "LargeBinary",
    "MetaData",
    "OperationalError",
    "PrimaryKeyConstraint",
    "RowMapping",
    "Select",
    "StaticPool",
    "Table",
    "Text",
    "UniqueConstraint",
    "bindparam",
    "create_engine",
    "delete",
    "func",
    "insert",
    "or_",
    "select",
    "sqlite_dialect",
    "text",
    "unsought",
    "update",
)


_PLUS: Final[custom_op[Any]] = custom_op("+")


def unsought(column: Column[Any]) -> ColumnElement[Any]:
    """Return a column by which SQLite looks for no row: a condition more, where another one finds few rows.

    Nothing tells SQLite that a tenant or a status has any number of rows and a run or an owner a few.

    Source: https://sqlite.org/optoverview.html, on terms that a unary plus disqualifies.
    """
    return UnaryExpression(column, operator=_PLUS, type_=column.type)
