"""packages/oci_files.py, against a registry that lies; one that does not is asked in infer/test_carrying.py."""

import hashlib
import http.server
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tickwork.errors import RegistryFailed
from tickwork.packages.oci_files import OciFiles

DIGEST = f"sha256:{hashlib.sha256(b'content').hexdigest()}"

pytestmark = pytest.mark.slow


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Generator[str]:
    """Yield the address of a registry that answers everything in one way."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(404 if self.command == "HEAD" else status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"oci://127.0.0.1:{server.server_address[1]}/models"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_has_its_digest_arrives() -> None:
    with answering(200, b"content") as place, OciFiles(place).repository("wind") as repository:
        assert repository.content(DIGEST, 7) == b"content"
        assert repository.manifest("1.0.0") == b"content"
        assert repository.place == f"{place}/wind"


@pytest.mark.parametrize(
    ("status", "body", "digest", "size", "why"),
    [
        (200, b"contend", DIGEST, 7, "do not have the digest"),
        (200, b"conten", DIGEST, 7, "do not have the digest"),
        (200, b"", DIGEST, 7, "do not have the digest"),
        (200, b"content and more", DIGEST, 7, "more than the 7 bytes"),
        (404, b"", DIGEST, 7, "answers 404"),
        (500, b"content", DIGEST, 7, "answers 500"),
        (200, b"content", "sha256:../../manifests/x", 7, "no digest"),
        (200, b"content", "md5:" + "0" * 32, 7, "no digest"),
    ],
)
def test_what_has_another_digest_or_length_is_refused(
    status: int, body: bytes, digest: str, size: int, why: str
) -> None:
    with (
        answering(status, body) as place,
        pytest.raises(RegistryFailed, match="TW3211") as caught,
        OciFiles(place).repository("wind") as repository,
    ):
        repository.content(digest, size)
    assert why in caught.value.why


def test_no_byte_is_believed_before_all_are_compared() -> None:
    seen = list[bytes]()
    with (
        answering(200, b"x" * 200_000) as place,
        pytest.raises(RegistryFailed),
        OciFiles(place).repository("wind") as repository,
    ):
        seen.extend(repository.chunks(DIGEST, 200_000))
    assert sum(map(len, seen)) < 200_000


@pytest.mark.parametrize(
    ("status", "headers", "why"),
    [
        (202, {}, "takes no file"),
        (403, {"Location": "/v2/x"}, ""),
        (500, {"Location": "/v2/x"}, "500"),
        (202, {"Location": "http://registry.example/upload"}, "without encryption"),
    ],
)
def test_a_registry_that_takes_no_file_says_why(tmp_path: Path, status: int, headers: dict[str, str], why: str) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with (
        answering(status, b"", **headers) as place,
        pytest.raises(RegistryFailed) as caught,
        OciFiles(place).repository("wind") as repository,
    ):
        repository.put_file(tmp_path / "file", DIGEST)
    assert why in caught.value.why


def test_a_list_of_tags_that_is_none_is_refused() -> None:
    with (
        answering(200, b"<html>") as place,
        pytest.raises(RegistryFailed),
        OciFiles(place).repository("wind") as repository,
    ):
        repository.tags()
    with answering(404, b"") as place, OciFiles(place).repository("wind") as repository:
        assert repository.tags() == []
