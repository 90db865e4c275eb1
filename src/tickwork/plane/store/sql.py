"""What of SQLAlchemy the plane's rows are read and written with; the package is known to this folder alone."""

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
    "update",
)
