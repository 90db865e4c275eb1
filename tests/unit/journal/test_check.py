"""A check finds every changed byte of a closed journal and every changed record of an open one, and says where."""

import shutil
from pathlib import Path

import apsw
import pytest

from tests.unit.journal.samples import ENVIRONMENT, HEADER, KEY, closed_run, fill, frames, open_run
from tickwork.errors import JournalFormat, JournalNotFound
from tickwork.journal.check import ChainReport, check
from tickwork.journal.seal import PAGE
from tickwork.journal.signing import sign
from tickwork.journal.sqlite import SqliteJournal
from tickwork.journal.store import Head, RunStatus
from tickwork.keys import key_id as key_id_of
from tickwork.keys import public_half


def found(path: Path) -> ChainReport | None:
    """Return the report, None where the file was refused as no journal at all."""
    try:
        return check(path)
    except JournalFormat:
        return None


def flip(path: Path, offset: int, bits: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bits]))


def edit(path: Path, statement: str) -> None:
    """Change rows as somebody would who has a tool for SQLite."""
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


def test_a_finished_run_is_whole_and_names_its_signer(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 5)
    last = list(frames(5))[-1]
    report = check(path)
    assert report == ChainReport(
        ticks=5,
        head=Head(4, last.d, last.f),
        sealed=True,
        status=RunStatus(closed=True, text="finished"),
        key_id=key_id_of(public_half(KEY)),
        signed_tick=4,
        signature_ok=True,
    )


def test_an_open_run_is_whole_without_a_seal(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 5)
    report = check(path)
    assert (report.ticks, report.sealed, report.signature_ok, report.damage) == (5, False, None, None)
    assert report.status == RunStatus(closed=False)


def test_a_run_can_be_checked_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        for count in range(1, 4):
            fill(journal, 1)
            assert check(path).ticks == count
            assert check(path).damage is None
        fill(journal, 1)
    assert check(path).ticks == 4


def test_checking_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path)
    before = path.read_bytes()
    check(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.twk"]


def every_flip_is_found(path: Path, offsets: range, bit: int | None = None) -> None:
    """Flip one bit of each byte, the given one or another each time."""
    whole = path.read_bytes()
    for offset in offsets:
        bits = 1 << (offset % 8 if bit is None else bit)
        flip(path, offset, bits)
        report = found(path)
        assert report is not None, f"byte {offset}: taken for no journal"
        assert report.damage is not None, f"byte {offset}: not found"
        assert report.damage.offset is not None
        assert report.damage.offset // PAGE == offset // PAGE, f"byte {offset}: placed at {report.damage.offset}"
        flip(path, offset, bits)
    assert path.read_bytes() == whole


def test_a_sample_of_flipped_bytes_of_a_finished_run_is_found_and_placed(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 3)
    every_flip_is_found(path, range(0, path.stat().st_size, 997))


@pytest.mark.slow
@pytest.mark.thorough
def test_every_flipped_byte_of_a_finished_run_is_found_and_placed(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 3)
    every_flip_is_found(path, range(path.stat().st_size))


@pytest.mark.slow
def test_every_bit_of_a_finished_run_s_first_and_last_bytes_is_found_and_placed(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 3)
    size = path.stat().st_size
    for bit in range(8):
        every_flip_is_found(path, range(128), bit)
        every_flip_is_found(path, range(size - 128, size), bit)


def test_a_flip_in_a_record_of_a_finished_run_names_byte_and_tick(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 5)
    place = path.read_bytes().index(list(frames(5))[2].turns[:60])
    flip(path, place + 30, 4)
    damage = check(path).damage
    assert damage is not None
    assert damage.record == 2
    assert damage.offset == place // PAGE * PAGE


def test_a_finished_run_that_is_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 3)
    whole = path.read_bytes()
    for length in range(0, len(whole), 512):
        path.write_bytes(whole[:length])
        report = found(path)
        assert (report is None) == (length == 0)
        assert report is None or report.damage is not None, f"cut to {length}"


def test_a_finished_run_that_has_grown_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 3)
    for more in (b"\0", bytes(PAGE)):
        shutil.copy(path, tmp_path / "copy.twk")
        with (tmp_path / "copy.twk").open("ab") as file:
            file.write(more)
        assert check(tmp_path / "copy.twk").damage is not None


