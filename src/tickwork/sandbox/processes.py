"""The pool of worker processes.

Invariants:
    * The parent keeps a ledger of every agent: image and turns since. A worker is disposable; one that dies or hangs
      is replaced and its agents are restored, and the turns it had not answered are computed again from the same
      state.
    * All workers are written to before any is read. A worker reads its whole batch before it computes, so that no two
      writers wait for each other.
    * Where an agent runs depends on its number and the number of workers alone, and no outcome depends on it.
"""

import functools
import hashlib
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import IO, Final

import msgspec

from ..errors import InternalError, WorkerLost
from ..records import Limits, Outcome, Turn
from . import wire
from .child import start_child
from .compiled import Compiled, Program, decode_compiled
from .image import Image, decode_image, encode_image, memory_bytes
from .instance import check_memory
from .slot import Ledger

ATTEMPTS: Final = 3
"""Workers that may fail in one call before the run is stopped."""

PATIENCE_S: Final = 30
SLOWEST_FUEL_PER_S: Final = 20_000_000
"""A watchdog allows each worker this pace; machines measured here do a hundred times as much."""


class _Lost(Exception):
    """A worker's pipe broke."""


class _Agent:
    """What the parent knows of an agent."""

    __slots__ = ("code", "ledger", "limits", "source")

    def __init__(self, code: bytes, limits: Limits, source: bytes) -> None:
        self.code = code
        self.limits = limits
        self.source = source
        self.ledger = Ledger[bytes]()


class _Worker:
    """A worker process and its pipes."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] = start_child("worker")
        self.codes = set[bytes]()

    def send(self, operation: int, payload: bytes) -> None:
        """Queue a frame.

        Raises:
            _Lost: The worker is gone.
        """
        try:
            wire.write_frame(self._to, operation, payload)
        except OSError as error:
            raise _Lost from error

    def flush(self) -> None:
        """Push queued frames out."""
        try:
            self._to.flush()
        except OSError as error:
            raise _Lost from error

    def receive(self) -> bytes:
        """Return the next answer.

        Raises:
            _Lost: The worker is gone.
            TickworkError: What the worker met.
        """
        while True:
            frame = wire.read_frame(self._from)
            if frame is None:
                raise _Lost
            kind, payload = frame
            if kind == wire.FAILURE:
                raise wire.decode_failure(payload)
            if kind == wire.ANSWER:
                return payload

    @property
    def _to(self) -> IO[bytes]:
        pipe = self._process.stdin
        assert pipe is not None
        return pipe

    @property
    def _from(self) -> IO[bytes]:
        pipe = self._process.stdout
        assert pipe is not None
        return pipe

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def kill(self) -> None:
        """End the process; whoever reads its pipe sees the end."""
        self._process.kill()

    def close(self) -> None:
        """End the process and free what it holds."""
        self._process.kill()
        for pipe in (self._to, self._from):
            try:
                pipe.close()
            except OSError:
                continue
        self._process.wait()


class _Watchdog:
    """Ends workers that do not answer. It counts waits of one second, so that nothing here reads a clock."""

    def __init__(self, bark: Callable[[], None]) -> None:
        self._bark = bark
        self._left = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tickwork-watchdog", daemon=True)
        self._thread.start()

    def allow(self, seconds: int) -> None:
        """Expect an answer within that time; 0 expects nothing."""
        self._left = seconds

    def close(self) -> None:
        """Stop watching."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(1.0):
            if self._left:
                self._left -= 1
                if not self._left:
                    self._bark()


