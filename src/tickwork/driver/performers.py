"""Performers: what carries an effect out once it may leave.

Invariants:
    * A performer sees an effect at least once. Its key is the same every time, so a receiver can tell a repetition.
    * Whatever a performer raises becomes a result; it never reaches the run.
    * A result's body names no path, host or time: it enters the run as an input.
    * An effect that is parked holds no thread. Whoever performs it is asked again, with the same key, until there is
      a result.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from ..errors import TickworkError
from ..records import Effect, Encoding, ModelNote, Refusal, Result

MAX_NAME_BYTES: Final = 200
MAX_ENCODING: Final = 0xFFFF


class Parked(msgspec.Struct, frozen=True):
    """What a performer gives for an effect that waits for a person, a time or another run.

    Attributes:
        due_us: When it is to be asked again, if nobody wakes it before; 0 for never. Units: microseconds since 1970.
    """

    due_us: int = 0


class Performer(Protocol):
    """Carries out the effects of one skill."""

    def perform(self, effect: Effect) -> Result | Parked:
        """Return what came of it, or that nothing came of it yet. May block; may raise."""
        ...


@runtime_checkable
class BatchPerformer(Protocol):
    """Carries out several effects of one skill at once."""

    def perform_all(self, effects: Sequence[Effect]) -> list[Result]:
        """Return what came of each. Order: as given. May block; may raise, and then all of them have failed."""
        ...


class Terms(msgspec.Struct, frozen=True):
    """How the effects of one skill are handed out.

    Attributes:
        waited: Whether the results of a tick's effects enter the next tick, however long they take.
        most: Effects of one tick that are handed out together, where the performer can take several.
        lanes: Effects that are performed beside each other.
        inline: Whether they are performed where they are released, by no thread of their own.
    """

    waited: bool
    most: int = 1
    lanes: int = 1
    inline: bool = False


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


Given = Result | Parked


class _Done(msgspec.Struct, frozen=True, eq=False):
    """What came of effects that were performed where they were released. A future would cost more than many of them."""

    given: list[Given]

    def done(self) -> bool:
        return True

    def result(self) -> list[Given]:
        return self.given


def _threads(count: int) -> Executor:
    return ThreadPoolExecutor(count, thread_name_prefix="tickwork-performer")


class _Sent(msgspec.Struct, frozen=True):
    """An effect that is out: what came of it is at ``place`` of what the future gives."""

    future: Future[list[Given]] | _Done
    place: int
    waited: bool
    effect: Effect


def _is_parked(sent: _Sent) -> bool:
    return isinstance(sent.future.result()[sent.place], Parked)


class Dispatch:
    """Releases effects to performers and collects results.

    A tick's results that are waited for are given back in issue order, so that arrival depends on nothing; of the
    others whatever is finished is given back, and the journal records when it came. The effects of one skill are
    begun in issue order, one after the other or in several lanes, those of several skills beside each other.

    Args:
        in_order: Whether the results of skills are waited for that have no terms of their own.
        executor: Makes what runs a skill's performer, at its first effect; None makes a thread for each of its lanes.
        terms: By skill.
        told: Called, from any thread, whenever an effect that is not inline has been performed.
    """

    def __init__(
        self,
        performers: Mapping[str, Performer],
        *,
        in_order: bool,
        executor: Callable[[], Executor] | None = None,
        terms: Mapping[str, Terms] | None = None,
        told: Callable[[], None] | None = None,
    ) -> None:
        self._performers = performers
        self._usual = Terms(in_order)
        self._terms = dict(terms or {})
        self._batching = any(agreed.most > 1 for agreed in self._terms.values())
        self._pending: list[_Sent] = []
        self._open = executor
        self._told = told
        self._executors: dict[str, Executor] = {}
        self._parked: dict[int, tuple[Effect, Parked]] = {}
        self._awaited: Future[list[Given]] | _Done | None = None
        self._urgent: set[int] = set()

    def agree(self, skill: str, terms: Terms) -> None:
        """Set the terms of a skill for the effects that are released from now on."""
        self._terms[skill] = terms
        self._batching = self._batching or terms.most > 1

    def release(self, effects: Sequence[Effect]) -> None:
        """Hand effects out. Those that change something outside must be durable."""
        if not self._batching:
            self._pending += [self._send(effect) for effect in effects]
            return
        sent: dict[int, _Sent] = {}
        for batch in self._batches(effects):
            agreed = self._terms.get(batch[0].skill, self._usual)
            future = self._start(batch, agreed)
            for place, effect in enumerate(batch):
                sent[effect.number] = _Sent(future, place, agreed.waited, effect)
        self._pending += [sent[effect.number] for effect in effects]

    def _send(self, effect: Effect) -> _Sent:
        """Hand an effect out by itself."""
        agreed = self._terms.get(effect.skill, self._usual)
        return _Sent(self._start((effect,), agreed), 0, agreed.waited, effect)

    def _start(self, batch: Sequence[Effect], terms: Terms) -> Future[list[Given]] | _Done:
        """Have effects performed together: here and now where they are inline, else by a thread."""
        if terms.inline:
            return _Done(self._perform(*batch))
        skill = batch[0].skill
        if skill not in self._executors:
            self._executors[skill] = self._open() if self._open is not None else _threads(terms.lanes)
        future = self._executors[skill].submit(self._perform, *batch)
        if self._told is not None:
            told = self._told
            future.add_done_callback(lambda _: told())
        return future

    def _batches(self, effects: Sequence[Effect]) -> Iterator[list[Effect]]:
        """Yield effects that are performed together. Order: of their first ones, and in each as issued.

        Law: a batch holds effects of one tick and of one version of a model, whenever it is released.
        """
        open_: dict[tuple[str, int, bytes], list[Effect]] = {}
        batches: list[list[Effect]] = []
        for effect in effects:
            most = self._terms.get(effect.skill, self._usual).most
            if most > 1 and isinstance(self._performers.get(effect.skill), BatchPerformer):
                kin = (effect.skill, effect.tick, effect.model)
                if kin not in open_ or len(open_[kin]) >= most:
                    open_[kin] = []
                    batches.append(open_[kin])
                open_[kin].append(effect)
            else:
                batches.append([effect])
        yield from batches

    def take(self, *, wait: bool = False) -> list[Result]:
        """Return results that are in. Order: issue.

        Args:
            wait: Wait for at least one although none has to be waited for, because nothing else is left to do.
        """
        if wait and not self.await_result():
            return []
        # A batch that is finished between two looks must not give back its second half alone.
        awaited, self._awaited = self._awaited, None
        done = {sent.future: sent.waited or sent.future is awaited or sent.future.done() for sent in self._pending}
        ready = [sent for sent in self._pending if done[sent.future]]
        if ready:
            self._pending = [sent for sent in self._pending if not done[sent.future]]
        return self._sift(ready)

    def await_result(self) -> bool:
        """Wait until a result is in. Returns False where there will be none before a parked effect is woken."""
        while not self.look():
            if not self._pending:
                return False
            first = self._pending[0]
            if not isinstance(first.future.result()[first.place], Parked):
                self._awaited = first.future
                return True
            self._pending = self._pending[1:]
            self._sift([first])
        return True

    def look(self) -> bool:
        """Return whether a result is in, waiting for none, and set aside what turns out to be parked."""
        done = [sent for sent in self._pending if sent.future.done()]
        for sent in done:
            if not isinstance(sent.future.result()[sent.place], Parked):
                return True
        if done:
            parked = {sent.effect.number for sent in done}
            self._pending = [sent for sent in self._pending if sent.effect.number not in parked]
            self._sift(done)
        return False

    def set_aside(self) -> None:
        """Set aside what has turned out to be parked, whatever else is in."""
        parked = [sent for sent in self._pending if sent.future.done() and _is_parked(sent)]
        if parked:
            self._pending = [sent for sent in self._pending if sent not in parked]
            self._sift(parked)

    @property
    def held(self) -> bool:
        """Whether ``take`` would wait for a result that has to enter the next tick and is not in."""
        return bool(self._pending) and any(sent.waited and not sent.future.done() for sent in self._pending)

    @property
    def urgent(self) -> bool:
        """Whether a result is in that enters the next tick whatever else is waited for."""
        return bool(self._urgent) and any(self._is_urgent(sent) for sent in self._pending)

    def take_urgent(self) -> list[Result]:
        """Return such results, and leave all others where they are. Order: issue."""
        ready = [sent for sent in self._pending if self._is_urgent(sent)]
        if ready:
            self._pending = [sent for sent in self._pending if not self._is_urgent(sent)]
        return self._sift(ready)

    def _is_urgent(self, sent: _Sent) -> bool:
        return sent.effect.number in self._urgent and sent.future.done()

    def _sift(self, ready: Sequence[_Sent]) -> list[Result]:
        """Return the results among what came of effects, and set those effects aside that are parked."""
        results: list[Result] = []
        if self._urgent:
            self._urgent.difference_update(sent.effect.number for sent in ready)
        for sent in ready:
            given = sent.future.result()[sent.place]
            if isinstance(given, Parked):
                self._parked[sent.effect.number] = sent.effect, given
            else:
                results.append(given)
        return results

    @property
    def waiting(self) -> bool:
        """Whether an effect is out."""
        return bool(self._pending)

    @property
    def parked(self) -> Mapping[int, tuple[Effect, Parked]]:
        """The effects that are parked, by number."""
        return self._parked

    def park(self, effect: Effect) -> None:
        """Set an effect aside that nobody is to perform before it is woken."""
        self._parked[effect.number] = effect, Parked()

    def wake(self, numbers: Collection[int], *, urgent: Collection[int] = ()) -> None:
        """Hand parked effects out again. Order: issue.

        Args:
            urgent: Those of them whose results are let in whatever else is waited for.
        """
        self._urgent.update(number for number in urgent if number in self._parked)
        self.release([self._parked.pop(number)[0] for number in sorted(numbers) if number in self._parked])

    def withdraw(self, numbers: Collection[int]) -> list[Effect]:
        """Return parked effects of which nobody wants a result any more, and forget them. Order: issue."""
        return [self._parked.pop(number)[0] for number in sorted(numbers) if number in self._parked]

    def out(self) -> list[Effect]:
        """Return the effects that are out and have no result yet. Order: issue."""
        return [sent.effect for sent in self._pending if not sent.future.done()]

    def give_up(self, numbers: Collection[int]) -> None:
        """Forget effects that are out. One that has begun goes on for itself, and nobody looks what comes of it."""
        for sent in self._pending:
            if sent.effect.number in numbers and isinstance(sent.future, Future):
                sent.future.cancel()
        self._pending = [sent for sent in self._pending if sent.effect.number not in numbers]

    def loosen(self, numbers: Collection[int]) -> None:
        """Let the results of effects enter when they come; nothing waits for them any more."""
        self._pending = [
            msgspec.structs.replace(sent, waited=False) if sent.effect.number in numbers else sent
            for sent in self._pending
        ]

    def close(self) -> None:
        """Let the performers' threads go."""
        for executor in self._executors.values():
            executor.shutdown(wait=False, cancel_futures=True)

    def _perform(self, *effects: Effect) -> list[Given]:
        """Return the results of effects that are performed together."""
        performer = self._performers.get(effects[0].skill)
        if performer is None:
            text = f"no performer for skill {effects[0].skill!r} on this host"
            return [Result(effect.number, Refusal.UNSUPPORTED, Encoding.BYTES, text.encode()) for effect in effects]
        try:
            if len(effects) == 1:
                return [_checked(effects[0], performer.perform(effects[0]))]
            assert isinstance(performer, BatchPerformer), "only such a performer is given several effects"
            return [*_together(effects, _matched(effects, performer.perform_all(effects)))]
        except TickworkError as error:
            text = error.what
        except (Exception, SystemExit) as error:  # noqa: BLE001 - A performer's fault is its result, never the run's end.
            text = type(error).__name__
        failed = [Result(effect.number, Refusal.FAILED, Encoding.BYTES, text.encode()) for effect in effects]
        return [*(failed if len(failed) == 1 else _together(effects, failed))]


