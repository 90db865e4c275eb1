"""An asker without a model: it answers by rule, keeps account of what it was asked, and can be told to refuse."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.unit.driver.troupe import Memory, acting, options, spec, stage
from tickwork.driver.options import Options
from tickwork.driver.resolve import World
from tickwork.errors import TickworkError
from tickwork.infer.asking import Incident, Inference, Reply, Wanted
from tickwork.infer.fingerprint import Fingerprint
from tickwork.infer.manifest import ModelConfig
from tickwork.native import Context, Outbox
from tickwork.records import Encoding, FrameKind, Message, ModelSpec

MODEL = bytes(range(32))
"""Digest of the model that the worlds of this file pin."""


class Oracle:
    """Answers a request with itself backwards; ``refusals`` says which requests get another code and text.

    Attributes:
        asked: The bodies of each call. Order: calls.
        loads: What was to be loaded.
    """

    def __init__(
        self,
        *,
        refusals: Mapping[bytes, tuple[int, bytes]] | None = None,
        fault: TickworkError | None = None,
        build: str = "oracle 1",
        before: Callable[[], None] | None = None,
    ) -> None:
        self.refusals = dict(refusals or {})
        self.fault = fault
        self.build = build
        self.before = before
        self.asked: list[tuple[bytes, ...]] = []
        self.wanted: list[Wanted] = []
        self.deadlines: list[int] = []
        self.loads: list[Wanted] = []
        self.incidents: tuple[Incident, ...] = ()
        self.closed = 0

    def __call__(self) -> "Oracle":
        """Serve as the factory too."""
        return self

    def fingerprint(self, wanted: Wanted) -> Fingerprint:
        return Fingerprint(wanted.model, wanted.profile, self.build, b"", "cpu", (), "any", "any", b"")

    def load(self, wanted: Wanted, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        self.loads.append(wanted)
        if self.fault is not None:
            raise self.fault
        return self.fingerprint(wanted), ModelConfig(name="oracle", version="1")

    def ask(
        self,
        wanted: Wanted,
        body: bytes,
        *,
        encoding: int = Encoding.TENSOR,
        deadline_ms: int = 30_000,
        tick: int = 0,
    ) -> Reply:
        return self.ask_batch(wanted, [body], encodings=[encoding], deadline_ms=deadline_ms, tick=tick)[0]

    def ask_batch(
        self,
        wanted: Wanted,
        bodies: Sequence[bytes],
        *,
        encodings: Sequence[int],
        deadline_ms: int = 30_000,
        tick: int = 0,
    ) -> list[Reply]:
        if self.before is not None:
            self.before()
        self.asked.append(tuple(bodies))
        self.wanted.append(wanted)
        self.deadlines.append(deadline_ms)
        took = Inference("oracle:1", "cpu", wanted.profile, len(bodies), 1, 2, 3, 4)
        incidents, self.incidents = self.incidents, ()
        replies = list[Reply]()
        for body, encoding in zip(bodies, encodings, strict=True):
            code, text = self.refusals.get(body, (0, b""))
            answer, form = (text, int(Encoding.BYTES)) if code else (body[::-1], encoding)
            replies.append(Reply(code, form, answer, None, self.fingerprint(wanted), took, incidents))
        return replies

    def close(self) -> None:
        self.closed += 1


def consulting(
    model: ModelSpec, *, asks: int = 2, askers: int = 1, turns: int = 2, ticks: int = 12, **fields: Any
) -> World:
    """Return agents that ask a model so often in each of their first turns and keep what they hear."""

    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        heard = [item for item in inbox if item.kind in (FrameKind.RESULT, FrameKind.ERROR)]
        for item in heard:
            outbox.log(f"{FrameKind(item.kind).name} {item.body[-40:]!r}")
        if state.turns < turns:
            outbox.sleep(0)
            for number in range(asks):
                body = b"%s/%d/%d" % (context.name.encode(), state.turns, number)
                outbox.infer(model.name, body, encoding=Encoding.TENSOR)

    actors = {spec(f"asker{number}", models=(model.name,)): acting(step) for number in range(askers)}
    return stage(actors, ticks=ticks, models=(model,), **fields)


def asking_options(oracle: Oracle, **fields: Any) -> Options:
    """Return options of the troupe under which models are asked of an oracle."""
    return options(asker=oracle, **fields)
