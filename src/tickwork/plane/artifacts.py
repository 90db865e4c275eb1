"""Artifacts: what runs leave behind, by content; found again by type, mime, tag, text and run.

The bytes lie under their digest, in a folder or in a store of objects; a row says what they are and whose.

Invariants:
    * Bytes are whole and synchronized before a row names them, so a row is never without its bytes.
    * Equal bytes lie there once, whoever left them. Nothing is ever written over other bytes.
    * Bytes that are read are those of their digest, or an error.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from ..clock import Clock
from .calls import ArtifactRef
from .errors import ArtifactNotFound, PathRefused, SkillInputInvalid, StoreFailed
from .file_names import is_of_a_file
from .store.sql import Connection, RowMapping, Select, insert, or_, select, text
from .store.store import Store
from .store.tables import TENANT, artifact
from .words import match_any

MAX_NAME_BYTES: Final = 200
MAX_WORD_CHARACTERS: Final = 128

INDEXED_BYTES: Final = 1 << 16
"""How much of a text a search looks at."""

MOST: Final = 1_000
"""Rows that a listing holds at most."""

_TEXTUAL: Final = ("application/json", "application/xml", "application/toml", "application/yaml", "image/svg+xml")


class Bytes(Protocol):
    """Where the bytes of artifacts lie."""

    def put(self, digest: bytes, body: bytes) -> None:
        """Keep bytes under their digest, for good once this returns."""
        ...

    def get(self, digest: bytes) -> bytes | None:
        """Return what lies under a digest, unchecked; None where nothing does."""
        ...


class Folder:
    """Bytes of artifacts in a folder: ``ab/abcd...`` for the digest ``abcd...``; readable by their owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, digest: bytes, body: bytes) -> None:
        """Keep bytes under their digest. What lies there already stays, unless it is damaged.

        Raises:
            StoreFailed: TW7018, the folder cannot be written.
        """
        path = self._path(digest)
        if self.get(digest) == body:
            return
        try:
            # Only the last folder of several that are made gets the mode.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            # Two who write the same bytes at once write the same file, each under a name of its own until it is whole.
            partial = path.with_name(f".{path.name}.{os.getpid()}.{id(body):x}")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise StoreFailed(
                "an artifact cannot be written",
                where=str(self.folder),
                why=error.strerror or str(error),
                fix="make room there, or work in a folder you may write to",
            ) from error

    def get(self, digest: bytes) -> bytes | None:
        """Return what lies under a digest; None where nothing does."""
        try:
            return self._path(digest).read_bytes()
        except OSError:
            return None

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.folder / name[:2] / name


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a loss of power; Windows does so by itself and opens no folders."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Artifact(msgspec.Struct, frozen=True):
    """An artifact as it is listed. Units: bytes; microseconds since 1970.

    Attributes:
        labels: Where its contents come from.
    """

    id: str
    name: str
    type: str
    mime: str
    size: int
    digest: bytes
    tags: tuple[str, ...]
    labels: tuple[str, ...]
    run_id: str
    step: str
    created_us: int


class Wanted(msgspec.Struct, frozen=True):
    """Which artifacts to list; an empty value stands for any.

    Attributes:
        mime: Such as ``text/csv``, or ``image/*``.
        text: Words; artifacts that hold all of them in name or contents.
        run: The run, or the beginning of its id.
    """

    type: str = ""
    mime: str = ""
    tags: tuple[str, ...] = ()
    text: str = ""
    run: str = ""
    name: str = ""


ANY: Final = Wanted()


class Leaving(msgspec.Struct, frozen=True):
    """What is said of an artifact when it is left."""

    name: str
    mime: str
    type: str = "file"
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    run_id: str = ""
    step: str = ""


