"""packages/bundle.py: source bundles with one spelling and a signature in them."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packages.parcel import PRIVATE, PUBLIC, bundle
from tickwork.errors import SignatureInvalid
from tickwork.keys import key_id
from tickwork.packages.bundle import (
    BUNDLE_BYTES,
    ENTRY_COUNT,
    bundle_digest,
    pack_bundle,
    read_bundle_signature,
    sign_bundle,
    strip_bundle,
    unpack_bundle,
)

FILES = {"manifest.json": b"{}", "b.py": b"b = 1\n", "deep/ä.py": b""}
NAMES = st.text("aé中_.-", min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))


def test_any_zip_reader_reads_a_bundle() -> None:
    with zipfile.ZipFile(io.BytesIO(pack_bundle(FILES))) as archive:
        assert archive.namelist() == ["b.py", "deep/ä.py", "manifest.json"]
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_a_bundle_is_signed_over_all_its_files() -> None:
    signed = sign_bundle(pack_bundle(FILES), PRIVATE)
    files = unpack_bundle(signed)
    assert sorted(files) == sorted([*FILES, "signature"])
    read = read_bundle_signature(files)
    assert read is not None
    assert read.content == bundle_digest(FILES) == bundle_digest(files)
    assert read.holds(read.signatures[0], PUBLIC)
    assert strip_bundle(signed) == pack_bundle(FILES)
    assert sign_bundle(signed, PRIVATE, keep=True) == signed
    assert read_bundle_signature(FILES) is None


def test_a_changed_added_or_removed_file_is_noticed() -> None:
    files = unpack_bundle(sign_bundle(pack_bundle(FILES), PRIVATE))
    for changed in (
        {**files, "b.py": b"b = 2\n"},
        {**files, "c.py": b""},
        {name: body for name, body in files.items() if name != "b.py"},
        {("c.py" if name == "b.py" else name): body for name, body in files.items()},
    ):
        with pytest.raises(SignatureInvalid) as caught:
            read_bundle_signature(changed, "x.bundle")
        assert "a file has changed" in caught.value.why


def test_no_byte_of_a_signed_bundle_can_change() -> None:
    signed = sign_bundle(bundle(), PRIVATE)
    for place in range(len(signed)):
        changed = bytearray(signed)
        changed[place] ^= 0x01
        try:
            read = read_bundle_signature(unpack_bundle(bytes(changed)))
        except SignatureInvalid:
            continue
        held = read is not None and any(
            one.key == key_id(PUBLIC) and read.holds(one, PUBLIC) for one in read.signatures
        )
        assert not held, place


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        pack_bundle(FILES)[:-1],
        pack_bundle(FILES) + b"\0",
        b"\0" + pack_bundle(FILES),
        pack_bundle(FILES).replace(b"b.py", b"\xffpy."),
        b"PK\3\4",
        b"PK\3\4" + bytes(200),
    ],
)
def test_an_archive_of_another_spelling_is_refused(wrong: bytes) -> None:
    with pytest.raises(SignatureInvalid, match="TW3201"):
        unpack_bundle(wrong, "x.bundle")


def test_a_compressed_archive_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", b"a" * 1000)
    with pytest.raises(SignatureInvalid):
        unpack_bundle(content.getvalue())


@pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/..", "./a", "a\\b", "C:a", "a\nb", "a\0", "x" * 256])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(SignatureInvalid):
        pack_bundle({name: b""})


def test_a_bundle_has_caps() -> None:
    with pytest.raises(SignatureInvalid, match="does not hold"):
        pack_bundle({f"{number}.py": b"" for number in range(ENTRY_COUNT + 1)})
    with pytest.raises(SignatureInvalid):
        pack_bundle({"a": bytes(BUNDLE_BYTES)})
    with pytest.raises(SignatureInvalid):
        unpack_bundle(bytes(BUNDLE_BYTES + 1))


@pytest.mark.slow
@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=6))
def test_what_is_packed_is_unpacked_again(files: dict[str, bytes]) -> None:
    assert unpack_bundle(pack_bundle(files)) == files
    assert pack_bundle(dict(reversed(files.items()))) == pack_bundle(files)


@given(st.binary(max_size=300))
def test_no_bytes_lead_to_anything_but_a_refusal(data: bytes) -> None:
    for wrong in (data, b"PK\3\4" + data):
        try:
            files = unpack_bundle(wrong)
        except SignatureInvalid:
            continue
        assert pack_bundle(files) == wrong
