"""Journals larger than one transfer of SQLite's file methods."""

from pathlib import Path

from tickwork import codec
from tickwork.journal.check import check
from tickwork.journal.sqlite import SqliteJournal


def large_journal(path: Path) -> None:
    """Write a closed journal of about 3 MiB."""
    journal = SqliteJournal.create(path, b"header", b"environment", [])
    heads = codec.start_chain(b"header", b"environment")
    for tick in range(100):
        frame = codec.link(heads, tick, b"\x90", tick.to_bytes(4, "little") * 8000, b"\x90", b"")
        heads = (frame.d, frame.f)
        journal.append(frame)
    journal.close_run("complete")
    journal.close()


def test_a_flipped_byte_deep_in_a_large_journal_is_found(tmp_path: Path) -> None:
    path = tmp_path / "large.twk"
    large_journal(path)
    assert check(path).damage is None
    body = bytearray(path.read_bytes())
    for offset in (1_500_000, 2_000_001, len(body) - 5000):
        body[offset] ^= 1
        path.write_bytes(body)
        damage = check(path).damage
        assert damage is not None
        assert damage.offset is not None
        assert damage.offset // 4096 == offset // 4096
        body[offset] ^= 1


def test_the_seal_of_a_very_large_journal_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.twk"
    journal = SqliteJournal.create(path, b"header", b"environment", [bytes([n]) * (4 << 20) for n in range(10)])
    journal.close_run("complete")
    journal.close()
    assert path.stat().st_size > 40 << 20
    assert check(path).sealed
