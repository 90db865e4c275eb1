"""``file_read`` and ``file_write``: files below the folders that a profile grants."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal

import pydantic

from ...kinds import EffectClass
from ..calls import MAX_OUTPUT_BYTES
from ..errors import SkillFailed, SkillInputInvalid
from ..json_text import read_json, write_json
from .configuration import NoKeys, read_keys
from .file_types import type_of
from .folders import Folders
from .granting import part_of
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits

MAX_KEPT_BYTES: Final = 64 << 20
"""Of a file that becomes an artifact."""

MAX_WRITTEN_BYTES: Final = 16 << 20


class ReadGiven(pydantic.BaseModel):
    """What goes into ``file_read``."""

    model_config = pydantic.ConfigDict(extra="forbid")

    path: str = pydantic.Field(max_length=1024, description="A file, or with `list` a folder, below a granted folder.")
    format: Literal["text", "json", "base64", "artifact", "list"] = pydantic.Field(
        default="text", description="How the content is given; `list` gives the names and sizes of a folder's files."
    )
    pattern: str = pydantic.Field(default="**", max_length=256, description="Which files `list` gives: `*.md`, `**`.")


class FileEntry(pydantic.BaseModel):
    """A file of a folder."""

    path: str
    size: int


class ReadMade(pydantic.BaseModel):
    """What comes out of ``file_read``; what was not asked for is null."""

    path: str
    size: int = 0
    sha256: str = ""
    text: str | None = None
    json_: pydantic.JsonValue = pydantic.Field(default=None, alias="json", serialization_alias="json")
    base64: str | None = None
    artifact: str | None = None
    files: list[FileEntry] | None = None


class FileRead:
    """Reads files. What they hold is from outside: somebody else may have written it."""

    traits = Traits(
        "file_read",
        "1",
        "Read a file, or list a folder, below the folders that the profile grants.",
        EffectClass.IDEMPOTENT,
        outside=True,
        capabilities=("files:read",),
    )

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        return _READ

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "FileRead":
        """Return the skill; which folders it reads says the profile.

        Raises:
            SkillInvalid: TW7004.
        """
        read_keys(config, NoKeys)
        return cls()

    def call(self, given: ReadGiven, context: CallContext) -> Any:
        """Return what the file holds.

        Raises:
            PathRefused: TW7025. OutputTooLarge: TW7029. SkillFailed: TW7008, it is not there or does not read so.
        """
        folders = part_of(context, "files", Folders)
        if given.format == "list":
            entries = [{"path": entry.path, "size": entry.size} for entry in folders.list(given.path, given.pattern)]
            return {"path": given.path, "size": len(entries), "files": entries}
        most = MAX_KEPT_BYTES if given.format == "artifact" else MAX_OUTPUT_BYTES
        raw = folders.read(given.path, most)
        made: dict[str, Any] = {"path": given.path, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        if given.format == "artifact":
            name = given.path.rpartition("/")[2]
            kept = context.artifacts.put(name, type_of(name, raw), raw)
            context.kept.append(kept)
            return {**made, "artifact": kept.digest.hex()}
        return {**made, given.format: _content(given, raw)}


def _content(given: ReadGiven, raw: bytes) -> Any:
    try:
        if given.format == "base64":
            return base64.b64encode(raw).decode()
        return raw.decode("utf-8-sig") if given.format == "text" else read_json(raw)
    except ValueError as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        failed = SkillFailed(f"{given.path} is no {given.format}: {why}")
        failed.retryable = False
        raise failed from None


class WriteGiven(pydantic.BaseModel):
    """What goes into ``file_write``: a path, and one of ``text``, ``json`` and ``base64``."""

    model_config = pydantic.ConfigDict(extra="forbid")

    path: str = pydantic.Field(max_length=1024, description="A file below a folder that may be written.")
    text: str | None = None
    json_: pydantic.JsonValue = pydantic.Field(default=None, alias="json", description="Written as JSON.")
    base64: str | None = None


class WriteMade(pydantic.BaseModel):
    """What comes out of ``file_write``."""

    path: str
    size: int
    sha256: str


class FileWrite:
    """Writes files, each whole or not at all. Writing the same twice changes nothing."""

    traits = Traits(
        "file_write",
        "1",
        "Write a file below a folder that the profile lets be written.",
        EffectClass.IDEMPOTENT,
        side_effects=True,
        capabilities=("files:write",),
    )

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        return _WRITTEN

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "FileWrite":
        """Return the skill; which folders it writes says the profile.

        Raises:
            SkillInvalid: TW7004.
        """
        read_keys(config, NoKeys)
        return cls()

    def call(self, given: WriteGiven, context: CallContext) -> Any:
        """Return what was written, by digest.

        Raises:
            PathRefused: TW7025. SkillInputInvalid: TW7006. SkillFailed: TW7008.
        """
        body = _body(given)
        if len(body) > MAX_WRITTEN_BYTES:
            raise SkillInputInvalid(f"{len(body):,} bytes are too many for one file")
        part_of(context, "files", Folders).write(given.path, body, mark=context.key)
        return {"path": given.path, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def _body(given: WriteGiven) -> bytes:
    if len({"text", "json_", "base64"} & given.model_fields_set) != 1:
        raise SkillInputInvalid("exactly one of text, json and base64 is written")
    if given.text is not None:
        return given.text.encode()
    if given.base64 is not None:
        try:
            return base64.b64decode(given.base64, validate=True)
        except ValueError:
            raise SkillInputInvalid("base64 holds what is none") from None
    return write_json(given.json_) + b"\n"


_READ: Final[tuple[Shape, Shape]] = (ModelShape(ReadGiven), ModelShape(ReadMade))
_WRITTEN: Final[tuple[Shape, Shape]] = (ModelShape(WriteGiven), ModelShape(WriteMade))