def _together(effects: Sequence[Effect], results: Sequence[Result]) -> list[Result]:
    """Return results that say which batch they are of."""
    return [msgspec.structs.replace(result, batch=effects[0].number) for result in results]


def _matched(effects: Sequence[Effect], results: Sequence[Result]) -> list[Result]:
    """Return a batch's results; where they are too few or too many, none of them can be told whose it is."""
    if len(results) == len(effects):
        return [_checked_result(effect, result) for effect, result in zip(effects, results, strict=True)]
    return [_unusable(effect) for effect in effects]


def _checked(effect: Effect, given: Given) -> Given:
    """Return what a performer gave, or a failure in place of what is neither a result nor parked."""
    if isinstance(given, Parked):
        return Parked(max(0, int(given.due_us)))
    return _checked_result(effect, given)


def _checked_result(effect: Effect, result: Result) -> Result:
    """Return a performer's result, or a failure in place of one that could not enter the run as this effect's."""
    known = result.code == 0 or result.code in Refusal._value2member_map_
    if result.number == effect.number and known and 0 <= result.encoding <= MAX_ENCODING:
        notes: tuple[object, ...] = result.notes
        kept = tuple(note for note in notes if isinstance(note, ModelNote)) if notes else ()
        return Result(effect.number, int(result.code), int(result.encoding), bytes(result.body), kept)
    return _unusable(effect)


def _unusable(effect: Effect) -> Result:
    return Result(effect.number, Refusal.FAILED, Encoding.BYTES, b"the performer gave a result that is none")
