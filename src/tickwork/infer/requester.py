"""Asks models over the processes that run them.

Invariants:
    * A request is pure, so whatever is lost on the way is asked again: a worker that was told to go, one that crashed,
      a host that was killed. What crashes two workers is refused.
    * Nothing waits longer than its deadline and what ending a process takes.
    * No text of a library reaches a reply's body.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..clock import Clock, SystemClock
from ..errors import (
    ModelCrashed,
    ModelHostLost,
    ModelInputInvalid,
    ModelNotFound,
    ModelQueueFull,
    ModelsMissing,
    ModelTimeout,
    ModelTooLarge,
    ProviderMissing,
    TickworkError,
)
from ..records import Encoding, NoteKind, Refusal
from . import wire
from .asking import Incident, Inference, Reply, Wanted
from .calling import HostSlow, Line
from .channel import ChannelClosed, ChannelSlow
from .fingerprint import Fingerprint
from .link import Link
from .manifest import ModelConfig

ATTEMPTS: Final = 24
"""Connections that may end under one request, by other requests' faults and by evictions, before it is given up."""

LINKS_KEPT: Final = 64
"""Idle connections to one model that are kept."""

REFUSALS: Final[dict[type[TickworkError], Refusal]] = {
    ModelInputInvalid: Refusal.BAD_MESSAGE,
    ModelTooLarge: Refusal.NO_MEMORY,
    ModelTimeout: Refusal.TIMEOUT,
    ModelQueueFull: Refusal.CONFLICT,
    ProviderMissing: Refusal.UNSUPPORTED,
    ModelsMissing: Refusal.UNSUPPORTED,
    ModelNotFound: Refusal.NOT_FOUND,
}
"""What an agent is told, by error; all others are FAILED."""


class _Asked(msgspec.Struct, frozen=True):
    """One request, or one batch.

    Attributes:
        body: What travels; of a batch, a list of encoding and body each.
        count: Replies that are owed.
    """

    wanted: Wanted
    kind: int
    encoding: int
    body: bytes
    tick: int
    deadline_ns: int
    count: int

    @property
    def digest(self) -> bytes:
        """What the host knows the request by. Shape: 32 bytes."""
        return hashlib.sha256(bytes((self.kind, self.encoding)) + self.body).digest()


