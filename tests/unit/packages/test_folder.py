"""packages/folder.py and packages/registry.py: packages kept in a folder by name and version."""

import threading
from pathlib import Path

import msgspec
import pytest

from tests.unit.packages.parcel import MANIFEST, PRIVATE, bundle, module, version
from tickwork.errors import RegistryFailed
from tickwork.keys import generate_key
from tickwork.packages.folder import FolderRegistry
from tickwork.packages.package import read_package, sign_package
from tickwork.packages.registry import PACKAGE_BYTES, Pulled, check_name, named


def push(root: Path, package: bytes) -> str:
    return FolderRegistry(root).push(package, read_package(package))


def failed(root: Path, name: str, number: str = "") -> RegistryFailed:
    with pytest.raises(RegistryFailed, match="TW3211") as caught:
        FolderRegistry(root).pull(name, number)
    assert caught.value.exit_status == 69
    return caught.value


def test_what_is_pushed_is_pulled(tmp_path: Path) -> None:
    signed = sign_package(module(), PRIVATE)
    where = push(tmp_path / "r", signed)
    digest = read_package(signed).digest.hex()
    assert Path(where) == tmp_path / "r" / "acme-trader" / "1.2.0" / f"{digest}.wasm"
    assert FolderRegistry(tmp_path / "r").pull("acme-trader", "1.2.0") == Pulled(signed, "1.2.0", where)
    assert push(tmp_path / "r", signed) == where
    assert Path(push(tmp_path / "b", bundle())).suffix == ".bundle"


def test_the_newest_version_is_pulled_where_none_is_named(tmp_path: Path) -> None:
    for number in ("1.9.0", "1.10.0", "1.10.0-rc1"):
        push(tmp_path, version(number))
    assert FolderRegistry(tmp_path).pull("acme-trader", "").version == "1.10.0"


def test_a_version_never_changes(tmp_path: Path) -> None:
    push(tmp_path, version("1.0.0"))
    manifest = msgspec.structs.replace(MANIFEST, version="1.0.0")
    with pytest.raises(RegistryFailed) as caught:
        push(tmp_path, sign_package(module(manifest), generate_key()))
    assert "never changes" in caught.value.why
    assert FolderRegistry(tmp_path).pull("acme-trader", "1.0.0").package == version("1.0.0")
    assert [path.name for path in (tmp_path / "acme-trader").iterdir()] == ["1.0.0"]


def test_of_two_at_once_one_comes_second(tmp_path: Path) -> None:
    manifest = msgspec.structs.replace(MANIFEST, version="1.0.0")
    packages = [sign_package(module(manifest), generate_key()) for _ in range(4)]
    told: list[str] = []

    def try_push(package: bytes) -> None:
        try:
            told.append(push(tmp_path, package))
        except RegistryFailed as error:
            told.append(error.code)

    threads = [threading.Thread(target=try_push, args=(package,)) for package in packages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told)[1:] == ["TW3211"] * 3 or sorted(told)[:3] == ["TW3211"] * 3
    assert FolderRegistry(tmp_path).pull("acme-trader", "1.0.0").package in packages


def test_a_package_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "no package a" in failed(tmp_path, "a").what
    assert "no package a 1.0" in failed(tmp_path, "a", "1.0").what
    assert failed(tmp_path / "none", "a").why.endswith("is no folder")


def test_what_is_there_instead_is_told(tmp_path: Path) -> None:
    push(tmp_path, version("1.0.0"))
    push(tmp_path, version("1.1.0"))
    assert failed(tmp_path, "acme-trader", "9.0.0").why == "its versions are 1.0.0, 1.1.0"
    assert failed(tmp_path, "acme-trade").why == "there is 'acme-trader'"
    assert failed(tmp_path, "weather").why == "nothing there has a name like it"


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    path = Path(push(tmp_path, version("1.0.0")))
    path.write_bytes(path.read_bytes() + b"\0")
    assert "damaged" in failed(tmp_path, "acme-trader").what
    path.unlink()
    assert "no package" in failed(tmp_path, "acme-trader").what


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "r").touch()
    with pytest.raises(RegistryFailed) as caught:
        push(tmp_path / "r", version("1.0.0"))
    assert "cannot be used" in caught.value.what


def test_a_package_needs_a_name_and_version_to_be_kept_under() -> None:
    with pytest.raises(RegistryFailed):
        named(read_package(module(None)))
    assert named(read_package(module())) == ("acme-trader", "1.2.0")


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a..b", "-a", "a-", "a b", "ä", "x" * 129])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(RegistryFailed):
        check_name(name, "1.0.0")


@pytest.mark.parametrize("number", ["..", "1/2", ".1", "1 0", "1\n", "1" * 129])
def test_a_version_that_could_lead_elsewhere_is_refused(number: str) -> None:
    with pytest.raises(RegistryFailed):
        check_name("a", number)


def test_what_is_no_package_is_not_read_to_its_end(tmp_path: Path) -> None:
    place = tmp_path / "acme-trader" / "1.0.0"
    place.mkdir(parents=True)
    with (place / "large.wasm").open("wb") as file:
        file.truncate(PACKAGE_BYTES + 1)
    assert "more than" in failed(tmp_path, "acme-trader").why
    (place / "large.wasm").unlink()
    (place / "folder.wasm").mkdir()
    assert "it is no file" in failed(tmp_path, "acme-trader").why


def test_a_folder_whose_name_is_no_version_is_not_the_newest(tmp_path: Path) -> None:
    push(tmp_path, version("1.0.0"))
    for name in ("9.0.0 of mine", "9\x1b[31m", ".git"):
        (tmp_path / "acme-trader" / name).mkdir()
    assert FolderRegistry(tmp_path).pull("acme-trader", "").version == "1.0.0"
