"""packages/editing.py: keys added, taken out and revoked, updates approved."""

from pathlib import Path

import pytest

from tests.unit.packages.parcel import CAPABILITIES, NOW
from tickwork.errors import TrustFileInvalid
from tickwork.packages.editing import Rights, add_key, approve, find_keys, remove_key, revoke
from tickwork.packages.identity import PublicKey, make_key_files
from tickwork.packages.rights import MESSAGES
from tickwork.packages.seen import Asked, Seen, read_seen, write_seen
from tickwork.packages.trust import load_trust
from tickwork.sandbox.manifest import Capabilities

ACME = Rights("Acme", ("acme-*",))


@pytest.fixture
def keys(tmp_path: Path) -> tuple[PublicKey, PublicKey]:
    """Return a key and one that follows it."""
    return make_key_files(tmp_path / "old"), make_key_files(tmp_path / "new", succeeds=tmp_path / "old")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a trust folder that is not there yet."""
    return tmp_path / "trust"


def test_a_new_key_may_give_messages_and_no_more(folder: Path, keys: tuple[PublicKey, PublicKey]) -> None:
    entry = add_key(folder, keys[0], ACME, NOW)
    assert (entry.publisher, entry.names, entry.capabilities) == ("Acme", ("acme-*",), MESSAGES)
    assert load_trust(folder).keys[0].id == keys[0].id()


def test_a_known_key_gets_more_beside_what_it_has(folder: Path, keys: tuple[PublicKey, PublicKey]) -> None:
    add_key(folder, keys[0], ACME, NOW)
    more = Rights(names=("x",), capabilities=Capabilities(skills=("quote",)), not_after="2030-01-01")
    entry = add_key(folder, keys[0], more, NOW)
    assert (entry.publisher, entry.names, entry.not_after) == ("Acme", ("acme-*", "x"), "2030-01-01")
    assert entry.capabilities == Capabilities(("*",), ("*",), ("*",), ("quote",))
    assert load_trust(folder).version == 2


def test_a_key_that_follows_a_trusted_one_has_its_rights(folder: Path, keys: tuple[PublicKey, PublicKey]) -> None:
    old, new = keys
    with pytest.raises(TrustFileInvalid) as caught:
        add_key(folder, new, Rights(), NOW)
    assert "publisher" in caught.value.why
    add_key(folder, old, Rights("Acme", ("acme-*",), CAPABILITIES), NOW)
    entry = add_key(folder, new, Rights(), NOW)
    assert (entry.publisher, entry.names, entry.capabilities) == ("Acme", ("acme-*",), CAPABILITIES)
    with pytest.raises(TrustFileInvalid) as caught:
        add_key(folder, new, Rights(names=("*",)), NOW)
    assert "may do more" in caught.value.why


def test_a_revoked_key_hands_nothing_on(folder: Path, keys: tuple[PublicKey, PublicKey]) -> None:
    old, new = keys
    add_key(folder, old, ACME, NOW)
    revoke(folder, old.id().hex(), "stolen")
    with pytest.raises(TrustFileInvalid) as caught:
        add_key(folder, new, Rights(), NOW)
    assert "revoked" in caught.value.why
    assert load_trust(folder).revoked == {old.id(): "stolen"}
    revoke(folder, old.id().hex(), "sold")
    assert load_trust(folder).revoked == {old.id(): "sold"}


def test_a_key_is_taken_out_of_the_file_alone(folder: Path, keys: tuple[PublicKey, PublicKey]) -> None:
    add_key(folder, keys[0], ACME, NOW)
    first, shipped = load_trust(folder).keys
    remove_key(folder, first)
    assert load_trust(folder).keys == (shipped,)
    with pytest.raises(TrustFileInvalid) as caught:
        remove_key(folder, shipped)
    assert "trust revoke" in caught.value.fix


def test_keys_are_found_by_id_its_beginning_or_publisher(folder: Path, keys: tuple[PublicKey, PublicKey]) -> None:
    for key in keys:
        add_key(folder, key, Rights(key.id().hex()[:4], ("x",)), NOW)
    trust = load_trust(folder)
    number = keys[0].id().hex()
    for words in (number, number[:8], number[:4]):
        assert [key.id for key in find_keys(trust, words)] == [keys[0].id()]
    assert list(find_keys(trust, number[:7])) == []


def test_an_update_is_approved_once_it_was_asked_for(folder: Path) -> None:
    assert approve(folder, "a") is None
    before = Seen("a", "1.0.0", MESSAGES)
    write_seen(folder, before)
    assert approve(folder, "a") is None
    asked = Seen("a", "1.0.0", MESSAGES, Asked("0.9.0", CAPABILITIES))
    write_seen(folder, asked)
    done = approve(folder, "a")
    assert done is not None
    assert done[0] == asked
    assert done[1] == read_seen(folder, "a")
    assert (done[1].version, done[1].asked) == ("0.9.0", None)
    assert done[1].capabilities.skills == CAPABILITIES.skills


@pytest.mark.parametrize(
    "bounded", [Rights("Acme", ("a",), not_after="2020-01-01"), Rights("Acme", ("a",), not_before="2999-01-01")]
)
def test_a_key_that_is_not_valid_hands_nothing_on(
    folder: Path, keys: tuple[PublicKey, PublicKey], bounded: Rights
) -> None:
    old, new = keys
    add_key(folder, old, bounded, NOW)
    with pytest.raises(TrustFileInvalid) as caught:
        add_key(folder, new, Rights(), NOW)
    assert "not valid now and hands nothing on" in caught.value.why
    assert [key.id for key in load_trust(folder).keys if key.origin == "file"] == [old.id()]