class Requester:
    """Asks models. Any number of threads may ask at once: each request in flight has a connection of its own.

    Args:
        setup: What a host is started with, when it is first needed.
        address: The socket of a host that is there already, instead of one of its own.
        told: Called with each inference, by the thread that asked.
    """

    def __init__(
        self,
        setup: wire.Setup,
        *,
        address: Path | None = None,
        told: Callable[[Inference], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._line = Line(setup, address, self._clock)
        self._told = told
        self._load_ns = (2 * setup.load_ms + 30_000) * 1_000_000
        self._lock = threading.Lock()
        self._idle: dict[Wanted, list[Link]] = {}
        self._closed = False

    @property
    def host_pid(self) -> int:
        """Number of the host's process; 0 where there is none, or none of ours."""
        return self._line.pid

    def load(self, wanted: Wanted, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        """Load a model, or find it loaded, and return what it computes with and what it takes.

        Raises:
            ModelError: TW6001 to TW6015.
        """
        try:
            link = self._line.connect(wanted, tick, self._clock.elapsed_ns() + self._load_ns)
        except HostSlow:
            raise ModelTimeout(
                "a model was not loaded in time", fix="raise the host's time for loading, or load fewer at once"
            ) from None
        self._keep(wanted, link)
        return link.fingerprint, link.config

    def ask(
        self,
        wanted: Wanted,
        body: bytes,
        *,
        encoding: int = Encoding.TENSOR,
        deadline_ms: int = 30_000,
        tick: int = 0,
    ) -> Reply:
        """Run a model on one request. Never raises for what the model, its worker or the request is at fault for."""
        deadline_ns = self._clock.elapsed_ns() + deadline_ms * 1_000_000
        return self._ask(_Asked(wanted, wire.ASK, encoding, body, tick, deadline_ns, 1))[0]

    def ask_batch(
        self,
        wanted: Wanted,
        bodies: Sequence[bytes],
        *,
        encodings: Sequence[int],
        deadline_ms: int = 30_000,
        tick: int = 0,
    ) -> list[Reply]:
        """Run a model once on several requests, joined along the first dimension. Order: as given."""
        if not bodies:
            return []
        deadline_ns = self._clock.elapsed_ns() + deadline_ms * 1_000_000
        body = msgspec.msgpack.encode(list(zip(encodings, bodies, strict=True)))
        asked = _Asked(wanted, wire.ASK_BATCH, Encoding.MSGPACK, body, tick, deadline_ns, len(bodies))
        return self._ask(asked)

    # --- one request -------------------------------------------------------------------------------------------------

    def _ask(self, asked: _Asked) -> list[Reply]:
        incidents = list[Incident]()
        for _ in range(ATTEMPTS):
            try:
                link = self._link(asked)
            except HostSlow:
                return self._refuse(asked, _late(), incidents)
            except TickworkError as error:
                return self._refuse(asked, error, incidents)
            if link.refused and asked.digest in link.refused:
                self._keep(asked.wanted, link)
                return self._refuse(asked, _quarantined("it ended workers before"), incidents)
            try:
                replies = link.ask(asked.kind, asked.encoding, asked.body, asked.tick, asked.deadline_ns)
                if replies is not None and len(replies) not in {1, asked.count}:
                    raise ChannelClosed
            except (ChannelClosed, ChannelSlow):
                link.close()
                try:
                    refusal = self._bury(asked, link, incidents)
                except HostSlow:
                    refusal = _late()
                except TickworkError as error:
                    refusal = error
                if refusal is not None:
                    return self._refuse(asked, refusal, incidents)
                continue
            if replies is None:
                link.close()
                self._expire(link)
                return self._refuse(asked, _late(), incidents)
            if replies[0].code == Refusal.NO_MEMORY:
                # Its shared memory has grown for what was too much, and would stay as large.
                link.close()
            else:
                self._keep(asked.wanted, link)
            if incidents:
                self._absolve(asked, incidents)
            return self._finish(asked, replies, incidents)
        ended = ModelCrashed("a model's worker ended again and again", fix="see what ends it: tickwork models list")
        return self._refuse(asked, ended, incidents)

    def _link(self, asked: _Asked) -> Link:
        """Return a connection that nobody uses."""
        idle = self._idle.get(asked.wanted)
        if idle:
            try:
                return idle.pop()
            except IndexError:
                # Another thread was quicker.
                pass
        return self._line.connect(asked.wanted, asked.tick, asked.deadline_ns)

    def _keep(self, wanted: Wanted, link: Link) -> None:
        idle = self._idle.get(wanted)
        if idle is None:
            with self._lock:
                idle = self._idle.setdefault(wanted, [])
        if self._closed or len(idle) >= LINKS_KEPT:
            link.close()
        else:
            idle.append(link)

    def _bury(self, asked: _Asked, link: Link, incidents: list[Incident]) -> TickworkError | None:
        """Learn why a connection ended; return an error if the request is not to be asked again."""
        fate = self._line.ask(wire.Ask(link.worker, link.number, asked.digest), asked.deadline_ns)
        assert isinstance(fate, wire.Fate)
        if fate.crashed:
            incidents.append(Incident(NoteKind.CRASH, f"the worker ended by {fate.text}"))
        elif fate.told:
            incidents.append(Incident(NoteKind.EVICTED, fate.text))
        if fate.refused:
            return _quarantined(f"the last worker ended by {fate.text}")
        return _late() if self._clock.elapsed_ns() >= asked.deadline_ns else None

    def _absolve(self, asked: _Asked, incidents: list[Incident]) -> None:
        """Have the host forget that a worker ended during a request that was answered after all."""
        if any(one.kind == NoteKind.CRASH for one in incidents):
            try:
                self._line.ask(wire.Absolve(asked.wanted.model, asked.digest), self._clock.elapsed_ns() + _PATIENCE_NS)
            except (HostSlow, ModelHostLost):
                # A host that was lost has forgotten it by itself.
                return

    def _expire(self, link: Link) -> None:
        """Have a worker ended whose run is past its deadline."""
        try:
            self._line.ask(wire.Expire(link.worker, link.number), self._clock.elapsed_ns() + _PATIENCE_NS)
        except (HostSlow, ModelHostLost):
            # The worker ends itself, later.
            return

    def _refuse(self, asked: _Asked, error: TickworkError, incidents: list[Incident]) -> list[Reply]:
        code = REFUSALS.get(type(error), Refusal.FAILED)
        inference = Inference("", "", asked.wanted.profile, asked.count, 0, 0, 0, 0, code)
        reply = Reply(code, Encoding.BYTES, error.what.encode(), error=error, inference=inference)
        return self._finish(asked, [reply], incidents)

    def _finish(self, asked: _Asked, replies: list[Reply], incidents: list[Incident]) -> list[Reply]:
        """Return as many replies as are owed, the first with what happened on the way, and tell of the inference."""
        if len(replies) < asked.count:
            replies = replies * asked.count
        if incidents:
            first = replies[0]
            replies[0] = msgspec.structs.replace(first, incidents=(*incidents, *first.incidents))
        if self._told is not None and replies[0].inference is not None:
            self._told(msgspec.structs.replace(replies[0].inference, rows=asked.count))
        return replies

    # --- the host ----------------------------------------------------------------------------------------------------

    def question(self, question: wire.Question) -> wire.Answer:
        """Ask the host itself.

        Raises:
            ModelHostLost: TW6009.
            ModelTimeout: TW6006, it does not answer.
        """
        try:
            return self._line.ask(question, self._clock.elapsed_ns() + self._load_ns)
        except HostSlow:
            raise ModelTimeout("the host does not answer", fix="end it, and start it again") from None

    def close(self) -> None:
        """Let go of the host; one that was started here ends."""
        self._closed = True
        with self._lock:
            links = [link for idle in self._idle.values() for link in idle]
            self._idle.clear()
        for link in links:
            link.close()
        self._line.close()


_PATIENCE_NS: Final = 2_000_000_000


def _late() -> ModelTimeout:
    return ModelTimeout(wire.LATE, fix="give it more time, or a smaller request")


def _quarantined(why: str) -> ModelCrashed:
    return ModelCrashed(
        "the request ends the model's worker process",
        why=why,
        fix="ask with other values: this request is not run again",
    )
