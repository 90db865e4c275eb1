"""``tickwork memory add``."""

import sys
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..plane.memory.kinds import Kind
from ..plane.profile import DEFAULT
from .output import Output, write_document, write_facts
from .wishes import Whose

EXAMPLES: Final = """Examples:

    tickwork memory add "Snow closes the pass from December to March."
    tickwork memory add --kind episodic "The forecast of 3 May was off by 4 degrees."
    tickwork memory add --importance 100 --replaces m5dd96869ee2635e7257a09a "..."
    cat facts.txt | tickwork memory add -o jsonl

The same text is kept once. Without a text, each line of standard input is one."""

app = App(name="add", help_epilogue=EXAMPLES)


@app.default
def add(
    text: Annotated[str, Parameter(help="What to remember.")] = "",
    /,
    *,
    kind: Annotated[Kind, Parameter(help="semantic for a fact, episodic for what happened.")] = "semantic",
    importance: Annotated[int, Parameter(help="From 0 to 100; one of 100 counts twice as much as one of 0.")] = 0,
    replaces: Annotated[str, Parameter(help="Id of the item that does not hold any more.")] = "",
    profile: Whose = DEFAULT,
    output: Output = "text",
) -> int:
    """Remember a fact, or something that happened."""
    from .remembered import item_document, open_memory

    texts = [text] if text else [line for line in sys.stdin.read().splitlines() if line.strip()] or [""]
    with open_memory(profile) as (memory, _):
        for said in texts:
            item = memory.add(kind, said, importance=importance, replaces=replaces)
            if output == "text":
                write_facts([("item", item.id), ("kind", item.kind), ("text", item.text)])
            else:
                write_document(item_document(item), output)
    return 0
