"""driver/judging.py: modules are judged before anything of them is compiled, by every verb that executes."""

from pathlib import Path

import msgspec
import pytest

from tests.support import ROOT
from tests.unit.driver.troupe import stop_after
from tickwork.clock import SteppedClock
from tickwork.driver.fork import fork
from tickwork.driver.judging import Judge
from tickwork.driver.options import Options
from tickwork.driver.plans import Swap
from tickwork.driver.resolve import World, load_world, make_world, new_header, with_swaps
from tickwork.driver.run import resume, run
from tickwork.driver.verify import replay, verify
from tickwork.errors import (
    CapabilityBeyondKey,
    KeyExpired,
    KeyRevoked,
    KeyUntrusted,
    ModuleUnsigned,
    PackageDowngrade,
    SignatureInvalid,
)
from tickwork.keys import key_id, public_half
from tickwork.packages.bundle import pack_bundle
from tickwork.packages.editing import Rights, add_key, revoke
from tickwork.packages.identity import PublicKey
from tickwork.packages.package import sign_package, strip_package
from tickwork.packages.seen import read_seen
from tickwork.packages.signature import content_digest
from tickwork.packages.times import parse_time
from tickwork.records import AgentSpec
from tickwork.sandbox.manifest import Manifest, append_manifest, encode_manifest

PRIVATE = b"k" * 32
PUBLIC = public_half(PRIVATE)
ECHO = (ROOT / "tests" / "modules" / "echo.wasm").read_bytes()
SUMMER = parse_time("2026-06-01")


def package(version: str = "1.0.0") -> bytes:
    return append_manifest(ECHO, Manifest("echo", version))


def world(module: bytes, *, unsigned: bool = False) -> World:
    from tickwork.codec import digest

    header = new_header("w", 3, (AgentSpec("a", "wasm", "echo", digest(module)),))
    return make_world(msgspec.structs.replace(header, allow_unsigned=unsigned), modules=[module])


def options(folder: Path | None, at: int = SUMMER) -> Options:
    return Options(trust=folder, clock=SteppedClock(at))


@pytest.fixture
def trusting(tmp_path: Path) -> Path:
    """Return a trust folder with a key that is valid in 2026."""
    folder = tmp_path / "trust"
    rights = Rights("Acme", ("echo",), not_before="2026-01-01", not_after="2027-01-01")
    add_key(folder, PublicKey(PUBLIC.hex()), rights, SUMMER)
    return folder


