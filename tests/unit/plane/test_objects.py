"""Bytes of artifacts in a store of objects."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from tests.unit.plane.stores import open_store
from tickwork.plane.artifacts import ArtifactShelf, Bytes, Leaving
from tickwork.plane.errors import ArtifactNotFound, GoalsMissing, StoreFailed
from tickwork.plane.objects import Objects, open_objects

BODY = b"snow"
DIGEST = hashlib.sha256(BODY).digest()

KINDS: dict[str, Callable[[Path], Bytes]] = {
    "memory": lambda _: Objects(MemoryStore(), "runs"),
    "local": lambda folder: Objects(LocalStore(str(folder))),
    "address": lambda folder: open_objects(folder.as_uri()),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_store_of_objects_is_a_shelf(kind: str, tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    store, clock = open_store(tmp_path)
    with store:
        shelf = ArtifactShelf(store, KINDS[kind](tmp_path / "objects"), clock)
        for _ in range(2):
            assert shelf.put(Leaving("a.txt", "text/plain"), BODY).digest == DIGEST
        assert shelf.get(DIGEST) == BODY
        with pytest.raises(ArtifactNotFound):
            shelf.get(bytes(32))


def test_objects_lie_under_their_digest_and_damaged_ones_are_mended(tmp_path: Path) -> None:
    objects = Objects(LocalStore(str(tmp_path)), "/runs/")
    objects.put(DIGEST, BODY)
    path = tmp_path / "runs" / DIGEST.hex()[:2] / DIGEST.hex()
    assert path.read_bytes() == BODY
    path.write_bytes(b"rain")
    assert objects.get(DIGEST) == b"rain"
    objects.put(DIGEST, BODY)
    assert objects.get(DIGEST) == BODY


def test_a_store_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="no store of objects"):
        open_objects("gopher://nowhere")
    (tmp_path / DIGEST.hex()[:2]).write_bytes(b"a file where a folder must be")
    with pytest.raises(StoreFailed, match="cannot be"):
        Objects(LocalStore(str(tmp_path))).put(DIGEST, BODY)


@pytest.mark.parametrize("module", ["obstore", "obstore.store"])
def test_a_package_that_is_missing_is_named_with_its_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(GoalsMissing) as caught:
        open_objects("memory:///") if module == "obstore.store" else Objects(MemoryStore())
    assert "tickwork[objects]" in caught.value.fix
