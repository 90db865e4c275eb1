"""packages/developer.py: the key that is made on first use and believed on this machine alone."""

import stat
from pathlib import Path

import pytest

from tests.unit.packages.parcel import NOW, bundle, module
from tickwork.errors import KeyUntrusted, TrustFileInvalid
from tickwork.packages.developer import (
    KEY_FILE,
    developer_key,
    developer_public_key,
    read_private_key,
    sign,
)
from tickwork.packages.judge import judge
from tickwork.packages.package import strip_package
from tickwork.packages.trust import load_trust


@pytest.mark.parametrize("package", [module(), bundle()], ids=["module", "bundle"])
def test_what_one_has_built_runs_here_and_nowhere_else(tmp_path: Path, package: bytes) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    signed = sign(package, here)
    assert strip_package(signed) == package
    verdict = judge(signed, load_trust(here), name="m", now_us=NOW)
    assert verdict.key is not None
    assert verdict.key.origin == "developer"
    for other in (elsewhere, None):
        with pytest.raises(KeyUntrusted):
            judge(signed, load_trust(other), name="m", now_us=NOW)


def test_the_key_is_made_once(tmp_path: Path) -> None:
    assert developer_public_key(tmp_path) is None
    made = developer_key(tmp_path)
    assert developer_key(tmp_path) == made
    assert developer_public_key(tmp_path)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    developer_key(tmp_path)
    path = tmp_path / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(TrustFileInvalid, match="TW3210") as caught:
        developer_key(tmp_path)
    assert "chmod 600" in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(TrustFileInvalid) as caught:
        read_private_key(path)
    assert "32 bytes" in caught.value.why


def test_a_key_that_is_not_there_or_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrustFileInvalid) as caught:
        read_private_key(tmp_path / "none")
    assert "keygen" in caught.value.fix
    (tmp_path / "in the way").touch()
    with pytest.raises(TrustFileInvalid) as caught:
        developer_key(tmp_path / "in the way")
    assert "TICKWORK_TRUST" in caught.value.fix
