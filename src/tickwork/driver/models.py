"""Models inside a run: who answers what agents ask them, and what is noted about it.

Invariants:
    * A request goes to the version that was current when it was made: the digest is the effect's own.
    * What is refused becomes a result for the agent. The run goes on, and nothing waits longer than its deadline.
    * Only the answer enters the run. Who gave it, in which batch and on what is a note, which decides nothing.
    * Nobody is started before the first model has to be loaded, so that a run without models starts nothing.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from ..errors import ModelError, ModelNotFound, ModelQueueFull, ModelTimeout, ModelTooLarge, ProviderMissing
from ..infer.asking import Asker, Inference, Reply, Wanted
from ..infer.fingerprint import Fingerprint
from ..infer.manifest import ModelConfig
from ..kernel import RunStatus, State
from ..records import INFER_PREFIX, Effect, Encoding, Header, ModelNote, ModelSpec, NoteKind, Refusal, Result
from .options import Options
from .performers import Dispatch, Performer, Terms
from .pinning import judge_pinned

ROW: Final = "row"
FAST: Final = "fast"

_PASSING: Final = (ModelTooLarge, ModelQueueFull, ModelTimeout, ProviderMissing)
"""What may be otherwise on another machine, or in a minute: no reason to refuse the run that asks the model."""

ENCODINGS: Final = frozenset({int(Encoding.TENSOR), int(Encoding.JSON)})


def terms_of(spec: ModelSpec) -> Terms:
    """Return how requests to a model are handed out."""
    return Terms(spec.delivery == "barrier", 1 if spec.batch == ROW else spec.most)


def terms_of_models(specs: Iterable[ModelSpec]) -> dict[str, Terms]:
    """Return how requests to models are handed out, by the name of the effect."""
    return {INFER_PREFIX + spec.name: terms_of(spec) for spec in specs}


class Desk:
    """Where the models of one run are asked.

    Args:
        known: Performers given with the run; a model with one is not asked here.
    """

    def __init__(self, options: Options, known: Mapping[str, Performer]) -> None:
        self.options = options
        self._known = known
        self._specs: dict[tuple[str, bytes], ModelSpec] = {}
        self._current: dict[str, ModelSpec] = {}
        self._own: Asker | None = None
        self._shared: Asker | None = None
        self._askers: list[Asker] = []
        self._samples = deque[Inference]()

    def open(self, specs: Iterable[ModelSpec], tick: int = 0) -> None:
        """Learn of models and load those that are asked here, so that what is broken is told before the run goes on.

        A model that this machine has no room or no provider for is let be: its requests are answered so.

        Raises:
            ModelError: TW6001 to TW6003, TW6007, TW6009, TW6012, TW6015.
        """
        for spec in specs:
            self.learn(spec)
            if spec.digest and INFER_PREFIX + spec.name not in self._known:
                self._load(spec, tick)

    def reopen(self, header: Header, state: State, again: Iterable[Effect]) -> None:
        """Learn of the models of a run that goes on, and load what it may still ask.

        The journal pins them, and the store they come from is this machine's own: of their signatures it is only asked
        that they hold and are not revoked.

        Args:
            again: Effects that are handed out again. Of one whose result is recorded no model is needed.

        Raises:
            ModelError: As ``open``.
            PackageError: TW3201, TW3204.
        """
        for spec in (*header.models, *state.models):
            self.learn(spec)
        asked = [(INFER_PREFIX + spec.name, spec.digest) for spec in state.models if state.status < RunStatus.SETTLING]
        asked += [(effect.skill, effect.model) for effect in again]
        for name, digest in dict.fromkeys(asked):
            if digest and name not in self._known:
                if self.options.store is not None and self.options.asker is None:
                    judge_pinned(digest, self.options, allow_unsigned=True)
                self._load(self._version(name.removeprefix(INFER_PREFIX), digest), state.tick)

    def learn(self, spec: ModelSpec) -> None:
        """Take note of a version that requests may name from now on."""
        self._specs[spec.name, spec.digest] = self._current[spec.name] = spec

    def _load(self, spec: ModelSpec, tick: int) -> None:
        try:
            self.load(spec, tick)
        except _PASSING as error:
            if self.options.notice is not None:
                self.options.notice(f"model {spec.name!r}: {error.what}; requests to it are refused while that is so")
        except ModelError as error:
            error.where = "; ".join(filter(None, [f"models.{spec.name}", error.where]))
            raise

    def asks(self, name: str) -> bool:
        """Return whether a model is asked here, and by no performer given with the run."""
        return INFER_PREFIX + name not in self._known

    def load(self, spec: ModelSpec, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        """Load a version, or find it loaded; return what it computes with and what it takes. From one thread alone.

        Raises:
            ModelError: TW6001 to TW6015.
        """
        if self._own is None:
            self._own = self.new_asker()
        return self._own.load(self.wanted(spec), tick=tick)

    def wanted(self, spec: ModelSpec) -> Wanted:
        """Return how a version is asked for. The exact profiles run on the processor alone."""
        providers = self.options.providers if spec.profile == FAST else ()
        return Wanted(spec.digest, spec.profile, tuple(providers), spec.fallback, spec.batch)

    def new_asker(self) -> Asker:
        """Return an asker for one thread; all of them end with the desk.

        Raises:
            ModelNotFound: TW6001, the run was given no store.
        """
        if self.options.asker is None:
            return self._client()
        asker = self.options.asker()
        self._askers.append(asker)
        return asker

    def _client(self) -> Asker:
        """Return what asks processes of this run's own, which any thread may do; they begin with the first question."""
        if self._shared is None:
            options = self.options
            if options.store is None:
                raise ModelNotFound(
                    "the run has models and no store to take them from",
                    why="its header pins them by digest",
                    fix="name the store with --store, in Python with Options(store=...), or give performers for them",
                )
            from ..infer.client import Models  # Which a run without models need not load.

            self._shared = Models(options.store, budget_bytes=options.model_budget, providers=options.providers)
            self._askers.append(self._shared)
        return self._shared

    def spec_of(self, effect: Effect) -> ModelSpec:
        """Return the version an effect asks, as far as it is known how to run it; else as the current one is run."""
        return self._version(effect.skill.removeprefix(INFER_PREFIX), effect.model)

    def _version(self, name: str, digest: bytes) -> ModelSpec:
        known = self._specs.get((name, digest))
        return known if known is not None else msgspec.structs.replace(self._current[name], digest=digest)

    def performers(self) -> dict[str, Performer]:
        """Return a performer for each model that is asked here."""
        return {
            INFER_PREFIX + spec.name: ModelPerformer(self, spec.name)
            for spec in self._current.values()
            if spec.digest and INFER_PREFIX + spec.name not in self._known
        }

    def dispatch(self, specs: Iterable[ModelSpec], *, in_order: bool) -> Dispatch:
        """Return what hands effects out: to the performers given with the run, and to models.

        Args:
            specs: The versions that are asked from now on.
            in_order: Whether the results of skills are waited for.
        """
        performers = {**self.performers(), **self._known}
        terms = terms_of_models(specs)
        return Dispatch(performers, in_order=in_order, executor=self.options.executor, terms=terms)

    def note_inference(self, inference: Inference) -> None:
        """Keep what a run of a model took until the loop asks."""
        if self.options.telemetry is not None:
            self._samples.append(inference)

    def take_inferences(self) -> list[Inference]:
        """Return what runs of models took since the last call. Order: as they ended."""
        return [self._samples.popleft() for _ in range(len(self._samples))]

    def close(self) -> None:
        """Let go of whoever answers."""
        while self._askers:
            self._askers.pop().close()


