"""``tickwork memory context``."""

from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..plane.profile import DEFAULT
from .output import Output, write_document, write_facts, write_line
from .wishes import Whose

EXAMPLES: Final = """Examples:

    tickwork memory context "Will the pass be open next week?"
    tickwork memory context "Will the pass be open?" --profile analyst --texts
    tickwork memory context "Will the pass be open?" -o json

Each section has a share of the context, in the profile, and never passes it:
three bytes are counted as one token, which is more than tokenizers count."""

app = App(name="context", help_epilogue=EXAMPLES)


@app.default
def context(
    goal: Annotated[str, Parameter(help="The goal, in words.")],
    /,
    *,
    texts: Annotated[bool, Parameter(negative="", help="Show the texts too.")] = False,
    profile: Whose = DEFAULT,
    output: Output = "text",
) -> int:
    """Show what of its memory a planner would be shown for a goal, and how much of each share is used."""
    from ..plane.memory.context import recall
    from .remembered import open_memory

    goal = goal.encode("utf-8", "replace").decode()
    with open_memory(profile) as (memory, found):
        recalled = recall(memory, found.table.memory, goal)
    sections = recalled.context.sections
    if output != "text":
        labels = list(recalled.labels)
        document = {"profile": profile, "goal": goal, "labels": labels, "tokens": found.table.memory.tokens}
        write_document({**document, "sections": [msgspec.to_builtins(section) for section in sections]}, output)
        return 0
    from .screen import write_table  # Loads rich.

    rows = [
        (
            section.name,
            f"{len(section.items)}",
            f"{tokens(section.bytes):,}",
            f"{tokens(section.of):,}",
            f"{section.left_out or ''}",
        )
        for section in sections
    ]
    used, of = (sum(tokens(getattr(section, name)) for section in sections) for name in ("bytes", "of"))
    rows.append(("all", "", f"{used:,}", f"{of:,}", ""))
    write_table(("section", "#texts", "#tokens", "#of", "#left out"), rows)
    if not found.table.memory.recall:
        write_line(f"\n{profile} does not read its memory before planning.")
    if texts:
        for section in sections:
            if section.items:
                write_line(f"\n{section.name}")
                write_facts([(piece.id, piece.text) for piece in section.items])
    return 0


def tokens(size: int) -> int:
    """Return how many tokens a text of so many bytes is counted as."""
    from ..plane.memory.context import BYTES_PER_TOKEN

    return -(-size // BYTES_PER_TOKEN)
