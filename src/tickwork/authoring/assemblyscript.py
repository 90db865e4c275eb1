"""Agents in AssemblyScript: the compiler ``asc`` of the npm package ``assemblyscript``, run by Node.js.

The compiler looks for packages in every folder above the one it runs in. So it runs in a folder of its own, with copies
of the project's sources and of the SDK: what lies beside a project cannot change its bytes, and no path of this machine
reaches the module.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..errors import ProjectInvalid, ToolchainMissing
from .project import FILE, Project
from .sdk import sdk_folder
from .sections import without_custom_sections
from .toolchain import Compiled, Environment, Found, run_tool

SDK_VERSION: Final = "1.0.0"
COMPILER_VERSION: Final = "0.28.20"
"""What the install line names; the lock file of the SDK pins it by hash."""

NODE_VERSION: Final = 20
"""The oldest Node.js that the compiler runs on."""

_QUICK: Final = ("--liftoff-only",)
"""The compiler is itself WebAssembly, and runs too briefly for optimising its code to pay: this halves a build's time.
Not every Node.js knows the option, and the output is the same without."""

ENTRY: Final = "assembly/index.ts"
PACKAGE: Final = "tickwork-agent"

PAGES: Final = 16
"""Greatest memory where ``agent.toml`` says nothing: 3 for regions and runtime, the rest for objects. Units: 64 KiB."""

_FLAGS: Final = (
    "--optimizeLevel=3",
    "--shrinkLevel=0",
    "--runtime=minimal",
    "--exportStart=_initialize",
    # The names of functions go into a custom section, and only the debug companion keeps it.
    "--debug",
    "--sourceMap",
    "--noColors",
)


class _Package(msgspec.Struct):
    version: str = "unknown"


class AssemblyScript:
    """The toolchain of AssemblyScript."""

    language = "assemblyscript"
    sdk = f"tickwork-assemblyscript {SDK_VERSION}"

    def find(self, environment: Environment) -> Found:
        """Return the compiler: the project's own, the SDK's in a checkout, tickwork's own, or the one on PATH.

        Raises:
            ToolchainMissing: TW5001, there is no Node.js, it is too old, or there is no asc.
        """
        node = environment.program("node")
        if node is None:
            raise _missing("node", "Node.js runs the compiler", _install_node())
        begin = _node_command(node, environment)
        for script in _scripts(environment):
            if script.is_file():
                return Found("asc", _version(script), (*begin, str(script)), environment)
        folder = _own_folder(environment)
        line = f'npm install --ignore-scripts --prefix "{folder}" assemblyscript@{COMPILER_VERSION}'
        raise _missing("asc", "the npm package assemblyscript is the compiler", line)

    def sources(self, project: Project) -> Sequence[Path]:
        """Return the TypeScript files at and below the entry's folder, and ``asconfig.json``. Order: by path.

        Raises:
            ProjectInvalid: TW5004, the entry does not exist.
        """
        folder = project.entry(ENTRY).parent.relative_to(project.folder).as_posix()
        files = project.files(f"{folder}/**/*.ts", "asconfig.json")
        return [path for path in files if "node_modules" not in path.relative_to(project.folder).parts]

    def compile(self, project: Project, found: Found, out: Path) -> Compiled:
        """Return the module, the same with the names of its functions, and its source map.

        Raises:
            BuildFailed: TW5002. ProjectInvalid: TW5004, a stack size is asked for.
        """
        if project.build.stack_bytes:
            raise ProjectInvalid(
                "build.stack_bytes is set for an agent in AssemblyScript",
                where=str(project.folder / FILE),
                why="its calls use the engine's stack, which [limits] depth bounds",
                fix="remove the line",
            )
        build = out / "build"
        for path in self.sources(project):
            target = build / path.relative_to(project.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        shutil.copytree(sdk_folder(self.language) / "assembly", build / "node_modules" / PACKAGE / "assembly")
        entry = project.entry(ENTRY).relative_to(project.folder).as_posix()
        output = build / f"{project.name}.wasm"
        arguments = [entry, f"--outFile={output.name}", f"--maximumMemory={project.build.pages or PAGES}", *_FLAGS]
        packages = (found.environment.project or project.folder) / "node_modules"
        if packages.is_dir():
            arguments.append(f"--path={packages}")
        run_tool(found, arguments, cwd=build)
        whole = output.read_bytes()
        return Compiled(without_custom_sections(whole), whole, output.with_suffix(".wasm.map").read_bytes())


def _scripts(environment: Environment) -> Iterator[Path]:
    """Yield where the compiler's script may lie. Order: the first that exists is taken."""
    package = Path("node_modules") / "assemblyscript" / "bin" / "asc.js"
    if environment.project is not None:
        yield environment.project / package
    yield sdk_folder("assemblyscript") / package
    yield _own_folder(environment) / package
    program = environment.program("asc")
    if program is not None:
        # npm leaves a link to the script, or on Windows a command file beside the folder of packages.
        target = program.resolve()
        yield target if target.name == "asc.js" else target.parent / package


def _own_folder(environment: Environment) -> Path:
    return environment.cache / "assemblyscript"


def _version(script: Path) -> str:
    try:
        return msgspec.json.decode((script.parent.parent / "package.json").read_bytes(), type=_Package).version
    except (OSError, msgspec.DecodeError):
        return "unknown"


def _node_command(node: Path, environment: Environment) -> tuple[str, ...]:
    """Return how a process of Node.js begins."""
    told = ""
    for options in (_QUICK, ()):
        command = [str(node), *options, "--version"]
        done = subprocess.run(command, env=dict(environment.variables), capture_output=True, text=True, check=False)
        told = done.stdout.strip()
        major = told.removeprefix("v").partition(".")[0]
        if done.returncode == 0 and major.isdecimal() and int(major) >= NODE_VERSION:
            # Without the second option the script starts another process to set it.
            return (str(node), *options, "--enable-source-maps")
    said = f"is {told}" if told else "does not tell its version"
    raise _missing("node", f"{node} {said}, the compiler needs {NODE_VERSION} or newer", _install_node())


def _install_node() -> str:
    return f"install Node.js {NODE_VERSION} or newer with its npm: apt install nodejs npm, or brew install node"


def _missing(tool: str, why: str, line: str) -> ToolchainMissing:
    return ToolchainMissing(f"{tool} is missing, which agents in AssemblyScript are built with", why=why, fix=line)


toolchain: Final = AssemblyScript()
