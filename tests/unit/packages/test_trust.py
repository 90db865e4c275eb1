"""packages/trust.py: the trust file, its rising version, the keys that follow keys, and whose file it is."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packages.parcel import PRIVATE, PUBLIC
from tickwork.errors import TrustFileInvalid
from tickwork.keys import generate_key, key_id, public_half
from tickwork.packages.developer import developer_key
from tickwork.packages.rights import EVERYTHING, MESSAGES
from tickwork.packages.times import FOREVER, parse_time
from tickwork.packages.trust import (
    PUBLISHERS,
    TRUST_FILE,
    KeyEntry,
    RevokedEntry,
    TrustFile,
    encode_trust_file,
    load_trust,
    read_trust_file,
    sign_succession,
    write_trust_file,
)
from tickwork.sandbox.manifest import Capabilities

ENTRY = KeyEntry("Acme", PUBLIC.hex(), ("acme-*",), MESSAGES, "2026-01-01", "2027-01-01T12:00:00Z")
NEXT = generate_key()
FOLLOWER = KeyEntry(
    "Acme",
    public_half(NEXT).hex(),
    ("acme-*",),
    MESSAGES,
    succeeds=key_id(PUBLIC).hex(),
    succession=sign_succession(PRIVATE, public_half(NEXT)).hex(),
)
TEXT = st.text('a "\\\n\t\x7f\x00é中😀', max_size=5)
HEX = st.sampled_from(("ab" * 32, "0" * 64))
NAMES = st.lists(TEXT.filter(bool), max_size=3).map(tuple)
ENTRIES = st.builds(
    KeyEntry, publisher=TEXT, public_key=HEX, names=NAMES, capabilities=st.builds(Capabilities, skills=NAMES),
    revoked=st.booleans(),
)  # fmt: skip
REVOKED = st.builds(RevokedEntry, digest=HEX, reason=TEXT)


def write(folder: Path, text: str) -> Path:
    path = folder / TRUST_FILE
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def refused(folder: Path) -> TrustFileInvalid:
    with pytest.raises(TrustFileInvalid, match="TW3210") as caught:
        load_trust(folder)
    assert caught.value.exit_status == 4
    assert caught.value.where
    assert caught.value.fix
    return caught.value


def test_a_machine_believes_the_shipped_keys_for_the_shipped_modules_alone(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "absent"):
        trust = load_trust(folder)
        assert [key.origin for key in trust.keys] == ["shipped"]
        assert all("*" not in key.names and not key.capabilities.clock for key in trust.keys)
    assert read_trust_file(PUBLISHERS).keys[0].publisher == "Tickwork"


def test_a_trust_file_says_who_may_do_what_and_how_long(tmp_path: Path) -> None:
    written = write_trust_file(tmp_path, TrustFile(keys=(ENTRY,), revoked=(RevokedEntry("ab" * 32, "broken"),)))
    assert written.version == 1
    trust = load_trust(tmp_path)
    key = trust.keys[0]
    assert (key.publisher, key.public_key, key.id) == ("Acme", PUBLIC, key_id(PUBLIC))
    assert (key.names, key.capabilities, key.origin) == (("acme-*",), MESSAGES, "file")
    assert (key.not_before_us, key.not_after_us) == (parse_time("2026-01-01"), parse_time("2027-01-01T12:00:00Z"))
    assert trust.revoked == {b"\xab" * 32: "broken"}
    assert trust.candidates(key.id) == (key,)
    assert trust.candidates(b"") == trust.keys


def test_what_is_absent_is_not_given(tmp_path: Path) -> None:
    write(tmp_path, f'[[keys]]\npublisher = "A"\npublic_key = "{PUBLIC.hex()}"\nnames = []\n')
    key = load_trust(tmp_path).keys[0]
    assert (key.names, key.capabilities) == ((), Capabilities())
    assert (key.not_before_us, key.not_after_us, key.revoked) == (0, FOREVER, False)


def test_the_developers_key_may_sign_everything_here(tmp_path: Path) -> None:
    own = public_half(developer_key(tmp_path))
    trust = load_trust(tmp_path)
    (key,) = trust.candidates(key_id(own))
    assert (key.origin, key.names, key.capabilities) == ("developer", ("*",), EVERYTHING)


def test_the_users_entry_for_a_shipped_key_wins(tmp_path: Path) -> None:
    shipped = read_trust_file(PUBLISHERS).keys[0]
    write_trust_file(tmp_path, TrustFile(keys=(msgspec.structs.replace(shipped, names=("x",)),)))
    assert [key.names for key in load_trust(tmp_path).keys] == [("x",)]


@pytest.mark.slow
@given(st.builds(TrustFile, version=st.integers(0, 9), keys=st.tuples(ENTRIES), revoked=st.tuples(REVOKED)))
def test_what_is_written_is_read_again(file: TrustFile) -> None:
    assert msgspec.convert(tomllib.loads(encode_trust_file(file).decode()), TrustFile) == file


def test_a_trust_file_never_goes_back(tmp_path: Path) -> None:
    path = write(tmp_path, "version = 7\n")
    assert load_trust(tmp_path).version == 7
    path.write_text("version = 6\n", encoding="utf-8")
    assert "version 7 was read here before" in refused(tmp_path).why
    path.unlink()
    assert "version 7" in refused(tmp_path).why
    assert write_trust_file(tmp_path, TrustFile()).version == 8
    assert load_trust(tmp_path).version == 8


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("version = ", "not TOML"),
        ("schema = 2", "schema"),
        ("nonsense = 1", "nonsense"),
        ("version = -1\n[[keys]]\n", "publisher"),
        ('[[keys]]\npublisher = "A"\npublic_key = "zz"\nnames = []', "64 hexadecimal digits"),
        (f'[[keys]]\npublisher = "A"\npublic_key = "{"AB" * 32}"\nnames = []', "small letters"),
        (f'[[keys]]\npublisher = "A"\npublic_key = "{"ab" * 32}"\nnames = []\nnot_after = "soon"', "no time"),
        (f'[[keys]]\npublisher = "A"\npublic_key = "{"ab" * 32}"\nnames = "a"', "array"),
        ('[[revoked]]\ndigest = "1"', "64 hexadecimal digits"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, why: str) -> None:
    write(tmp_path, text)
    assert why in refused(tmp_path).why


def test_a_file_that_is_too_long_or_no_text_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    for content in (b"#" * (1 << 20) + b"\n", b"\xff"):
        path.write_bytes(content)
        refused(tmp_path)


def test_a_counter_that_is_no_number_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "version = 1\n")
    (tmp_path / "highest").write_text("many", encoding="utf-8")
    assert "no number" in refused(tmp_path).why


@pytest.mark.parametrize("name", [TRUST_FILE, "."])
def test_what_others_may_write_is_not_believed(tmp_path: Path, name: str) -> None:
    write(tmp_path, "version = 1\n")
    (tmp_path / name).chmod(0o777)
    assert "chmod go-w" in refused(tmp_path).fix


def test_a_key_may_follow_one_that_signed_it(tmp_path: Path) -> None:
    write_trust_file(tmp_path, TrustFile(keys=(ENTRY, FOLLOWER)))
    assert [key.id for key in load_trust(tmp_path).keys[:2]] == [key_id(PUBLIC), key_id(public_half(NEXT))]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"succeeds": "ab" * 32}, "not a key of this machine"),
        ({"succeeds": "ab"}, "hexadecimal"),
        ({"succession": "ab" * 64}, "has not signed it"),
        ({"succession": ""}, "hexadecimal"),
        ({"public_key": PUBLIC.hex()[::-1]}, "has not signed it"),
        ({"names": ("acme-*", "*")}, "may do more than that one: *"),
        ({"capabilities": EVERYTHING}, "skills *"),
    ],
)
def test_a_key_that_only_says_it_follows_another_is_refused(
    tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    follower: KeyEntry = msgspec.structs.replace(FOLLOWER, **changes)
    write_trust_file(tmp_path, TrustFile(keys=(ENTRY, follower)))
    assert why in refused(tmp_path).why


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "in the way").touch()
    with pytest.raises(TrustFileInvalid) as caught:
        write_trust_file(tmp_path / "in the way", TrustFile())
    assert "TICKWORK_TRUST" in caught.value.fix


def test_a_key_that_is_there_twice_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(TrustFileInvalid) as caught:
        write_trust_file(tmp_path, TrustFile(keys=(ENTRY, ENTRY)))
    assert "twice" in caught.value.why
