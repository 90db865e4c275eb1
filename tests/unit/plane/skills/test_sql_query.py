from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.unit.plane.skills.calling import answer, failure, found, output
from tickwork.kinds import EffectClass
from tickwork.plane.profile import GrantsTable
from tickwork.plane.skills.sql_query import plain, unique_names

READ = GrantsTable(databases=("shop.db",))
WRITE = GrantsTable(writable=("shop.db",))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with apsw.Connection(str(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price REAL, raw BLOB)")
        connection.execute("INSERT INTO items VALUES(1,'pen',1.5,x'ff'),(2,'ink',NULL,NULL),(3,'pad',9e999,NULL)")
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
        connection.execute("INSERT INTO words VALUES('hello world')")
    connection.close()
    return tmp_path


def ask(project: Path, sql: str, grants: GrantsTable = READ, *params: Any, **given: Any) -> Any:
    return output("sql_query", {"sql": sql, "params": list(params), **given}, grants, project=project)


def refused(project: Path, sql: str, skill: Any = "sql_query", grants: GrantsTable = READ, **given: Any) -> str:
    return failure(skill, {"sql": sql, **given}, grants, project=project)


def test_rows_come_by_the_names_of_their_columns(project: Path) -> None:
    made = ask(project, "SELECT * FROM items WHERE id <> ? ORDER BY id", READ, 2)
    assert made["columns"] == ["id", "name", "price", "raw"]
    assert made["rows"] == [
        {"id": 1, "name": "pen", "price": 1.5, "raw": {"base64": "/w=="}},
        {"id": 3, "name": "pad", "price": "inf", "raw": None},
    ]
    assert (made["truncated"], made["changed"]) == (False, 0)
    assert ask(project, "SELECT id FROM items WHERE 0")["columns"] == ["id"]
    assert ask(project, "SELECT text FROM words WHERE words MATCH 'hello'")["rows"] == [{"text": "hello world"}]
    assert len(ask(project, "SELECT name FROM pragma_table_info('items')")["rows"]) == 4


def test_rows_are_counted(project: Path) -> None:
    made = ask(project, "SELECT id FROM items ORDER BY id", most_rows=2)
    assert ([row["id"] for row in made["rows"]], made["truncated"]) == ([1, 2], True)
    assert not ask(project, "SELECT id FROM items", most_rows=3)["truncated"]


def test_the_database_is_a_label(project: Path) -> None:
    made = answer("sql_query", {"sql": "SELECT 1"}, READ, project=project)
    assert made.labels == ("database:shop.db",)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO items(name) VALUES('x')", "UPDATE items SET name = 'x'", "DELETE FROM items", "DROP TABLE items",
        "CREATE TABLE x(a)", "CREATE TEMP TABLE x(a)", "ATTACH 'other.db' AS other", "DETACH main", "VACUUM",
        "VACUUM INTO 'copy.db'", "PRAGMA journal_mode = DELETE", "PRAGMA user_version", "PRAGMA writable_schema = 1",
        "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "REINDEX", "ANALYZE", "ALTER TABLE items ADD x",
        "SELECT load_extension('x')", "SELECT fts3_tokenizer('simple')", "SELECT 1; DELETE FROM items",
        "SELECT 1; SELECT 2", "INSERT INTO words(words) VALUES('rebuild')",
        "WITH x AS (SELECT 1) INSERT INTO items(name) SELECT 'x' FROM x",
        "CREATE TRIGGER t AFTER INSERT ON items BEGIN SELECT 1; END",
    ],
)  # fmt: skip
def test_a_question_changes_nothing(project: Path, sql: str) -> None:
    before = (project / "shop.db").read_bytes()
    assert refused(project, sql).startswith("TW7030")
    assert (project / "shop.db").read_bytes() == before
    assert sorted(path.name for path in project.iterdir()) == ["shop.db"]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM none", "TW7008 SQLite: no such table: none"),
        ("SELEC 1", "TW7008 SQLite: near"),
        ("SELECT ?", "TW7008"),
        ("SELECT writefile('a', 'b')", "TW7008"),
        ("SELECT randomblob(100000000)", "TW7008 SQLite: string or blob too big"),
        ("SELECT zeroblob(3000000)", "TW7029"),
        ("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r", "TW7009"),
        ("SELECT 1\0", "TW7006"),
        ("SELECT " + "1 + " * 500 + "1", "TW7008"),
    ],
)
def test_a_statement_that_cannot_be_carried_out_is_a_failure(project: Path, sql: str, told: str) -> None:
    made = answer("sql_query", {"sql": sql}, READ, project=project, timeout_ms=150).failure
    assert made is not None
    assert f"{made.code} {made.message}".startswith(told)
    assert str(project) not in made.message


def test_a_grant_and_a_skill_that_writes_are_both_needed(project: Path) -> None:
    writing = found("sql_query", project, write=True)
    sql = "UPDATE items SET name = 'x' WHERE id < 3"
    assert refused(project, sql, writing).startswith("TW7030 the database shop.db may not be changed")
    assert refused(project, sql, grants=WRITE).startswith("TW7030")
    assert output(writing, {"sql": sql}, WRITE, project=project)["changed"] == 2
    assert ask(project, "SELECT DISTINCT name FROM items WHERE id < 3", WRITE)["rows"] == [{"name": "x"}]
    made = output(writing, {"sql": "INSERT INTO items(name) VALUES('new') RETURNING id"}, WRITE, project=project)
    assert (made["rows"], made["changed"]) == ([{"id": 4}], 1)
    assert (writing.pin.effect_class, writing.pin.side_effects) == (EffectClass.UNSAFE, True)
    assert (found("sql_query").pin.effect_class, found("sql_query").pin.outside) == (EffectClass.IDEMPOTENT, True)


