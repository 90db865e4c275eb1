"""packages/package.py: modules and bundles alike."""

import hashlib
from collections.abc import Callable

import pytest

from tests.unit.packages.parcel import MANIFEST, PRIVATE, bundle, module
from tickwork.errors import ModuleManifestInvalid, ModuleRefused
from tickwork.packages.bundle import pack_bundle
from tickwork.packages.package import is_bundle, read_package, sign_package, strip_package
from tickwork.packages.signature import COMPONENT_MAGIC
from tickwork.sandbox.manifest import SECTION
from tickwork.sandbox.wasm import MAGIC, encode_name, encode_section


@pytest.mark.parametrize(("make", "kind"), [(module, "module"), (bundle, "bundle")])
def test_a_package_says_what_it_is(make: Callable[[], bytes], kind: str) -> None:
    plain, signed = make(), sign_package(make(), PRIVATE)
    assert is_bundle(plain) == (kind == "bundle")
    before, after = read_package(plain), read_package(signed)
    assert (before.kind, before.manifest, before.signed) == (kind, MANIFEST, None)
    assert after.signed is not None
    assert (after.content, after.manifest) == (before.content, MANIFEST)
    assert after.digest == hashlib.sha256(signed).digest() != before.digest
    assert strip_package(signed) == strip_package(plain) == plain


def test_a_package_without_a_manifest_has_none() -> None:
    assert read_package(module(None)).manifest is None
    assert read_package(bundle(None)).manifest is None
    component = COMPONENT_MAGIC + encode_section(0, encode_name("x"))
    assert read_package(sign_package(component, PRIVATE)).manifest is None


def test_a_manifest_that_is_not_what_it_must_be_is_refused() -> None:
    section = encode_section(0, encode_name(SECTION) + b"{}")
    for wrong in (MAGIC + section, pack_bundle({"manifest.json": b"{}"})):
        with pytest.raises(ModuleManifestInvalid):
            read_package(wrong, name="m")


def test_a_module_with_two_manifests_is_refused() -> None:
    second = encode_section(0, encode_name(SECTION) + b"{}")
    with pytest.raises(ModuleManifestInvalid, match="2 manifests"):
        read_package(module() + second, name="m")


def test_a_module_and_a_bundle_never_share_a_signature() -> None:
    assert read_package(module()).content != read_package(bundle()).content
    with pytest.raises(ModuleRefused):
        read_package(b"anything")
