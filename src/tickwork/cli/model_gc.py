"""``tickwork model gc``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from .kept import open_store
from .output import Output, write_document, write_facts
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model gc
    tickwork model gc --keep 2

With --keep, versions older than the newest so many of each model are removed,
but for those that are pinned or have an alias."""

app = App(name="gc", help_epilogue=EXAMPLES)


@app.default
def gc(
    *,
    keep: Annotated[int, Parameter(help="Newest versions of each model that stay; 0 for all.")] = 0,
    store: Store = None,
    output: Output = "text",
) -> int:
    """Remove files that no model needs, and old versions where that is asked."""
    if keep < 0:
        raise UsageFault(f"--keep {keep} is out of range", fix="use 0 for all versions, or 1 and more")
    found = open_store(store).gc(keep)
    if output == "text":
        versions = ", ".join(found.versions) or "none"
        facts: list[tuple[str, object]] = [("versions", versions), ("files", found.files)]
        facts.append(("bytes", f"{found.size:,}"))
        if found.unread:
            facts.append(("unread", f"{', '.join(found.unread)}; no file goes before: tickwork model verify"))
        write_facts(facts)
    else:
        removed = {"removed": list(found.versions), "files": found.files, "bytes": found.size}
        write_document({**removed, "unread": list(found.unread)}, output)
    return 0