def test_a_finished_run_whose_seal_was_taken_off_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 3)
    content = path.read_bytes()
    path.write_bytes(content[: int.from_bytes(content[28:32], "big") * PAGE])
    damage = check(path).damage
    assert damage is not None
    assert "seal" in damage.what


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE frames SET hints = x'00' WHERE tick = 1",
        "UPDATE status SET text = 'otherwise'",
        "CREATE TABLE more (one BLOB)",
        "DROP TABLE heads",
        "VACUUM",
        "PRAGMA journal_mode = wal",
        "PRAGMA journal_mode = wal; UPDATE status SET text = 'otherwise'",
    ],
)
def test_a_finished_run_that_a_tool_has_written_is_damaged(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 3)
    edit(path, statement)
    assert check(path).damage is not None


def test_a_finished_run_dressed_up_as_an_open_one_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 3)
    content = bytearray(path.read_bytes())
    content[18:20] = b"\x02\x02"
    path.write_bytes(content[: int.from_bytes(content[28:32], "big") * PAGE])
    damage = check(path).damage
    assert damage is not None
    assert "no seal" in damage.what


def test_flips_in_the_frames_of_an_open_run_are_found(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 3)
    content = path.read_bytes()
    for frame in frames(3):
        for part in (frame.turns, frame.d, frame.f):
            start = content.index(part)
            for offset in range(start, start + len(part), 7):
                flip(path, offset, 1 << offset % 8)
                damage = check(path).damage
                assert damage is not None
                assert damage.record == frame.tick
                flip(path, offset, 1 << offset % 8)


def test_flips_in_the_header_of_an_open_run_name_the_header(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 0)
    content = path.read_bytes()
    for part in (HEADER, ENVIRONMENT):
        flip(path, content.index(part) + 3, 1)
        damage = check(path).damage
        assert damage is not None
        assert damage.record == -1
        flip(path, content.index(part) + 3, 1)


@pytest.mark.slow
def test_no_flip_of_an_open_run_loses_a_record_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 3)
    expected = check(path)
    for offset in range(0, path.stat().st_size, 3):
        flip(path, offset, 1 << offset % 8)
        report = found(path)
        if report is not None and report.damage is None:
            assert (report.ticks, report.head) == (expected.ticks, expected.head), f"byte {offset}"
        flip(path, offset, 1 << offset % 8)


@pytest.mark.parametrize(
    ("statement", "record"),
    [
        ("UPDATE frames SET turns = x'00' WHERE tick = 2", 2),
        ("UPDATE frames SET hints = x'00' WHERE tick = 2", 2),
        ("UPDATE frames SET derived = x'9100' WHERE tick = 4", 4),
        ("UPDATE frames SET d = zeroblob(32) WHERE tick = 0", 0),
        ("DELETE FROM frames WHERE tick = 1", 1),
        ("DELETE FROM frames WHERE tick = 0", 0),
        ("UPDATE header SET header = x'00'", -1),
        ("UPDATE content SET bytes = x'00'", None),
        ("DELETE FROM header", -1),
    ],
)
def test_an_edited_row_of_an_open_run_is_found(tmp_path: Path, statement: str, record: int | None) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 5)
    edit(path, statement)
    damage = check(path).damage
    assert damage is not None
    assert damage.record == record


def test_a_forged_end_is_told_by_the_signature(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        fill(journal, 4)
        journal.sign(sign(KEY, journal.head()))
        journal.flush()
    assert check(path).signature_ok is True
    edit(path, "DELETE FROM frames WHERE tick = 3")
    report = check(path)
    assert report.ticks == 3
    assert report.signature_ok is False


def test_a_signature_that_was_edited_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        fill(journal, 2)
        journal.sign(sign(KEY, journal.head()))
        journal.flush()
    edit(path, "UPDATE heads SET signature = zeroblob(64)")
    assert check(path).signature_ok is False


def test_the_head_of_the_header_may_be_signed(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        journal.close_run("finished", sign(KEY, journal.head()))
    report = check(path)
    assert (report.ticks, report.signed_tick, report.signature_ok) == (0, -1, True)


def test_what_is_no_journal_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(JournalNotFound):
        check(tmp_path / "absent.twk")
    for name, content in (("empty", b""), ("text", b"not a journal\n" * 500)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(JournalFormat):
            check(tmp_path / name)
    edit(tmp_path / "other.db", "CREATE TABLE other (one)")
    with pytest.raises(JournalFormat):
        check(tmp_path / "other.db")