@pytest.mark.parametrize("sql", ["DROP TABLE items", "DELETE FROM items; DELETE FROM items", "COMMIT", "PRAGMA x = 1",
                                 "ATTACH 'x' AS y", "CREATE TABLE x(a)"])  # fmt: skip
def test_who_may_change_rows_may_change_nothing_else(project: Path, sql: str) -> None:
    assert refused(project, sql, found("sql_query", project, write=True), WRITE).startswith("TW7030")
    assert len(ask(project, "SELECT id FROM items")["rows"]) == 3


def test_a_change_that_fails_is_undone(project: Path) -> None:
    writing = found("sql_query", project, write=True)
    assert refused(project, "UPDATE items SET id = 7", writing, WRITE).startswith("TW7008 SQLite: UNIQUE")
    assert [row["id"] for row in ask(project, "SELECT id FROM items ORDER BY 1")["rows"]] == [1, 2, 3]


BIG = "hex(zeroblob(2000000))"


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT instr({BIG}, substr({BIG}, 2) || '1')",
        f"SELECT replace({BIG}, substr({BIG}, 2) || '1', '')",
        f"SELECT trim({BIG}, substr({BIG}, 2) || '1')",
        f"SELECT ltrim({BIG}, substr({BIG}, 2) || '1')",
        f"SELECT rtrim({BIG}, substr({BIG}, 2) || '1')",
        f"SELECT unhex({BIG}, substr({BIG}, 2) || '1')",
        f"SELECT {BIG} LIKE '%0' || replace(hex(zeroblob(200)), '0', '0_') || '1'",
        f"SELECT json_patch({BIG}, '{{}}')",
        "SELECT zeroblob(1000000000)",
        "SELECT printf('%.*c', 1000000000, 'x')",
    ],
)
def test_no_function_takes_longer_than_anybody_can_interrupt(project: Path, sql: str) -> None:
    # Each would go on for minutes or hours, after the deadline too, or take the memory of the machine.
    assert refused(project, sql).startswith(("TW7008 SQLite: ", "TW7030 "))


def test_a_loop_over_what_is_slow_ends_at_the_deadline(project: Path) -> None:
    sql = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(instr({BIG}, i || 'x')) FROM n"
    told = failure("sql_query", {"sql": sql}, READ, project=project, timeout_ms=100)
    assert told == "TW7009 the statement did not end in time"


def test_functions_that_are_bounded_give_what_those_of_sqlite_give(project: Path) -> None:
    asked = "instr('añb', 'b'), instr(x'0102', x'02'), instr(NULL, 1), instr(120, 2), replace('aXb', 'X', 1.5)"
    asked += ", trim('--a-', '-'), ltrim('--a-', '-'), rtrim(12.50, '0'), unhex('AB-CD', '-'), trim('  a ')"
    plainly = apsw.Connection(":memory:")
    expected = [plain(value) for value in next(plainly.execute(f"SELECT {asked}"))]
    plainly.close()
    made = ask(project, f"SELECT {asked}")
    assert [made["rows"][0][column] for column in made["columns"]] == expected
    with apsw.Connection(str(project / "shop.db")) as connection:
        connection.execute("CREATE VIEW shouted AS SELECT replace(name, 'p', 'P') AS name FROM items WHERE id = 1")
    connection.close()
    assert ask(project, "SELECT name FROM shouted")["rows"] == [{"name": "Pen"}]


def test_only_granted_databases_are_asked(project: Path) -> None:
    (project / "other.db").write_bytes((project / "shop.db").read_bytes())
    two = GrantsTable(databases=("shop.db", "none.db"))
    assert refused(project, "SELECT 1", database="other.db").startswith("TW7030 the database other.db may not be read")
    assert refused(project, "SELECT 1", database="./shop.db").startswith("TW7030")
    assert refused(project, "SELECT 1", grants=two).startswith("TW7006")
    assert refused(project, "SELECT 1", grants=GrantsTable()).startswith("TW7006")
    assert refused(project, "SELECT 1", grants=two, database="none.db").startswith("TW7008 the database cannot be")
    assert ask(project, "SELECT 1 AS one", two, database="shop.db")["rows"] == [{"one": 1}]
    assert not (project / "none.db").exists()


def test_a_skill_may_stand_for_one_database(project: Path) -> None:
    shop = found("sql_query", project, database="shop.db", most_rows=1)
    assert output(shop, {"sql": "SELECT id FROM items"}, READ, project=project)["truncated"]
    assert refused(project, "SELECT 1", shop, GrantsTable(databases=("other.db",)), database="other.db").startswith(
        "TW7006"
    )


def test_columns_of_one_name_are_told_apart() -> None:
    assert unique_names(["a", "b", "a", "a_2", "a"]) == ["a", "b", "a_2", "a_2_", "a_3"]


def test_values_without_a_form_in_json_come_as_text() -> None:
    from datetime import UTC, date, datetime
    from decimal import Decimal
    from uuid import UUID

    assert plain(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00+00:00"
    assert plain([date(2026, 1, 2), (Decimal("1.50"), UUID(int=0)), {"a": b"x"}, float("nan")]) == [
        "2026-01-02", ["1.50", "00000000-0000-0000-0000-000000000000"], {"a": {"base64": "eA=="}}, "nan",
    ]  # fmt: skip
