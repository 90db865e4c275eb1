"""From a project to its package: compiled, given its manifest, passed through the gate, written beside the source."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ..errors import BuildFailed, BuildNotReproducible
from ..packages.files import replace_file
from ..sandbox import gate
from ..sandbox.manifest import append_manifest
from ..sandbox.scan import scan
from ..sandbox.wasm import CUSTOM, SECTION_NAMES, Malformed
from .languages import toolchain_of
from .project import FILE, Project, read_project
from .sections import parsed
from .toolchain import Compiled, Environment, Found, Toolchain

Signer = Callable[[bytes, str], bytes]
"""Takes a package and its file name, and returns it signed."""

MODULE: Final = ".wasm"


class Built(msgspec.Struct, frozen=True):
    """What a build made.

    Attributes:
        compiled: What the toolchain gave, ``module`` completed by the manifest.
        found: The toolchain.
        pages: Declared maximum of its memory, 0 for a source bundle. Units: 64 KiB.
    """

    compiled: Compiled
    found: Found
    pages: int


def build(project: Project, environment: Environment) -> Built:
    """Return what a project becomes; nothing is written but caches.

    Raises:
        ToolchainMissing: TW5001. BuildFailed: TW5002. ProjectInvalid: TW5004.
        ModuleError: TW3001 to TW3003, the gate refuses what the compiler made.
    """
    toolchain = toolchain_of(project.table.language)
    found = toolchain.find(environment._replace(project=environment.project or project.folder))
    with tempfile.TemporaryDirectory(prefix="tickwork-") as folder:
        compiled = toolchain.compile(project, found, Path(folder))
    if compiled.suffix != MODULE:
        return Built(compiled, found, 0)
    return _completed(project, toolchain, found, compiled)


def _completed(project: Project, toolchain: Toolchain, found: Found, compiled: Compiled) -> Built:
    """Append the manifest and run the gate."""
    name = project.name + MODULE
    memories = parsed(compiled.module).memories
    pages = memories[0].maximum if memories else 0
    manifest = project.manifest(sdk=toolchain.sdk, sources=toolchain.sources(project), pages=pages)
    module = append_manifest(compiled.module, manifest)
    try:
        passed = gate.check(module, name)
        gate.check_wasi(passed, name, declared=manifest.wasi != "")
        scan(passed)
    except Malformed as error:
        raise gate.malformed(name, error) from error
    return Built(compiled._replace(module=module), found, pages)


def write_built(project: Project, built: Built, sign: Signer | None = None) -> list[Path]:
    """Write the package and what goes with it into the project's folder. Order: the package first.

    Raises:
        BuildFailed: TW5002, a file cannot be written.
    """
    compiled = built.compiled
    package = project.folder / f"{project.name}{compiled.suffix}"
    outputs = {package: sign(compiled.module, package.name) if sign else compiled.module}
    if compiled.debug is not None:
        outputs[project.folder / f"{project.name}.debug.wasm"] = compiled.debug
    if compiled.source_map is not None:
        outputs[project.folder / f"{project.name}.wasm.map"] = compiled.source_map
    for path, content in outputs.items():
        try:
            # A project may hold a link where a file is to be written: what it points to is left alone.
            replace_file(path, content)
        except OSError as error:
            raise BuildFailed(
                f"{path.name} cannot be written",
                where=str(path),
                why=error.strerror or str(error),
                fix="build in a folder you may write to, with room for it",
            ) from error
    return list(outputs)


def check_reproducible(project: Project, environment: Environment) -> Built:
    """Return what a project becomes, after building copies of it in two folders and finding them equal.

    Raises:
        BuildNotReproducible: TW5003, naming the first section that differs.
    """
    toolchain = toolchain_of(project.table.language)
    environment = environment._replace(project=project.folder)
    files = [project.folder / FILE, *toolchain.sources(project)]
    environment = environment._replace(project=project.folder)
    with tempfile.TemporaryDirectory(prefix="tickwork-") as folder:
        places = (Path(folder) / "a", Path(folder) / "somewhere else" / "b")
        first, second = (build(_copied(project, files, place), environment) for place in places)
    for what, left, right in (
        ("package", first.compiled.module, second.compiled.module),
        ("debugging information", first.compiled.debug, second.compiled.debug),
        ("source map", first.compiled.source_map, second.compiled.source_map),
    ):
        if left != right:
            raise BuildNotReproducible(
                f"two builds of {project.name} differ",
                where=f"{what}: {_difference(left or b'', right or b'', first.compiled.suffix)}",
                why="the same source was built in two folders; a path, a time or an order enters the output",
                fix="remove what names the folder or the time (__FILE__, __DATE__, absolute paths)",
            )
    return first


def _copied(project: Project, files: list[Path], place: Path) -> Project:
    for path in files:
        target = place / path.relative_to(project.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return read_project(place)


def _difference(left: bytes, right: bytes, suffix: str) -> str:
    if suffix == MODULE and left[:4] == right[:4] == b"\0asm":
        for one, other in zip(parsed(left).sections, parsed(right).sections, strict=False):
            if left[one.start : one.end] != right[other.start : other.end]:
                return f"section {one.name if one.kind == CUSTOM else SECTION_NAMES[one.kind]}"
    at = next((index for index, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), len(left))
    return f"{len(left):,} and {len(right):,} bytes, the first difference at byte {at:,}"
