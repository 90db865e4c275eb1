"""Records ``logs/server.log`` anew: what a real PostgreSQL server says in half a minute that goes wrong.

    python examples/goals/log_investigator/record.py       (needs: a server's programs on PATH, tickwork[postgres])

A small shop works on it: tills that move money and note orders, a report that takes too long, a program with a mistake
in its statement. Then more tills open than the server has room for, and a little later one of its processes is killed
as the system kills what takes too much memory: with SIGKILL. Nothing of the log is invented or corrected; only lines
that would name a folder of the machine are never written, since the server listens on a port alone.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
PORT = 54329
ACCOUNTS = 12
SETTINGS = (
    "listen_addresses=127.0.0.1", f"port={PORT}", "unix_socket_directories=", "max_connections=14", "fsync=off",
    "log_line_prefix=%m [%p] %q%u@%d ", "log_timezone=UTC", "log_connections=on", "log_disconnections=on",
    "log_lock_waits=on", "deadlock_timeout=40ms", "log_checkpoints=on", "checkpoint_timeout=30s", "max_wal_size=32MB",
    "log_min_duration_statement=120ms", "restart_after_crash=on", "superuser_reserved_connections=2",
)  # fmt: skip
ADDRESS = f"host=127.0.0.1 port={PORT} user=shop dbname=postgres connect_timeout=3"
TABLES = """
CREATE TABLE account(id int PRIMARY KEY, balance int NOT NULL CONSTRAINT never_overdrawn CHECK (balance >= 0));
CREATE TABLE purchase(id int PRIMARY KEY, account int REFERENCES account, amount int NOT NULL, note text);
"""


def somebody(folder: Path) -> list[str]:
    """Return what makes of root somebody else, as whom the server agrees to run."""
    if os.getuid() != 0:
        return []
    within = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*within, "true"], capture_output=True, check=False).returncode == 0:
        return within
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def till(number: int, stop: threading.Event) -> None:
    """Sell things until the shop closes; whatever fails is tried again with a new connection."""
    chance = random.Random(number)
    while not stop.is_set():
        try:
            with psycopg.connect(ADDRESS, application_name=f"till-{number}") as connection:
                for _ in range(chance.randint(3, 8)):
                    sell(connection, chance)
                    stop.wait(chance.uniform(0.04, 0.14))
        except psycopg.Error:
            stop.wait(chance.uniform(0.1, 0.5))


def sell(connection: "psycopg.Connection[tuple[object, ...]]", chance: random.Random) -> None:
    """Move money between two accounts, in no order that would spare the server a deadlock, and note it."""
    one, other = chance.sample(range(ACCOUNTS), 2)
    amount = chance.randint(1, 60)
    with connection.transaction():
        connection.execute("UPDATE account SET balance = balance - %s WHERE id = %s", (amount, one))
        time.sleep(chance.uniform(0, 0.03))
        connection.execute("UPDATE account SET balance = balance + %s WHERE id = %s", (amount, other))
        note = "x" * chance.randint(10, 4000)
        # The number is drawn and not counted, so that two tills sometimes draw the same.
        values = (chance.randint(1, 30_000), one, amount, note)
        connection.execute("INSERT INTO purchase VALUES (%s, %s, %s, %s)", values)


def report(stop: threading.Event) -> None:
    """Ask something that takes longer than it may, and now and then something with a mistake in it."""
    for turn in range(10_000):
        if stop.wait(0.9):
            return
        try:
            with psycopg.connect(ADDRESS, application_name="report") as connection:
                connection.execute("SET statement_timeout = '250ms'")
                if turn % 3 == 2:
                    connection.execute("SELECT account, sum(amout) FROM purchase GROUP BY account")
                else:
                    connection.execute("SELECT a.note, pg_sleep(0.01) FROM purchase a, purchase b ORDER BY b.note")
        except psycopg.Error:
            continue


def work() -> None:
    """Let the shop be open for half a minute."""
    with psycopg.connect(ADDRESS) as connection:
        connection.execute(TABLES)
        connection.execute("INSERT INTO account SELECT n, 900 FROM generate_series(0, %s) n", (ACCOUNTS - 1,))
    stop = threading.Event()
    threads = [threading.Thread(target=till, args=(number, stop)) for number in range(6)]
    threads.append(threading.Thread(target=report, args=(stop,)))
    for thread in threads:
        thread.start()
    time.sleep(14)
    late = [threading.Thread(target=till, args=(number, stop)) for number in range(6, 16)]
    for thread in late:
        thread.start()
    time.sleep(8)
    with psycopg.connect(ADDRESS.replace("user=shop", "user=owner"), autocommit=True) as connection:
        found = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'till-%'").fetchone()
    if found is not None:
        os.kill(int(str(found[0])), signal.SIGKILL)
    time.sleep(9)
    stop.set()
    for thread in [*threads, *late]:
        thread.join()


def main() -> None:
    """Make a server, let it be used, and keep what it said."""
    folder = Path(tempfile.mkdtemp(prefix="tw-log-"))
    own = somebody(folder)
    postgres = Path(str(shutil.which("postgres"))).resolve()
    made = [*own, str(postgres.with_name("initdb")), "-D", "data", "-U", "owner", "-A", "trust", "--locale=C"]
    subprocess.run([*made, "-E", "UTF8", "--no-sync"], cwd=folder, check=True, capture_output=True)
    command = [*own, str(postgres), "-D", "data", *(part for item in SETTINGS for part in ("-c", item))]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "TZ": "UTC"})
    try:
        for _ in range(100):
            time.sleep(0.1)
            if b"ready to accept connections" in (folder / "server.log").read_bytes():
                break
        with psycopg.connect(ADDRESS.replace("user=shop", "user=owner"), autocommit=True) as connection:
            connection.execute("CREATE ROLE shop LOGIN")
            connection.execute("GRANT ALL ON SCHEMA public TO shop")
        work()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        said = (folder / "server.log").read_bytes()
        shutil.rmtree(folder)
    assert str(folder).encode() not in said, "no folder of the machine is told"
    (HERE / "logs" / "server.log").write_bytes(said)


if __name__ == "__main__":
    main()
