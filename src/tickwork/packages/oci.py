"""A registry that speaks the OCI distribution protocol, through the package ``oras``.

Modules go as images of one layer, ``application/wasm``, with the config that other WebAssembly tools know; the tag is
the version. A layer's digest is computed here from what arrived and never taken from an answer.

Source: OCI distribution specification 1.1; CNCF TAG Runtime, Wasm OCI Artifact layout.
"""

import hashlib
import importlib
import re
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ..errors import PackageError, RegistryFailed
from ..sandbox.gate import escape
from .package import Package
from .registry import PACKAGE_BYTES, Pulled, absent, changed, check_name, named
from .rights import version_order

SCHEME: Final = "oci://"
CONFIG_TYPE: Final = "application/vnd.wasm.config.v0+json"
MODULE_TYPE: Final = "application/wasm"
BUNDLE_TYPE: Final = "application/vnd.tickwork.bundle.v1+zip"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
TYPES: Final[Mapping[str, str]] = {"module": MODULE_TYPE, "bundle": BUNDLE_TYPE}
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
"""Hosts that are asked without encryption: what goes to them does not leave the machine."""
_PLAIN: Final = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]*)?([/?].*)?", re.ASCII)

MANIFEST_BYTES: Final = 1 << 20
CHUNK_BYTES: Final = 1 << 16
TIMEOUT_S: Final = 30
NOT_FOUND: Final = 404
OK: Final = (200, 201, 202)


class _Layer(msgspec.Struct):
    mediaType: str
    digest: str
    size: int


class _Manifest(msgspec.Struct):
    layers: tuple[_Layer, ...]


class Tags(msgspec.Struct):
    """What a registry says when it is asked for tags."""

    tags: tuple[str, ...] | None = None


class _Answer(Protocol):
    status_code: int
    reason: str
    headers: Mapping[str, str]

    def iter_content(self, chunk_size: int) -> Iterable[bytes]: ...
    def close(self) -> None: ...


class _Requests:
    """Requests with a time limit, whose answers are closed at the end: oras forgets those that ask it to log in.

    Where to log in a registry says itself, so that no password goes anywhere in the clear but to this machine, and
    what is answered there is read to a bound, as everything else is.
    """

    def __init__(self, request: Callable[..., _Answer]) -> None:
        self._request = request
        self._answers: list[_Answer] = []

    def __call__(self, method: str, url: str, *, stream: bool = False, **options: object) -> _Answer:
        if not url.startswith("https://") and not _stays_here(url):
            raise ValueError(f"it would be asked at {url[:200]}, without encryption")
        answer = self._request(method, url, stream=True, timeout=TIMEOUT_S, **options)
        self._answers.append(answer)
        if not stream:
            content = _read(answer, url, MANIFEST_BYTES)
            setattr(answer, "_content", content)  # Where requests keeps what it read.
        return answer

    def close(self) -> None:
        for answer in self._answers:
            answer.close()


class _Session(Protocol):
    request: _Requests

    def close(self) -> None: ...


class Client(Protocol):
    """What is used of ``oras.provider.Registry``."""

    prefix: str
    session: _Session
    do_request: Callable[..., _Answer]

    def get_container(self, name: str) -> object: ...
    def push(
        self, target: str, *, files: list[str], manifest_config: str, disable_path_validation: bool, quiet: bool
    ) -> object: ...


