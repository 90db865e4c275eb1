"""packages/files.py: files that are written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from tickwork.packages.files import PRIVATE, create_file, replace_file


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a"
    for content in (b"one", b"two"):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert [found.name for found in path.parent.iterdir()] == ["a"]


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(OSError, match=r"."):
        replace_file(path, b"new")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a"]


def test_a_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a"
    assert create_file(path, b"one")
    assert not create_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert [found.name for found in path.parent.iterdir()] == ["a"]


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a"
    before = os.umask(0)
    try:
        create_file(path, b"one", mode=PRIVATE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_system_without_links_keeps_the_first_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    assert create_file(tmp_path / "a", b"one")
    assert not create_file(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one"
