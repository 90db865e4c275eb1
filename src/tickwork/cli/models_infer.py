"""``tickwork models infer``."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from cyclopts import App, Parameter

from ..errors import ModelInputInvalid
from ..records import Encoding
from .models import Address, own_or_running
from .output import Output, write_document, write_facts
from .session import Providers, Store

EXAMPLES: Final = """Examples:

    tickwork models infer wind --json '{"x": [[1.0, 2.0]]}'
    tickwork models infer wind:1.1.0 --json @request.json -o json
    echo '{"x": [[1.0, 2.0]]}' | tickwork models infer wind

Asks the service if one runs, else processes of its own that end with the
command; so it does with --store alone, since a service has the usual store. A
request is an object of nested lists by input name."""

Profile = Literal["exact-1", "exact-portable", "fast"]

app = App(name="infer", help_epilogue=EXAMPLES)


@app.default
def infer(
    model: Annotated[str, Parameter(help="NAME, NAME:VERSION, NAME:ALIAS, or digits of a digest.")],
    /,
    *,
    json: Annotated[str, Parameter(help="The request, or @FILE; without it, standard input is read.")] = "",
    profile: Annotated[Profile, Parameter(help="What is promised of the answer's bits.")] = "exact-1",
    providers: Providers = "",
    deadline: Annotated[int, Parameter(help="Milliseconds until there must be an answer.")] = 30_000,
    store: Store = None,
    address: Address = None,
    output: Output = "text",
) -> int:
    """Ask a model once, and print its answer."""
    body = _request(json)
    with own_or_running(store, address, providers) as models:
        wanted = models.find(model, profile=profile)
        reply = models.ask(wanted, body, encoding=Encoding.JSON, deadline_ms=deadline)
    if reply.error is not None:
        raise reply.error
    outputs: dict[str, Any] = msgspec.json.decode(reply.body)
    session = reply.fingerprint.digest.hex() if reply.fingerprint is not None else ""
    if output == "text":
        write_facts(outputs.items())
        return 0
    taken = reply.inference
    around = {"model": wanted.model.hex(), "session": session, "run_us": taken.run_us if taken is not None else 0}
    write_document({**around, "outputs": outputs}, output)
    return 0


def _request(json: str) -> bytes:
    if not json:
        return sys.stdin.buffer.read()
    if not json.startswith("@"):
        return json.encode()
    try:
        return Path(json[1:]).read_bytes()
    except OSError as error:
        raise ModelInputInvalid(
            "the request cannot be read", where=json[1:], why=error.strerror or "", fix="name a file that is there"
        ) from error
