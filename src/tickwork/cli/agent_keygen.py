"""``tickwork agent keygen``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..packages.identity import make_key_files, public_path
from .output import Output, write_document, write_facts

EXAMPLES: Final = """Examples:

    tickwork agent keygen publisher.key
    tickwork agent keygen next.key --succeeds publisher.key

Writes publisher.key, which only you can read and which you keep, and
publisher.key.pub, which you hand out. Whoever trusts a key takes one that
follows it with `tickwork trust add next.key.pub`."""

app = App(name="keygen", help_epilogue=EXAMPLES)


@app.default
def keygen(
    file: Annotated[Path, Parameter(help="Where the private key goes; the public one lies beside it as FILE.pub.")],
    /,
    *,
    succeeds: Annotated[
        Path | None, Parameter(help="Your older private key, which signs the new one as its successor.")
    ] = None,
    output: Output = "text",
) -> int:
    """Make a key that signs packages."""
    made = make_key_files(file, succeeds=succeeds)
    facts: dict[str, object] = {
        "private": str(file),
        "public": str(public_path(file)),
        "key": made.id().hex(),
        "succeeds": made.succeeds,
    }
    if output == "text":
        write_facts([fact for fact in facts.items() if fact[1]])
    else:
        write_document(facts, output)
    return 0
