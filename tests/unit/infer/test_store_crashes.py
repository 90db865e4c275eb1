"""A store whose writers die, wherever they are, and one on which everything is done at random."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import environment
from tests.unit.infer.samples import filled, folder_of, named
from tickwork.errors import ModelKept, ModelNotFound
from tickwork.infer.store import ModelStore
from tickwork.keys import generate_key
from tickwork.packages.signature import extend

pytestmark = pytest.mark.slow

DYING = """
import os, pathlib, sys
from tests.unit.infer.samples import named
from tickwork.infer.store import ModelStore

left = int(sys.argv[3])

def count(made):
    def step(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return made(*arguments, **options)
    return step

os.fsync = count(os.fsync)
os.link = count(os.link)
for name in ("replace", "rename", "unlink", "mkdir", "chmod"):
    setattr(pathlib.Path, name, count(getattr(pathlib.Path, name)))
store = ModelStore(pathlib.Path(sys.argv[1]))
digest = store.add(pathlib.Path(sys.argv[2]), named(version="2.0.0"))
store.alias("forecast:2.0.0", "stable")
store.files(digest)
store.unalias("forecast:stable")
store.remove("forecast:1.0.0")
"""


def test_a_writer_may_die_at_every_step(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "new", model_onnx=b"new")
    deaths, step = 0, 0
    while True:
        step += 1
        store = filled(tmp_path / str(step))
        store.files(store.find("forecast"))
        died = subprocess.run(
            [sys.executable, "-c", DYING, str(store.folder), str(source), str(step)],
            env=environment(PYTHONPATH=os.getcwd()),
            timeout=60,
            check=False,
        )
        versions = [kept.version for kept in store.list()]
        assert versions in (["1.0.0"], ["1.0.0", "2.0.0"], ["2.0.0"])
        for kept in store.list():
            store.files(kept.digest)
        store.add(source, named(version="2.0.0"))
        store.gc()
        assert list((store.folder / "staging").iterdir()) == []
        assert list(store.folder.glob(".index*")) == []
        assert {path.name for path in (store.folder / "unpacked").iterdir()} <= {
            kept.digest.hex() for kept in store.list()
        }
        if died.returncode == 0:
            break
        assert died.returncode == 9
        deaths += 1
    assert deaths > 25


RACER = """
import sys
from pathlib import Path
from tests.unit.infer.samples import named
from tickwork.infer.store import ModelStore

store, source, number = ModelStore(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
for patch in range(5):
    store.add(source, named())
    digest = store.add(source, named(version=f"1.{number}.{patch}"))
    store.files(digest)
    store.gc()
    store.alias(f"forecast:1.{number}.{patch}", f"of-{number}")
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    source = folder_of(tmp_path / "model")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(store.folder), str(source), str(number)],
            env=environment(PYTHONPATH=os.getcwd()),
        )
        for number in range(1, 4)
    ]
    assert [racer.wait(60) for racer in racers] == [0, 0, 0]
    assert len(store.list()) == 16
    assert [store.config(store.find(f"forecast:of-{number}")).version for number in (1, 2, 3)] == [
        "1.1.4",
        "1.2.4",
        "1.3.4",
    ]
    for kept in store.list():
        store.files(kept.digest)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_stays_and_what_is_not_goes(tmp_path: Path, seed: int) -> None:
    """Law: after any steps the store has what was added and not removed, whole, and no file that none of it needs."""
    draw, store = random.Random(seed), ModelStore(tmp_path / "store")
    sources = [folder_of(tmp_path / str(number), weights__two=bytes([number])) for number in range(4)]
    expected = dict[str, tuple[int, bool]]()
    for _ in range(120):
        name = f"{draw.choice(['a', 'b'])}:1.{draw.randrange(4)}.0"
        match draw.randrange(7):
            case 0 | 1 if name not in expected:
                number = draw.randrange(4)
                model, _, version = name.partition(":")
                digest = store.add(sources[number], named(model, version))
                if draw.randrange(2):
                    store.keep_signature(digest, extend(None, digest, generate_key()))
                expected[name] = number, False
            case 2 if name in expected:
                store.pin(name)
                expected[name] = expected[name][0], True
            case 3 if name in expected:
                store.unpin(name)
                expected[name] = expected[name][0], False
            case 4 if name in expected and not expected[name][1]:
                store.remove(name)
                del expected[name]
            case 4 if name in expected:
                with pytest.raises(ModelKept):
                    store.remove(name)
            case 5 if name not in expected:
                with pytest.raises(ModelNotFound):
                    store.remove(name)
            case 6:
                keep = draw.randrange(3)
                gone = set(store.gc(keep).versions)
                assert not any(expected[one][1] for one in gone)
                expected = {one: kept for one, kept in expected.items() if one not in gone}
            case _:
                pass
    assert [f"{kept.name}:{kept.version}" for kept in store.list()] == sorted(expected)
    needed = set[str]()
    for kept in store.list():
        number = expected[f"{kept.name}:{kept.version}"][0]
        assert store.files(kept.digest)["weights/two"].read_bytes() == bytes([number])
        manifest = store.manifest(kept.digest)
        needed |= {kept.digest.hex(), *(one.sha256.hex() for one in (manifest.config, *manifest.layers))}
    store.gc()
    signatures = sum(kept.signed for kept in store.list())
    found = {path.name for path in (store.folder / "blobs" / "sha256").iterdir()}
    assert needed <= found
    assert len(found - needed) == (2 * signatures + 1 if signatures else 0)
