"""``tickwork models serve``."""

import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..clock import SystemClock
from ..errors import UsageFault
from ..infer import wire
from ..infer.client import Models
from ..infer.face import Face, Terms
from ..infer.host import Host, serve_at
from ..infer.http import LOOPBACK, Door
from ..infer.manifest import PROFILES
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
    tickwork models serve --http 8100
    tickwork models serve --http 0.0.0.0:8100 --http-token secret.txt

Runs until it is interrupted, and ends all models with itself. Other programs
of this user find it at its socket; `tickwork models list` shows what it does."""

PORT_MOST: Final = 65535
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
    http: Annotated[
        str, Parameter(help="[HOST:]PORT to serve clients of the Open Inference Protocol and of OpenAI at as well.")
    ] = "",
    http_token: Annotated[
        Path | None, Parameter(help="File with the token they must show; needed where HOST is not of this machine.")
    ] = None,
    http_profile: Annotated[
        str, Parameter(help="How they have models run unless a request says: exact-1, exact-portable or fast.")
    ] = "exact-1",
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
        face = _open_http(opened, folder, path, http, http_token, http_profile) if http else ""
        ended = opened.enter_context(_ending())
        if output == "text":
            talk(f"serving the models of {folder} at {path}{face and f' and {face}'}")
        else:
            write_document({"store": str(folder), "address": str(path), "http": face}, output)
            flush()
        while not ended and not host.closing.wait(LOOK_S):
            continue
    return 0


def _open_http(opened: ExitStack, folder: Path, path: Path, place: str, token: Path | None, profile: str) -> str:
    """Open the HTTP face over the service at a socket, and return its address."""
    host, port = parse_place(place, "--http")
    if profile not in PROFILES:
        raise UsageFault(f"there is no profile {profile!r}", fix=f"take one of {', '.join(PROFILES)}")
    models = Models(folder, address=path)
    opened.callback(models.close)
    face = Face(ModelStore(folder), models, SystemClock(), Terms(profile=profile))
    door = Door(face, host=host, port=port, token=_read_token(token))
    opened.callback(door.close)
    return door.address


def parse_place(text: str, option: str) -> tuple[str, int]:
    """Return host and port of ``[HOST:]PORT``; without a host, this machine alone.

    Raises:
        UsageFault: TW1001.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) <= PORT_MOST):
        raise UsageFault(
            f"{option} takes a port, or a host and a port", where=text, fix="for example: 8100, or 0.0.0.0:8100"
        )
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)


def _read_token(path: Path | None) -> str:
    """Return the token in a file; empty where none is named."""
    if path is None:
        return ""
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageFault("the file with the token cannot be read", where=str(path), why=str(error)) from error
    if not token:
        # Without one, whoever reaches the port would be served.
        raise UsageFault("the file with the token is empty", where=str(path), fix="draw one: openssl rand -hex 32")
    return token


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
