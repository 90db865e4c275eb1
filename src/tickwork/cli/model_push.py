"""``tickwork model push``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..infer.carrying import push_model
from .kept import Reference, judge_here, kept_document, kept_facts, open_store, reading
from .output import Output, write_document, write_facts
from .parcels import Allowed
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model push wind:1.1.0 oci://registry.example/models
    tickwork model push wind ../shared-models

A model is kept under its name and version, with its signatures. A version
never changes: the same model may be pushed again, another one is refused."""

app = App(name="push", help_epilogue=EXAMPLES)


@app.default
def push(
    model: Reference,
    place: Annotated[str, Parameter(help="oci://HOST/PREFIX, or the folder of another store.")],
    /,
    *,
    allow_unsigned: Allowed = False,
    store: Store = None,
    output: Output = "text",
) -> int:
    """Put a model into an OCI registry, or into another folder."""
    shelf = open_store(store)
    digest = shelf.find(model)
    judge_here(shelf, digest, allow_unsigned=allow_unsigned, update=False)
    kept = shelf.show(digest)
    with reading("reading", kept.size) as told:
        where = push_model(shelf, digest, place, told)
    if output == "text":
        write_facts([("pushed", where), *kept_facts(kept)])
    else:
        write_document({"pushed": where, **kept_document(kept)}, output)
    return 0
