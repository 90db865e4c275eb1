"""``tickwork memory block``."""

import sys
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..errors import UsageFault
from ..plane.profile import DEFAULT
from .output import Output, talk, write_document, write_facts
from .wishes import Whose

EXAMPLES: Final = """Examples:

    tickwork memory block
    tickwork memory block persona "Answers in one paragraph, with sources."
    tickwork memory block house --limit 20000 - < house-rules.md
    tickwork memory block persona --remove

A block is a note that always is in the context, whatever the goal. - reads its
text from standard input."""

app = App(name="block", help_epilogue=EXAMPLES)


@app.default
def block(
    label: Annotated[str, Parameter(help="Name of a block; without one all are listed.")] = "",
    text: Annotated[
        str | None,
        Parameter(help="What it says from now on; without one it is shown.", allow_leading_hyphen=True),
    ] = None,
    /,
    *,
    limit: Annotated[int, Parameter(help="Bytes that it may have from now on.")] = 0,
    remove: Annotated[bool, Parameter(negative="", help="Remove it instead.")] = False,
    profile: Whose = DEFAULT,
    output: Output = "text",
) -> int:
    """Show, write or remove notes that always are in the context."""
    from .remembered import block_size, find_block, list_blocks, open_memory

    if remove and (not label or text is not None):
        raise UsageFault("--remove takes the name of a block and no text", fix="see: tickwork memory block --help")
    with open_memory(profile) as (memory, _):
        if not label:
            return list_blocks(memory, output)
        if remove:
            removed = memory.drop_block(label)
            talk(f"{label} is removed" if removed else f"there was no block {label}")
            return 0
        if text is None and not limit:
            found = find_block(memory, label)
        else:
            value = (
                sys.stdin.read().rstrip("\n")
                if text == "-"
                else find_block(memory, label).value
                if text is None
                else text
            )
            found = memory.set_block(label, value, limit=limit)
    if output == "text":
        write_facts([("block", found.label), ("version", found.version), *block_size(found), ("text", found.value)])
    else:
        write_document(msgspec.to_builtins(found), output)
    return 0