class OciRegistry:
    """Packages in an OCI registry, each name a repository under a prefix.

    Args:
        place: ``oci://HOST[:PORT]/PREFIX``; the prefix may be absent.
    """

    def __init__(self, place: str) -> None:
        self._host, _, prefix = place.removeprefix(SCHEME).partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if not self._host:
            raise RegistryFailed(f"{place} names no host", fix="write oci://HOST/PREFIX")

    def push(self, package: bytes, found: Package) -> str:
        """Keep a package; return its place. One that is there already, byte for byte, is left alone.

        Raises:
            RegistryFailed: TW3211, the version is there with other bytes, or the registry does not take it.
        """
        name, version = named(found)
        place = self._place(name, version)
        with self._asking(place) as client:
            self._log_in(client, place)
            layer = self._layer(client, name, version)
            if layer is not None:
                if layer.digest != f"sha256:{found.digest.hex()}":
                    raise changed(name, version, place)
                return f"{SCHEME}{place}"
            with tempfile.TemporaryDirectory(prefix="tickwork-") as folder:
                file, config = Path(folder) / f"{name}.{found.kind}", Path(folder) / "config.json"
                file.write_bytes(package)
                config.write_bytes(_config(found))
                client.push(
                    place,
                    files=[f"{file}:{TYPES[found.kind]}"],
                    manifest_config=f"{config}:{CONFIG_TYPE}",
                    disable_path_validation=True,
                    quiet=True,
                )
        return f"{SCHEME}{place}"

    def pull(self, name: str, version: str) -> Pulled:
        """Return a package.

        Args:
            version: Empty for the newest.

        Raises:
            RegistryFailed: TW3211, it is not there, or what the registry answers is not it.
        """
        check_name(name, version)
        place = self._place(name, version or "latest")
        with self._asking(place) as client:
            self._log_in(client, place)
            version = version or self._newest(client, name)
            place = self._place(name, version)
            layer = self._layer(client, name, version)
            if layer is None:
                raise absent(name, version, f"{SCHEME}{place}")
            if not 0 <= layer.size <= PACKAGE_BYTES:
                raise unlike(place, f"it offers {layer.size:,} bytes, a package has at most {PACKAGE_BYTES:,}")
            content = self._get(client, f"{self._prefix}{name}/blobs/{layer.digest}", layer.size)
            package = b"" if content is None else content
            if f"sha256:{hashlib.sha256(package).hexdigest()}" != layer.digest:
                raise unlike(place, "the bytes it sent do not have the digest it named")
            return Pulled(package, version, f"{SCHEME}{place}")

    def _place(self, name: str, version: str) -> str:
        # A tag has no plus sign; as in other tools an underscore stands for it.
        return f"{self._host}/{self._prefix}{name}:{version.replace('+', '_')}"

    def _layer(self, client: Client, name: str, version: str) -> _Layer | None:
        """Return the one layer of a version, None where the registry has none."""
        tag = version.replace("+", "_")
        content = self._get(client, f"{self._prefix}{name}/manifests/{tag}", MANIFEST_BYTES, accept=MANIFEST_TYPE)
        if content is None:
            return None
        manifest = msgspec.json.decode(content, type=_Manifest)
        layers = [layer for layer in manifest.layers if layer.mediaType in TYPES.values()]
        if len(layers) != 1 or len(manifest.layers) != 1:
            raise unlike(self._place(name, version), "what it keeps there is not one module or bundle")
        return layers[0]

    def _newest(self, client: Client, name: str) -> str:
        content = self._get(client, f"{self._prefix}{name}/tags/list", MANIFEST_BYTES)
        tags = msgspec.json.decode(content, type=Tags).tags if content is not None else None
        if not tags:
            raise absent(name, "", f"{SCHEME}{self._host}/{self._prefix}{name}")
        newest = max(tags, key=version_order).replace("_", "+")
        check_name(name, newest)
        return newest

    def _get(self, client: Client, path: str, most: int, *, accept: str = "*/*") -> bytes | None:
        """Return what the registry has at a path, None where it has nothing."""
        url = f"{client.prefix}://{self._host}/v2/{path}"
        answer = client.do_request(url, "GET", headers={"Accept": accept}, stream=True)
        try:
            if answer.status_code == NOT_FOUND:
                return None
            if answer.status_code not in OK:
                raise unlike(url, f"it answers {answer.status_code} {escape(answer.reason)}")
            return _read(answer, url, most)
        finally:
            answer.close()

    @contextmanager
    def _asking(self, place: str) -> Generator[Client]:
        """Yield a client, and turn its failures into one error."""
        client, failures = self._connect()
        try:
            yield client
        except PackageError:
            raise
        except failures as error:
            raise RegistryFailed(
                "the registry does not answer as it must",
                where=f"{SCHEME}{place}",
                why=escape(str(error)),
                fix="look at the address and the network; to log in, use `oras login` or `docker login`",
            ) from error
        finally:
            client.session.request.close()
            client.session.close()

    def _connect(self) -> tuple[Client, tuple[type[Exception], ...]]:
        try:
            provider, auth = importlib.import_module("oras.provider"), importlib.import_module("oras.auth")
        except ImportError as error:
            raise RegistryFailed(
                "an OCI registry needs the package oras",
                why=str(error),
                fix="pip install 'tickwork[oci]', or use a folder as a registry",
            ) from error
        plain = self._host.rpartition(":")[0] in LOOPBACK or self._host in LOOPBACK
        made = provider.Registry(hostname=self._host, insecure=plain)
        # Its own retries wait for minutes, and its session for ever; here a person waits.
        made.do_request = partial(provider.Registry.do_request.__wrapped__, made)
        made.session.request = _Requests(made.session.request)
        client: Client = made
        return client, (OSError, ValueError, RecursionError, auth.AuthenticationException)

    def _log_in(self, client: Client, place: str) -> None:
        load: Callable[[object], object] = getattr(client, "auth").load_configs  # noqa: B009  (It has no types.)
        load(client.get_container(place))


def _stays_here(url: str) -> bool:
    """Return whether what is sent to a URL does not leave the machine."""
    return _PLAIN.fullmatch(url) is not None


def _read(answer: _Answer, url: str, most: int) -> bytes:
    content = bytearray()
    for chunk in answer.iter_content(CHUNK_BYTES):
        content += chunk
        if len(content) > most:
            raise unlike(url, f"it sends more than the {most:,} bytes that may come")
    return bytes(content)


def _config(found: Package) -> bytes:
    """Return the config of a package's image. Equal packages have equal ones: it names no time."""
    document = {
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip1",
        "layerDigests": [f"sha256:{found.digest.hex()}"],
    }
    return msgspec.json.encode(document)


def unlike(where: str, why: str) -> RegistryFailed:
    """Return the error of an answer that is not what it must be."""
    fix = "look whether the address is that of an OCI registry with this package"
    return RegistryFailed("the registry does not answer as it must", where=where, why=why, fix=fix)
