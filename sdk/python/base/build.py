#!/usr/bin/env python3
"""Builds the base module of Python agents: CPython, an allowed part of its library and the agent ABI in one module.

Usage: python sdk/python/base/build.py [--out FOLDER] [--sign TRUST_FOLDER] [--wheel FOLDER] [--if-changed]

It needs componentize-py (PyPI, in the developer's lock file) and binaryen (npm, in the lock file beside this file).
The output is FOLDER/DIGEST.wasm, and FOLDER/current names it: ``tickwork agent build`` takes that one for new bundles.

Two builds never give equal bytes, since the interpreter draws the seed of its string hash when its memory is made. So
a base is named by its digest everywhere, and a run pins it.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(ROOT / "src"))

from fuse import fuse  # noqa: E402

from tickwork.packages.developer import sign  # noqa: E402
from tickwork.sandbox.manifest import Capabilities, Manifest, append_manifest  # noqa: E402

VERSION = "1.0.0"
SDK = f"tickwork-python {VERSION}"
SHARED = ("native.py", "records.py", "kinds.py", "codec.py", "tensors.py", "errors.py")
"""Files of the package that the interpreter inside has too, unchanged: one source for both."""

WINDOWS = 8
"""Regions that the shim has for windows; the base's manifest lists them, so that the host knows where they lie."""

PROJECT = f"""[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tickwork-python-base"
version = "{VERSION}"
description = "The base module that Tickwork's agents in Python run on"
license = "Apache-2.0"
requires-python = ">=3.11"

[tool.hatch.build.targets.wheel]
include = ["tickwork_python_base"]
"""

KEPT = 4
"""Bases that stay in the checkout: bundles that were built there may name an older one."""

INSIDE = ROOT / "src" / "tickwork" / "authoring" / "inside.py"
"""What an agent may import, as ``tickwork agent build`` knows it too."""

OUT = ROOT / ".cache" / "python-base"
BINARYEN = HERE / "node_modules" / "binaryen" / "bin"


def sources() -> list[Path]:
    """Return the files that decide what is built. Order: by path."""
    own = [
        path for path in HERE.rglob("*") if path.suffix in (".py", ".wat", ".wit") and "node_modules" not in path.parts
    ]
    return sorted(
        [*own, HERE / "package-lock.json", INSIDE, *(ROOT / "src" / "tickwork" / shared for shared in SHARED)]
    )


def source_digest() -> str:
    """Return the SHA-256 of names and contents of the sources, in hexadecimal."""
    total = hashlib.sha256()
    for path in sources():
        total.update(f"{path.relative_to(ROOT).as_posix()}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return total.hexdigest()


def build(work: Path) -> bytes:
    """Return the base module, unsigned. ``work`` is an empty folder."""
    guest, wit, fused = work / "guest", work / "wit", work / "fused"
    shutil.copytree(HERE / "guest", guest, ignore=shutil.ignore_patterns("__pycache__"))
    for shared in SHARED:
        shutil.copy(ROOT / "src" / "tickwork" / shared, guest / "tickwork")
    shutil.copy(INSIDE, guest)
    wit.mkdir()
    fused.mkdir()
    shutil.copy(HERE / "base.wit", wit)
    component = work / "component.wasm"
    command = [
        sys.executable, "-c", "import sys, componentize_py; sys.exit(componentize_py.script())",
        "-q", "-d", str(wit), "-w", "base", "componentize", "--stub-wasi", "-p", str(guest), "app",
        "-o", str(component),
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"componentize-py ended with status {done.returncode}:\n{done.stderr}")
    module = fuse(component.read_bytes(), (HERE / "shim.wat").read_text(), BINARYEN, fused)
    windows = Capabilities(windows=tuple(map(str, range(WINDOWS))))
    manifest = Manifest(
        "python-base", VERSION, language="python", sdk=SDK, capabilities=windows, source=source_digest()
    )
    return append_manifest(module, manifest)


def pack_wheel(module: bytes, digest: str, work: Path, out: Path) -> None:
    """Write the wheel ``tickwork-python-base``, in which ``tickwork`` finds the module. ``work`` is an empty folder."""
    package = work / "tickwork_python_base"
    package.mkdir()
    (package / "__init__.py").write_text('"""The base module of Tickwork\'s agents in Python: files, no code."""\n')
    (package / f"{digest}.wasm").write_bytes(module)
    (package / "current").write_text(f"{digest}\n")
    (work / "pyproject.toml").write_text(PROJECT)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out.absolute())]
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)


def forget_old(folder: Path) -> None:
    """Remove all but the newest modules of this checkout, and what was compiled of them."""
    kept = sorted(folder.glob("*.wasm"), key=lambda path: path.stat().st_mtime)
    for path in kept[:-KEPT]:
        path.unlink()
    shutil.rmtree(folder / "modules", ignore_errors=True)


def main() -> None:
    """Build, and write the module under its digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the module (default: the checkout's .cache)")
    parser.add_argument("--sign", type=Path, help="trust folder whose developer key signs the module")
    parser.add_argument("--wheel", type=Path, help="folder for a wheel that holds the module")
    parser.add_argument(
        "--if-changed", action="store_true", help="do nothing where the sources are those of the last one"
    )
    options = parser.parse_args()
    stamp = options.out / "current.source"
    if options.if_changed and stamp.is_file() and stamp.read_text() == source_digest():
        return
    if not BINARYEN.is_dir():
        raise SystemExit(f"binaryen is not installed: npm ci --prefix {HERE.relative_to(ROOT)}")
    with tempfile.TemporaryDirectory(prefix="tickwork-base-") as folder:
        module = build(Path(folder))
    if options.sign:
        module = sign(module, options.sign, name="python-base")
    digest = hashlib.sha256(module).hexdigest()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{digest}.wasm").write_bytes(module)
    (options.out / "current").write_text(f"{digest}\n")
    if options.out == OUT:
        forget_old(options.out)
    stamp.write_text(source_digest())
    if options.wheel:
        with tempfile.TemporaryDirectory(prefix="tickwork-base-") as folder:
            pack_wheel(module, digest, Path(folder), options.wheel)
    print(f"{digest}  {len(module):,} bytes")


if __name__ == "__main__":
    main()
