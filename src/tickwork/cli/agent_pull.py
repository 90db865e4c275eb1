"""``tickwork agent pull``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import LockMismatch
from ..packages.trust import load_trust
from .agent_sign import replace
from .config import load_settings, trust_folder
from .output import Output, write_document, write_facts
from .parcels import Allowed, Place, judge_here, open_registry, package_document, tell_package

EXAMPLES: Final = """Examples:

    tickwork agent pull packages/ trader
    tickwork agent pull oci://registry.example/agents trader@1.2.0
    tickwork agent pull packages/ trader@1.2.0 --to modules/trader.wasm

Shows who signed the package and what it asks for, and writes it only if this
machine would run it."""

app = App(name="pull", help_epilogue=EXAMPLES)


@app.default
def pull(
    registry: Place,
    name: Annotated[str, Parameter(help="NAME for the newest version, or NAME@VERSION.")],
    /,
    *,
    to: Annotated[Path | None, Parameter(help="File to write; by default NAME.wasm or NAME.bundle here.")] = None,
    digest: Annotated[str, Parameter(help="SHA-256 that the package must have, in hexadecimal.")] = "",
    allow_unsigned: Allowed = False,
    output: Output = "text",
) -> int:
    """Get a package from a registry, and say who signed it and what it asks for."""
    wanted, _, version = name.partition("@")
    pulled = open_registry(registry).pull(wanted, version)
    trust = load_trust(trust_folder(load_settings()))
    verdict = judge_here(pulled.package, trust, f"{wanted} {pulled.version}", allow_unsigned=allow_unsigned)
    found = verdict.package
    if digest and found.digest.hex() != digest:
        raise LockMismatch(
            f"{wanted} {pulled.version} is not the package that was asked for",
            where=pulled.where,
            why=f"its digest is {found.digest.hex()}, not {digest}",
            fix="look where the digest came from; a version of a registry that was rebuilt may hold other bytes",
        )
    if found.manifest is not None and (found.manifest.name, found.manifest.version) != (wanted, pulled.version):
        raise LockMismatch(
            f"what the registry keeps as {wanted} {pulled.version} says it is another package",
            where=pulled.where,
            why=f"its manifest says {found.manifest.name} {found.manifest.version}",
            fix="do not use it; tell whoever runs the registry",
        )
    path = to or Path(f"{wanted}{'.bundle' if found.kind == 'bundle' else '.wasm'}")
    replace(path, pulled.package)
    if output == "text":
        write_facts([("pulled", pulled.where), ("file", path)])
        tell_package(found, verdict)
    else:
        write_document({"pulled": pulled.where, "file": str(path), **package_document(found, verdict)}, output)
    return 0
