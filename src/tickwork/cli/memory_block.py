"""``tickwork memory block``."""

import sys
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..errors import UsageFault
from ..plane.memory.items import Block, Memory
from ..plane.profile import DEFAULT
from .output import Output, talk, write_document, write_facts, write_rows
from .remembered import Whose, open_memory

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
    if remove and (not label or text is not None):
        raise UsageFault("--remove takes the name of a block and no text", fix="see: tickwork memory block --help")
    with open_memory(profile) as (memory, _):
        if not label:
            return _list(memory, output)
        if remove:
            removed = memory.drop_block(label)
            talk(f"{label} is removed" if removed else f"there was no block {label}")
            return 0
        if text is None and not limit:
            found = _find(memory, label)
        else:
            value = (
                sys.stdin.read().rstrip("\n") if text == "-" else _find(memory, label).value if text is None else text
            )
            found = memory.set_block(label, value, limit=limit)
    if output == "text":
        write_facts([("block", found.label), ("version", found.version), *_size(found), ("text", found.value)])
    else:
        write_document(msgspec.to_builtins(found), output)
    return 0


def _find(memory: Memory, label: str) -> Block:
    for found in memory.blocks():
        if found.label == label:
            return found
    raise UsageFault(f"there is no block {label}", fix=f"write it: tickwork memory block {label} TEXT")


def _size(found: Block) -> list[tuple[str, object]]:
    return [("bytes", f"{len(found.value.encode()):,} of {found.limit:,}")]


def _list(memory: Memory, output: Output) -> int:
    found = memory.blocks()
    if output != "text":
        write_rows([msgspec.to_builtins(one) for one in found], "blocks", {"profile": memory.profile}, output)
        return 0
    if not found:
        talk(f"{memory.profile} has no blocks; write one: tickwork memory block NAME TEXT")
        return 0
    from .screen import write_table  # Loads rich.

    rows = [(one.label, one.version, f"{len(one.value.encode()):,}", f"{one.limit:,}", one.value) for one in found]
    write_table(("block", "#version", "#bytes", "#of", "text"), rows)
    return 0