class ArtifactShelf:
    """The artifacts of one tenant."""

    def __init__(self, store: Store, kept: Bytes, clock: Clock, tenant: str = TENANT) -> None:
        self._store = store
        self._bytes = kept
        self._clock = clock
        self._tenant = tenant

    def of(self, run_id: str, step: str, labels: Sequence[str] = ()) -> "RunArtifacts":
        """Return where the skills of one step leave artifacts."""
        return RunArtifacts(self, run_id, step, labels)

    def put(self, said: Leaving, body: bytes) -> ArtifactRef:
        """Keep bytes, and say whose they are. Law: doing so again changes nothing.

        Raises:
            PathRefused: TW7025, the name is no plain file name.
            SkillInputInvalid: TW7006, a type, mime or tag is no plain word.
            StoreFailed: TW7018.
        """
        check_name(said.name)
        for word in (said.type, said.mime, *said.tags):
            check_word(word)
        digest = hashlib.sha256(body).digest()
        self._bytes.put(digest, body)
        row = {
            "tenant_id": self._tenant,
            "run_id": said.run_id,
            "step": said.step,
            "name": said.name,
            "type": said.type,
            "mime": said.mime,
            "size": len(body),
            "digest": digest,
            "tags": msgspec.json.encode(sorted(set(said.tags))),
            "labels": msgspec.json.encode(sorted(set(said.labels))),
            "text": readable(said.mime, body),
            "created_us": self._clock.now_us(),
        }
        same = [artifact.c[name] == row[name] for name in ("tenant_id", "run_id", "step", "name", "digest")]
        with self._store.begin() as connection:
            if connection.execute(select(artifact.c.id).where(*same)).first() is None:
                self._write(connection, row)
        return ArtifactRef(said.name, digest, len(body), said.mime, said.type)

    def _write(self, connection: Connection, row: dict[str, Any]) -> None:
        key = self._clock.unique()
        connection.execute(insert(artifact).values(id=key, **row))
        words = {"id": key, "text": f"{row['name']}\n{row['text']}"}
        connection.execute(text("INSERT INTO artifact_words (id, text) VALUES (:id, :text)"), words)

    def get(self, digest: bytes) -> bytes:
        """Return kept bytes, compared with their digest.

        Raises:
            ArtifactNotFound: TW7027, there are none, they are damaged, or another tenant's alone.
        """
        body = self._bytes.get(digest) if self._has(digest) else None
        if body is None:
            raise ArtifactNotFound(
                f"there is no artifact with the digest {digest.hex()[:16]}",
                fix="`tickwork artifact list` shows those there are",
            )
        found = hashlib.sha256(body).digest()
        if found != digest:
            raise ArtifactNotFound(
                f"the artifact {digest.hex()[:16]} is damaged",
                why=f"its {len(body):,} bytes have the digest {found.hex()[:16]}",
                fix="put the file back from a copy, or run again what has left it: equal bytes mend it",
            )
        return body

    def _has(self, digest: bytes) -> bool:
        """Return whether the tenant has left such bytes: they lie there once, whosever they are."""
        own = select(artifact.c.id).where(artifact.c.tenant_id == self._tenant, artifact.c.digest == digest).limit(1)
        with self._store.reading() as connection:
            return len(digest) == 32 and connection.execute(own).first() is not None

    def list(self, wanted: Wanted = ANY, *, most: int = MOST) -> list[Artifact]:
        """Return artifacts. Order: newest first, ties by id."""
        query = _narrowed(select(artifact).where(artifact.c.tenant_id == self._tenant), wanted)
        if wanted.text:
            words = match_any(wanted.text, joined=" AND ")
            if not words:
                return []
            found = text("artifact.id IN (SELECT id FROM artifact_words WHERE artifact_words MATCH :words)")
            query = query.where(found.bindparams(words=words))
        query = query.order_by(artifact.c.created_us.desc(), artifact.c.id).limit(most)
        with self._store.reading() as connection:
            return [_artifact(row) for row in connection.execute(query).mappings()]

    def find(self, reference: str) -> Artifact:
        """Return the artifact of an id, a name, or of eight or more digits of a digest; the newest of several.

        Raises:
            ArtifactNotFound: TW7027.
        """
        query = select(artifact).where(artifact.c.tenant_id == self._tenant)
        latest = (artifact.c.created_us.desc(), artifact.c.id)
        reference = _whole(reference)
        digits = reference.removeprefix("sha256:").lower()
        with self._store.reading() as connection:
            for found in (artifact.c.id == reference, artifact.c.name == reference):
                row = connection.execute(query.where(found).order_by(*latest).limit(1)).mappings().first()
                if row is not None:
                    return _artifact(row)
            if len(digits) >= 8 and set(digits) <= set("0123456789abcdef"):
                hexadecimal = text("lower(hex(artifact.digest)) LIKE :digits").bindparams(digits=f"{digits}%")
                row = connection.execute(query.where(hexadecimal).order_by(*latest).limit(1)).mappings().first()
                if row is not None:
                    return _artifact(row)
        raise ArtifactNotFound(
            f"there is no artifact {reference}",
            why="it is no id, no name and no beginning of a digest",
            fix="`tickwork artifact list` shows those there are",
        )


