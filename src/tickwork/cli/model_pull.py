"""``tickwork model pull``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..clock import SystemClock
from ..infer.carrying import pull_model
from ..packages.judge import Verdict, judge_package
from ..packages.package import Package
from ..packages.trust import load_trust
from .config import load_settings, trust_folder
from .kept import (
    DEADLINE_S,
    MEMORY_MIB,
    Deadline,
    Memory,
    inspector,
    kept_document,
    kept_facts,
    open_store,
    reading,
)
from .output import Output, write_document, write_facts
from .parcels import Allowed
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model pull oci://registry.example/models wind
    tickwork model pull oci://registry.example/models wind:1.1.0
    tickwork model pull ../shared-models wind:1.1.0 --allow-unsigned

Judges who signed the model before its files are fetched, and looks into them as
`tickwork model add` does before the model is kept. It keeps its digest."""

app = App(name="pull", help_epilogue=EXAMPLES)


@app.default
def pull(
    place: Annotated[str, Parameter(help="oci://HOST/PREFIX, or the folder of another store.")],
    model: Annotated[str, Parameter(help="NAME for the newest version, or NAME:VERSION.")],
    /,
    *,
    allow_unsigned: Allowed = False,
    deadline: Deadline = DEADLINE_S,
    memory: Memory = MEMORY_MIB,
    store: Store = None,
    output: Output = "text",
) -> int:
    """Get a model from an OCI registry, or from another folder."""
    name, _, version = model.partition(":")
    trust = load_trust(trust_folder(load_settings()))
    verdicts = list[Verdict]()

    def believe(found: Package) -> None:
        now_us = SystemClock().now_us()
        verdicts.append(judge_package(found, trust, name=model, now_us=now_us, allow_unsigned=allow_unsigned))

    shelf = open_store(store)
    with reading("fetching") as told:
        digest = pull_model(shelf, place, (name, version), inspector(deadline, memory), believe=believe, told=told)
    kept, key = shelf.show(digest), verdicts[-1].key
    if output == "text":
        write_facts([*kept_facts(kept), ("trusted", f"yes, {key.publisher}" if key is not None else "no")])
    else:
        write_document({**kept_document(kept), "publisher": key.publisher if key is not None else ""}, output)
    return 0
