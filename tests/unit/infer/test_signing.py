"""infer/signing.py"""

from pathlib import Path

import pytest

from tests.unit.infer.samples import filled, folder_of, named
from tests.unit.packages.parcel import NOW, PRIVATE, key, trust
from tickwork.errors import (
    KeyExpired,
    KeyRevoked,
    KeyUntrusted,
    ModuleUnsigned,
    NameNotAllowed,
    PackageDowngrade,
    SignatureInvalid,
)
from tickwork.infer.signing import judge_model, read_model, sign_as_developer, sign_model
from tickwork.infer.store import ModelStore
from tickwork.keys import generate_key
from tickwork.packages.editing import approve
from tickwork.packages.judge import Verdict, note
from tickwork.packages.seen import read_seen
from tickwork.packages.signature import Signature, Signed
from tickwork.packages.trust import Trust, load_trust


def judged(store: ModelStore, whom: Trust, name: str = "forecast", *, allow_unsigned: bool = False) -> Verdict:
    return judge_model(store, store.find(name), whom, now_us=NOW, allow_unsigned=allow_unsigned)


def test_a_model_that_a_trusted_key_signed_is_believed(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    sign_model(store, digest, PRIVATE)
    verdict = judged(store, trust(key(names=("fore*",))))
    assert verdict.key is not None
    assert verdict.package == read_model(store, digest)
    assert verdict.package.content == digest


def test_the_developers_models_are_believed_at_once(tmp_path: Path) -> None:
    store = filled(tmp_path, "2.0.0", "1.0.0")
    for name in ("forecast:2.0.0", "forecast:1.0.0"):
        sign_as_developer(store, store.find(name), tmp_path / "trust")
        verdict = judged(store, load_trust(tmp_path / "trust"), name)
        assert verdict.key is not None
        assert verdict.seen is None


def test_an_unsigned_model_passes_only_where_that_is_allowed(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with pytest.raises(ModuleUnsigned, match="tickwork model sign"):
        judged(store, trust())
    assert judged(store, trust(), allow_unsigned=True).key is None


def test_a_key_nobody_knows_passes_only_where_that_is_allowed(tmp_path: Path) -> None:
    store = filled(tmp_path)
    sign_model(store, store.find("forecast"), generate_key())
    with pytest.raises(KeyUntrusted):
        judged(store, trust())
    assert judged(store, trust(), allow_unsigned=True).key is None


def test_a_signature_that_its_key_did_not_make_is_refused_in_every_run(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    store.keep_signature(digest, Signed(digest, (Signature(key().id, bytes(64)),)))
    with pytest.raises(SignatureInvalid):
        judged(store, trust(), allow_unsigned=True)


def test_the_rules_of_keys_hold_for_models(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    sign_model(store, digest, PRIVATE)
    with pytest.raises(NameNotAllowed):
        judged(store, trust(key(names=("acme-*",))))
    with pytest.raises(KeyExpired):
        judged(store, trust(key(not_after_us=NOW)))
    with pytest.raises(KeyRevoked):
        judged(store, trust(key(revoked=True)))
    with pytest.raises(KeyRevoked):
        judged(store, trust(revoked={digest: "it was wrong"}), allow_unsigned=True)


def test_an_older_version_waits_for_approval(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.0.0", "2.0.0")
    whom = trust(folder=tmp_path / "trust")
    for name in ("forecast:1.0.0", "forecast:2.0.0"):
        sign_model(store, store.find(name), PRIVATE)
    note(judged(store, whom, "forecast:2.0.0"), whom)
    with pytest.raises(PackageDowngrade, match="tickwork trust approve models/forecast"):
        judged(store, whom, "forecast:1.0.0")
    assert read_seen(tmp_path / "trust", "forecast") is None
    assert approve(tmp_path / "trust", "models/forecast") is not None
    assert judged(store, whom, "forecast:1.0.0").key is not None


def test_who_signs_keeps_or_replaces_the_signatures_of_others(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    sign_model(store, digest, generate_key())
    assert len(sign_model(store, digest, PRIVATE, keep=True).signatures) == 2
    assert len(sign_model(store, digest, PRIVATE, keep=True).signatures) == 2
    assert len(sign_model(store, digest, PRIVATE).signatures) == 1


def test_adding_the_same_model_again_leaves_its_signatures(tmp_path: Path) -> None:
    store = filled(tmp_path)
    sign_model(store, store.find("forecast"), PRIVATE)
    store.add(folder_of(tmp_path / "1.0.0"), named())
    assert store.show(store.find("forecast")).signed
