"""packages/oci.py, against a registry process of its own on this machine, and against one that lies."""

import http.server
import importlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.unit.packages.parcel import MANIFEST, PRIVATE, bundle, module, version
from tests.unit.packages.station import running_registry
from tickwork.errors import RegistryFailed
from tickwork.keys import generate_key
from tickwork.packages.oci import CONFIG_TYPE, MANIFEST_TYPE, MODULE_TYPE, OciRegistry
from tickwork.packages.package import read_package, sign_package
from tickwork.packages.registry import Pulled


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a registry that is empty."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(autouse=True)
def no_process_is_left() -> None:
    """Let the registry of this file outlive a test; the fixture that starts it ends it."""


def push(host: str, package: bytes, prefix: str = "agents") -> str:
    return OciRegistry(f"oci://{host}/{prefix}").push(package, read_package(package))


@pytest.mark.slow
def test_what_is_pushed_is_pulled(host: str) -> None:
    signed = sign_package(module(), PRIVATE)
    where = push(host, signed)
    assert where == f"oci://{host}/agents/acme-trader:1.2.0"
    registry = OciRegistry(f"oci://{host}/agents/")
    assert registry.pull("acme-trader", "1.2.0") == Pulled(signed, "1.2.0", where)
    assert push(host, signed) == where


@pytest.mark.slow
def test_a_module_is_an_image_that_other_tools_know(host: str) -> None:
    import requests

    signed = sign_package(module(), PRIVATE)
    push(host, signed, "images")
    url = f"http://{host}/v2/images/acme-trader"
    manifest = requests.get(f"{url}/manifests/1.2.0", headers={"Accept": MANIFEST_TYPE}, timeout=10).json()
    assert manifest["config"]["mediaType"] == CONFIG_TYPE == "application/vnd.wasm.config.v0+json"
    (layer,) = manifest["layers"]
    digest = f"sha256:{read_package(signed).digest.hex()}"
    assert (layer["mediaType"], layer["digest"], layer["size"]) == (MODULE_TYPE, digest, len(signed))
    config = requests.get(f"{url}/blobs/{manifest['config']['digest']}", timeout=10).json()
    assert config["layerDigests"] == [digest]


@pytest.mark.slow
def test_the_newest_version_is_pulled_where_none_is_named(host: str) -> None:
    for number in ("1.9.0", "1.10.0+build7"):
        push(host, version(number), "newest")
    assert OciRegistry(f"oci://{host}/newest").pull("acme-trader", "").version == "1.10.0+build7"


@pytest.mark.slow
def test_a_source_bundle_travels_too(host: str) -> None:
    push(host, bundle(), "bundles")
    assert OciRegistry(f"oci://{host}/bundles").pull("acme-trader", "").package == bundle()


@pytest.mark.slow
def test_a_version_never_changes(host: str) -> None:
    push(host, version("1.0.0"), "fixed")
    other = sign_package(module(msgspec.structs.replace(MANIFEST, version="1.0.0")), generate_key())
    with pytest.raises(RegistryFailed) as caught:
        push(host, other, "fixed")
    assert "never changes" in caught.value.why


@pytest.mark.slow
@pytest.mark.parametrize("number", ["", "9.9.9"])
def test_a_package_that_is_not_there_is_told(host: str, number: str) -> None:
    with pytest.raises(RegistryFailed, match="TW3211: there is no package") as caught:
        OciRegistry(f"oci://{host}").pull("nobody", number)
    assert caught.value.exit_status == 69


def test_a_place_without_a_host_is_refused() -> None:
    with pytest.raises(RegistryFailed, match="names no host"):
        OciRegistry("oci://")


def test_without_the_package_oras_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(RegistryFailed) as caught:
        OciRegistry("oci://localhost").pull("a", "1")
    assert "tickwork[oci]" in caught.value.fix


Answer = tuple[int, bytes]


@pytest.fixture
def liar() -> Iterator[Callable[[Answer, Answer], str]]:
    """Return a function that starts a registry which gives these answers for a manifest and for a blob."""
    servers: list[tuple[http.server.HTTPServer, threading.Thread]] = []

    def start(manifest: Answer, blob: Answer) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = manifest if "/manifests/" in self.path else blob
                self.send_response(status)
                if status == 401:
                    here = self.headers["Host"].encode()
                    self.send_header("Www-Authenticate", body.replace(b"HERE", here).decode())
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"oci://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def manifest(
    media_type: str = MODULE_TYPE, digest: str = "sha256:" + "ab" * 32, size: int = 3, count: int = 1
) -> Answer:
    layers = [{"mediaType": media_type, "digest": digest, "size": size}] * count
    return 200, json.dumps({"layers": layers}).encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("found", "blob", "why"),
    [
        (manifest(), (200, b"abc"), "do not have the digest"),
        (manifest(), (404, b""), "do not have the digest"),
        (manifest(size=2), (200, b"abc"), "more than the 2 bytes"),
        (manifest(size=1 << 40), (200, b""), "offers 1,099,511,627,776 bytes"),
        (manifest(size=-1), (200, b""), "offers -1 bytes"),
        (manifest("text/plain"), (200, b""), "not one module"),
        (manifest(count=2), (200, b""), "not one module"),
        (manifest(count=0), (200, b""), "not one module"),
        ((200, b"[]"), (200, b""), "Expected"),
        ((200, b"<html>"), (200, b""), "malformed"),
        ((200, b" " * (2 << 20)), (200, b""), "more than"),
        ((500, b""), (200, b""), "answers 500"),
        ((403, b""), (200, b""), "authenticat"),
        ((401, b'Bearer realm="http://registry.example/token"'), (200, b""), "without encryption"),
        ((401, b'Bearer realm="http://127.0.0.1:80@registry.example/"'), (200, b""), "without encryption"),
        ((401, b'Bearer realm="http://HERE/token"'), (200, b" " * (2 << 20)), "more than"),
        ((401, b'Bearer realm="http://HERE/token"'), (200, b"[" * 100_000), "recursion"),
    ],
)
def test_a_registry_that_lies_is_found_out(
    liar: Callable[[Answer, Answer], str], found: Answer, blob: Answer, why: str
) -> None:
    with pytest.raises(RegistryFailed, match="TW3211") as caught:
        OciRegistry(liar(found, blob)).pull("a", "1.0.0")
    assert why in caught.value.why


@pytest.mark.slow
def test_a_registry_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RegistryFailed, match="does not answer") as caught:
        OciRegistry("oci://127.0.0.1:1").pull("a", "1.0.0")
    assert "refused" in caught.value.why
