"""``tickwork artifact list``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .output import Output, talk, write_rows

EXAMPLES: Final = """Examples:

    tickwork artifact list
    tickwork artifact list --type table --tag forecast
    tickwork artifact list --text "snow storm" --mime text/markdown
    tickwork artifact list --run 01a2 -o json

--text looks for words in names and in what artifacts of text say."""

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_artifacts(
    *,
    type: Annotated[str, Parameter(help="Such as file, text, json, table, image.")] = "",
    mime: Annotated[str, Parameter(help="Such as text/csv, or image/* for all of a kind.")] = "",
    tag: Annotated[list[str] | None, Parameter(negative="", help="A tag it has; may be repeated.")] = None,
    text: Annotated[str, Parameter(help="Words that it holds, all of them.")] = "",
    name: Annotated[str, Parameter(help="Its name.")] = "",
    run: Annotated[str, Parameter(help="The run that left it, or the beginning of its id.")] = "",
    most: Annotated[int, Parameter(help="How many to list.")] = 100,
    output: Output = "text",
) -> int:
    """List artifacts: by type, mime, tag, words, name or run; newest first."""
    from ..plane.artifacts import Wanted
    from .state import artifact_document, open_artifacts, open_state

    with open_state() as store:
        found = open_artifacts(store).list(Wanted(type, mime, tuple(tag or ()), text, run, name), most=most)
    if output != "text":
        write_rows([artifact_document(one) for one in found], "artifacts", {}, output)
        return 0
    if not found:
        talk("there is no such artifact")
        return 0
    from .screen import write_table  # Loads rich.

    rows = [
        (
            one.name,
            one.type,
            one.mime,
            f"{one.size:,}",
            one.digest.hex()[:12],
            ", ".join(one.tags),
            one.run_id,
            one.step,
        )
        for one in found
    ]
    write_table(("name", "type", "mime", "#bytes", "digest", "tags", "run", "step"), rows)
    return 0
