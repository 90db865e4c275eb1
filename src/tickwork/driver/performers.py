"""Performers: what carries an effect out once its intent is durable.

Invariants:
    * A performer sees an effect at least once. Its key is the same every time, so a receiver can tell a repetition.
    * Whatever a performer raises becomes a result; it never reaches the run.
    * A result's body names no path, host or time: it enters the run as an input.
"""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ..errors import TickworkError
from ..records import Effect, Encoding, Refusal, Result

MAX_NAME_BYTES: Final = 200
MAX_ENCODING: Final = 0xFFFF


class Performer(Protocol):
    """Carries out the effects of one skill."""

    def perform(self, effect: Effect) -> Result:
        """Return what came of it. May block; may raise."""
        ...


class ArtifactRequest(msgspec.Struct, frozen=True):
    """Body of an ``artifact.write`` call: a msgpack map of these fields."""

    name: str
    mime: str
    data: bytes


class ArtifactReceipt(msgspec.Struct, frozen=True):
    """Body of its result: what was written, by digest. Never a path."""

    name: str
    size: int
    sha256: str


class ArtifactWriter:
    """Writes artifacts into one folder, whole or not at all. Writing the same artifact twice changes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def perform(self, effect: Effect) -> Result:
        """Write the artifact and return its digest; refuse a name that is not a plain file name."""
        request = msgspec.msgpack.decode(effect.body, type=ArtifactRequest)
        name = request.name
        plain = name not in ("", ".", "..") and not any(c in name for c in "/\\:\0") and name.isprintable()
        if not plain or len(name.encode()) > MAX_NAME_BYTES:
            return Result(effect.number, Refusal.DENIED, Encoding.BYTES, b"an artifact's name is a plain file name")
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{effect.key.hex()[:16]}.partial"
        with partial.open("wb") as file:
            file.write(request.data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / name)
        _sync_folder(self.folder)
        receipt = ArtifactReceipt(name, len(request.data), hashlib.sha256(request.data).hexdigest())
        return Result(effect.number, 0, Encoding.MSGPACK, msgspec.msgpack.encode(receipt))


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a loss of power; Windows does so by itself and opens no folders."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _thread() -> Executor:
    return ThreadPoolExecutor(1, thread_name_prefix="tickwork-performer")


class Dispatch:
    """Releases effects to performers and collects results.

    With ``in_order`` a tick's results are waited for and given back in issue order, so that arrival depends on nothing;
    otherwise whatever is finished is given back, and the journal records when it came. The effects of one skill are
    performed one after the other in issue order, those of several skills beside each other.

    Args:
        executor: Makes what runs a skill's performer, at its first effect.
    """

    def __init__(
        self, performers: dict[str, Performer], *, in_order: bool, executor: Callable[[], Executor] | None = None
    ) -> None:
        self._performers = performers
        self._in_order = in_order
        self._pending: list[Future[Result]] = []
        self._open = executor or _thread
        self._executors: dict[str, Executor] = {}

    def release(self, effects: list[Effect]) -> None:
        """Hand effects out. Their intents must be durable."""
        for effect in effects:
            if effect.skill not in self._executors:
                self._executors[effect.skill] = self._open()
            self._pending.append(self._executors[effect.skill].submit(self._perform, effect))

    def take(self, *, wait: bool = False) -> list[Result]:
        """Return results that are in. Order: issue.

        Args:
            wait: Wait for at least one although order does not matter, because nothing else is left to do.
        """
        if self._in_order:
            ready, self._pending = self._pending, []
        else:
            if wait and self._pending and not any(future.done() for future in self._pending):
                self._pending[0].result()
            states = [(future, future.done()) for future in self._pending]
            ready = [future for future, done in states if done]
            self._pending = [future for future, done in states if not done]
        return [future.result() for future in ready]

    @property
    def waiting(self) -> bool:
        """Whether an effect is out."""
        return bool(self._pending)

    def close(self) -> None:
        """Let the performers' threads go."""
        for executor in self._executors.values():
            executor.shutdown(wait=False, cancel_futures=True)

    def _perform(self, effect: Effect) -> Result:
        performer = self._performers.get(effect.skill)
        if performer is None:
            text = f"no performer for skill {effect.skill!r} on this host"
            return Result(effect.number, Refusal.UNSUPPORTED, Encoding.BYTES, text.encode())
        try:
            return _checked(effect, performer.perform(effect))
        except TickworkError as error:
            return Result(effect.number, Refusal.FAILED, Encoding.BYTES, error.what.encode())
        except Exception as error:  # noqa: BLE001 - Any fault of a performer is the effect's result, never the run's end.
            return Result(effect.number, Refusal.FAILED, Encoding.BYTES, type(error).__name__.encode())


def _checked(effect: Effect, result: Result) -> Result:
    """Return a performer's result, or a failure in place of one that could not enter the run as this effect's."""
    known = result.code == 0 or result.code in Refusal._value2member_map_
    if result.number == effect.number and known and 0 <= result.encoding <= MAX_ENCODING:
        return Result(effect.number, int(result.code), int(result.encoding), bytes(result.body))
    return Result(effect.number, Refusal.FAILED, Encoding.BYTES, b"the performer gave a result that is none")
