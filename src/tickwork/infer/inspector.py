"""Looks into a model that nobody trusts yet: in a process of its own, under limits, which may die of it.

The child reads the file, screens it, loads it, warms it up and measures what that took. The parent waits no longer
than it said it would, and calls whatever ends the child the model's fault.

Invariants:
    * Nothing of the model is parsed, loaded or run in the process that asks.
    * The child is confined before it opens the model: no files to write, no programs, no connections.
    * Whatever the file does, there is an answer by the deadline and at most the memory that was allowed.
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from ..clock import Clock, SystemClock
from ..errors import ModelInvalid, ModelsMissing, TickworkError
from ..sandbox.child import limit
from ..sandbox.confine import confine
from . import wire
from .asking import Wanted
from .channel import Channel, ChannelClosed, ChannelSlow, take_channel
from .footprint import footprint
from .genai import CONFIG as LANGUAGE_CONFIG
from .genai import describe_language
from .launch import Child, Launcher, exit_text
from .manifest import ModelConfig
from .ports import TENSOR
from .screen import FAST, has_batch_axis, screen

DEADLINE_S: Final = 120
MEMORY_BYTES: Final = 4 << 30
"""What looking into a model may take where nobody says. Units: seconds, bytes."""

OPEN_FILES: Final = 256
SIZES: Final = (1, 2, 8, 16, 64, 224)
"""What is tried in turn for dimensions that callers choose, until the model runs."""

_ONE_THREAD: Final = ("intra_op_num_threads=1",)
_STEP: Final = b"step"
_FOUND: Final = b"found"
_FAILED: Final = b"failed"
_READING, _LOADING, _RUNNING = "reading", "loading", "running"
_OUT_OF_MEMORY: Final = ("Failed to allocate memory", "bad_alloc", "bad allocation")


class _Ask(msgspec.Struct, frozen=True, array_like=True):
    """What the parent says first. Units: seconds, bytes."""

    folder: str
    entry: str
    seconds: float
    memory: int


def inspect_model(
    folder: Path,
    entry: str,
    *,
    deadline_s: float = DEADLINE_S,
    memory: int = MEMORY_BYTES,
    launcher: Launcher | None = None,
    clock: Clock | None = None,
) -> ModelConfig:
    """Return what a model takes and gives and what it needs; its name and version are left empty.

    Args:
        folder: Where its files lie. Nothing outside it is read.
        entry: Path in the folder of the file that is loaded.
        deadline_s: What all of it may take. Units: seconds.
        memory: What loading and warming up may take. Units: bytes.
        launcher: Starts the child; one with a warm process makes many models quick.

    Raises:
        ModelInvalid: TW6002: it is no model that can be loaded within the limits.
        ModelsMissing: TW6012: what reads or runs models is not installed.
    """
    clock = clock or SystemClock()
    starter = launcher or Launcher(warm=False)
    child = starter.start("inspector")
    try:
        ask = _Ask(str(folder.resolve()), entry, deadline_s, memory)
        return _listen(child, ask, clock)
    finally:
        child.kill()
        child.wait()
        child.channel.close()
        if launcher is None:
            starter.close()


def _listen(child: Child, ask: _Ask, clock: Clock) -> ModelConfig:
    end = clock.elapsed_ns() + int(ask.seconds * 1e9)
    step = _READING
    try:
        child.channel.send(wire.encode(ask))
        while True:
            frame = child.channel.receive(max(0.0, (end - clock.elapsed_ns()) / 1e9))
            if frame is None:
                raise _beyond(ask.entry, step, f"{step} it took more than {ask.seconds:g} s")
            if frame.head == _STEP:
                step = bytes(frame.body).decode()
            elif frame.head == _FOUND:
                return msgspec.json.decode(frame.body, type=ModelConfig)
            elif (error := wire.decode_error(frame.body)) is not None:
                raise error
    except (ChannelClosed, ChannelSlow):
        status = child.wait()
        raise _beyond(ask.entry, step, f"{step} it ended the process that tried: {exit_text(status)}") from None


def _beyond(entry: str, step: str, why: str) -> ModelInvalid:
    known = "raise the limits of time or memory if you know the model to be good"
    fix = "export it again" if step == _READING else known
    return ModelInvalid(f"{entry} cannot be loaded", why=why, fix=fix)


# ------------------------------------------------------------------------------------------------------------ the child


def main() -> None:
    """Serve the channel of standard input."""
    serve(take_channel())


def serve(channel: Channel) -> None:
    """Look into the one model that the first frame names."""
    try:
        frame = channel.receive()
        if frame is None:
            return
        ask = msgspec.msgpack.decode(frame.head, type=_Ask)
        try:
            _import_all()
            _give_up(ask)
            config = look_into(Path(ask.folder), ask.entry, lambda step: channel.send(_STEP, step.encode()))
        except TickworkError as error:
            channel.send(_FAILED, wire.encode_error(error))
        except MemoryError:
            channel.send(_FAILED, wire.encode_error(_too_large(ask.entry)))
        else:
            channel.send(_FOUND, msgspec.json.encode(config))
    except (ChannelClosed, ChannelSlow):
        return


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


def _give_up(ask: _Ask) -> None:
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

    told(_READING)
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
    told(_LOADING)
    runner = Runner(
        Wanted(bytes(32), profile=FAST, providers=("cpu",)), config, folder, SystemClock(), extras=_ONE_THREAD
    )
    told(_RUNNING)
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

    told(_READING)
    config = describe_language(folder, entry)
    told(_LOADING)
    LanguageRunner(Wanted(bytes(32), profile=FAST, providers=("cpu",)), config, folder, SystemClock())
    return msgspec.structs.replace(config, memory=footprint())


def _too_large(entry: str) -> ModelInvalid:
    return ModelInvalid(
        f"{entry} cannot be loaded",
        why="it asks for more memory than looking into it may take",
        fix="raise the limit if you know the model to be good",
    )
