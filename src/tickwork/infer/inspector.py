"""Looks into a model that nobody trusts yet, in a process that does nothing else and may die of it.

It reads the file, screens it, loads it, warms it up and measures what that took. Who asked is ``infer/inspection.py``.

Invariants:
    * It is confined before it opens the model: no files to write, no programs, no connections.
    * It ends when whoever asked does, whatever the model is doing then.
"""

import importlib
import os
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from ..clock import SystemClock
from ..errors import ModelInvalid, ModelsMissing, TickworkError
from ..sandbox.child import limit
from ..sandbox.confine import confine
from . import wire
from .asking import Wanted
from .channel import Channel, ChannelClosed, ChannelSlow, take_channel
from .footprint import footprint
from .genai import CONFIG as LANGUAGE_CONFIG
from .genai import describe_language
from .inspection import FAILED, FOUND, LOADING, READING, RUNNING, STEP, Ask
from .manifest import ModelConfig
from .ports import TENSOR
from .screen import FAST, has_batch_axis, screen

OPEN_FILES: Final = 256
SIZES: Final = (1, 2, 8, 16, 64, 224)
"""What is tried in turn for dimensions that callers choose, until the model runs."""

_ONE_THREAD: Final = ("intra_op_num_threads=1",)
_OUT_OF_MEMORY: Final = ("Failed to allocate memory", "bad_alloc", "bad allocation")


def main() -> None:
    """Serve the channel of standard input."""
    serve(take_channel())


def serve(channel: Channel) -> None:
    """Look into the one model that the first frame names."""
    try:
        frame = channel.receive()
        if frame is None:
            return
        ask = msgspec.msgpack.decode(frame.head, type=Ask)
        threading.Thread(target=_end_with, args=(channel,), name="tickwork-asker", daemon=True).start()
        try:
            _import_all()
            _give_up(ask)
            config = look_into(Path(ask.folder), ask.entry, lambda step: channel.send(STEP, step.encode()))
        except TickworkError as error:
            channel.send(FAILED, wire.encode_error(error))
        except MemoryError:
            channel.send(FAILED, wire.encode_error(_too_large(ask.entry)))
        else:
            channel.send(FOUND, msgspec.json.encode(config))
    except (ChannelClosed, ChannelSlow):
        return


def _end_with(channel: Channel) -> None:
    """End this process with the one at the other side, which says nothing more."""
    try:
        channel.receive()
    finally:
        os._exit(1)


def _import_all() -> None:
    """Import what reads and runs models, while files can still be found.

    Raises:
        ModelsMissing: TW6012.
    """
    try:
        for name in ("graph", "sessions"):
            importlib.import_module(f"{__package__}.{name}")
    except ImportError as error:
        raise ModelsMissing(
            "models need packages that are not installed", why=str(error), fix="pip install 'tickwork[models]'"
        ) from error


def _give_up(ask: Ask) -> None:
    """Limit this process to what looking into a model may take."""
    variables = os.environ  # noqa: TID251  (No setting is read here: those of the runtime are removed.)
    for name in [name for name in variables if name.startswith("ORT_")]:
        del variables[name]
    limit("AS", _mapped_bytes() + ask.memory)
    limit("CPU", int(ask.seconds) + 1)
    confine(threads=True, files=OPEN_FILES)


def _mapped_bytes() -> int:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        return 4 << 30


def look_into(folder: Path, entry: str, told: Callable[[str], None]) -> ModelConfig:
    """Return what a model takes, gives and needs, having loaded and run it here.

    Args:
        told: Is called with each step as it begins.

    Raises:
        ModelInvalid: TW6002.
    """
    if PurePosixPath(entry).name == LANGUAGE_CONFIG:
        return _look_into_language(folder, entry, told)
    from .graph import read_graph
    from .probe import warm_shape
    from .sessions import Runner

    told(READING)
    graph = read_graph(folder, entry)
    config = ModelConfig(
        name="",
        version="",
        entry=entry,
        inputs=graph.inputs,
        outputs=graph.outputs,
        ir=graph.ir,
        opsets=graph.opsets,
        operators=graph.operators,
        screening=screen(graph),
        batch_axis=has_batch_axis(graph.inputs, graph.outputs),
    )
    del graph
    told(LOADING)
    runner = Runner(
        Wanted(bytes(32), profile=FAST, providers=("cpu",)), config, folder, SystemClock(), extras=_ONE_THREAD
    )
    told(RUNNING)
    warmup = dict[str, tuple[int, ...]]()
    for size in SIZES:
        shapes = {
            port.name: warm_shape(port, {}, size) for port in config.inputs if port.kind == TENSOR and port.ranked
        }
        failure = runner.rehearse(shapes)
        if failure is not None and any(words in failure.why for words in _OUT_OF_MEMORY):
            raise _too_large(entry)
        if failure is None or not warmup:
            warmup = shapes
        if failure is None or not _is_open(config):
            break
    return msgspec.structs.replace(config, warmup=warmup, memory=footprint())


def _is_open(config: ModelConfig) -> bool:
    """Return whether callers choose a dimension of an input."""
    return any(isinstance(size, str) for port in config.inputs for size in port.shape)


def _look_into_language(folder: Path, entry: str, told: Callable[[str], None]) -> ModelConfig:
    from .language import LanguageRunner

    told(READING)
    config = describe_language(folder, entry)
    told(LOADING)
    LanguageRunner(Wanted(bytes(32), profile=FAST, providers=("cpu",)), config, folder, SystemClock())
    return msgspec.structs.replace(config, memory=footprint())


def _too_large(entry: str) -> ModelInvalid:
    return ModelInvalid(
        f"{entry} cannot be loaded",
        why="it asks for more memory than looking into it may take",
        fix="raise the limit if you know the model to be good",
    )