@pytest.mark.slow
def test_a_run_asks_and_leaves_no_journal_of_what_it_refuses(trusting: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    with pytest.raises(ModuleUnsigned):
        run(world(package()), journal=path, options=options(trusting))
    with pytest.raises(KeyUntrusted):
        run(world(sign_package(package(), PRIVATE)), journal=path, options=options(None))
    with pytest.raises(SignatureInvalid):
        run(
            world(sign_package(package(), PRIVATE) + b"\0\2\1x", unsigned=True), journal=path, options=options(trusting)
        )
    assert not path.exists()
    assert run(world(sign_package(package(), PRIVATE)), journal=path, options=options(trusting)).status == "complete"
    seen = read_seen(trusting, "echo")
    assert seen is not None
    assert seen.version == "1.0.0"


@pytest.mark.slow
def test_a_journal_is_verified_by_what_was_valid_when_it_began(trusting: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    run(world(sign_package(package(), PRIVATE)), journal=path, options=options(trusting))
    later = options(trusting, parse_time("2031-01-01"))
    assert verify(path, options=later).equal
    with pytest.raises(KeyExpired):
        fork(path, at=1, options=later)
    with pytest.raises(KeyExpired):
        run(world(sign_package(package(), PRIVATE)), options=later)


@pytest.mark.slow
def test_a_newer_version_leaves_old_journals_verifiable(trusting: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    run(world(sign_package(package(), PRIVATE)), journal=path, options=options(trusting))
    run(world(sign_package(package("2.0.0"), PRIVATE)), options=options(trusting))
    with pytest.raises(PackageDowngrade):
        run(world(sign_package(package(), PRIVATE)), options=options(trusting))
    assert verify(path, options=options(trusting)).equal
    assert fork(path, at=1, options=options(trusting)).status == "complete"


@pytest.mark.slow
def test_what_is_revoked_is_executed_by_no_verb(trusting: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    stopped = msgspec.structs.replace(options(trusting), stop=lambda: True)
    run(world(sign_package(package(), PRIVATE)), journal=path, options=stopped)
    revoke(trusting, key_id(PUBLIC).hex(), "stolen")
    for verb in (lambda: verify(path, options=options(trusting)), lambda: resume(path, options=options(trusting))):
        with pytest.raises(KeyRevoked, match="revoked"):
            verb()
    assert replay(path, options=options(trusting)).status == "interrupted"


@pytest.mark.slow
def test_whom_a_machine_trusts_changes_no_head(trusting: Path) -> None:
    signed = sign_package(package(), PRIVATE)
    plain = strip_package(signed)
    heads = {
        run(world(signed, unsigned=True), options=options(folder)).head
        for folder in (trusting, None, trusting / "none")
    }
    assert len(heads) == 1
    assert run(world(plain, unsigned=True), options=options(None)).head not in heads


def test_the_shipped_world_runs_without_a_trust_folder() -> None:
    header = load_world(ROOT / "examples" / "weather" / "world.toml", ticks=1).header
    judge = Judge(header, options(None), update=True)
    loaded = load_world(ROOT / "examples" / "weather" / "world.toml", ticks=1)
    for spec in header.agents:
        if spec.kind == "wasm":
            judge.judge_spec(spec, loaded.modules.__getitem__)
    judge.note()


def test_a_bundle_vouches_for_the_base_that_runs_it_and_for_no_other(trusting: Path) -> None:
    base, other = b"\1" * 32, b"\2" * 32
    manifest = Manifest("echo", "1.0.0", base=base.hex())
    bundle = sign_package(pack_bundle({"manifest.json": encode_manifest(manifest), "a.py": b""}), PRIVATE)
    bodies = {b"s" * 32: bundle, base: ECHO, other: ECHO}
    judge = Judge(new_header("w", 1, ()), options(trusting))
    judge.judge_spec(AgentSpec("a", "wasm", "echo", base, source=b"s" * 32), bodies.__getitem__)
    with pytest.raises(SignatureInvalid, match="not made for the base"):
        judge.judge_spec(AgentSpec("a", "wasm", "echo", other, source=b"s" * 32), bodies.__getitem__)
    revoke(trusting, content_digest(ECHO).hex(), "old")
    with pytest.raises(KeyRevoked, match="revoked"):
        Judge(new_header("w", 1, ()), options(trusting)).judge_spec(
            AgentSpec("a", "wasm", "echo", base, source=b"s" * 32), bodies.__getitem__
        )


@pytest.mark.parametrize("more", [{"skills": ("order",)}, {"clock": True}, {"publish": ("orders",)}])
def test_an_agent_is_given_no_more_than_its_signed_package_asks_for(trusting: Path, more: dict[str, object]) -> None:
    signed = sign_package(package(), PRIVATE)
    made = world(signed)
    spec: AgentSpec = msgspec.structs.replace(made.header.agents[0], **more)
    with pytest.raises(CapabilityBeyondKey, match="is given more than its package asks for"):
        Judge(made.header, options(trusting)).judge_spec(spec, lambda _: signed)
    Judge(made.header, options(trusting)).judge_spec(made.header.agents[0], lambda _: signed)


@pytest.mark.slow
def test_a_swap_still_to_come_is_judged_before_a_run_goes_on(trusting: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    signed = sign_package(package(), PRIVATE)
    planned = with_swaps(world(signed, unsigned=True), [Swap("a", package(version="2.0.0"), 2, "restart")])
    head = run(planned, options=options(trusting)).head
    run(planned, journal=path, options=msgspec.structs.replace(options(trusting), stop=stop_after(1)))
    careful = msgspec.structs.replace(options(trusting), allow_unsigned=False)
    with pytest.raises(ModuleUnsigned):
        resume(path, options=careful)
    with pytest.raises(ModuleUnsigned):
        fork(path, at=1, options=careful)
    assert resume(path, options=options(trusting)).head == head