class ModelPerformer:
    """Asks one model. Always from one thread, as an asker wants it."""

    def __init__(self, desk: Desk, name: str) -> None:
        self._desk = desk
        self._name = name
        self._asker: Asker | None = None
        self._told: set[bytes] = set()

    def perform(self, effect: Effect) -> Result:
        """Ask for one answer."""
        return self.perform_all([effect])[0]

    def perform_all(self, effects: Sequence[Effect]) -> list[Result]:
        """Ask for the answers to several requests at once. Order: as given."""
        if self._asker is None:
            self._asker = self._desk.new_asker()
        spec = self._desk.spec_of(effects[0])
        asked = [effect for effect in effects if effect.encoding in ENCODINGS]
        answers = self._ask(self._asker, spec, asked)
        for inference in _each_once(answers) if spec.batch != ROW else [answer.inference for answer in answers]:
            if inference is not None:
                self._desk.note_inference(inference)
        replies = dict(zip((effect.number for effect in asked), answers, strict=True))
        first = effects[0].number
        return [self._result(effect, first, replies.get(effect.number, _UNREADABLE)) for effect in effects]

    def _ask(self, asker: Asker, spec: ModelSpec, effects: Sequence[Effect]) -> list[Reply]:
        wanted, deadline_ms = self._desk.wanted(spec), spec.deadline_ms
        if spec.batch == ROW:
            return [
                asker.ask(wanted, one.body, encoding=one.encoding, deadline_ms=deadline_ms, tick=one.tick)
                for one in effects
            ]
        if not effects:
            return []
        bodies, encodings = [one.body for one in effects], [one.encoding for one in effects]
        tick = effects[0].tick
        return asker.ask_batch(wanted, bodies, encodings=encodings, deadline_ms=deadline_ms, tick=tick)

    def _result(self, effect: Effect, batch: int, reply: Reply) -> Result:
        return Result(effect.number, reply.code, reply.encoding, reply.body, tuple(self._notes(effect, batch, reply)))

    def _notes(self, effect: Effect, batch: int, reply: Reply) -> list[ModelNote]:
        name, session = self._name, b""
        notes = [ModelNote(incident.kind, name, body=incident.text.encode()) for incident in reply.incidents]
        if reply.fingerprint is not None:
            session = reply.fingerprint.digest
            if session not in self._told:
                self._told.add(session)
                notes.append(ModelNote(NoteKind.SESSION, name, session=session, body=reply.fingerprint.encode()))
        notes.append(ModelNote(NoteKind.ANSWER, name, effect.number, batch, session))
        return notes


_UNREADABLE: Final = Reply(
    Refusal.BAD_MESSAGE, Encoding.BYTES, b"a request to a model is tensors, or JSON: set the frame's encoding"
)


def _each_once(replies: Sequence[Reply]) -> list[Inference]:
    """Return what the runs took that gave the replies of one call; of a batch the one run stands in all of them."""
    taken = dict[tuple[int, int, int], Inference]()
    for reply in replies:
        if (known := reply.inference) is not None:
            mark = known.queue_us, known.run_us, known.total_us
            if mark not in taken or taken[mark].rows < known.rows:
                taken[mark] = known
    return list(taken.values())
