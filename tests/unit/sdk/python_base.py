"""Agents in Python on the base module of this checkout: what admission makes of it, kept between test runs."""

import functools
from pathlib import Path

from tests.support import ROOT, need
from tickwork.authoring.project import read_project
from tickwork.authoring.python import toolchain
from tickwork.authoring.toolchain import Environment
from tickwork.driver.bundles import DEPTH, read_bundle
from tickwork.packages.bundle import MANIFEST, pack_bundle
from tickwork.records import Limits
from tickwork.sandbox.admission import Admitted, admit
from tickwork.sandbox.manifest import Capabilities, Manifest, encode_manifest
from tickwork.sandbox.pool import Program

BASES = ROOT / ".cache" / "python-base"
NOTHING = Capabilities()
LIMITS = Limits(memory_pages=512, depth=DEPTH)


@functools.cache
def base() -> Path:
    """Return the base module's file, or skip the test (fail it in CI)."""
    return Path(need("python-base"))


@functools.cache
def admitted() -> Admitted:
    """Return the base module, admitted."""
    return admit(base().read_bytes(), name="python-base", cache=BASES / "modules", base=True)


@functools.cache
def built(project: Path) -> bytes:
    """Return the bundle of a project, unsigned."""
    base()
    found = toolchain.find(Environment({}, ROOT / ".cache" / "toolchains", bases=(BASES,)))
    return toolchain.compile(read_project(project), found, project).module


def bundle(source: str, *, more: dict[str, str] | None = None, asks: Capabilities = NOTHING) -> bytes:
    """Return a bundle of an agent's source that no toolchain has looked at."""
    manifest = Manifest("tested", "1.0.0", capabilities=asks, base=base().stem)
    files = {"agent.py": source.encode(), **{name: text.encode() for name, text in (more or {}).items()}}
    return pack_bundle({**files, MANIFEST: encode_manifest(manifest)})


def program(number: int, content: bytes, limits: Limits = LIMITS) -> Program:
    """Return how an instance of a bundle is made."""
    read_bundle(content, "tested")
    return Program(number, admitted().compiled, limits, content)
