"""What the commands for packages share: reading one, saying what it is, and judging it by this machine's trust."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from ..clock import SystemClock
from ..errors import UsageFault
from ..packages.judge import Verdict, judge
from ..packages.package import Package
from ..packages.registry import Registry
from ..packages.rights import listed
from ..packages.trust import Trust
from .output import Document, write_facts

PACKAGE_BYTES: Final = 64 << 20
"""More than any module, bundle or base has."""

Place = Annotated[str, Parameter(help="A folder, or oci://HOST/PREFIX.")]
Allowed = Annotated[
    bool, Parameter(negative="", help="As in a run: let it pass unsigned, or signed by a key nobody here knows.")
]


def open_registry(place: str) -> Registry:
    """Return the registry at a place."""
    if place.startswith("oci://"):
        from ..packages.oci import OciRegistry

        return OciRegistry(place)
    from ..packages.folder import FolderRegistry

    return FolderRegistry(Path(place))


def read_file(path: Path) -> bytes:
    """Return the bytes of a package's file.

    Raises:
        UsageFault: TW1001, it cannot be read or is larger than any package.
    """
    try:
        with path.open("rb") as file:
            content = file.read(PACKAGE_BYTES + 1)
    except OSError as error:
        raise UsageFault(
            f"{path} cannot be read", where=str(path), why=error.strerror or str(error), fix="name a package's file"
        ) from error
    if len(content) > PACKAGE_BYTES:
        raise UsageFault(f"{path} is no package", why=f"it has more than {PACKAGE_BYTES:,} bytes", fix="name another")
    return content


def judge_here(
    package: bytes, trust: Trust, name: str, *, allow_unsigned: bool = False, update: bool = True
) -> Verdict:
    """Return the verdict of this machine, now.

    Raises:
        PackageError: TW3201 to TW3208. ModuleUnsigned: TW3004.
    """
    now_us = SystemClock().now_us()
    return judge(package, trust, name=name, now_us=now_us, allow_unsigned=allow_unsigned, update=update)


def package_document(package: Package, verdict: Verdict | None = None) -> Document:
    """Return what a package is, as a document."""
    manifest, signed = package.manifest, package.signed
    document: dict[str, object] = {
        "kind": package.kind,
        "name": manifest.name if manifest is not None else "",
        "version": manifest.version if manifest is not None else "",
        "digest": package.digest.hex(),
        "content": package.content.hex(),
        "signed_by": [one.key.hex() for one in signed.signatures] if signed is not None else [],
        "capabilities": list(listed(manifest.capabilities)) if manifest is not None else [],
    }
    if verdict is not None:
        document["trusted"] = verdict.key is not None
        document["publisher"] = verdict.key.publisher if verdict.key is not None else ""
    return document


def tell_package(package: Package, verdict: Verdict | None = None) -> None:
    """Print what a package is, for people."""
    manifest, signed = package.manifest, package.signed
    keys = ", ".join(one.key.hex() for one in signed.signatures) if signed is not None else ""
    facts: list[tuple[str, object]] = [("kind", package.kind)]
    if manifest is not None:
        facts += [("name", manifest.name), ("version", manifest.version)]
    facts += [("digest", package.digest.hex()), ("signed by", keys or "nobody")]
    if verdict is not None:
        facts.append(("trusted", f"yes, {verdict.key.publisher}" if verdict.key is not None else "no"))
    capabilities = listed(manifest.capabilities) if manifest is not None else ()
    facts += [("asks for" if index == 0 else "", text) for index, text in enumerate(capabilities or ("nothing",))]
    write_facts(facts)
