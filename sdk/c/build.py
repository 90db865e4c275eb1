"""Builds agents written in C or C++: one source file in, one module with its manifest out.

    python sdk/c/build.py SOURCE -o AGENT.wasm [--manifest AGENT.toml]
    python sdk/c/build.py --all [--check]      the modules of modules.toml; --check compares and writes nothing

The compiler is the PyPI package ``ziglang``. The same source gives the same bytes in any folder and on any machine: the
source's path is mapped away, nothing of the environment enters, and the processor's features are spelt out.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from tickwork.errors import TickworkError
from tickwork.sandbox.manifest import Manifest, append_manifest

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
INDEX: Final = HERE / "modules.toml"
CACHE: Final = ROOT / ".cache" / "zig"

SDK_VERSION: Final = "1.0.0"
ABI_VERSION: Final = "1.0"
PAGE_BYTES: Final = 64 * 1024

STACK_BYTES: Final = 16 * 1024
"""Stack of a module unless its entry says otherwise. It lies first in memory, so an overflow traps."""

_FLAGS: Final = (
    "-O2",
    "-s",
    "-nostdlib",
    "-ffreestanding",
    # A loop that copies must not become a call of memcpy, which is such a loop itself.
    "-fno-builtin",
    "-fno-exceptions",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-ident",
    "-fno-sanitize=undefined",
    "-Wall",
    "-Wextra",
    "-Werror",
)
_PROCESSOR: Final = "-mcpu=mvp+bulk_memory+bulk_memory_opt+mutable_globals+nontrapping_fptoint+sign_ext"
"""Spelt out, since a compiler's notion of a generic WebAssembly processor changes between its versions."""


class BuildError(Exception):
    """A module that cannot be built; the text says what to do."""


class Recipe(NamedTuple):
    """How one module is built.

    Attributes:
        manifest: TOML file, or None for a module without a manifest section.
        pages: Declared maximum of its memory. Units: 64 KiB.
        stack_bytes: A multiple of 16.
    """

    source: Path
    output: Path
    manifest: Path | None
    pages: int
    stack_bytes: int = STACK_BYTES


def build(recipe: Recipe) -> bytes:
    """Return the bytes of the module. Nothing is written but the compiler's cache.

    Raises:
        BuildError: No compiler, a source that does not compile, or a manifest that is not valid.
    """
    if not recipe.source.is_file():
        raise BuildError(f"{recipe.source} does not exist; name a .c or .cpp file")
    with tempfile.TemporaryDirectory(prefix="tickwork-") as folder:
        output = Path(folder) / "module.wasm"
        _compile(recipe, output)
        module = output.read_bytes()
    if recipe.manifest is None:
        return module
    try:
        return append_manifest(module, _manifest(recipe.manifest, recipe))
    except TickworkError as error:
        raise BuildError(f"{recipe.manifest}: {error}") from error


