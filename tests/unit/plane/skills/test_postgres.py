import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import missing, need
from tests.unit.plane.skills.calling import answer, failure, found, output
from tickwork.plane.profile import GrantsTable

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]

GRANTS = GrantsTable(databases=("secret:SHOP",))
WRITABLE = GrantsTable(writable=("secret:SHOP",))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a real server with one table, on a socket of its own."""
    postgres = Path(need("postgres")).resolve()
    if os.name == "nt":
        missing("the server listens on a socket of a folder")
    # The path of a socket is short, which that of a test's own folder is not.
    folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))
    somebody = _somebody(folder)
    server: subprocess.Popen[bytes] | None = None
    try:
        initdb = [str(postgres.with_name("initdb")), "-D", str(folder / "data"), "-U", "shop", "-A", "trust"]
        made = subprocess.run(
            [*somebody, *initdb, "--no-sync", "-E", "UTF8", "--locale=C"], cwd=folder, capture_output=True, check=False
        )
        assert made.returncode == 0, made.stderr.decode()
        settings = ["fsync=off", "listen_addresses=", f"unix_socket_directories={folder}", "max_connections=8"]
        command = [
            *somebody,
            str(postgres),
            "-D",
            str(folder / "data"),
            *(part for item in settings for part in ("-c", item)),
        ]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert server.stderr is not None
        for line in server.stderr:
            if b"ready to accept connections" in line:
                break
        _prepare(f"host={folder} user=shop dbname=postgres")
        yield f"host={folder} user=clerk dbname=postgres"
    finally:
        if server is not None:
            server.terminate()
            server.wait()
            assert server.stderr is not None
            server.stderr.close()
        shutil.rmtree(folder, ignore_errors=True)


def _somebody(folder: Path) -> list[str]:
    """Return what makes of root somebody else, as whom the server agrees to run."""
    if os.getuid() != 0:
        return []
    # In a namespace of its own, which needs no account; where those are forbidden, with the account of its package.
    within = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if shutil.which("unshare") and subprocess.run([*within, "true"], capture_output=True, check=False).returncode == 0:
        return within
    shutil.chown(folder, "postgres", "postgres")
    return [need("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _prepare(place: str) -> None:
    import psycopg

    with psycopg.connect(place) as connection:
        connection.execute(
            "CREATE TABLE items(id int PRIMARY KEY, name text, price numeric, at timestamptz, raw bytea)"
        )
        connection.execute(
            "INSERT INTO items VALUES (1, 'pen', 1.50, '2026-01-02T03:04:05Z', '\\xff'), (2, 'ink%', NULL, NULL, NULL)"
        )
        connection.execute("CREATE SEQUENCE numbers")
        for role in ("clerk", "reads", "becomes"):
            connection.execute(f"CREATE ROLE {role} LOGIN")
        # What is kept packed is small until somebody looks at it.
        connection.execute("CREATE TABLE heavy AS SELECT convert_to(repeat('x', 60000000), 'UTF8') AS raw")
        connection.execute("GRANT ALL ON items, heavy, numbers TO clerk")
        connection.execute("GRANT CREATE ON SCHEMA public TO clerk")
        connection.execute("GRANT pg_read_server_files TO reads")
        connection.execute("CREATE ROLE chief SUPERUSER")
        connection.execute("GRANT chief TO becomes")
        connection.execute("ALTER ROLE becomes NOINHERIT")


def ask(address: str, sql: str, *params: Any, grants: GrantsTable = GRANTS, **given: Any) -> Any:
    return output("sql_query", {"sql": sql, "params": list(params), **given}, grants, secrets={"SHOP": address})


def told(address: str, sql: str, skill: Any = "sql_query", grants: GrantsTable = GRANTS, **call: Any) -> str:
    return failure(skill, {"sql": sql}, grants, secrets={"SHOP": address}, **call)


def test_rows_come_by_the_names_of_their_columns(address: str) -> None:
    made = ask(address, "SELECT *, id AS id FROM items WHERE name LIKE $1 ORDER BY 1", "%e%")
    assert made["columns"] == ["id", "name", "price", "at", "raw", "id_2"]
    row = made["rows"][0]
    assert (row["id"], row["name"], row["price"], row["raw"]) == (1, "pen", "1.50", {"base64": "/w=="})
    assert row["at"].startswith("2026-01-0")
    assert not made["truncated"]


def test_rows_are_counted(address: str) -> None:
    made = ask(address, "SELECT n FROM generate_series(1, 100000) n", most_rows=3)
    assert ([row["n"] for row in made["rows"]], made["truncated"]) == ([1, 2, 3], True)


def test_values_never_become_a_part_of_the_statement(address: str) -> None:
    hostile = "x'; DROP TABLE items; --"
    assert ask(address, "SELECT $1::text AS said", hostile)["rows"] == [{"said": hostile}]
    assert ask(address, "SELECT name FROM items WHERE name LIKE '%\\%'")["rows"] == [{"name": "ink%"}]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO items(id) VALUES (9)", "UPDATE items SET name = 'x'", "DELETE FROM items", "DROP TABLE items",
        "CREATE TABLE x(a int)", "TRUNCATE items", "SELECT 1; DELETE FROM items", "COMMIT", "COMMIT; DELETE FROM items",
        "SET TRANSACTION READ WRITE", "COPY items TO '/tmp/x'", "COPY items TO PROGRAM 'id'", "VACUUM",
        "WITH gone AS (DELETE FROM items RETURNING id) SELECT * FROM gone", "SELECT nextval('numbers')",
        "SELECT set_config('transaction_read_only', 'off', false)", "SELECT id INTO copied FROM items",
        "SELECT id FROM items FOR UPDATE", "DO $$ BEGIN DELETE FROM items; END $$",
        "/* SELECT */ DELETE FROM items", "-- SELECT\nDELETE FROM items", "EXPLAIN ANALYZE DELETE FROM items",
    ],
)  # fmt: skip
def test_a_question_changes_nothing(address: str, sql: str) -> None:
    assert told(address, sql).startswith(("TW7030", "TW7008 PostgreSQL: SELECT ... INTO", "TW7008 PostgreSQL: syntax"))
    assert ask(address, "SELECT count(*) AS n FROM items")["rows"] == [{"n": 2}]
    assert ask(address, "SELECT count(*) AS n FROM pg_class WHERE relname IN ('x', 'copied')")["rows"] == [{"n": 0}]


@pytest.mark.parametrize("sql", ["SELECT lo_create(5)", "SELECT lo_from_bytea(0, '\\x00')"])
def test_what_a_server_lets_a_question_make_does_not_stay(address: str, sql: str) -> None:
    answer("sql_query", {"sql": sql}, GRANTS, secrets={"SHOP": address})
    assert ask(address, "SELECT count(*) AS n FROM pg_largeobject_metadata")["rows"] == [{"n": 0}]


@pytest.mark.parametrize(
    "sql", ["( SELECT 1 AS one)", "-- why\nSELECT 1 AS one", "/* a * b */ VALUES (1)", "TABLE items"]
)
def test_a_question_has_many_forms(address: str, sql: str) -> None:
    assert ask(address, sql)["rows"]


def test_the_server_holds_the_deadline(address: str) -> None:
    assert told(address, "SELECT pg_sleep(30)", timeout_ms=300).startswith("TW7009")
    sneaky = "SELECT set_config('statement_timeout', '0', false), pg_sleep(30)"
    assert told(address, sneaky, timeout_ms=300).startswith("TW7009")


def test_too_many_bytes_are_refused(address: str) -> None:
    assert told(address, "SELECT repeat('x', 2000000)").startswith("TW7029")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('x', 60000000)",
        "SELECT n, repeat('x', 5000) FROM generate_series(1, 10000) n",
        "SELECT convert_to(repeat('x', 60000000), 'UTF8')",
        "SELECT array_agg(repeat('x', 1000)) FROM generate_series(1, 60000)",
        "SELECT raw FROM heavy",
    ],
)
def test_what_is_too_large_is_not_even_sent(address: str, sql: str) -> None:
    import resource  # Systems without it have no socket for the server either.

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert told(address, sql).startswith("TW7029")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000, "kilobytes"


def test_what_is_weighed_is_what_comes(address: str) -> None:
    made = ask(address, "SELECT random() AS a, n, repeat('\"\\', 50) AS t FROM generate_series(1, 2000) n", most_rows=2)
    assert ([row["n"] for row in made["rows"]], made["truncated"]) == ([1, 2], True)
    assert made["rows"][0]["t"] == '"\\' * 50
    assert len(ask(address, "SELECT repeat('\"', 400000) AS t")["rows"][0]["t"]) == 400_000
    assert ask(address, "SELECT 1 AS a, 2 AS a, NULL, ROW(1, 'x') AS r")["columns"] == ["a", "a_2", "?column?", "r"]
    assert ask(address, "SELECT 1 AS one WHERE false")["columns"] == ["one"]


@pytest.mark.parametrize("role", ["shop", "reads", "becomes"])
@pytest.mark.parametrize("write", [False, True])
def test_nobody_asks_as_somebody_who_may_do_everything(address: str, role: str, write: bool) -> None:
    mighty = address.replace("user=clerk", f"user={role}")
    skill, grants = (found("sql_query", write=True), WRITABLE) if write else ("sql_query", GRANTS)
    for sql in ("SELECT pg_read_file('/etc/hostname')", "COPY items TO PROGRAM 'id'", "SELECT 1"):
        assert told(mighty, sql, skill, grants).startswith("TW7030 the address names a role that may do more")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_read_file('/etc/hostname')", "SELECT pg_ls_dir('/')", "SELECT lo_export(1, '/tmp/tw-x')",
        "SELECT lo_import('/etc/hostname')", "SELECT pg_reload_conf()", "SELECT set_config('role', 'chief', false)",
        "SELECT set_config('session_authorization', 'shop', false)", "SELECT pg_terminate_backend(1)",
        "SELECT query_to_xml('DELETE FROM items', true, true, '')", "SELECT * FROM dblink('x', 'SELECT 1') AS t(a int)",
        "SELECT setval('numbers', 5)", "SELECT pg_switch_wal()", "SELECT set_config('log_statement', 'all', false)",
    ],
)  # fmt: skip
def test_no_function_reaches_out_of_the_database(address: str, sql: str) -> None:
    made = answer("sql_query", {"sql": sql}, GRANTS, secrets={"SHOP": address})
    if made.failure is None:
        assert (sql, json.loads(made.output)["rows"][0]) == (
            "SELECT pg_terminate_backend(1)",
            {"pg_terminate_backend": False},
        )
    assert ask(address, "SELECT count(*) AS n FROM items")["rows"] == [{"n": 2}]


def test_no_transaction_is_left_open(address: str) -> None:
    for sql in ("SELECT 1", "SELECT nothing", "SELECT repeat('x', 9000000)", "SELECT pg_advisory_lock(7)"):
        answer("sql_query", {"sql": sql}, GRANTS, secrets={"SHOP": address})
    others = "FROM pg_stat_activity WHERE usename = 'clerk' AND pid <> pg_backend_pid() AND state LIKE 'idle in%'"
    assert ask(address, f"SELECT count(*) AS n {others}")["rows"] == [{"n": 0}]
    assert ask(address, "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'")["rows"] == [{"n": 0}]


def test_what_the_server_says_names_no_place(address: str) -> None:
    assert told(address, "SELECT * FROM none").startswith('TW7008 PostgreSQL: relation "none" does not exist')
    nowhere = "host=/nowhere-at-all user=shop password=hidden-0123"
    made = answer("sql_query", {"sql": "SELECT 1"}, GRANTS, secrets={"SHOP": nowhere})
    assert made.failure is not None
    assert (made.failure.message, made.failure.retryable) == ("the database cannot be reached", True)


def test_a_grant_and_a_skill_that_writes_are_both_needed(address: str) -> None:
    writing = found("sql_query", write=True)
    sql = "INSERT INTO items(id, name) VALUES (7, 'new')"
    assert told(address, sql, writing).startswith("TW7030")
    assert told(address, sql, grants=WRITABLE).startswith("TW7030")
    assert output(writing, {"sql": sql}, WRITABLE, secrets={"SHOP": address})["changed"] == 1
    assert told(address, sql, writing, WRITABLE).startswith("TW7008 PostgreSQL: duplicate key")
    assert told(address, "SELECT 1; SELECT 2", writing, WRITABLE).startswith("TW7030")
    gone = output(
        writing, {"sql": "DELETE FROM items WHERE id = 7 RETURNING name"}, WRITABLE, secrets={"SHOP": address}
    )
    assert (gone["rows"], gone["changed"]) == ([{"name": "new"}], 1)


def test_an_address_that_is_not_granted_is_not_asked(address: str) -> None:
    other = GrantsTable(databases=("secret:OTHER",))
    text = failure("sql_query", {"sql": "SELECT 1", "database": "secret:SHOP"}, other, secrets={"SHOP": address})
    assert text.startswith("TW7030 the database secret:SHOP may not be read")
