"""Signatures of models: Ed25519 over the SHA-256 of a manifest, judged by the same trust as those of modules.

A manifest names every file by digest, so its signature covers all of a model. It can be taken for no module's: what is
hashed of a module begins with the number of a section, and a manifest begins with a brace, which is none.
"""

from pathlib import Path

from ..packages.developer import developer_key
from ..packages.judge import Verdict, judge_package
from ..packages.package import Package
from ..packages.signature import Signed, extend
from ..packages.trust import Trust
from ..sandbox.manifest import Manifest
from .store import ModelStore


def sign_model(store: ModelStore, digest: bytes, private_key: bytes, *, keep: bool = False) -> Signed:
    """Sign a model in a store, and return the signatures it has then.

    Args:
        keep: Add to the signatures it has; otherwise they are replaced.

    Raises:
        ModelNotFound: TW6001.
        ModelDamaged: TW6003.
        SignatureInvalid: TW3201, what it carries already is not whole.
        ModelStoreFailed: TW6017.
    """
    store.stored_config(store.manifest(digest))
    signed = extend(store.signature(digest) if keep else None, digest, private_key)
    store.keep_signature(digest, signed)
    return signed


def sign_as_developer(store: ModelStore, digest: bytes, trust: Path) -> Signed:
    """Sign a model with the developer's key, which is made on first use and believed on this machine alone.

    Args:
        trust: The trust folder.

    Raises:
        TrustFileInvalid: TW3210, the key cannot be read or made.
        ModelError: As ``sign_model``.
    """
    return sign_model(store, digest, developer_key(trust), keep=True)


def read_model(store: ModelStore, digest: bytes) -> Package:
    """Return a model as a package that can be judged. Its files are not read.

    Raises:
        ModelDamaged: TW6003.
        ModelInvalid: TW6002.
        SignatureInvalid: TW3201.
    """
    config = store.stored_config(store.manifest(digest))
    return Package("model", digest, digest, store.signature(digest), Manifest(config.name, config.version))


def judge_model(
    store: ModelStore,
    digest: bytes,
    trust: Trust,
    *,
    now_us: int,
    allow_unsigned: bool = False,
    update: bool = True,
) -> Verdict:
    """Return the verdict on a model that may be asked here. ``packages.judge.note`` notes it, once it is used.

    Args:
        now_us: Units: microseconds since 1970, UTC.
        allow_unsigned: Let it pass without a signature, or with one of a key nobody knows.
        update: Whether it is an update of what was used here before; a journal's models are none, for it pins them.

    Raises:
        SignatureInvalid: TW3201. KeyRevoked: TW3204. ModuleUnsigned: TW3004. KeyUntrusted: TW3202. KeyExpired: TW3203.
        NameNotAllowed: TW3205. PackageDowngrade: TW3207.
        ModelDamaged: TW6003.
    """
    found = read_model(store, digest)
    assert found.manifest is not None
    name = f"{found.manifest.name}:{found.manifest.version}"
    return judge_package(found, trust, name=name, now_us=now_us, allow_unsigned=allow_unsigned, update=update)