class RunArtifacts:
    """Where the skills of one step leave artifacts; what a ``CallContext`` offers as ``artifacts``."""

    def __init__(self, shelf: ArtifactShelf, run_id: str, step: str, labels: Sequence[str] = ()) -> None:
        self._shelf = shelf
        self._said = Leaving("", "", labels=tuple(labels), run_id=run_id, step=step)

    def put(self, name: str, mime: str, body: bytes, *, type: str = "file", tags: Sequence[str] = ()) -> ArtifactRef:
        """Keep bytes under their digest, and return what the answer is to name."""
        said = msgspec.structs.replace(self._said, name=name, mime=mime, type=type, tags=tuple(tags))
        return self._shelf.put(said, body)

    def get(self, digest: bytes) -> bytes:
        """Return kept bytes.

        Raises:
            ArtifactNotFound: TW7027.
        """
        return self._shelf.get(digest)


def check_name(name: str) -> None:
    """Refuse a name that could not be a file's in every folder.

    Raises:
        PathRefused: TW7025.
    """
    plain = name not in ("", ".", "..") and not any(c in name for c in "/\\:\0") and name.isprintable()
    if not plain or not is_of_a_file(name) or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise PathRefused(
            f"{name[:80]!r} is no name of an artifact",
            why=f"a name is a plain file name of at most {MAX_NAME_BYTES} bytes",
            fix="leave folders out of it",
        )


def check_word(word: str) -> None:
    """Refuse a type, mime or tag that nobody could ask for.

    Raises:
        SkillInputInvalid: TW7006.
    """
    if not word or not word.isprintable() or len(word) > MAX_WORD_CHARACTERS:
        raise SkillInputInvalid(
            f"{word[:80]!r} is no type, mime or tag of an artifact",
            why=f"one is of at most {MAX_WORD_CHARACTERS} characters that can be printed",
            fix="choose another",
        )


def _whole(said: str) -> str:
    """Return a text as it could be in the store: half a character is in none."""
    return said.encode("utf-8", "replace").decode()


def readable(mime: str, body: bytes) -> str:
    """Return what a search by text looks at: the beginning of a text, nothing of anything else."""
    kind = mime.partition(";")[0].strip().lower()
    if not (kind.startswith("text/") or kind in _TEXTUAL or kind.endswith(("+json", "+xml"))):
        return ""
    return body[:INDEXED_BYTES].decode("utf-8", "ignore").replace("\0", " ")


def _narrowed(query: Select[Any], wanted: Wanted) -> Select[Any]:
    column, mime, run = artifact.c, _whole(wanted.mime), _whole(wanted.run)
    if wanted.type:
        query = query.where(column.type == _whole(wanted.type))
    if wanted.name:
        query = query.where(column.name == _whole(wanted.name))
    if mime.endswith("/*"):
        query = query.where(column.mime.startswith(mime[:-1], autoescape=True))
    elif mime:
        query = query.where(column.mime == mime)
    if run:
        begins = (column.run_id.startswith(begin, autoescape=True) for begin in (run, f"r_{run}"))
        query = query.where(or_(*begins))
    for index, tag in enumerate(wanted.tags):
        held = f"EXISTS (SELECT 1 FROM json_each(CAST(artifact.tags AS TEXT)) WHERE value = :tag{index})"
        query = query.where(text(held).bindparams(**{f"tag{index}": _whole(tag)}))
    return query


def _artifact(row: RowMapping) -> Artifact:
    return Artifact(
        row["id"],
        row["name"],
        row["type"],
        row["mime"],
        row["size"],
        row["digest"],
        msgspec.json.decode(row["tags"], type=tuple[str, ...]),
        msgspec.json.decode(row["labels"], type=tuple[str, ...]),
        row["run_id"],
        row["step"],
        row["created_us"],
    )
