"""packages/seen.py: what is noted of a package's name."""

from pathlib import Path

import pytest

from tests.unit.packages.parcel import CAPABILITIES
from tickwork.errors import TrustFileInvalid
from tickwork.packages.seen import SEEN, Asked, Seen, all_seen, read_seen, write_seen

NOTE = Seen("a", "1.0.0", CAPABILITIES)


def test_a_note_is_read_again(tmp_path: Path) -> None:
    waiting = Seen("../b", "1.0.0", CAPABILITIES, Asked("1.1.0", CAPABILITIES))
    write_seen(tmp_path, waiting)
    write_seen(tmp_path, NOTE)
    assert read_seen(tmp_path, "../b") == waiting
    assert read_seen(tmp_path, "c") is None
    assert read_seen(None, "a") is None
    assert list(all_seen(tmp_path)) == [waiting, NOTE]
    assert list(all_seen(tmp_path / "absent")) == []
    assert [path.name for path in tmp_path.iterdir()] == [SEEN]


def test_a_damaged_note_is_refused_and_not_forgotten(tmp_path: Path) -> None:
    write_seen(tmp_path, NOTE)
    (path,) = (tmp_path / SEEN).iterdir()
    for content in (b"", b"{", b'{"name": "a"}'):
        path.write_bytes(content)
        with pytest.raises(TrustFileInvalid, match="TW3210"):
            read_seen(tmp_path, "a")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / SEEN).touch()
    with pytest.raises(TrustFileInvalid) as caught:
        write_seen(tmp_path, NOTE)
    assert "TICKWORK_TRUST" in caught.value.fix
