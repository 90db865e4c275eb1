"""``tickwork agent sign``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from ..packages.developer import developer_key, read_private_key
from ..packages.files import replace_file
from ..packages.package import read_package, sign_package, strip_package
from .config import load_settings, trust_folder
from .output import Output, write_line, write_rows
from .parcels import package_document, read_file

EXAMPLES: Final = """Examples:

    tickwork agent sign trader.wasm
    tickwork agent sign *.wasm --key publisher.key
    tickwork agent sign trader.wasm --key next.key --add
    tickwork agent sign trader.wasm --remove

Without --key your developer key signs, which is made on first use and believed
on this machine alone."""

app = App(name="sign", help_epilogue=EXAMPLES)


@app.default
def sign(
    *files: Annotated[Path, Parameter(help="Modules and source bundles; each is written anew with its signature.")],
    key: Annotated[Path | None, Parameter(help="A private key of `tickwork agent keygen`.")] = None,
    add: Annotated[bool, Parameter(negative="", help="Keep the signatures of other keys.")] = False,
    remove: Annotated[bool, Parameter(negative="", help="Take all signatures out instead.")] = False,
    output: Output = "text",
) -> int:
    """Sign packages: the signature lies inside each, so that one file is all there is."""
    if not files:
        raise UsageFault("tickwork agent sign needs a package", fix="name one or more .wasm or .bundle files")
    if remove and (add or key is not None):
        raise UsageFault("--remove takes neither --key nor --add", fix="leave one of them out")
    rows: list[object] = []
    for path in files:
        package = read_file(path)
        if remove:
            changed = strip_package(package, name=path.name)
        else:
            private = read_private_key(key) if key is not None else developer_key(trust_folder(load_settings()))
            changed = sign_package(package, private, keep=add, name=path.name)
        replace(path, changed)
        found = read_package(changed, name=path.name)
        rows.append({"file": str(path), **package_document(found)})
        if output == "text":
            signers = ", ".join(one.key.hex()[:16] for one in found.signed.signatures) if found.signed else "nobody"
            write_line(f"{path}  {found.digest.hex()}  signed by {signers}")
    if output != "text":
        write_rows(rows, "packages", {}, output)
    return 0


def replace(path: Path, content: bytes) -> None:
    """Write a package's file in one step.

    Raises:
        UsageFault: TW1001, its folder cannot be written.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise UsageFault(
            f"{path} cannot be written",
            where=str(path),
            why=error.strerror or str(error),
            fix="copy it elsewhere first",
        ) from error
