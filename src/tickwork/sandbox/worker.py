"""A worker: a process that runs agents for a pool, and nothing else.

It reads frames from one pipe and answers on another. It loads code and never compiles any. It keeps no secret, opens
no file for writing and no socket, and ends when its pipe does.
"""

import signal
from typing import IO

import msgspec

from ..errors import InternalError, TickworkError
from . import wire
from .child import take_pipes
from .compiled import Program
from .confine import confine
from .image import decode_image, encode_image
from .inline import InlinePool
from .probes import ready_engine
from .windows import hash_written


def main() -> None:
    """Serve until the pipe ends."""
    source, sink = take_pipes()
    # The parent decides what an interrupt means: it lets the tick finish or ends the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ready_engine("speed")
        worker = Worker()
        confine()
        _answer(sink, wire.READY)
        while (frame := wire.read_frame(source)) is not None:
            answer = worker.take(*frame)
            if answer is not None:
                _answer(sink, wire.ANSWER, *answer)
    except TickworkError as error:
        _answer(sink, wire.FAILURE, wire.encode_failure(error))
    except BrokenPipeError:
        return


def _answer(sink: IO[bytes], kind: int, *parts: bytes) -> None:
    wire.write_frame(sink, kind, *parts)
    sink.flush()


class Worker:
    """The pool of one worker, driven by frames."""

    def __init__(self) -> None:
        self._pool = InlinePool()
        self._codes: dict[bytes, bytes] = {}

    def take(self, operation: int, payload: bytes) -> list[bytes] | None:
        """Do what a frame asks; return the answer in parts, or None where none is expected."""
        if operation == wire.COMPUTE:
            return self._compute(payload)
        if operation == wire.IMAGE:
            return [self._pool.image(wire.decode_agents(payload)[0])]
        if operation == wire.CARRY:
            turn, placed = wire.decode_carry(payload)
            carried, made = self._pool.carry(turn, self._program(placed))
            return list(wire.encode_outcome(carried, encode_image(made) if made is not None else b""))
        if operation == wire.MODULE:
            self._codes[payload[:32]] = payload[32:]
        elif operation == wire.PLACE:
            placed = msgspec.msgpack.decode(payload, type=wire.Placement)
            self._pool.place(self._program(placed))
        elif operation == wire.RESTORE:
            agent, image, turns, undoable = wire.decode_restore(payload)
            found = decode_image(image) if image else None
            self._pool.slot(agent).ledger.restore(found, turns, undoable=undoable)
        elif operation == wire.ROLLBACK:
            self._pool.rollback(wire.decode_agents(payload))
        elif operation == wire.RESET:
            self._pool.reset(wire.decode_agents(payload))
        elif operation == wire.RETIRE:
            self._pool.retire(wire.decode_agents(payload))
        else:
            raise InternalError(f"a worker was sent operation {operation}")
        return None

    def _program(self, placed: wire.Placement) -> Program:
        return Program(placed.agent, self._codes[placed.code], placed.limits, placed.source)

    def _compute(self, payload: bytes) -> list[bytes]:
        parts = list[bytes]()
        for turn, imaged in wire.decode_turns(payload):
            slot = self._pool.slot(turn.agent)
            # The parent decides when an image is taken, so that both ledgers hold the same.
            slot.ledger.credit = 0 if imaged else 1
            before = slot.ledger.image
            outcome = slot.run(turn)
            if outcome.written:
                outcome = hash_written(outcome)
            taken = slot.ledger.image
            image = encode_image(taken) if taken is not None and taken is not before else b""
            parts.extend(wire.encode_outcome(outcome, image))
        return parts
