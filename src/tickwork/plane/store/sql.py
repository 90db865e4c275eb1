"""What of SQLAlchemy the plane's rows are read and written with; the package is known to this folder alone."""

from ..extras import missing_package

try:
    from sqlalchemy import (
        ColumnElement,
        Connection,
        RowMapping,
        Select,
        Table,
        delete,
        insert,
        or_,
        select,
        text,
        update,
    )
except ImportError as error:
    raise missing_package(error) from error

__all__ = (
    "ColumnElement",
    "Connection",
    "RowMapping",
    "Select",
    "Table",
    "delete",
    "insert",
    "or_",
    "select",
    "text",
    "update",
)
