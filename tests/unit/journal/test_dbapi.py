"""journal/dbapi.py: what SQLAlchemy asks of a database, and what it is told when something goes wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, exc, text
from sqlalchemy.pool import StaticPool

from tickwork.journal import dbapi
from tickwork.journal.dbapi import Database, Session


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "some.db", create=True)
    made.script("CREATE TABLE t (id INTEGER PRIMARY KEY, words TEXT UNIQUE, bytes BLOB) STRICT")
    yield made
    made.close()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    engine = create_engine(
        "sqlite://", module=dbapi, creator=lambda: Session(database, ends=True), poolclass=StaticPool
    )
    with engine.connect() as made:
        yield made


def test_values_come_back_as_they_went(connection: Connection) -> None:
    added = connection.execute(
        text("INSERT INTO t (words, bytes) VALUES (:words, :bytes) RETURNING id"), {"words": "ö", "bytes": b"\0\xff"}
    )
    assert added.scalar_one() == 1
    row = connection.execute(text("SELECT id, words, bytes, NULL AS none, 1.5 AS part FROM t")).mappings().one()
    assert dict(row) == {"id": 1, "words": "ö", "bytes": b"\0\xff", "none": None, "part": 1.5}
    assert connection.execute(text("SELECT words FROM t WHERE 0")).keys() == ["words"]
    assert connection.execute(text("SELECT 'ab' REGEXP 'a.'")).scalar_one() == 1


def test_changed_rows_are_counted(connection: Connection) -> None:
    many = [{"words": str(number)} for number in range(5)]
    assert connection.execute(text("INSERT INTO t (words) VALUES (:words)"), many).rowcount == 5
    assert connection.execute(text("UPDATE t SET bytes = x'00' WHERE id > 2")).rowcount == 3
    assert connection.execute(text("DELETE FROM t WHERE id = 99")).rowcount == 0


def test_rows_are_fetched_in_any_portions(database: Database) -> None:
    cursor = Session(database).cursor()
    cursor.execute("VALUES (1), (2), (3), (4), (5)")
    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany(2) == [(2,), (3,)]
    assert cursor.fetchmany() == [(4,)]
    assert list(cursor) == [(5,)]
    assert cursor.fetchone() is None
    cursor.setinputsizes()
    cursor.setoutputsize()
    cursor.close()


def test_a_savepoint_is_undone_alone(database: Database, connection: Connection) -> None:
    database.begin(durable=False)
    connection.execute(text("INSERT INTO t (words) VALUES ('kept')"))
    with connection.begin_nested() as part:
        connection.execute(text("INSERT INTO t (words) VALUES ('undone')"))
        part.rollback()
    connection.commit()
    assert database.query("SELECT words FROM t") == [("kept",)]
    database.begin(durable=True)
    connection.execute(text("INSERT INTO t (words) VALUES ('gone')"))
    connection.rollback()
    assert database.query("SELECT words FROM t") == [("kept",)]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("INSERT INTO t (words) VALUES ('twice'), ('twice')", exc.IntegrityError),
        ("INSERT INTO t (bytes) VALUES ('text')", exc.IntegrityError),
        ("SELECT * FROM nothing", exc.OperationalError),
        ("SELEKT", exc.OperationalError),
        ("SELECT zeroblob(9999999999)", exc.DataError),
    ],
)
def test_an_error_is_of_the_standards_kind(connection: Connection, statement: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        connection.execute(text(statement))


def test_a_wrong_number_of_values_is_a_mistake_of_the_program(database: Database) -> None:
    with pytest.raises(dbapi.ProgrammingError):
        Session(database).cursor().execute("SELECT ?", ())


def test_a_reader_writes_nothing(database: Database) -> None:
    assert database.to_wal()
    reader = Database(database.path, write=False)
    database.begin(durable=True)
    database.query("INSERT INTO t (words) VALUES ('unseen')")
    reader.begin_reading()
    assert reader.query("SELECT * FROM t") == []
    database.commit()
    assert reader.query("SELECT * FROM t") == []
    reader.rollback()
    assert reader.query("SELECT words FROM t") == [("unseen",)]
    with pytest.raises(dbapi.OperationalError, match="readonly"):
        Session(reader).cursor().execute("DELETE FROM t")
    reader.close()
