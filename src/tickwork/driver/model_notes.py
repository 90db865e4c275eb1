"""What a journal says of its models: which versions answered, on what, in which batches, and what happened on the way.

All of it is read from records and hints; nothing is asked and nothing is executed.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from .. import codec
from ..infer.fingerprint import Fingerprint, decode_fingerprint
from ..journal.store import JournalReader
from ..kernel.models import read_model_order
from ..records import INFER_PREFIX, DerivedKind, Frame, InputKind, ModelNote, ModelSpec, NoteKind
from .fold import read_inputs
from .opening import read_header, reading


class ModelView(msgspec.Struct, frozen=True):
    """A version of a model in a run.

    Attributes:
        since: First tick in which it was current.
        asked: Requests made to it; ``answered`` and ``refused`` of them have entered so far.
    """

    name: str
    version: str
    digest: str
    profile: str
    batch: str
    delivery: str
    since: int
    asked: int
    answered: int
    refused: int


class SessionView(msgspec.Struct, frozen=True):
    """What answered: a model as one machine runs it.

    Attributes:
        session: SHA-256 of its fingerprint, in hexadecimal.
        since: Tick with its first answer.
        answers: How many came of it.
    """

    model: str
    session: str
    since: int
    answers: int
    runtime: str
    provider: str
    system: str
    processor: str
    probe: str


class IncidentView(msgspec.Struct, frozen=True):
    """Something that happened to a model's worker, noted with the answers of a tick."""

    tick: int
    model: str
    kind: str
    text: str


class ModelsView(msgspec.Struct, frozen=True):
    """All of it. Order: models as in the header and then by tick; sessions and incidents by tick."""

    models: tuple[ModelView, ...]
    sessions: tuple[SessionView, ...]
    incidents: tuple[IncidentView, ...]


def models_of(source: Path | str | JournalReader, until: int | None = None) -> ModelsView:
    """Return what a journal says of its models.

    Args:
        until: The last tick that counts; None counts all.
    """
    with reading(source) as journal:
        header, _ = read_header(journal)
        account = _Account(header.models)
        for frame in journal.frames() if until is None else journal.frames(0, until):
            account.follow(journal, frame)
        return account.view()


def describe_note(note: ModelNote) -> str:
    """Return a note in one line, as a person would say it."""
    if note.kind == NoteKind.ANSWER:
        batch = f", in the batch of {note.batch}" if note.batch != note.number else ""
        return f"{note.number} answered by {note.model} {note.session.hex()[:12] or 'nobody'}{batch}"
    if note.kind == NoteKind.SESSION:
        return f"session {note.session.hex()[:12]} of {note.model}: {_shown_session(note.body)}"
    return f"{kind_of(note)} of {note.model}: {note.body.decode(errors='replace')}"


def kind_of(note: ModelNote) -> str:
    """Return what a note is called, also where its kind is of a later version."""
    known = note.kind in NoteKind._value2member_map_
    return NoteKind(note.kind).name.lower() if known else f"note {note.kind}"


def _shown_session(body: bytes) -> str:
    known = _fingerprint(body)
    return "cannot be read" if known is None else f"{known.provider}, {known.runtime}, {known.system} {known.processor}"


def _fingerprint(body: bytes) -> Fingerprint | None:
    try:
        return decode_fingerprint(body)
    except msgspec.DecodeError:
        return None


class _Version:
    """A version and what it was asked."""

    def __init__(self, spec: ModelSpec, since: int) -> None:
        self.spec = spec
        self.since = since
        self.asked = self.answered = self.refused = 0

    def view(self) -> ModelView:
        spec = self.spec
        kind = (spec.name, spec.version, spec.digest.hex(), spec.profile, spec.batch, spec.delivery)
        return ModelView(*kind, self.since, self.asked, self.answered, self.refused)


class _Account:
    """Follows a journal's frames."""

    def __init__(self, specs: Iterable[ModelSpec]) -> None:
        self.current = {INFER_PREFIX + spec.name: _Version(spec, 0) for spec in specs}
        self.versions = list(self.current.values())
        self.open: dict[int, _Version] = {}
        self.sessions: dict[bytes, tuple[ModelNote, int]] = {}
        self.answers: dict[bytes, int] = {}
        self.incidents: list[IncidentView] = []

    def follow(self, journal: JournalReader, frame: Frame) -> None:
        """Count one frame."""
        swapped = False
        derived = codec.decode_derived(frame.derived)
        for item in derived:
            swapped |= item.kind == DerivedKind.MODEL_SWAPPED
        if swapped or self.open:
            self._count_inputs(journal, frame, {item.digest for item in derived if item.digest})
        for item in derived:
            if item.kind == DerivedKind.EFFECT and item.note in self.current:
                version = self.open[item.number] = self.current[item.note]
                version.asked += 1
        for note in codec.decode_hints(frame.hints).models:
            self._note(frame.tick, note)

    def _count_inputs(self, journal: JournalReader, frame: Frame, swapped: set[bytes]) -> None:
        for item in read_inputs(journal, frame):
            if item.kind == InputKind.RESULT and item.number in self.open:
                version = self.open.pop(item.number)
                if item.code:
                    version.refused += 1
                else:
                    version.answered += 1
            elif item.kind == InputKind.SWAP_MODEL and not item.code:
                order = read_model_order(item)
                if order is not None and order.spec.digest in swapped:
                    version = self.current[INFER_PREFIX + item.target] = _Version(order.spec, frame.tick)
                    self.versions.append(version)

    def _note(self, tick: int, note: ModelNote) -> None:
        if note.kind == NoteKind.SESSION:
            self.sessions.setdefault(note.session, (note, tick))
        elif note.kind == NoteKind.ANSWER:
            self.answers[note.session] = self.answers.get(note.session, 0) + 1
        else:
            self.incidents.append(IncidentView(tick, note.model, kind_of(note), note.body.decode(errors="replace")))

    def view(self) -> ModelsView:
        """Return what was counted."""
        sessions = [_session(note, tick, self.answers) for note, tick in self.sessions.values()]
        return ModelsView(tuple(version.view() for version in self.versions), tuple(sessions), tuple(self.incidents))


def _session(note: ModelNote, tick: int, answers: Mapping[bytes, int]) -> SessionView:
    known = _fingerprint(note.body)
    what = ("", "", "", "", "")
    if known is not None:
        what = (known.runtime, known.provider, known.system, known.processor, known.probe.hex())
    return SessionView(note.model, note.session.hex(), tick, answers.get(note.session, 0), *what)
