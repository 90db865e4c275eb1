"""A seat for one agent of the repository: its module in a real pool, one turn at a time."""

import functools
from pathlib import Path

from tickwork.codec import decode_frames, encode_frame
from tickwork.records import DIRECT, OUTSIDE, Encoding, FrameKind, Limits, Message, Operation, Outcome, Status, Turn
from tickwork.sandbox.compile_child import Request, describe, prepare, translate
from tickwork.sandbox.pool import InlinePool, Program

ROOT = Path(__file__).resolve().parents[3]
MODULES = ROOT / "tests" / "modules"
WEATHER = ROOT / "examples" / "weather" / "modules"


@functools.cache
def compiled(path: Path) -> bytes:
    """Return what admission makes of a module, made in this process."""
    request = Request(path.name, "speed", path.read_bytes())
    module, rewritten = prepare(request)
    return describe(request, module, rewritten, translate(request, rewritten))


def frame(body: bytes, *, kind: int = FrameKind.MESSAGE, source: int = 3, destination: int = DIRECT) -> bytes:
    """Return a frame of an inbox."""
    return encode_frame(kind, Encoding.BYTES, source, destination, 0, 0, body)


class Seat:
    """An agent that has been initialized.

    Args:
        number: The agent's number in its imagined run.
        seed: The seed of its first turn; each turn adds one.
    """

    def __init__(
        self, path: Path, config: bytes = b"{}", *, number: int = 0, seed: int = 7, limits: Limits | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.number, self.seed, self.tick = number, seed, 0
        self.pool = InlinePool()
        self.pool.place(Program(number, compiled(path), self.limits))
        first = frame(config, kind=FrameKind.CONFIG, source=OUTSIDE)
        self.began = self._run(Operation.INIT, (first,))

    def _run(self, operation: int, frames: tuple[bytes, ...]) -> Outcome:
        inbox = b"".join(frames)
        turn = Turn(self.number, operation, self.tick, self.seed + self.tick, self.limits.fuel, 0, len(frames), inbox)
        [outcome] = self.pool.compute([turn])
        return outcome

    def outcome(self, *frames: bytes) -> Outcome:
        """Return what the next turn came to."""
        outcome = self._run(Operation.STEP, frames)
        self.tick += 1
        return outcome

    def turn(self, *frames: bytes) -> list[Message]:
        """Return the frames that the next turn left."""
        outcome = self.outcome(*frames)
        assert outcome.status == Status.OK, outcome
        return list(decode_frames(outcome.outbox))

    def shutdown(self) -> list[Message]:
        """Return the frames that the last turn left."""
        return list(decode_frames(self._run(Operation.SHUTDOWN, ()).outbox))

    def close(self) -> None:
        """Let the agent go."""
        self.pool.close()
