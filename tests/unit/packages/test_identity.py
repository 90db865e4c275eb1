"""packages/identity.py: key files, private and public."""

import stat
from pathlib import Path

import pytest

from tickwork.errors import TrustFileInvalid
from tickwork.keys import public_half, verify_bytes
from tickwork.packages.developer import read_private_key
from tickwork.packages.identity import make_key_files, public_path, read_public_key
from tickwork.packages.trust import succession_text


def test_a_key_is_a_private_file_and_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    made = make_key_files(path)
    assert read_public_key(public_path(path)) == made
    assert public_half(read_private_key(path)).hex() == made.public_key
    assert stat.S_IMODE(path.stat().st_mode) & 0o177 in (0, 0o66)  # Windows has no such modes.
    assert (made.succeeds, made.succession) == ("", "")


def test_a_key_that_follows_another_is_signed_by_it(tmp_path: Path) -> None:
    older = make_key_files(tmp_path / "old.key")
    made = make_key_files(tmp_path / "new.key", succeeds=tmp_path / "old.key")
    assert read_public_key(tmp_path / "new.key.pub") == made
    assert made.succeeds == older.id().hex()
    text = succession_text(bytes.fromhex(made.public_key))
    assert verify_bytes(bytes.fromhex(older.public_key), text, bytes.fromhex(made.succession))


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    make_key_files(path)
    before = path.read_bytes()
    with pytest.raises(TrustFileInvalid, match="TW3210"):
        make_key_files(path)
    path.unlink()
    with pytest.raises(TrustFileInvalid):
        make_key_files(path)
    public_path(path).unlink()
    make_key_files(path)
    assert path.read_bytes() != before


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrustFileInvalid):
        make_key_files(tmp_path / "file" / "a.key")


@pytest.mark.parametrize(
    "text",
    ["", 'public_key = "ab"', f'public_key = "{"AB" * 32}"', f'public_key = "{"ab" * 32}"\nsucceeds = "ab"',
     f'public_key = "{"ab" * 32}"\nsucceeds = "{"ab" * 32}"', f'public_key = "{"ab" * 32}"\nmore = 1'],
)  # fmt: skip
def test_a_file_that_is_no_public_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.pub"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrustFileInvalid):
        read_public_key(path)
