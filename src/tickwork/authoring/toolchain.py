"""What a language's toolchain offers: it is found, it says which files decide a build, and it compiles.

Invariants:
    * Nothing here reads the environment: variables and the cache folder come in as an ``Environment``.
    * Equal sources give equal bytes in any folder and on any machine: paths, times and names of this machine stay out.
    * ``compile`` writes only below the folder it is given and below ``Environment.cache``.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import BuildFailed
from .project import Project


class Environment(NamedTuple):
    """What a compiler may know of this machine.

    Attributes:
        variables: Environment variables; the whole environment of the processes that are started.
        cache: Folder in which compilers may keep what makes the next build faster; made by whoever writes there.
        project: The project's folder, in which a compiler of its own may lie; None where no project is at hand.
        bases: Folders of base modules, each as ``DIGEST.wasm``. Order: the first is looked in first.
    """

    variables: Mapping[str, str]
    cache: Path
    project: Path | None = None
    bases: tuple[Path, ...] = ()

    def program(self, name: str) -> Path | None:
        """Return where a program lies on this environment's PATH, or None."""
        found = shutil.which(name, path=self.variables.get("PATH", ""))
        return Path(found) if found else None


class Found(NamedTuple):
    """A toolchain on this machine.

    Attributes:
        tool: What is called, for people: ``ziglang``, ``clang``, ``cargo``.
        version: Its version, for people.
        command: How a process of it begins.
        environment: What it was found in.
    """

    tool: str
    version: str
    command: tuple[str, ...]
    environment: Environment


class Compiled(NamedTuple):
    """What a toolchain made of a project.

    Attributes:
        module: Without debugging information. For ``suffix`` ``.wasm`` the build appends the manifest and runs the
            gate; anything else is complete as it is.
        debug: The same code at the same offsets with DWARF, or None.
        source_map: A source map, or None.
        suffix: ``.wasm`` for a module, ``.bundle`` for a source bundle.
    """

    module: bytes
    debug: bytes | None = None
    source_map: bytes | None = None
    suffix: str = ".wasm"


class Toolchain(Protocol):
    """One language's way from sources to a module.

    Attributes:
        language: As ``agent.toml`` names it.
        sdk: Name and version of the SDK, as the manifest says it: ``tickwork-c 1.0.0``.
    """

    language: str
    sdk: str

    def find(self, environment: Environment) -> Found:
        """Return the toolchain on this machine.

        Raises:
            ToolchainMissing: TW5001, naming the tool that is missing and the one line that installs it.
        """
        ...

    def sources(self, project: Project) -> Sequence[Path]:
        """Return the files of the project's folder that decide a build, ``agent.toml`` left out. Order: any.

        Raises:
            ProjectInvalid: TW5004, a source that ``agent.toml`` names does not exist.
        """
        ...

    def compile(self, project: Project, found: Found, out: Path) -> Compiled:
        """Return the module. ``out`` is an empty folder for what the compiler writes; the caller removes it.

        Raises:
            BuildFailed: TW5002, with the compiler's text.
        """
        ...


def run_tool(
    found: Found, arguments: Sequence[str | Path], *, cwd: Path, variables: Mapping[str, str] | None = None
) -> str:
    """Return what a process of the toolchain wrote to stdout.

    Args:
        cwd: Where it runs.
        variables: Added to the environment of ``found``.

    Raises:
        BuildFailed: TW5002, it ended with another status than 0; the text is what it wrote.
    """
    command = [*found.command, *(str(argument) for argument in arguments)]
    environment = {**found.environment.variables, **(variables or {})}
    done = subprocess.run(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        text = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise BuildFailed(
            f"the source does not compile:\n{text}" if text else "the source does not compile",
            where=str(found.environment.project or cwd),
            why=f"{found.tool} {found.version} ended with status {done.returncode}",
            fix="mend what the compiler names above, and build again",
        )
    return done.stdout.decode(errors="replace")
