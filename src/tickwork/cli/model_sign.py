"""``tickwork model sign``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from ..infer.signing import sign_model
from ..packages.developer import developer_key, read_private_key
from .config import load_settings, trust_folder
from .kept import References, kept_document, open_store
from .output import Output, write_line, write_rows
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model sign wind:1.1.0
    tickwork model sign wind:1.1.0 --key publisher.key
    tickwork model sign wind:1.1.0 --key next.key --add
    tickwork model sign wind:1.1.0 --remove

Without --key your developer key signs, which is made on first use and believed
on this machine alone. The signature is over the model's digest."""

app = App(name="sign", help_epilogue=EXAMPLES)


@app.default
def sign(
    *models: References,
    key: Annotated[Path | None, Parameter(help="A private key of `tickwork agent keygen`.")] = None,
    add: Annotated[bool, Parameter(negative="", help="Keep the signatures of other keys.")] = False,
    remove: Annotated[bool, Parameter(negative="", help="Take all signatures away instead.")] = False,
    store: Store = None,
    output: Output = "text",
) -> int:
    """Sign models with your key, or with a publisher's."""
    if not models:
        raise UsageFault("tickwork model sign needs a model", fix="name one or more; see: tickwork model list")
    if remove and (add or key is not None):
        raise UsageFault("--remove takes neither --key nor --add", fix="leave one of them out")
    shelf, rows = open_store(store), list[object]()
    for model in models:
        digest = shelf.find(model)
        signers = list[str]()
        if remove:
            shelf.keep_signature(digest, None)
        else:
            private = read_private_key(key) if key is not None else developer_key(trust_folder(load_settings()))
            signers = [one.key.hex() for one in sign_model(shelf, digest, private, keep=add).signatures]
        kept = shelf.show(digest)
        rows.append({**kept_document(kept), "signed_by": signers})
        if output == "text":
            names = ", ".join(one[:16] for one in signers) or "nobody"
            write_line(f"{kept.name}:{kept.version}  {digest.hex()}  signed by {names}")
    if output != "text":
        write_rows(rows, "models", {}, output)
    return 0
