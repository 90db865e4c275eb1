"""packages/judge.py: each rule by which a package is refused, and what is waived and what never is."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packages.parcel import (
    CAPABILITIES,
    MANIFEST,
    NOW,
    PRIVATE,
    PUBLIC,
    bundle,
    key,
    module,
    trust,
    version,
)
from tickwork.errors import (
    CapabilityBeyondKey,
    CapabilityIncrease,
    KeyExpired,
    KeyRevoked,
    KeyUntrusted,
    ModuleUnsigned,
    NameNotAllowed,
    PackageDowngrade,
    SignatureInvalid,
    TickworkError,
)
from tickwork.keys import generate_key, key_id, public_half, sign_bytes
from tickwork.packages.judge import Verdict, judge, note
from tickwork.packages.package import read_package, sign_package
from tickwork.packages.rights import MESSAGES
from tickwork.packages.seen import read_seen, write_seen
from tickwork.packages.signature import Signature, Signed, encode_signed, signed_text
from tickwork.packages.trust import Key, Trust
from tickwork.sandbox.manifest import Capabilities
from tickwork.sandbox.wasm import MAGIC, encode_name, encode_section

SIGNED = sign_package(module(), PRIVATE)
FLIPS = (0x01, 0x80, 0xFF)


def ask(package: bytes, believed: Trust | None = None, *, unsigned: bool = False, now: int = NOW) -> Verdict:
    return judge(package, believed or trust(), name="trader.wasm", now_us=now, allow_unsigned=unsigned)


def refused(package: bytes, believed: Trust | None = None, *, unsigned: bool = False, now: int = NOW) -> TickworkError:
    with pytest.raises(TickworkError) as caught:
        ask(package, believed, unsigned=unsigned, now=now)
    assert caught.value.exit_status == 4
    assert caught.value.why
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("make", [module, bundle])
def test_a_package_of_a_trusted_key_may_run(make: Callable[[], bytes]) -> None:
    verdict = ask(sign_package(make(), PRIVATE))
    assert verdict.key == key()
    assert verdict.package.manifest == MANIFEST
    assert verdict.package.content == read_package(make()).content


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("make", [module, bundle])
def test_a_package_with_any_byte_flipped_is_refused(make: Callable[[], bytes], flip: int) -> None:
    signed = sign_package(make(), PRIVATE)
    for place in range(len(signed)):
        changed = bytearray(signed)
        changed[place] ^= flip
        refused(bytes(changed))


def test_a_package_cut_off_anywhere_is_refused() -> None:
    for length in range(len(SIGNED)):
        refused(SIGNED[:length])


@pytest.mark.parametrize("unsigned", [False, True])
def test_a_package_that_is_not_what_was_signed_is_refused_in_every_run(unsigned: bool) -> None:
    second = SIGNED[8 : len(SIGNED) - len(module()) + 8]
    for changed in (
        SIGNED[:-1] + b"!",
        SIGNED + encode_section(0, encode_name("late") + b"x"),
        MAGIC + second + SIGNED[8:],
        SIGNED + second,
    ):
        assert isinstance(refused(changed, unsigned=unsigned), SignatureInvalid)


@pytest.mark.parametrize("unsigned", [False, True])
def test_a_signature_that_its_key_did_not_make_is_refused_in_every_run(unsigned: bool) -> None:
    found = read_package(SIGNED)
    forged = encode_signed(Signed(found.content, (Signature(key_id(PUBLIC), bytes(64)),)))
    package = MAGIC + encode_section(0, encode_name("signature") + forged) + module()[8:]
    error = refused(package, unsigned=unsigned)
    assert isinstance(error, SignatureInvalid)
    assert "Acme" in error.why


def test_a_package_nobody_signed_needs_leave() -> None:
    assert isinstance(refused(module()), ModuleUnsigned)
    assert "--allow-unsigned" in refused(module()).fix
    verdict = ask(module(), unsigned=True)
    assert (verdict.key, verdict.seen) == (None, None)


def test_a_package_of_an_unknown_key_needs_leave() -> None:
    package = sign_package(module(), generate_key())
    error = refused(package)
    assert isinstance(error, KeyUntrusted)
    assert "tickwork trust add" in error.fix
    assert ask(package, unsigned=True).key is None


def test_a_signature_without_a_key_id_is_tried_with_every_key() -> None:
    content = read_package(SIGNED).content
    anonymous = encode_signed(Signed(content, (Signature(b"", sign_bytes(PRIVATE, signed_text(content))),)))
    package = MAGIC + encode_section(0, encode_name("signature") + anonymous) + module()[8:]
    other = key(publisher="other", public_key=public_half(b"o" * 32), id=key_id(public_half(b"o" * 32)))
    assert ask(package, trust(other, key())).key == key()
    assert isinstance(refused(package, trust(other)), KeyUntrusted)


def test_a_key_counts_between_its_two_moments() -> None:
    bounded = trust(key(not_before_us=NOW, not_after_us=NOW + 10))
    assert ask(SIGNED, bounded).key
    assert ask(SIGNED, bounded, now=NOW + 9).key
    early, late = refused(SIGNED, bounded, now=NOW - 1), refused(SIGNED, bounded, now=NOW + 10)
    assert isinstance(early, KeyExpired)
    assert isinstance(late, KeyExpired)
    assert ("not yet" in early.what, "no longer" in late.what) == (True, True)
    assert isinstance(refused(SIGNED, bounded, now=NOW + 10, unsigned=True), KeyExpired)


@pytest.mark.parametrize("unsigned", [False, True])
def test_what_is_revoked_runs_in_no_run(unsigned: bool) -> None:
    content, digest = read_package(SIGNED).content, read_package(SIGNED).digest
    assert isinstance(refused(SIGNED, trust(key(revoked=True)), unsigned=unsigned), KeyRevoked)
    for revoked in (key_id(PUBLIC), content, digest):
        error = refused(SIGNED, trust(revoked={revoked: "stolen"}), unsigned=unsigned)
        assert isinstance(error, KeyRevoked)
        assert error.why == "stolen"
    # Taking the signature off, or another one's signature, is no way around it.
    for other in (module(), sign_package(module(), generate_key())):
        assert isinstance(refused(other, trust(revoked={content: ""}), unsigned=unsigned), KeyRevoked)


def test_a_key_signs_the_names_it_was_given() -> None:
    assert ask(SIGNED, trust(key(names=("x", "acme-*")))).key
    for names in ((), ("acme",), ("acme-trade",), ("*-acme",)):
        error = refused(SIGNED, trust(key(names=names)))
        assert isinstance(error, NameNotAllowed)
    nameless = sign_package(module(None), PRIVATE)
    assert isinstance(refused(nameless), NameNotAllowed)


def test_a_key_gives_no_more_than_it_has() -> None:
    assert ask(SIGNED, trust(key(capabilities=CAPABILITIES))).key
    error = refused(SIGNED, trust(key(capabilities=MESSAGES)))
    assert isinstance(error, CapabilityBeyondKey)
    assert "skills quote" in error.what
    timed = version("1.2.0", msgspec.structs.replace(CAPABILITIES, clock=True))
    assert "clock" in refused(timed, trust(key(capabilities=CAPABILITIES))).what


def test_one_key_that_may_is_enough() -> None:
    second = generate_key()
    both = sign_package(SIGNED, second, keep=True)
    other = key(publisher="Other", public_key=public_half(second), id=key_id(public_half(second)))
    assert ask(both, trust(key(names=()), other)).key == other
    assert isinstance(refused(both, trust(key(names=()), msgspec.structs.replace(other, revoked=True))), NameNotAllowed)


def run(package: bytes, believed: Trust) -> None:
    note(ask(package, believed), believed)


def test_an_older_version_than_what_ran_is_refused(tmp_path: Path) -> None:
    believed = trust(folder=tmp_path)
    for number in ("1.2.0", "1.10.0", "1.10.0"):
        run(version(number), believed)
    error = refused(version("1.9.9"), believed)
    assert isinstance(error, PackageDowngrade)
    assert "trust approve acme-trader" in error.fix
    seen = read_seen(tmp_path, "acme-trader")
    assert seen is not None
    assert seen.asked is not None
    assert (seen.version, seen.asked.version) == ("1.10.0", "1.9.9")
    more = refused(version("1.1.0", msgspec.structs.replace(CAPABILITIES, clock=True)), believed)
    assert isinstance(more, PackageDowngrade)
    assert "asks for what was not approved: clock" in more.why


def test_an_update_that_asks_for_more_is_refused_until_somebody_approves(tmp_path: Path) -> None:
    believed, more = trust(folder=tmp_path), msgspec.structs.replace(CAPABILITIES, skills=("quote", "order"))
    run(version("1.2.0"), believed)
    error = refused(version("1.3.0", more), believed)
    assert isinstance(error, CapabilityIncrease)
    assert "skills order" in error.what
    assert isinstance(refused(version("1.2.0", more), believed), CapabilityIncrease)
    seen = read_seen(tmp_path, "acme-trader")
    assert seen is not None
    write_seen(tmp_path, msgspec.structs.replace(seen, capabilities=more, asked=None))
    run(version("1.3.0", more), believed)
    run(version("1.4.0", CAPABILITIES), believed)
    run(version("1.5.0", more), believed)


def test_what_a_journal_pins_and_what_a_developer_builds_is_no_update(tmp_path: Path) -> None:
    believed = trust(folder=tmp_path)
    run(version("2.0.0"), believed)
    old = judge(version("1.0.0"), believed, name="x", now_us=NOW, update=False)
    assert old.seen is None
    own = trust(key(origin="developer"), folder=tmp_path)
    verdict = ask(version("0.1.0", msgspec.structs.replace(CAPABILITIES, clock=True)), own)
    assert verdict.seen is None


def test_nothing_is_noted_without_a_folder() -> None:
    verdict = ask(SIGNED)
    assert verdict.seen is not None
    note(verdict, trust())


@pytest.mark.slow
@given(st.data())
def test_no_mutation_is_believed_and_none_does_anything_but_be_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SIGNED)))
    changed = SIGNED[:at] + data.draw(st.binary(max_size=8)) + SIGNED[at + data.draw(st.integers(0, 8)) :]
    if changed == SIGNED:
        return
    with pytest.raises(TickworkError):
        ask(changed)


def test_keys_that_are_refused_are_told_in_the_order_of_the_rules() -> None:
    bad: Key = key(names=(), capabilities=Capabilities(), revoked=True, not_after_us=NOW)
    steps = ({"not_after_us": NOW + 1}, {"revoked": False}, {"names": ("*",)}, {"capabilities": CAPABILITIES})
    told: list[str] = []
    for step in steps:
        told.append(refused(SIGNED, trust(bad)).code)
        bad = msgspec.structs.replace(bad, **step)
    assert told == ["TW3203", "TW3204", "TW3205", "TW3206"]
    assert ask(SIGNED, trust(bad)).key == bad
