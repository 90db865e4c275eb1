"""``tickwork memory search``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..plane.memory.kinds import Kind
from ..plane.profile import DEFAULT
from .output import Output, talk, write_rows
from .wishes import Whose

EXAMPLES: Final = """Examples:

    tickwork memory search "when is the pass closed?"
    tickwork memory search --kind summary "forecast" -o json

Items are found by words and by meaning, and the two lists are joined by rank."""

app = App(name="search", help_epilogue=EXAMPLES)


@app.default
def search_memory(
    question: Annotated[str, Parameter(help="What to look for; any text.")],
    /,
    *,
    kind: Annotated[Kind | None, Parameter(help="Facts, what happened, or what became of runs.")] = None,
    most: Annotated[int, Parameter(help="How many to show.")] = 10,
    profile: Whose = DEFAULT,
    output: Output = "text",
) -> int:
    """Find what a profile remembers, by words and by meaning."""
    from ..plane.memory.search import search
    from .remembered import item_document, open_memory

    question = question.encode("utf-8", "replace").decode()
    with open_memory(profile) as (memory, _):
        hits = search(memory, question, kind=kind or "", most=most)
    if output != "text":
        rows = [
            {**item_document(hit.item), "score": hit.score, "by_words": hit.by_words, "by_meaning": hit.by_meaning}
            for hit in hits
        ]
        write_rows(rows, "hits", {"profile": profile, "question": question}, output)
        return 0
    if not hits:
        talk(f"{profile} remembers nothing about that")
        return 0
    from .screen import write_table  # Loads rich.

    shown = [
        (hit.score, hit.by_words or "", hit.by_meaning or "", hit.item.kind, hit.item.text, hit.item.id) for hit in hits
    ]
    write_table(("#score", "#by words", "#by meaning", "kind", "text", "id"), shown)
    return 0
