"""driver/bundles.py and worlds with source bundles: a base is found by digest, and a journal brings it along."""

import hashlib
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.unit.sdk.python_base import BASES, built
from tickwork import Options, load_world, run, verify
from tickwork.driver.bundles import DEPTH, find_interpreter, read_bundle
from tickwork.errors import AgentCodeMissing, ModuleManifestInvalid
from tickwork.packages.bundle import MANIFEST, pack_bundle
from tickwork.records import Limits
from tickwork.sandbox.manifest import Manifest, encode_manifest

WORLD = """schema = 1
name = "trading"
ticks = 20

[topics.orders]
[topics.price]

[agents.trader]
module = "market-python.bundle"
count = 2
config = { every = 2 }
"""
MARKET = ROOT / "examples" / "market" / "python"


def test_a_bundle_without_a_manifest_or_base_is_refused() -> None:
    with pytest.raises(ModuleManifestInvalid, match="cannot be run"):
        read_bundle(pack_bundle({"agent.py": b""}), "a.bundle")
    named = encode_manifest(Manifest("a", "1.0.0", base="not a digest"))
    with pytest.raises(ModuleManifestInvalid) as told:
        read_bundle(pack_bundle({"agent.py": b"", MANIFEST: named}), "a.bundle")
    assert told.value.why == "its manifest names no base module"


def test_a_base_is_found_by_its_digest_and_by_nothing_else(tmp_path: Path) -> None:
    content = b"\0asm"
    digest = hashlib.sha256(content).digest()
    (tmp_path / f"{digest.hex()}.wasm").write_bytes(content)
    assert find_interpreter(digest, "a.bundle", [tmp_path / "none", tmp_path]) == content
    (tmp_path / f"{digest.hex()}.wasm").write_bytes(b"other")
    with pytest.raises(AgentCodeMissing, match="is damaged"):
        find_interpreter(digest, "a.bundle", [tmp_path])
    with pytest.raises(AgentCodeMissing, match="is not on this machine") as told:
        find_interpreter(bytes(32), "a.bundle", [tmp_path])
    assert bytes(32).hex() in told.value.why


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_on_a_base_is_verified_from_its_journal_alone(tmp_path: Path, workers: int) -> None:
    (tmp_path / "world.toml").write_text(WORLD)
    (tmp_path / "market-python.bundle").write_bytes(built(MARKET))
    world = load_world(tmp_path / "world.toml", allow_unsigned=True, bases=[BASES])
    spec = world.header.agents[0]
    assert spec.source == spec.package == hashlib.sha256(built(MARKET)).digest()
    assert spec.version == "1.0.0", "the bundle's, as a module's"
    assert spec.limits.memory_pages > Limits().memory_pages
    assert spec.limits.depth == DEPTH
    options = Options(cache=BASES / "modules", workers=workers)
    done = run(world, journal=tmp_path / "a.twk", options=options)
    assert (done.status, done.failed) == ("complete", 0)
    (tmp_path / "market-python.bundle").unlink()
    assert verify(tmp_path / "a.twk", options=options).equal


@pytest.mark.slow
def test_a_world_says_which_base_is_missing(tmp_path: Path) -> None:
    (tmp_path / "world.toml").write_text(WORLD)
    (tmp_path / "market-python.bundle").write_bytes(built(MARKET))
    with pytest.raises(AgentCodeMissing, match=r"the base module of market-python\.bundle is not on this machine"):
        load_world(tmp_path / "world.toml", allow_unsigned=True, bases=[])
