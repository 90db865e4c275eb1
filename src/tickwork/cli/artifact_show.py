"""``tickwork artifact show``."""

from typing import Final

from cyclopts import App

from ..packages.times import format_time
from .output import Output, write_document, write_facts, write_line
from .wishes import WhichArtifact

EXAMPLES: Final = """Examples:

    tickwork artifact show report.md
    tickwork artifact show ea4d3721 -o json

The bytes are read and compared with their digest. Of several artifacts of one
name the newest is shown."""

SHOWN_CHARACTERS: Final = 4_000


app = App(name="show", help_epilogue=EXAMPLES)


@app.default
def show(artifact: WhichArtifact, /, *, output: Output = "text") -> int:
    """Show what an artifact is, and its text."""
    from ..plane.artifacts import readable
    from .state import artifact_document, open_artifacts, open_state

    with open_state() as store:
        shelf = open_artifacts(store)
        found = shelf.find(artifact)
        body = shelf.get(found.digest)
    if output != "text":
        write_document(artifact_document(found), output)
        return 0
    facts: list[tuple[str, object]] = [
        ("artifact", found.name),
        ("id", found.id),
        ("type", found.type),
        ("mime", found.mime),
        ("bytes", f"{found.size:,}"),
        ("digest", f"sha256:{found.digest.hex()}"),
        ("created", format_time(found.created_us)),
        ("tags", ", ".join(found.tags)),
        ("from outside", ", ".join(found.labels)),
        ("run", found.run_id),
        ("step", found.step),
    ]
    write_facts([fact for fact in facts if fact[1]])
    text = readable(found.mime, body)
    if text:
        write_line(f"\n{text[:SHOWN_CHARACTERS]}{' ...' if len(text) > SHOWN_CHARACTERS else ''}".rstrip("\n"))
    return 0
