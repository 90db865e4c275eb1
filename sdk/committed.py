"""The modules that are committed beside their sources: built again, compared, recorded.

    python sdk/committed.py [NAME...]     build them, write them where they differ, and record their digests
    python sdk/committed.py --check       build and compare; write nothing; exit 1 where one differs
    python sdk/committed.py --sign KEY    sign those that are shipped, as they are, with the private key in a file

``modules.toml`` lists them: agents' projects, and single C files for tests. A digest is of the module as its author
built it, so signing one changes nothing here.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from tickwork.authoring import c
from tickwork.authoring.build import build
from tickwork.authoring.project import ABI_VERSION, read_project
from tickwork.authoring.toolchain import Environment
from tickwork.errors import TickworkError
from tickwork.packages.developer import read_private_key
from tickwork.packages.signature import sign_module, strip_signature
from tickwork.sandbox.manifest import Manifest, append_manifest

ROOT: Final = Path(__file__).resolve().parent.parent
SHIPPED: Final = ("examples/", "tests/tour/")
PINNED: Final = "examples/goals/"
"""Modules of skills: whoever configures one names its digest, and nobody looks at who signed it."""

INDEX: Final = ROOT / "sdk" / "modules.toml"


class Entry(NamedTuple):
    """One committed module: a project, or one C file with a manifest or without.

    Attributes:
        language: Of the project; ``c`` for a single file.
        project: Its folder, or None.
        source, manifest: The file and its manifest where there is no project.
        pages: Declared maximum of its memory. Units: 64 KiB.
        sha256: Of the module without a signature.
    """

    name: str
    module: Path
    sha256: str
    language: str = "c"
    project: Path | None = None
    source: Path = Path()
    manifest: Path | None = None
    pages: int = 1
    stack_bytes: int = c.STACK_BYTES


def read_index(path: Path = INDEX) -> list[Entry]:
    """Return the committed modules. Order: the file's."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return [_entry(name, fields) for name, fields in table["modules"].items()]


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    if "project" in fields:
        folder = ROOT / fields["project"]
        project = read_project(folder)
        return Entry(name, folder / f"{project.name}.wasm", fields["sha256"], project.table.language, folder)
    return Entry(
        name,
        ROOT / fields["module"],
        fields["sha256"],
        source=ROOT / fields["source"],
        manifest=ROOT / fields["manifest"] if "manifest" in fields else None,
        pages=fields["pages"],
        stack_bytes=fields["stack_bytes"],
    )


def environment() -> Environment:
    """Return this machine as compilers see it, with their caches inside the checkout."""
    variables = dict(os.environ)  # noqa: TID251  # A compiler needs PATH and the like, and a build is no run.
    return Environment(variables, ROOT / ".cache" / "toolchains")


def build_entry(entry: Entry) -> bytes:
    """Return a module, built anew and unsigned.

    Raises:
        ToolchainMissing: TW5001. BuildFailed: TW5002.
    """
    if entry.project is not None:
        return build(read_project(entry.project), environment()).compiled.module
    request = c.Request([entry.source], entry.source.parent, entry.pages, entry.stack_bytes)
    with tempfile.TemporaryDirectory(prefix="tickwork-") as folder:
        module = c.compile_units(c.C, request, c.toolchain.find(environment()), Path(folder)).module
    return module if entry.manifest is None else append_manifest(module, _manifest(entry, entry.manifest))


def _manifest(entry: Entry, path: Path) -> Manifest:
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    built = {"abi": ABI_VERSION, "language": "c", "sdk": c.toolchain.sdk, "source": digest(_portable(entry.source))}
    limits = {"memory_pages": entry.pages, **table.get("limits", {})}
    return msgspec.convert({**table, **built, "limits": limits}, Manifest)


def _portable(path: Path) -> bytes:
    """Return a source's bytes with the line ends of the repository, so that its digest is the same on every system."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def digest(content: bytes) -> str:
    """Return the SHA-256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def committed(entry: Entry) -> bytes:
    """Return the committed module without a signature; empty where there is none."""
    return strip_signature(entry.module.read_bytes(), entry.name) if entry.module.is_file() else b""


def differences(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield where committed module, recorded digest and fresh build differ."""
    for entry in entries:
        built, kept = digest(build_entry(entry)), digest(committed(entry))
        if not built == kept == entry.sha256:
            yield f"{entry.name}: built {built[:16]}, committed {kept[:16]}, recorded {entry.sha256[:16]}"


def build_all(entries: Sequence[Entry], index: Path = INDEX) -> None:
    """Build every module, write those that differ from what is committed, and record their digests."""
    for entry in entries:
        module = build_entry(entry)
        if module != committed(entry):
            entry.module.parent.mkdir(parents=True, exist_ok=True)
            entry.module.write_bytes(module)
        # Read anew for each: a long build must not put back what somebody else has recorded meanwhile.
        text = record(index.read_text(encoding="utf-8"), entry.name, digest(module))
        index.write_text(text, encoding="utf-8", newline="\n")
        sys.stdout.write(f"{entry.module.relative_to(ROOT)}  {len(module)} bytes  {digest(module)}\n")


def sign_all(entries: Sequence[Entry], key: bytes) -> None:
    """Sign the committed modules of agents that people run; the others are parts of tests."""
    for entry in entries:
        place = entry.module.relative_to(ROOT).as_posix()
        if place.startswith(SHIPPED) and not place.startswith(PINNED):
            present = entry.module.read_bytes()
            signed = sign_module(present, key, name=entry.name)
            if signed != present:
                entry.module.write_bytes(signed)
                sys.stdout.write(f"{entry.module.relative_to(ROOT)}  signed\n")


def record(text: str, name: str, sha256: str) -> str:
    """Return the index with one module's digest replaced and everything else, comments included, as it was."""
    pattern = rf'(\[modules\.{re.escape(name)}\]\n(?:(?!\[).*\n)*?sha256 = ")[^"]*(")'
    changed, count = re.subn(pattern, rf"\g<1>{sha256}\g<2>", text)
    if count != 1:
        raise ValueError(f"the entry of {name} in the index has no line sha256")
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these modules")
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign and build nothing")
    given = parser.parse_args(arguments)
    entries = [entry for entry in read_index() if not given.names or entry.name in given.names]
    if unknown := set(given.names) - {entry.name for entry in entries}:
        parser.error(f"modules.toml lists no {', '.join(sorted(unknown))}")
    try:
        if given.check:
            found = list(differences(entries))
            sys.stdout.writelines(f"{line}\n" for line in found)
            return 1 if found else 0
        if given.sign is not None:
            sign_all(entries, read_private_key(given.sign))
        else:
            build_all(entries)
    except TickworkError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
