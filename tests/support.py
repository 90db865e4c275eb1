"""What tests share: gates for things a machine may lack, and child processes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "tickwork"

IN_CI = os.environ.get("TICKWORK_CI") == "1"
"""Set where everything must be there: a missing thing fails a test instead of skipping it."""


def missing(reason: str) -> None:
    """Skip the calling test, or fail it in CI. Every skip of this suite passes here."""
    if IN_CI:
        pytest.fail(f"{reason}; CI must provide it")
    pytest.skip(reason)


def need(tool: str) -> str:
    """Return the path of a program, or skip the test (fail it in CI).

    Args:
        tool: ``zig`` for the compiler of the PyPI package ziglang, ``asc`` for that of AssemblyScript in the SDK's
            folder, ``rust`` for a compiler that agents in Rust can be built with, ``python-base`` for the base module
            of agents in Python, ``mcp:NAME`` for the script of a server of MCP from npm, else a program looked up on
            PATH.
    """
    if tool == "python-base":
        folder = ROOT / ".cache" / "python-base"
        if not (folder / "current").is_file():
            missing("the base module of agents in Python is not built: ./ci toolchains, with Node.js and npm on PATH")
        return str(folder / f"{(folder / 'current').read_text().strip()}.wasm")
    if tool.startswith("mcp:"):
        packages = ROOT / "tests" / "servers" / "node_modules" / "@modelcontextprotocol"
        script = packages / tool.removeprefix("mcp:") / "dist" / "index.js"
        if shutil.which("node") is None or not script.is_file():
            missing("servers of MCP are not installed: ./ci toolchains, with Node.js and npm on PATH")
        return str(script)
    if tool.startswith("rust"):
        return _rust(tool.removeprefix("rust").strip())
    if tool == "asc":
        script = ROOT / "sdk" / "assemblyscript" / "node_modules" / "assemblyscript" / "bin" / "asc.js"
        if shutil.which("node") is None or not script.is_file():
            missing("the compiler of AssemblyScript is not installed: ./ci toolchains, with Node.js and npm on PATH")
        return str(script)
    if tool == "zig":
        try:
            import ziglang
        except ImportError:
            missing("the package ziglang is not installed: make setup")
            raise AssertionError from None
        return str(Path(ziglang.__path__[0]) / ("zig.exe" if os.name == "nt" else "zig"))
    found = shutil.which(tool)
    if found is None:
        missing(f"{tool} is not on PATH")
        raise AssertionError
    return found


def _rust(version: str) -> str:
    from tickwork.authoring.rust import toolchain
    from tickwork.authoring.toolchain import Environment
    from tickwork.errors import ToolchainMissing

    try:
        found = toolchain.find(Environment(dict(os.environ), ROOT / ".cache" / "toolchains"))
    except ToolchainMissing as error:
        missing(str(error))
        raise
    if version and (found.version, found.command[0]) != (version, "/usr/bin/cargo"):
        missing(f"agents in Rust are built with {found.version} in {found.command[0]}, not with the system's {version}")
    return found.command[0]


def interpreter(version: str) -> Path:
    """Return the Python of another version in which tickwork is installed, or skip the test (fail it in CI)."""
    if sys.version_info[:2] == tuple(int(part) for part in version.split(".")):
        return Path(sys.executable)
    home = ROOT / ".cache" / "python" / version
    path = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not path.exists():
        missing(f"no environment for Python {version}: make setup, with that interpreter on the machine")
    return path


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with ``changes``, and with no hash seed unless one is given."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    return kept | changes


def run(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Return a finished child process with its output as text.

    Args:
        check: Fail the test, with the child's output, unless it exits 0.
    """
    result = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=dict(env) if env is not None else environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    if check and result.returncode != 0:
        command = " ".join(str(argument) for argument in arguments)
        pytest.fail(f"{command} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def tickwork(
    *arguments: str | Path,
    cwd: Path | None = None,
    python: Path | None = None,
    timeout: float = 120,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Return a finished ``tickwork`` command, run by ``python`` (default: this interpreter)."""
    return run([python or sys.executable, "-m", "tickwork", *arguments], cwd=cwd, timeout=timeout, check=check)


def python(code: str, *options: str, cwd: Path | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
    """Return a finished interpreter that ran ``code``; ``changes`` are environment variables."""
    return run([sys.executable, *options, "-c", code], cwd=cwd, env=environment(**changes))