class ProcessPool:
    """Runs agents in worker processes.

    Args:
        workers: How many; at least 1.
        patience_s: How long a worker may be silent beyond what its fuel allows.
    """

    def __init__(self, workers: int, *, patience_s: int = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._agents: dict[int, _Agent] = {}
        self._codes: dict[bytes, tuple[bytes, Compiled]] = {}
        self._sources: dict[bytes, bytes] = {}
        self._workers: list[_Worker | None] = [_Worker() for _ in range(workers)]
        self._watchdog = _Watchdog(self._kill_all)

    def _kill_all(self) -> None:
        for worker in self._workers:
            if worker is not None:
                worker.kill()

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers; for tests and for ``doctor``."""
        return [worker.pid for worker in self._workers if worker is not None]

    def place(self, program: Program) -> None:
        """Take an agent in, before its first turn."""
        if program.agent in self._agents:
            raise InternalError(f"agent {program.agent} is placed twice")
        agent = self._agents[program.agent] = _Agent(self._register(program), program.limits, program.source)
        self._tell(self._home(program.agent), lambda worker: self._introduce(worker, program.agent, agent))

    def _register(self, program: Program) -> bytes:
        """Return the digest under which workers know a program's code."""
        found = self._codes.get(program.compiled)
        if found is None:
            found = hashlib.sha256(program.compiled).digest(), decode_compiled(program.compiled)
            self._codes[program.compiled] = found
            self._sources[found[0]] = program.compiled
        check_memory(found[1], program.limits)
        return found[0]

    def _home(self, agent: int) -> int:
        return agent % len(self._workers)

    def _tell(self, home: int, what: Callable[[_Worker], None]) -> None:
        """Queue frames for a worker; one that is gone learns all of it when it is replaced."""
        worker = self._workers[home]
        if worker is None:
            return
        try:
            what(worker)
        except _Lost:
            self._bury(home)

    def _bury(self, home: int) -> None:
        worker = self._workers[home]
        if worker is not None:
            worker.close()
        self._workers[home] = None

    def _introduce(self, worker: _Worker, number: int, agent: _Agent) -> None:
        """Tell a worker all there is to know of an agent."""
        self._send_code(worker, agent.code)
        worker.send(wire.PLACE, msgspec.msgpack.encode(wire.Placement(number, agent.code, agent.limits, agent.source)))
        ledger = agent.ledger
        if ledger.image is not None or ledger.turns:
            kept = wire.encode_restore(number, ledger.image or b"", ledger.turns, undoable=ledger.undoable)
            worker.send(wire.RESTORE, kept)

    def _send_code(self, worker: _Worker, code: bytes) -> None:
        if code not in worker.codes:
            worker.send(wire.MODULE, code + self._sources[code])
            worker.codes.add(code)

    def _present(self, home: int) -> _Worker:
        """Return the worker, replaced if it is gone."""
        worker = self._workers[home]
        if worker is None:
            worker = self._workers[home] = _Worker()
            for number, agent in self._agents.items():
                if self._home(number) == home:
                    self._introduce(worker, number, agent)
        return worker

    def compute(self, turns: Sequence[Turn]) -> list[Outcome]:
        """Return the outcomes. Order: as given.

        Raises:
            WorkerLost: TW3102, workers failed three times; no turn of this call has happened.
        """
        batches: dict[int, list[int]] = {}
        for position, turn in enumerate(turns):
            batches.setdefault(self._home(turn.agent), []).append(position)
        outcomes: dict[int, Outcome] = {}
        try:
            self._compute(turns, batches, outcomes)
        except BaseException:
            # The whole batch has not happened. A worker with an unread answer cannot be used again.
            for home in batches:
                self._bury(home)
            self.rollback([turns[position].agent for position in outcomes])
            raise
        finally:
            self._watchdog.allow(0)
        return [outcomes[position] for position in range(len(turns))]

    def _compute(self, turns: Sequence[Turn], batches: dict[int, list[int]], outcomes: dict[int, Outcome]) -> None:
        failures = 0
        while batches:
            self._watchdog.allow(self._seconds(turns, batches))
            lost = set[int]()
            for home, positions in batches.items():
                try:
                    self._send(self._present(home), [turns[position] for position in positions])
                except _Lost:
                    lost.add(home)
            for home, positions in batches.items():
                if home not in lost:
                    try:
                        self._receive(self._present(home), turns, positions, outcomes)
                    except _Lost:
                        lost.add(home)
            for home in lost:
                self._bury(home)
            failures += len(lost)
            if failures >= ATTEMPTS:
                raise WorkerLost(
                    f"worker processes ended {failures} times in one tick",
                    why="the system killed them, or an agent's turn did not end; their own messages are above",
                    fix="look for memory shortage on this machine; the run stays as it was and can be resumed",
                )
            batches = {home: positions for home, positions in batches.items() if home in lost}

    def _seconds(self, turns: Sequence[Turn], batches: dict[int, list[int]]) -> int:
        most = max(sum(turns[position].fuel for position in positions) for positions in batches.values())
        return self._patience_s + most // SLOWEST_FUEL_PER_S

    def _send(self, worker: _Worker, turns: list[Turn]) -> None:
        agents = self._agents
        worker.send(wire.COMPUTE, wire.encode_turns((turn, agents[turn.agent].ledger.credit <= 0) for turn in turns))
        worker.flush()

    def _receive(
        self, worker: _Worker, turns: Sequence[Turn], positions: list[int], outcomes: dict[int, Outcome]
    ) -> None:
        answers = wire.decode_outcomes(worker.receive())
        for position, (outcome, image) in zip(positions, answers, strict=True):
            turn = turns[position]
            ledger = self._agents[turn.agent].ledger
            if image:
                ledger.keep(image, memory_bytes(image))
            if outcome.status:
                ledger.undoable = False
            else:
                ledger.add(turn, outcome.fuel)
            outcomes[position] = outcome

    def rollback(self, agents: Sequence[int]) -> None:
        """Take back the last turn of these agents."""
        undone = [agent for agent in agents if self._agents[agent].ledger.undo()]
        self._tell_each(wire.ROLLBACK, undone)

    def reset(self, agents: Sequence[int]) -> None:
        """Make these agents as before their first turn."""
        for agent in agents:
            self._agents[agent].ledger.clear()
        self._tell_each(wire.RESET, agents)

    def retire(self, agents: Sequence[int]) -> None:
        """Let go of these agents."""
        for agent in agents:
            del self._agents[agent]
        self._tell_each(wire.RETIRE, agents)

    def _tell_each(self, operation: int, agents: Sequence[int]) -> None:
        for home in range(len(self._workers)):
            here = [agent for agent in agents if self._home(agent) == home]
            if here:
                payload = wire.encode_agents(here)
                self._tell(home, functools.partial(_Worker.send, operation=operation, payload=payload))

    def image(self, agent: int) -> bytes:
        """Return the agent's state in canonical bytes."""
        return self._ask(agent, wire.IMAGE, wire.encode_agents([agent]), self._patience_s)

    def carry(self, turn: Turn, program: Program) -> tuple[Outcome, Image | None]:
        """Return what handing an agent's state to another version came to, and that version's image."""
        code = self._register(program)
        seconds = self._patience_s + (turn.fuel + program.limits.fuel) // SLOWEST_FUEL_PER_S
        asked = wire.encode_carry(turn, wire.Placement(program.agent, code, program.limits, program.source))
        ((outcome, image),) = wire.decode_outcomes(self._ask(turn.agent, wire.CARRY, asked, seconds, code))
        return outcome, decode_image(image) if image else None

    def _ask(self, agent: int, operation: int, payload: bytes, seconds: int, code: bytes = b"") -> bytes:
        """Return what the agent's worker answers, asked again if it ends meanwhile.

        Args:
            code: Digest of code that the worker needs for it, or nothing.
        """
        home = self._home(agent)
        try:
            for _ in range(ATTEMPTS):
                self._watchdog.allow(seconds)
                try:
                    worker = self._present(home)
                    if code:
                        self._send_code(worker, code)
                    worker.send(operation, payload)
                    worker.flush()
                    return worker.receive()
                except _Lost:
                    self._bury(home)
        except BaseException:
            self._bury(home)  # A worker with an unread answer cannot be used again.
            raise
        finally:
            self._watchdog.allow(0)
        raise WorkerLost("worker processes ended while an agent's image was taken", fix="look for memory shortage")

    def images(self, agents: Sequence[int]) -> list[Image]:
        """Return the states of these agents. Order: as given."""
        return [decode_image(self.image(agent)) for agent in agents]

    def restore(self, agent: int, image: Image) -> None:
        """Put an agent that has just been placed into the state of an image."""
        known, encoded = self._agents[agent], encode_image(image)
        known.ledger.restore(encoded, ())
        kept = wire.encode_restore(agent, encoded, (), undoable=False)
        self._tell(self._home(agent), lambda worker: worker.send(wire.RESTORE, kept))

    def close(self) -> None:
        """End all workers."""
        self._watchdog.close()
        for home in range(len(self._workers)):
            self._bury(home)
        self._agents.clear()
