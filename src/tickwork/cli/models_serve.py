"""``tickwork models serve``."""

import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..clock import SystemClock
from ..infer import wire
from ..infer.host import Host, serve_at
from ..infer.residency import CPU
from ..infer.store import ModelStore
from .config import load_settings, models_folder, service_socket
from .models import Address
from .output import Output, flush, talk, write_document
from .session import Budget, Providers, Store, read_providers
from .sizes import parse_size

EXAMPLES: Final = """Examples:

    tickwork models serve
    tickwork models serve --model-budget 4GiB --keep-alive 60
    tickwork models serve --address /run/user/1000/models.sock

Runs until it is interrupted, and ends all models with itself. Other programs
of this user find it at its socket; `tickwork models list` shows what it does."""

LOOK_S: Final = 0.25
"""How often it is seen whether the service was asked to end."""

app = App(name="serve", help_epilogue=EXAMPLES)


@app.default
def serve(
    *,
    store: Store = None,
    model_budget: Budget = "",
    providers: Providers = "",
    keep_alive: Annotated[
        int, Parameter(help="Seconds after which a model nobody asks is unloaded; 0 for never.")
    ] = 300,
    queue: Annotated[int, Parameter(help="Requests that may wait for one model.")] = 64,
    address: Address = None,
    output: Output = "text",
) -> int:
    """Run models for all programs of this user, until it is interrupted."""
    settings = load_settings()
    folder = store or models_folder(settings)
    budget = model_budget or settings.model_budget
    order = read_providers(providers or settings.providers)
    setup = wire.Setup(
        str(folder.absolute()),
        budgets=dict.fromkeys((CPU, *order), parse_size(budget, "--model-budget")) if budget else {},
        keep_alive_s=keep_alive,
        queue=queue,
        providers=order,
    )
    clock = SystemClock()
    path = address or service_socket()
    with ExitStack() as opened:
        host = Host(setup, ModelStore(folder), clock=clock)
        opened.callback(host.close)
        host.begin()
        opened.callback(serve_at(host, path, clock.unique()).close)
        ended = opened.enter_context(_ending())
        if output == "text":
            talk(f"serving the models of {folder} at {path}")
        else:
            write_document({"store": str(folder), "address": str(path)}, output)
            flush()
        while not ended and not host.closing.wait(LOOK_S):
            continue
    return 0


@contextmanager
def _ending() -> Generator[list[int]]:
    """Yield a list that gets the number of a signal which asks this process to end."""
    found = list[int]()

    def end(number: int, frame: FrameType | None) -> None:
        # Nothing but this: the signal may have interrupted whoever holds a lock.
        del frame
        found.append(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
