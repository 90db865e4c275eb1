"""Reexecution: the recorded answers of models held against what the models answer now.

Invariants:
    * A model is asked exactly what it was asked: the same bytes, in the same batches, one thread.
    * Nothing is compared on a machine whose numerics are others: the refusal names what differs.
    * What did not come of a model is skipped and counted, never taken for equal.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import msgspec

from .. import codec
from ..errors import (
    ModelCrashed,
    ModelHostLost,
    ModelNotFound,
    ModelQueueFull,
    ModelTimeout,
    ModelTooLarge,
    ProviderMissing,
    ReexecutionRefused,
)
from ..infer.asking import Asker, Reply
from ..infer.fingerprint import Fingerprint, decode_fingerprint, differences
from ..journal.store import JournalReader
from ..kernel import State
from ..kernel.models import shown_model
from ..records import (
    INFER_PREFIX,
    Effect,
    Frame,
    Header,
    Input,
    InputKind,
    ModelNote,
    ModelSpec,
    NoteKind,
    Refusal,
)
from .compare import name_of
from .fold import Fold, open_machine
from .loop import EFFECT
from .models import ENCODINGS, FAST, ROW, Desk
from .opening import executing, read_header, reading
from .options import Options, Progress
from .resolve import World
from .windows import WindowStore, with_tensors

DEADLINE_MS: Final = 300_000
"""A machine that is slower than the recorded one has other deadlines, and no other answers."""

_COMPARABLE: Final = frozenset((0, int(Refusal.BAD_MESSAGE)))
"""Codes that follow from the request and the model alone."""

_PASSING: Final = (ModelCrashed, ModelHostLost, ModelQueueFull, ModelTimeout, ModelTooLarge, ProviderMissing)
"""Failures of this machine, which say nothing of the record."""

_Session = tuple[str, bytes, bytes]
"""A model's name, the version's digest, and the session that answered."""


class ModelTally(msgspec.Struct):
    """What came of the answers of one version.

    Attributes:
        equal: Answers that came out bit for bit.
        skipped: Answers that were not asked for again; ``reasons`` says why. Order: as first met.
    """

    model: str
    version: str
    digest: str
    equal: int = 0
    different: int = 0
    skipped: int = 0
    reasons: list[str] = []


class OtherAnswer(msgspec.Struct, frozen=True):
    """An answer that is another now.

    Attributes:
        tick: In which the recorded one entered.
        effect: Number of the request.
    """

    tick: int
    effect: int
    agent: str
    model: str
    what: str

    def sentence(self) -> str:
        """Return the difference as one line."""
        return f"tick {self.tick}, effect {self.effect} of agent {self.agent!r}, model {self.model!r}: {self.what}"


class Reexecution(msgspec.Struct, frozen=True):
    """What a reexecution found.

    Attributes:
        models: Order: by name, then as the versions were first asked.
        first: The first answer that is another now.
    """

    equal: bool
    models: tuple[ModelTally, ...]
    first: OtherAnswer | None = None


class _Asked(msgspec.Struct, frozen=True):
    """A request as it was handed out; without a body where its tensors are gone."""

    effect: Effect
    spec: ModelSpec


class _Answered(msgspec.Struct, frozen=True):
    """A recorded answer and what was asked."""

    tick: int
    asked: _Asked
    recorded: Input


def reexecute(
    source: Path | str | JournalReader,
    *,
    models: Collection[str] = (),
    world: World | None = None,
    options: Options | None = None,
) -> Reexecution:
    """Ask the models of a journal again and compare every answer of an exact profile bit for bit.

    The journal must have been verified: its turns are believed.

    Args:
        models: The models to ask; empty for all.
        world: Gives native agents that come from no file.

    Raises:
        ReexecutionRefused: TW6013, this machine's numerics are not those of the recorded answers, or a profile
            promises no bits.
        ModelNotFound: TW6001, the store lacks a version, or the run has no such model.
        ModelError: TW6002 to TW6012, a version cannot be run here.
    """
    options = options or Options()
    with reading(source) as journal, ExitStack() as held:
        header, _ = read_header(journal)
        _refuse_unknown(header, models)
        fingerprints, answered = _sessions(journal, models)
        desk = held.enter_context(closing(Desk(options, {})))
        fold = _fold(journal, header, world, options, held)
        work = _Work(fold, desk, models, fingerprints, answered)
        for frame in journal.frames():
            work.follow(frame)
            if options.progress is not None and frame.tick % options.progress_ticks == 0:
                options.progress(Progress("reexecute", frame.tick, journal.length(), work.done, work.different))
        return work.report()


def _refuse_unknown(header: Header, models: Collection[str]) -> None:
    known = [spec.name for spec in header.models]
    for name in models:
        if name not in known:
            why = f"it has {', '.join(known) or 'none'}"
            raise ModelNotFound(f"the run has no model {name!r}", why=why, fix="name one of them")


def _fold(journal: JournalReader, header: Header, world: World | None, options: Options, held: ExitStack) -> Fold:
    """Return a fold that knows what windows held; only where there are none can turns be believed."""
    declared = any(spec.windows for spec in (*header.agents, *header.templates))
    if declared and header.models:  # An operator may open windows of which the header knows nothing.
        return held.enter_context(executing(journal, world, options))[2]
    return Fold(journal, open_machine(journal.header()[0])[1], None)


def _notes(frame: Frame, models: Collection[str]) -> list[ModelNote]:
    notes = codec.decode_hints(frame.hints).models
    return [note for note in notes if not models or note.model in models]


def _sessions(
    journal: JournalReader, models: Collection[str]
) -> tuple[dict[bytes, Fingerprint], frozenset[tuple[str, bytes]]]:
    """Return the recorded fingerprints by session, and which sessions of which models have answered."""
    fingerprints, answered = dict[bytes, Fingerprint](), set[tuple[str, bytes]]()
    for frame in journal.frames():
        for note in _notes(frame, models):
            if note.kind == NoteKind.SESSION:
                try:
                    fingerprints[note.session] = decode_fingerprint(note.body)
                except msgspec.DecodeError:
                    continue  # Of a later version; whoever answered by it cannot be compared with.
            elif note.kind == NoteKind.ANSWER and note.session:
                answered.add((note.model, note.session))
    return fingerprints, frozenset(answered)


class _Work:
    """Follows a journal, asks again what has been answered, and counts."""

    def __init__(
        self,
        fold: Fold,
        desk: Desk,
        models: Collection[str],
        fingerprints: dict[bytes, Fingerprint],
        answered: frozenset[tuple[str, bytes]],
    ) -> None:
        self._fold = fold
        self._desk = desk
        self._models = models
        self._fingerprints = fingerprints
        self._asker: Asker | None = None
        self._open: dict[int, _Asked] = {}
        self._checked: set[_Session] = set()
        self._tallies: dict[tuple[str, bytes], ModelTally] = {}
        self._first: OtherAnswer | None = None
        for name, session in sorted(answered):  # What is to be refused is refused before anything is run.
            self._refuse_other(name, session)
        for spec in fold.machine.state.models:
            if not models or spec.name in models:
                self._tally(spec)

    @property
    def done(self) -> int:
        """Answers that were compared."""
        return sum(tally.equal + tally.different for tally in self._tallies.values())

    @property
    def different(self) -> int:
        """How many of them are others now."""
        return sum(tally.different for tally in self._tallies.values())

    def report(self) -> Reexecution:
        """Return what was counted."""
        tallies = sorted(self._tallies.values(), key=lambda tally: tally.model)
        return Reexecution(self._first is None, tuple(tallies), self._first)

    def _tally(self, spec: ModelSpec) -> ModelTally:
        known = self._tallies.get((spec.name, spec.digest))
        if known is None:
            known = self._tallies[spec.name, spec.digest] = ModelTally(spec.name, spec.version, spec.digest.hex())
        return known

    # -- what may be compared here -------------------------------------------------------------------------------------

    def _refuse_other(self, name: str, session: bytes) -> None:
        """Refuse a session whose answers cannot come out again here."""
        recorded = self._fingerprints.get(session)
        if recorded is None:
            raise ReexecutionRefused(
                f"nobody knows by what model {name!r} answered",
                why=f"the journal lacks what session {session.hex()[:12]} computed with",
                fix=f"leave the model out: name others with --model, or run {name!r} again",
            )
        if recorded.profile == FAST:
            raise ReexecutionRefused(
                f"model {name!r} ran with the profile fast",
                why="it promises what a model computes and no bits",
                fix="name the models of exact profiles with --model, or run it with profile exact-1",
            )
        current = next((spec for spec in self._fold.machine.state.models if spec.name == name), None)
        spec = msgspec.structs.replace(
            current or ModelSpec(name), digest=recorded.model, profile=recorded.profile, version=""
        )
        here, _ = self._desk.load(spec)
        if here.digest != session:
            found = differences(recorded, here)
            raise ReexecutionRefused(
                f"the answers of model {name!r} cannot be compared on this machine",
                why="; ".join(found) or "the session is another",
                fix="verify without --reexecute, or on a machine of the recorded class",
            )
        self._checked.add((name, recorded.model, session))

    # -- following -----------------------------------------------------------------------------------------------------

    def follow(self, frame: Frame) -> None:
        """Fold a frame, ask again what its answers answered, and remember what it asks."""
        inputs = self._fold.feed(frame)
        notes = {note.number: note for note in _notes(frame, self._models) if note.kind == NoteKind.ANSWER}
        batches = dict[int, list[tuple[_Answered, bytes]]]()
        for item in inputs:
            if item.kind != InputKind.RESULT or item.number not in self._open:
                continue
            answered = _Answered(frame.tick, self._open.pop(item.number), item)
            note = notes.get(item.number)
            if note is None or not note.session:
                self._skip(answered, "no model answered" if note is not None else "nobody noted who answered")
            else:
                batches.setdefault(note.batch, []).append((answered, note.session))
        for batch in batches.values():
            self._compare_batch(batch)
        state, crew = self._fold.machine.state, self._fold.crew
        self._remember(self._fold.machine.done.effects, state, crew.windows if crew is not None else None)

    def _remember(self, effects: Iterable[Effect], state: State, store: WindowStore | None) -> None:
        specs = {spec.name: spec for spec in state.models}
        for effect in effects:
            name = effect.skill.removeprefix(INFER_PREFIX)
            if name == effect.skill or name not in specs or (self._models and name not in self._models):
                continue
            ready = with_tensors([effect], state, store)[0] if store is not None else [effect]
            self._open[effect.number] = _Asked(ready[0] if ready else effect, specs[name])

    def _skip(self, answered: _Answered, why: str) -> None:
        tally = self._tally(answered.asked.spec)
        tally.skipped += 1
        if why not in tally.reasons:
            tally.reasons.append(why)

    def _compare_batch(self, batch: Sequence[tuple[_Answered, bytes]]) -> None:
        """Ask for a batch's answers again, all of them together if they were asked together."""
        # As they were issued; what an operator says enters before the others.
        answered = sorted((one for one, _ in batch), key=lambda one: one.asked.effect.number)
        session = batch[0][1]
        spec = answered[0].asked.spec
        if (spec.name, spec.digest, session) not in self._checked:
            for one in answered:
                self._skip(one, "another version's session answered")
            return
        asked = [one for one in answered if one.asked.effect.encoding in ENCODINGS]
        for one in answered:
            if one.asked.effect.encoding not in ENCODINGS:
                self._skip(one, "the request was no tensors")
        for one, reply in zip(asked, self._ask(spec, asked), strict=True):
            if isinstance(reply.error, _PASSING):
                raise reply.error
            if one.recorded.source != EFFECT:
                self._skip(one, "an operator answered")  # What the model said beside that came too late.
            elif one.recorded.code not in _COMPARABLE:
                self._skip(one, "the request was refused for want of time or room")
            else:
                self._compare(one, reply, session)

    def _ask(self, spec: ModelSpec, asked: Sequence[_Answered]) -> list[Reply]:
        if self._asker is None:
            self._asker = self._desk.new_asker()
        wanted = self._desk.wanted(spec)
        effects = [one.asked.effect for one in asked]
        if spec.batch == ROW:
            return [
                self._asker.ask(wanted, one.body, encoding=one.encoding, deadline_ms=DEADLINE_MS, tick=one.tick)
                for one in effects
            ]
        if not effects:
            return []
        bodies, encodings = [one.body for one in effects], [one.encoding for one in effects]
        tick = effects[0].tick
        return self._asker.ask_batch(wanted, bodies, encodings=encodings, deadline_ms=DEADLINE_MS, tick=tick)

    def _compare(self, one: _Answered, reply: Reply, session: bytes) -> None:
        spec, recorded = one.asked.spec, one.recorded
        if reply.fingerprint is not None and reply.fingerprint.digest != session:
            raise ReexecutionRefused(
                f"the session of model {spec.name!r} became another while it was asked",
                why="; ".join(differences(self._fingerprints[session], reply.fingerprint)),
                fix="try again; see what stops its worker with `tickwork models stats`",
            )
        tally = self._tally(spec)
        if (reply.code, reply.encoding, reply.body) == (recorded.code, recorded.encoding, recorded.body):
            tally.equal += 1
            return
        tally.different += 1
        if self._first is None:
            agent = name_of(self._fold.machine.header, one.asked.effect.agent)
            what = _told(recorded, reply)
            self._first = OtherAnswer(
                one.tick, one.asked.effect.number, agent, f"{spec.name} {shown_model(spec)}", what
            )


def _told(recorded: Input, reply: Reply) -> str:
    if recorded.code != reply.code:
        return f"code {reply.code} where {recorded.code} was recorded"
    if len(recorded.body) != len(reply.body):
        return f"{len(reply.body)} bytes where {len(recorded.body)} were recorded"
    place = next((at for at, (one, other) in enumerate(zip(recorded.body, reply.body, strict=True)) if one != other), 0)
    count = sum(one != other for one, other in zip(recorded.body, reply.body, strict=True))
    return f"{count} of {len(reply.body)} bytes differ, the first at {place}"
