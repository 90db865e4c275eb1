"""Has a model looked into that nobody trusts yet: by a process of its own, under limits, which may die of it.

Invariants:
    * Nothing of the model is parsed, loaded or run in the process that asks.
    * Whatever the file does, there is an answer by the deadline and at most the memory that was allowed.
    * Whatever ends the process that looks is called the model's fault.
"""

from pathlib import Path
from typing import Final

import msgspec

from ..clock import Clock, SystemClock
from ..errors import ModelInvalid
from . import wire
from .channel import ChannelClosed, ChannelSlow
from .launch import Child, Launcher, exit_text
from .manifest import ModelConfig

DEADLINE_S: Final = 120
MEMORY_BYTES: Final = 4 << 30
"""What looking into a model may take where nobody says. Units: seconds, bytes."""

STEP: Final = b"step"
FOUND: Final = b"found"
FAILED: Final = b"failed"
"""What a frame of the child is."""

READING: Final = "reading"
LOADING: Final = "loading"
RUNNING: Final = "running"


class Ask(msgspec.Struct, frozen=True, array_like=True):
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
        ask = Ask(str(folder.resolve()), entry, deadline_s, memory)
        return _listen(child, ask, clock)
    finally:
        child.kill()
        child.wait()
        child.channel.close()
        if launcher is None:
            starter.close()


def _listen(child: Child, ask: Ask, clock: Clock) -> ModelConfig:
    end = clock.elapsed_ns() + int(ask.seconds * 1e9)
    step = READING
    try:
        child.channel.send(wire.encode(ask))
        while True:
            frame = child.channel.receive(max(0.0, (end - clock.elapsed_ns()) / 1e9))
            if frame is None:
                raise _beyond(ask.entry, step, f"{step} it took more than {ask.seconds:g} s")
            if frame.head == STEP:
                step = bytes(frame.body).decode()
            elif frame.head == FOUND:
                return msgspec.json.decode(frame.body, type=ModelConfig)
            elif (error := wire.decode_error(frame.body)) is not None:
                raise error
    except (ChannelClosed, ChannelSlow, msgspec.DecodeError, UnicodeDecodeError):
        # What makes no sense was said by a process that the model has taken over; it goes no other way than a dead one.
        child.kill()
        status = child.wait()
        raise _beyond(ask.entry, step, f"{step} it ended the process that tried: {exit_text(status)}") from None


def _beyond(entry: str, step: str, why: str) -> ModelInvalid:
    known = "raise the limits of time or memory if you know the model to be good"
    fix = "export it again" if step == READING else known
    return ModelInvalid(f"{entry} cannot be loaded", why=why, fix=fix)
