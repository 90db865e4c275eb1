"""Files of any kind in an OCI registry: what is asked for by digest, and manifests under names and tags.

The digest of what arrives is computed here. What has another one, or another length, is refused and was never used.

Source: OCI distribution specification 1.1.
"""

import hashlib
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ..sandbox.gate import escape
from .oci import CHUNK_BYTES, MANIFEST_BYTES, MANIFEST_TYPE, NOT_FOUND, OK, SCHEME, Client, OciRegistry, Tags, unlike

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class OciFiles(OciRegistry):
    """The repositories under a prefix of an OCI registry.

    Args:
        place: ``oci://HOST[:PORT]/PREFIX``; the prefix may be absent.
    """

    @contextmanager
    def repository(self, name: str) -> Generator["Repository"]:
        """Yield a repository, for as long as one login lasts.

        Raises:
            RegistryFailed: TW3211, also for whatever fails in it.
        """
        place = f"{self._host}/{self._prefix}{name}"
        with self._asking(place) as client:
            self._log_in(client, f"{place}:latest")
            yield Repository(self, client, f"{self._prefix}{name}")

    def get(self, client: Client, path: str, most: int) -> bytes | None:
        """Return what the registry has at a path, None where it has nothing."""
        return self._get(client, path, most, accept=MANIFEST_TYPE)

    @property
    def host(self) -> str:
        """Name and port."""
        return self._host


class Repository:
    """What a registry keeps under one name."""

    def __init__(self, registry: OciFiles, client: Client, path: str) -> None:
        self._registry = registry
        self._client = client
        self._path = path

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{SCHEME}{self._registry.host}/{self._path}"

    def tags(self) -> list[str]:
        """Return all tags. Order: as the registry says."""
        content = self._registry.get(self._client, f"{self._path}/tags/list", MANIFEST_BYTES)
        return list(msgspec.json.decode(content, type=Tags).tags or ()) if content is not None else []

    def manifest(self, tag: str) -> bytes | None:
        """Return the manifest under a tag, None where there is none."""
        return self._registry.get(self._client, f"{self._path}/manifests/{tag}", MANIFEST_BYTES)

    def content(self, digest: str, size: int) -> bytes:
        """Return the bytes of a digest, all at once."""
        return b"".join(self.chunks(digest, size))

    def chunks(self, digest: str, size: int) -> Iterator[bytes]:
        """Yield the bytes of a digest in pieces; the last one only after all of them were compared.

        Args:
            digest: ``sha256:`` and 64 digits.
        """
        if DIGEST.fullmatch(digest) is None:
            raise unlike(self.place, f"it names {escape(digest[:80])}, which is no digest")
        url = f"{self._client.prefix}://{self._registry.host}/v2/{self._path}/blobs/{digest}"
        answer = self._client.do_request(url, "GET", headers={"Accept": "*/*"}, stream=True)
        try:
            if answer.status_code not in OK:
                raise unlike(url, f"it answers {answer.status_code} {escape(answer.reason)}")
            hashed, count, held = hashlib.sha256(), 0, b""
            for chunk in answer.iter_content(CHUNK_BYTES):
                count += len(chunk)
                if count > size:
                    raise unlike(url, f"it sends more than the {size:,} bytes that it named")
                hashed.update(chunk)
                yield held
                held = chunk
            if count != size or f"sha256:{hashed.hexdigest()}" != digest:
                raise unlike(url, "the bytes it sent do not have the digest it named")
            yield held
        finally:
            answer.close()

    def put_file(self, path: Path, digest: str) -> bool:
        """Send a file unless the registry has it; return whether it was sent."""
        base = f"{self._client.prefix}://{self._registry.host}/v2/{self._path}/blobs/"
        if self._client.do_request(f"{base}{digest}", "HEAD").status_code in OK:
            return False
        begun = self._client.do_request(f"{base}uploads/", "POST", headers={"Content-Length": "0"})
        where = begun.headers.get("location", "")
        if begun.status_code not in OK or not where:
            raise unlike(base, f"it takes no file: {begun.status_code} {escape(begun.reason)}")
        if not where.startswith("http"):
            where = f"{self._client.prefix}://{self._registry.host}{where}"
        # Of an empty file nobody can tell the length from its stream.
        empty = path.stat().st_size == 0
        with path.open("rb") as file:
            answer = self._client.do_request(
                f"{where}{'&' if '?' in where else '?'}digest={digest}",
                "PUT",
                data=b"" if empty else file,
                headers={"Content-Type": "application/octet-stream"},
            )
        self._refuse(answer.status_code, answer.reason)
        return True

    def put_manifest(self, tag: str, content: bytes) -> None:
        """Send a manifest, byte for byte, under a tag; all it names was sent before."""
        url = f"{self._client.prefix}://{self._registry.host}/v2/{self._path}/manifests/{tag}"
        answer = self._client.do_request(url, "PUT", data=content, headers={"Content-Type": MANIFEST_TYPE})
        self._refuse(answer.status_code, answer.reason)

    def _refuse(self, status: int, reason: str) -> None:
        if status not in OK:
            gone = "; look at the name" if status == NOT_FOUND else ""
            raise unlike(self.place, f"it answers {status} {escape(reason)}{gone}")
