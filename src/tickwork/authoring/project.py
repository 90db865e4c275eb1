"""An agent's project: a folder with ``agent.toml``, read once and checked whole."""

import hashlib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ..driver.faults import as_error
from ..driver.places import find_places
from ..driver.shape import shape_faults
from ..errors import ProjectInvalid, WorldError
from ..sandbox.manifest import Capabilities, Manifest, ManifestLimits

FILE: Final = "agent.toml"
ABI_VERSION: Final = "1.0"
OTHERS: Final = frozenset({"node_modules", "target"})
"""Folders that tools of languages fill, with links too; what lies in them is no source of the project."""

NAME_PATTERN: Final = r"^[a-z][a-z0-9_-]*$"
NAME_CHARACTERS: Final = 64
VERSION_PATTERN: Final = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$"

Language = Literal["c", "cpp", "rust", "assemblyscript", "python"]
"""As ``agent.toml`` and ``tickwork agent new`` name them."""


class BuildTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the sources become a module."""

    source: Annotated[
        str, Meta(description="The file the build begins with, relative to the project; empty for the language's own.")
    ] = ""
    pages: Annotated[
        int,
        Meta(ge=0, le=65536, description="Greatest memory in pages of 64 KiB; 0 lets the language's SDK choose."),
    ] = 0
    stack_bytes: Annotated[
        int, Meta(ge=0, le=1 << 24, description="Stack, a multiple of 16; 0 lets the language's SDK choose.")
    ] = 0
    libc: Annotated[
        bool,
        Meta(description="C and C++: link the C library, which speaks virtual WASI; C++ with its standard library."),
    ] = False
    wasi: Annotated[
        Literal["", "virtual"], Meta(description="`virtual` for an agent that uses the virtual WASI subset.")
    ] = ""


class ProjectTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent's project file."""

    name: Annotated[
        str,
        Meta(
            pattern=NAME_PATTERN,
            max_length=NAME_CHARACTERS,
            description="A name of lower-case letters, digits, - and _ for the agent, its files and its package.",
            examples=["counter"],
        ),
    ]
    version: Annotated[
        str, Meta(pattern=VERSION_PATTERN, description="A semantic version of three numbers.", examples=["1.0.0"])
    ]
    language: Annotated[Language, Meta(description="What it is written in.")]
    build: BuildTable = BuildTable()
    capabilities: Annotated[
        Capabilities, Meta(description="What the agent wants to use. A name's place in its list is its handle.")
    ] = Capabilities()
    limits: Annotated[
        ManifestLimits, Meta(description="What the agent needs; a world can give less, never more than its own bound.")
    ] = ManifestLimits()


class Project(msgspec.Struct, frozen=True):
    """A project that was read.

    Attributes:
        folder: Where ``agent.toml`` lies; absolute.
        table: What the file says.
    """

    folder: Path
    table: ProjectTable

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.table.name

    @property
    def build(self) -> BuildTable:
        """How it is built."""
        return self.table.build

    def files(self, *patterns: str) -> list[Path]:
        """Return the project's files that match one of the glob patterns. Order: by path, each once.

        Raises:
            ProjectInvalid: TW5004, one is a link to a file outside the folder.
        """
        found = sorted({path for pattern in patterns for path in self.folder.glob(pattern) if path.is_file()})
        for path in found:
            inside = path.relative_to(self.folder)
            if OTHERS.isdisjoint(inside.parts):
                self._inside(path, str(inside), str(path))
        return found

    def entry(self, otherwise: str) -> Path:
        """Return the file the build begins with: the one ``[build] source`` names, else ``otherwise``.

        Raises:
            ProjectInvalid: TW5004, it does not exist or lies outside the folder.
        """
        named = self.build.source or otherwise
        path = self.folder / named
        self._inside(path, named, f"{self.folder / FILE}, build.source")
        if not path.is_file():
            raise ProjectInvalid(
                f"the source {named} does not exist",
                where=f"{self.folder / FILE}, build.source",
                why="the build begins with it",
                fix="write it, or name another file as [build] source",
            )
        return path

    def _inside(self, path: Path, named: str, where: str) -> None:
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ProjectInvalid(
                f"the source {named} lies outside the project",
                where=where,
                why="a project is built from its own folder, so that it builds the same anywhere",
                fix="move the file into the project",
            )

    def manifest(self, *, sdk: str, sources: Iterable[Path], pages: int, base: str = "", wasi: str = "") -> Manifest:
        """Return the manifest of what is built: the project's tables and what the build knows.

        Args:
            sdk: Name and version of the SDK.
            sources: The files whose digest goes in.
            pages: Memory that is declared where ``[limits] memory_pages`` says nothing; 0 for none.
            base: Digest of the base module of a source bundle, in hexadecimal.
            wasi: What the toolchain needs, beside what ``[build] wasi`` says.
        """
        limits = self.table.limits
        if not limits.memory_pages:
            limits = msgspec.structs.replace(limits, memory_pages=pages)
        return Manifest(
            name=self.table.name,
            version=self.table.version,
            abi=ABI_VERSION,
            language=self.table.language,
            sdk=sdk,
            capabilities=self.table.capabilities,
            limits=limits,
            source=self.source_digest(sources),
            base=base,
            wasi="virtual" if self.build.libc or "virtual" in (wasi, self.build.wasi) else "",
        )

    def source_digest(self, sources: Iterable[Path]) -> str:
        """Return the SHA-256 over the names and contents of files, in hexadecimal.

        Order: by name, whatever order they come in. Every line end counts as one line feed, so that it is the same on
        every system.
        """
        total = hashlib.sha256(b"tickwork source 1\0")
        named = {path.relative_to(self.folder).as_posix(): path for path in sources}
        for name in sorted(named):
            content = named[name].read_bytes().replace(b"\r\n", b"\n")
            total.update(f"{name}\0{len(content)}\0".encode() + content)
        return total.hexdigest()


def read_project(folder: Path) -> Project:
    """Return the project of a folder.

    Raises:
        ProjectInvalid: TW5004, there is no ``agent.toml``, or it is not what it must be; every fault is told.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
        document: dict[str, object] = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ProjectInvalid(
            f"{folder} is no agent's project",
            where=str(path),
            why=f"it has no {FILE}",
            fix="name the project's folder, or begin one: tickwork agent new c NAME",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ProjectInvalid(
            f"{FILE} cannot be read", where=str(path), why=str(error), fix="mend the line, and build again"
        ) from error
    faults = list(shape_faults(document, msgspec.inspect.type_info(ProjectTable), ()))
    if faults:
        told: WorldError = as_error(faults, path, find_places(text))
        raise ProjectInvalid(told.what, where=told.where, why=told.why, fix=told.fix)
    return Project(folder.absolute(), msgspec.convert(document, ProjectTable))