def _compile(recipe: Recipe, output: Path) -> None:
    source = recipe.source.resolve()
    command = [sys.executable, "-m", "ziglang", *_language(source), "--target=wasm32-freestanding", _PROCESSOR, *_FLAGS]
    command += [f"-I{HERE}", f"-ffile-prefix-map={source.parent}=.", f"-ffile-prefix-map={HERE}=sdk"]
    command += ["-Wl,--no-entry", f"-Wl,-z,stack-size={recipe.stack_bytes}"]
    command += [f"-Wl,--max-memory={recipe.pages * PAGE_BYTES}", "-Wl,--export-memory"]
    command += [str(source), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    if "No module named ziglang" in done.stderr:
        raise BuildError("no compiler: install it with `pip install ziglang`")
    if done.returncode or not output.is_file():
        raise BuildError(f"{recipe.source} does not compile:\n{done.stderr.strip()}")


def _language(source: Path) -> tuple[str, ...]:
    if source.suffix in {".cpp", ".cc", ".cxx"}:
        return ("c++", "-std=c++17", "-fno-rtti", "-nostdinc++")
    return ("cc", "-std=c11")


def _environment() -> dict[str, str]:
    """Return this process's environment with the compiler's caches inside the checkout."""
    kept = dict(os.environ)  # noqa: TID251  # A compiler needs PATH and the like, and a build is no run.
    return kept | {"ZIG_GLOBAL_CACHE_DIR": str(CACHE), "ZIG_LOCAL_CACHE_DIR": str(CACHE)}


def _manifest(path: Path, recipe: Recipe) -> Manifest:
    """Return the manifest as it goes into the module: the author's table and what the build knows."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        limits = {"memory_pages": recipe.pages, **table.get("limits", {})}
        built = {
            "abi": ABI_VERSION,
            "language": "c" if recipe.source.suffix == ".c" else "c++",
            "sdk": f"tickwork-c {SDK_VERSION}",
            "source": digest(_portable(recipe.source)),
        }
        return msgspec.convert({**table, **built, "limits": limits}, Manifest)
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} is no manifest: {error}") from error


def _portable(path: Path) -> bytes:
    """Return a source's bytes with the line ends of the repository, so that its digest is the same on every system."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def digest(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


# --- the committed modules ---


class Entry(NamedTuple):
    """One committed module: how it is built and the digest it must have."""

    name: str
    recipe: Recipe
    sha256: str


def read_index(path: Path = INDEX) -> list[Entry]:
    """Return the committed modules. Order: the file's."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return list(_entries(table["modules"]))


def _entries(modules: Mapping[str, Mapping[str, Any]]) -> Iterator[Entry]:
    for name, entry in modules.items():
        manifest = ROOT / entry["manifest"] if "manifest" in entry else None
        stack = entry.get("stack_bytes", STACK_BYTES)
        recipe = Recipe(ROOT / entry["source"], ROOT / entry["module"], manifest, entry["pages"], stack)
        yield Entry(name, recipe, entry["sha256"])


def check_all(entries: Sequence[Entry]) -> list[str]:
    """Return where committed module, recorded digest and fresh build differ; empty where they nowhere do."""
    faults: list[str] = []
    for entry in entries:
        built = digest(build(entry.recipe))
        kept = digest(entry.recipe.output.read_bytes()) if entry.recipe.output.is_file() else "no file"
        if not built == kept == entry.sha256:
            faults.append(f"{entry.name}: built {built[:16]}, committed {kept[:16]}, recorded {entry.sha256[:16]}")
    return faults


def build_all(entries: Sequence[Entry], index: Path = INDEX) -> None:
    """Build and write every committed module and record its digest."""
    text = index.read_text(encoding="utf-8")
    for entry in entries:
        module = build(entry.recipe)
        entry.recipe.output.parent.mkdir(parents=True, exist_ok=True)
        entry.recipe.output.write_bytes(module)
        text = _record(text, entry.name, digest(module))
        _say(f"{entry.recipe.output.relative_to(ROOT)}  {len(module)} bytes  {digest(module)}")
    index.write_text(text, encoding="utf-8", newline="\n")


def _record(text: str, name: str, sha256: str) -> str:
    """Return the index with one module's digest replaced and everything else, comments included, as it was."""
    pattern = rf'(\[modules\.{re.escape(name)}\]\n(?:(?!\[).*\n)*?sha256 = ")[^"]*(")'
    changed, count = re.subn(pattern, rf"\g<1>{sha256}\g<2>", text)
    if count != 1:
        raise BuildError(f"the entry of {name} in the index has no line sha256")
    return changed


# --- the command line ---


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build agents written in C or C++.")
    parser.add_argument("source", nargs="?", type=Path, help="a .c or .cpp file that includes tickwork.h")
    parser.add_argument("-o", "--output", type=Path, help="the module; default: beside the source")
    parser.add_argument(
        "--manifest", type=Path, help="TOML file that goes into the module; default: beside it, if there"
    )
    parser.add_argument("--pages", type=int, default=4, help="greatest memory, in pages of 64 KiB (default 4)")
    parser.add_argument("--stack", type=int, default=STACK_BYTES, help=f"bytes of stack (default {STACK_BYTES})")
    parser.add_argument("--all", action="store_true", help="build the committed modules of modules.toml")
    parser.add_argument("--check", action="store_true", help="with --all: compare digests and write nothing")
    given = parser.parse_args(arguments)
    if given.all == bool(given.source):
        parser.error("name a source, or say --all")
    return given


def _build_one(given: argparse.Namespace) -> None:
    source: Path = given.source
    beside = source.with_suffix(".toml")
    manifest = given.manifest or (beside if beside.is_file() else None)
    output = given.output or source.with_suffix(".wasm")
    module = build(Recipe(source, output, manifest, given.pages, given.stack))
    output.write_bytes(module)
    _say(f"{output}  {len(module)} bytes  {digest(module)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when everything was built, or is as it should be with --check."""
    given = _parse(arguments)
    try:
        if not given.all:
            _build_one(given)
        elif given.check:
            faults = check_all(read_index())
            for fault in faults:
                _say(fault)
            return 1 if faults else 0
        else:
            build_all(read_index())
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
