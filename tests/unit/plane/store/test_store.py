"""plane/store/store.py: rows and frames in one transaction, threads and processes, foreign files, full disks."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tests.unit.journal.samples import ENVIRONMENT, HEADER, frames
from tickwork.clock import SteppedClock
from tickwork.journal import dbapi
from tickwork.journal.shared import SharedJournals
from tickwork.journal.sqlite import SqliteJournal
from tickwork.plane.errors import StoreFailed, StoreFormat
from tickwork.plane.store.store import READERS, Store
from tickwork.plane.store.tables import METADATA, TENANT, server_pin


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state.db", SteppedClock()) as made:
        yield made


def put(store: Store, subject: str, count: int = 0) -> None:
    with store.begin() as connection:
        connection.execute(insert(server_pin).values(server=subject, name="", seen_us=count))


def counts(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        rows = connection.execute(select(server_pin.c.server, server_pin.c.seen_us))
        return {str(server): int(seen) for server, seen in rows}


def test_rows_are_written_and_read_with_one_tenant_where_nobody_says_more(store: Store) -> None:
    put(store, "a", 7)
    with store.reading() as connection:
        row = connection.execute(select(server_pin)).mappings().one()
    assert (row["tenant_id"], row["server"], row["seen_us"], row["body"]) == (TENANT, "a", 7, b"{}")


def test_every_table_has_a_tenant() -> None:
    assert METADATA.tables
    assert all("tenant_id" in table.c for table in METADATA.tables.values())


def test_a_block_that_raises_writes_nothing_and_one_within_another_fails_alone(store: Store) -> None:
    with pytest.raises(IntegrityError), store.begin() as connection:
        connection.execute(insert(server_pin), [{"server": "a", "name": ""}] * 2)
    with store.begin() as connection:
        put(store, "outer")
        with pytest.raises(IntegrityError):
            put(store, "outer")
        connection.execute(update(server_pin).values(seen_us=5))
    assert counts(store) == {"outer": 5}


def test_rows_and_frames_share_a_commit(store: Store) -> None:
    journal = store.journals.create("r_1", HEADER, ENVIRONMENT)
    journal.append(next(frames(1)))
    put(store, "a")
    assert store.journals.open_run("r_1").length() == 1


def test_a_reader_sees_one_moment_while_others_write(store: Store) -> None:
    put(store, "a", 1)
    with store.reading() as connection:
        assert connection.execute(select(server_pin.c.seen_us)).scalar_one() == 1
        with Store.open(store.path, SteppedClock()) as other, other.begin() as second:
            second.execute(update(server_pin).values(seen_us=2))
        assert connection.execute(select(server_pin.c.seen_us)).scalar_one() == 1
    assert counts(store) == {"a": 2}


def test_threads_write_and_read_beside_each_other(store: Store) -> None:
    put(store, "sum")
    held = threading.Barrier(READERS + 4)

    def work() -> None:
        with store.reading() as connection:
            held.wait()
            assert connection.execute(select(func.count()).select_from(server_pin)).scalar_one() == 1
        for _ in range(5):
            with store.begin(durable=False) as connection:
                connection.execute(update(server_pin).values(seen_us=server_pin.c.seen_us + 1))

    threads = [threading.Thread(target=work) for _ in range(READERS + 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(store) == {"sum": 5 * (READERS + 4)}


def test_ids_are_unique_and_say_what_they_are(store: Store) -> None:
    made = [store.new_id("w") for _ in range(3)]
    assert made == sorted(set(made))
    assert all(one.startswith("w_") for one in made)


def test_a_store_that_is_closed_can_be_closed_again_and_leaves_one_file(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db", SteppedClock())
    put(store, "a")
    counts(store)
    store.close()
    store.close()
    assert [one.name for one in tmp_path.iterdir()] == ["state.db"]


def test_foreign_and_absent_files_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="no store here"):
        Store.open(tmp_path / "none.db", SteppedClock(), write=False)
    with pytest.raises(StoreFailed, match="no store here"):
        Store.open(tmp_path / "none.db", SteppedClock(), create=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text.db").write_text("not a database, but as long as the head of one would be")
    with pytest.raises(StoreFormat):
        Store.open(tmp_path / "text.db", SteppedClock())
    SqliteJournal.create(tmp_path / "run.twk", HEADER, ENVIRONMENT).close_run("finished")
    with pytest.raises(StoreFormat, match="no store"):
        Store.open(tmp_path / "run.twk", SteppedClock())
    SharedJournals.open(tmp_path / "bare.db", create=True).close()
    with pytest.raises(StoreFormat, match="no tables"):
        Store.open(tmp_path / "bare.db", SteppedClock())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreFailed):
        Store.open(tmp_path / "file" / "state.db", SteppedClock())


def test_a_store_that_another_process_holds_is_failed_and_retryable(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbapi, "BUSY_MS", 1)
    with Store.open(store.path, SteppedClock()) as other:
        with store.begin(), pytest.raises(StoreFailed, match="too long") as refused:
            put(other, "a")
        assert refused.value.retryable
        put(other, "a")
    assert counts(store) == {"a": 0}


def test_a_disk_without_room_is_told_of_and_writes_nothing(store: Store) -> None:
    put(store, "a", 3)
    store.journals.database.pragma("max_page_count", 1)
    with pytest.raises(StoreFailed, match="full"), store.begin() as connection:
        connection.execute(insert(server_pin), [{"server": "x" * 900, "name": str(at)} for at in range(500)])
    assert counts(store) == {"a": 3}
