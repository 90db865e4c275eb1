"""How a verb is carried out on this machine: nothing here can change a head."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

import msgspec

from ..clock import Clock, SystemClock
from ..infer.asking import Asker
from .performers import Performer
from .telemetry import Hook, joined

FLUSH_TICKS: Final = 256
FLUSH_BYTES: Final = 1 << 20
FLUSH_NS: Final = 100_000_000
"""Group commit: frames wait until there are this many, this much, or a tick ends this long after the last group."""


SNAPSHOT_TICKS: Final = 1024
"""Fifty agents of 64 KiB cost 4 ms a snapshot at most, a hundredth of what so many ticks take."""


class Progress(msgspec.Struct, frozen=True):
    """How far a verb is.

    Attributes:
        ticks: Where it will end, 0 if nobody knows.
        failed: Turns that were not OK so far.
    """

    verb: str
    tick: int
    ticks: int
    turns: int
    failed: int


class Options(msgspec.Struct, frozen=True):
    """Options of the verbs.

    Attributes:
        workers: Processes that run modules; 0 runs them inline.
        opt_level: ``speed`` or ``none``.
        cache: Folder of compiled modules; None compiles anew.
        signing_key: Raw Ed25519 private key that signs the last head; None leaves it unsigned. Shape: 32 bytes.
        snapshot_ticks: Ticks between two snapshots, where resuming and forking begin; 0 for none.
        trust: Folder of ``trust.toml``; None believes the keys of the modules that Tickwork ships, and keeps no notes.
        allow_unsigned: Whether a journal's own word that unsigned modules were allowed holds where it is resumed or
            forked; it may come from anybody, so the command line asks each time.
        folder: Where native agents' sources lie, if not in the world's own folder.
        performers: By skill; they win over what the world file configures.
        progress: Called about every ``progress_ticks`` ticks.
        notice: Called with what is about to take seconds, such as compiling a large module for the first time.
        stop: Asked after each tick; true ends the run there, resumable.
        edge: Called with the name of each phase edge; for simulation.
        executor: Makes what runs performers; None runs them on a few threads.
        store: Folder of the models that runs ask; None where there is none. A world whose models all lie in files then
            runs with a store of its own, which ends with the run.
        providers: What models of the profile ``fast`` run on, in the order they are tried; empty for the usual order.
        model_budget: Memory that loaded models may take together; 0 for the usual share of the machine's. Units: bytes.
        asker: Makes what models are asked through, one for each thread; None starts processes of its own.
        telemetry: Called with what ticks, turns, inferences and snapshots took, from the thread that runs the verb.
    """

    workers: int = 0
    opt_level: str = "speed"
    cache: Path | None = None
    signing_key: bytes | None = None
    allow_unsigned: bool = True
    folder: Path | None = None
    trust: Path | None = None
    performers: Mapping[str, Performer] = {}
    clock: Clock = SystemClock()
    progress: Callable[[Progress], None] | None = None
    progress_ticks: int = 64
    notice: Callable[[str], None] | None = None
    stop: Callable[[], bool] | None = None
    edge: Callable[[str], None] | None = None
    executor: Callable[[], Executor] | None = None
    flush_ticks: int = FLUSH_TICKS
    snapshot_ticks: int = SNAPSHOT_TICKS
    store: Path | None = None
    providers: tuple[str, ...] = ()
    model_budget: int = 0
    asker: Callable[[], Asker] | None = None
    telemetry: Hook | None = None


def settled(options: Options | None) -> Options:
    """Return the options that a verb goes on with: the defaults for none, and the hooks of the process told too."""
    options = options or Options()
    hook = joined(options.telemetry)
    return options if hook is options.telemetry else msgspec.structs.replace(options, telemetry=hook)
