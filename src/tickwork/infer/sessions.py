"""A model that is loaded, warmed up and asked: what a worker process does.

Invariants:
    * An answer follows from the model, the session and the request alone; in the exact profiles, bit for bit.
    * The session that answers has the fingerprint that is shown. Where another takes its place there is an incident.
    * Nothing of what the runtime says reaches the one who asked; it is kept in the error's ``why``.
    * A request that does not fit is refused before the runtime sees it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .. import codec
from ..clock import Clock
from ..errors import ModelError, ModelInputInvalid, ModelRunFailed, ModelUnfit, ProviderMissing
from ..records import Encoding, NoteKind, Refusal
from ..tensors import STRING, Tensor, decode_tensors, encode_tensors
from . import arrays, providers
from .asking import Incident, Wanted
from .fingerprint import Fingerprint
from .footprint import footprint
from .layouts import Memo, encode_alike
from .manifest import ModelConfig, Port
from .nested import read_json, write_json
from .ports import MAP, TENSOR, Value, check_complete, check_fit, match_inputs, spread_outputs
from .probe import Inputs, make_inputs
from .processor import processor_class, system_name
from .providers import CPU, ProviderFailed, Session
from .ran import Ran
from .screen import CERTIFIED, FAST, TICK, check_profile

STRICT: Final = "strict"
ON_RUN: Final = "on_run"

FED_BYTES: Final = 1 << 18
"""Bodies up to here are copied into arrays that are kept; larger ones are read where they lie, if they lie well."""

CHECK_EVERY: Final = 256
"""Certified batches from one that is run again row by row to the next."""

PROBED_BATCHES: Final = (2, 3, 4, 5, 8, 16, 24)
"""Sizes at which a certified model's rows are compared with the same rows alone, when it is loaded."""


_TENSOR: Final = int(Encoding.TENSOR)

BIND_AFTER: Final = 16
"""Requests that look alike before the session is bound to memory for them, which takes a run of its own."""

_DECIDING: Final = frozenset({"If", "Loop", "Scan", "SequenceMap"})


class _Bound:
    """A session that reads and writes memory that is kept, for requests that look like the one before.

    Law: ``run`` gives the bytes that ``arrays.encode_plain`` gives of what the session makes of the feeds, or None.
    """

    __slots__ = ("_answer", "_binding", "_feeds", "_session")

    def __init__(self, session: Session, output: str, feeds: Mapping[str, Any], made: Any) -> None:
        self._session = session
        self._answer = arrays.Answer(output, made)
        self._feeds = feeds
        self._binding = session.bind(feeds, output, self._answer.array)
        # The first answer is compared with a known one, and must not be what was there before.
        self._answer.spoil()

    def run(self, session: Session) -> bytes | None:
        """Return the answer to what the feeds hold now; None where it is to be made in another way."""
        if session is not self._session:
            return None
        try:
            session.run_bound(self._binding)
        except providers.ERRORS:
            return None
        return self._answer.body()


class Runner:
    """A model that is loaded.

    Args:
        wanted: Which model, and how it is to be run.
        folder: Where its files lie.
        extras: Options of profile ``fast``, ``name=value`` each.

    Attributes:
        fingerprint: Of the session that answers now.

    Raises:
        ModelUnfit: TW6015, its operators do not allow what is wanted.
        ProviderMissing: TW6008, no provider that may be used loads it.
        ModelInvalid: TW6002, the runtime cannot load it.
    """

    def __init__(
        self, wanted: Wanted, config: ModelConfig, folder: Path, clock: Clock, *, extras: Sequence[str] = ()
    ) -> None:
        del clock
        check_profile(config, wanted.profile, wanted.batch, wanted.providers)
        _check_ports(config)
        self._wanted = wanted
        self._config = config
        self._path = folder / config.entry
        self._setup = providers.make_setup(wanted.profile, extras)
        self._outputs = [port for port in config.outputs if port.kind != MAP]
        self._names = [port.name for port in self._outputs]
        self._as_values = any(not arrays.is_plain(port.dtype) for port in self._outputs)
        self._required = [port for port in config.inputs if not port.optional]
        self._incidents = list[Incident]()
        self._room = arrays.Room()
        self._memo = Memo()
        self._feeds: arrays.Feeds | None = None
        self._waiting = self._order()
        self._session = self._open_next()
        self.fingerprint = self._take_fingerprint()
        self._joins = config.batch_axis and self._may_join()
        self._certified = wanted.batch == CERTIFIED
        self._batches = 0
        self._binds = self._may_bind()
        self._bound: _Bound | None = None
        self._alike_count = 0
        if self._certified:
            self._certify()

    # ------------------------------------------------------------------------------------------------------ providers

    def _order(self) -> list[str]:
        """Return the providers that may be tried, in order."""
        wanted = list(self._wanted.providers)
        if not wanted:
            return list(providers.available(self._setup)) if self._wanted.profile == FAST else [CPU]
        if self._wanted.fallback == STRICT:
            return wanted[:1]
        return wanted if CPU in wanted else [*wanted, CPU]

    def _open_next(self) -> Session:
        """Return a session on the first provider that takes the model, and note which did not.

        Raises:
            ProviderMissing: TW6008, none did.
            ModelInvalid: TW6002.
        """
        failures = list[ProviderFailed]()
        asked = bool(self._wanted.providers)
        while self._waiting:
            name = self._waiting.pop(0)
            whole = asked and self._wanted.fallback == STRICT
            try:
                session = providers.open_session(self._path, name, self._setup, whole=whole)
            except ProviderFailed as failure:
                failures.append(failure)
                continue
            if asked:
                self._incidents += [self._fallback(f"{failure.reason}; {name} takes its place") for failure in failures]
                if session.left_to_cpu:
                    left = f"{name} left {session.left_to_cpu} operators to {CPU}"
                    self._incidents.append(self._fallback(left))
            return session
        raise ProviderMissing(
            f"no provider that was asked for runs the model: {', '.join(self._wanted.providers) or 'any'}",
            why="; ".join(f"{failure.reason} {failure.detail}".strip() for failure in failures),
            fix=f"take {' or '.join(providers.available(self._setup))}, or allow a fallback with on_load or on_run",
        )

    def _fallback(self, text: str) -> Incident:
        return Incident(int(NoteKind.FALLBACK), text)

    def take_incidents(self) -> tuple[Incident, ...]:
        """Return what happened since it was last asked. Order: as it happened."""
        taken, self._incidents = tuple(self._incidents), []
        return taken

    def _take_fingerprint(self) -> Fingerprint:
        """Return what the session computes with; this warms it up."""
        # First, since a provider that fails at it gives way to another.
        probe = self._probe()
        return Fingerprint(
            model=self._wanted.model,
            profile=self._wanted.profile,
            runtime=providers.runtime_name(),
            library=providers.library_digest(),
            provider=self._session.provider,
            options=self._setup.canonical,
            system=system_name(),
            processor=processor_class(),
            probe=probe,
        )

    def _probe(self) -> bytes:
        """Return the SHA-256 of the answer to made-up inputs; empty where the model refuses all we can make up."""
        for zeros in (False, True):
            inputs = make_inputs(self._config.inputs, self._config.warmup, zeros=zeros)
            if inputs is None:
                return b""
            try:
                values, _ = self._compute(inputs)
            except (ModelRunFailed, ModelInputInvalid):
                continue
            # What draws numbers gives other ones each time.
            return b"" if self._config.screening.random else codec.digest(encode_tensors(spread_outputs(values)))
        return b""

    def rehearse(self, shapes: Mapping[str, Sequence[int]]) -> ModelError | None:
        """Return None where the model runs with made-up inputs of these shapes, else why it does not."""
        failure: ModelError | None = None
        for zeros in (False, True):
            inputs = make_inputs(self._config.inputs, shapes, zeros=zeros)
            if inputs is None:
                return None
            try:
                self._compute(inputs)
            except ModelError as error:
                failure = error
            else:
                return None
        return failure

    # --------------------------------------------------------------------------------------------------------- running

    def run(self, body: bytes | memoryview, encoding: int) -> Ran:
        """Return the answer to one request; a refusal where it does not fit or the model reports an error."""
        try:
            if encoding == _TENSOR and self._feeds is not None and self._memo.matches(body):
                feeds = self._feeds.fill(body)
                bound = self._bound
                if bound is not None:
                    answer = bound.run(self._session)
                    if answer is not None:
                        return Ran(0, encoding, answer)
                    self._bound = None
                made = self._call(feeds)
                answer = arrays.encode_plain(self._names, made)
                if answer is not None:
                    self._count_alike(feeds, made, answer)
                    return Ran(0, encoding, answer)
                values, nans = self._collect(made)
            else:
                values, nans = self._compute(self._read(body, encoding))
            return Ran(0, encoding, self._write(values, encoding), nans)
        except ModelError as error:
            return refuse(error, encoding)

    def _count_alike(self, feeds: dict[str, Any], made: Sequence[Any], answer: bytes) -> None:
        """Bind the session to memory once so many requests have looked like the one before.

        Args:
            made, answer: What it made of the feeds.
        """
        self._alike_count += 1
        if self._alike_count % BIND_AFTER or not self._binds:
            return
        small = all(0 < array.nbytes <= FED_BYTES for array in (*feeds.values(), *made))
        if not small or self._session.provider != CPU:
            return
        try:
            bound = _Bound(self._session, self._names[0], feeds, made[0])
        except providers.ERRORS:
            self._binds = False
            return
        self._binds = bound.run(self._session) == answer
        self._bound = bound if self._binds else None

    def _may_bind(self) -> bool:
        """Return whether the runtime may be given the memory of an answer beforehand.

        Not where a run leaves anything behind, nor where numbers decide which nodes are run: what was found of one
        run would not hold for the next.
        """
        operators = self._config.operators
        outputs = self._outputs
        return (
            len(outputs) == len(self._config.outputs) == 1
            and outputs[0].kind == TENSOR
            and outputs[0].dtype != STRING
            and arrays.is_plain(outputs[0].dtype)
            and not self._config.screening.random
            and bool(operators)
            and not any(":" in operator or operator in _DECIDING for operator in operators)
        )

    def _read(self, body: bytes | memoryview, encoding: int) -> Inputs:
        if encoding == Encoding.TENSOR:
            known = self._memo.recall(body)
            if known is not None:
                return known
            tensors = decode_tensors(body)
            matched = match_inputs(tensors, self._config.inputs)
            if self._memo.learn(body, tensors, matched):
                small = len(body) <= FED_BYTES and not self._as_values
                plain = all(arrays.is_plain(tensor.dtype) for tensor in tensors)
                self._feeds = arrays.Feeds(self._memo.places) if small and plain else None
                self._bound, self._alike_count = None, 0
            return matched
        if encoding != Encoding.JSON:
            raise ModelInputInvalid(
                "the request is neither tensors nor JSON", why="a model takes no other encoding", fix="send tensors"
            )
        given = Inputs()
        for port, value in read_json(body, self._config.inputs):
            members = value if isinstance(value, list) else [] if value is None else [value]
            for member in members:
                check_fit(member, port)
            given[port.name] = value
        check_complete(given, self._config.inputs)
        return given

    def _write(self, values: Sequence[tuple[Port, Value]], encoding: int) -> bytes:
        return write_json(values) if encoding == Encoding.JSON else encode_alike(spread_outputs(values))

    def _compute(self, inputs: Inputs) -> tuple[list[tuple[Port, Value]], int]:
        """Return what each output holds, and how many NaNs there are.

        Raises:
            ModelRunFailed: TW6014.
            ProviderMissing: TW6008, the provider failed and none may take its place.
        """
        room = self._room
        room.clear()
        if self._as_values:
            feeds = {name: arrays.to_value(value, room) for name, value in inputs.items() if isinstance(value, Tensor)}
        else:
            feeds = {name: arrays.to_feed(value, room) for name, value in inputs.items()}
        return self._collect(self._call(feeds))

    def _collect(self, made: Sequence[Any]) -> tuple[list[tuple[Port, Value]], int]:
        """Return what each output holds, and how many NaNs there are."""
        values, nans = list[tuple[Port, Value]](), 0
        read = arrays.from_value if self._as_values else arrays.from_feed
        for port, given in zip(self._outputs, made, strict=True):
            value, found = read(port.name, given)
            values.append((port, value))
            nans += found
        return values, nans

    def _call(self, feeds: dict[str, Any]) -> list[Any]:
        session = self._session
        try:
            return session.run_values(self._names, feeds) if self._as_values else session.run(self._names, feeds)
        except ProviderFailed as failure:
            return self._call_elsewhere(feeds, failure)
        except providers.ERRORS as error:
            elsewhere = self._wanted.fallback == ON_RUN and bool(self._waiting)
            if session.provider == CPU or not (elsewhere or providers.blames_provider(error)):
                raise _run_failed(providers.scrub(error, self._path)) from error
            said = ProviderFailed(f"{session.provider} failed while it ran the model", str(error))
            return self._call_elsewhere(feeds, said)

    def _call_elsewhere(self, feeds: dict[str, Any], failure: ProviderFailed) -> list[Any]:
        """Return what the next provider makes of the request, and stay with it; not where it fails as well."""
        failed = self._session.provider
        if self._wanted.fallback != ON_RUN or not self._waiting:
            raise ProviderMissing(
                f"the provider {failed} failed while it ran the model",
                why=f"{failure.reason} {failure.detail}".strip(),
                fix="allow another to take its place: fallback on_run",
            ) from failure
        before, waiting, noted = self._session, list(self._waiting), len(self._incidents)
        self._session = self._open_next()
        try:
            made = self._call(feeds)
        except ModelRunFailed:
            # Both say the request is at fault, so neither takes the other's place.
            self._session, self._waiting = before, waiting
            del self._incidents[noted:]
            raise
        reason = f"{failed} failed while it ran the model; {self._session.provider} takes its place"
        self._incidents.insert(noted, self._fallback(reason))
        self.fingerprint = self._take_fingerprint()
        return made

    # --------------------------------------------------------------------------------------------------------- batches

    def _may_join(self) -> bool:
        """Return whether a batch that nobody asked to be safe may be joined at all."""
        if any(
            port.kind != TENSOR or not arrays.is_plain(port.dtype) for port in (*self._config.inputs, *self._outputs)
        ):
            return False
        try:
            check_profile(self._config, self._wanted.profile, TICK, self._wanted.providers)
        except ModelUnfit:
            return False
        return True

    def run_batch(self, bodies: Sequence[bytes | memoryview], encodings: Sequence[int]) -> list[Ran]:
        """Return one answer for each request. Order: as given.

        Those whose shapes agree with the first that fits are answered by one run; the others alone.
        """
        alike = self._run_alike(bodies, encodings)
        if alike is not None:
            return alike
        ran: list[Ran | None] = [None] * len(bodies)
        given = dict[int, Inputs]()
        for place, (body, encoding) in enumerate(zip(bodies, encodings, strict=True)):
            try:
                given[place] = self._read(body, encoding)
            except ModelError as error:
                ran[place] = refuse(error, encoding)
        together = self._alike(given) if self._joins else []
        if len(together) > 1:
            answers = self._run_together([given[place] for place in together])
            for place, answer in zip(together, answers or (), strict=bool(answers)):
                values, nans = answer
                encoding = encodings[place]
                try:
                    ran[place] = Ran(0, encoding, self._write(values, encoding), nans, rows=len(together))
                except ModelError as error:
                    ran[place] = refuse(error, encoding)
        return [
            self.run(bodies[place], encodings[place]) if answer is None else answer for place, answer in enumerate(ran)
        ]

    def _run_alike(self, bodies: Sequence[bytes | memoryview], encodings: Sequence[int]) -> list[Ran] | None:
        """Return the answers to requests that all look like the last one; None where they are to be looked at."""
        feeds = self._feeds
        if feeds is None or not feeds.rows or not self._joins or self._certified or len(bodies) < 2:
            return None
        if set(encodings) != {Encoding.TENSOR} or not all(map(self._memo.matches, bodies)):
            return None
        self._room.clear()
        try:
            made = self._call(feeds.join(bodies, self._room))
        except ModelError:
            return None
        answers = arrays.encode_rows(self._names, made, feeds.rows, len(bodies))
        if answers is None:
            return None
        return [Ran(0, Encoding.TENSOR, body, rows=len(bodies)) for body in answers]

    def _alike(self, given: dict[int, Inputs]) -> list[int]:
        """Return the places of the requests that can be joined: those that look like the first that has rows."""
        places, form = list[int](), None
        for place, inputs in given.items():
            rows = _rows(inputs)
            if not rows:
                continue
            here = {name: value.shape[1:] for name, value in inputs.items() if isinstance(value, Tensor)}
            if form is None:
                form = here
            if here == form:
                places.append(place)
        return places

    def _run_together(self, given: Sequence[Inputs]) -> list[tuple[list[tuple[Port, Value]], int]] | None:
        """Return the answers to requests that are joined, or None where the model does not keep them apart."""
        counts = [_rows(inputs) for inputs in given]
        self._room.clear()
        feeds = dict[str, Any]()
        try:
            for name in given[0]:
                parts = [part for inputs in given if isinstance(part := inputs[name], Tensor)]
                feeds[name] = arrays.join_rows(parts, self._room)
            made = self._call(feeds)
        except ModelError:
            # One of them is at fault, or all; alone, each gets what it deserves.
            return None
        total = sum(counts)
        for array in made:
            if not array.ndim or array.shape[0] != total:
                return None
        columns = [arrays.split_rows(port.name, array, counts) for port, array in zip(self._outputs, made, strict=True)]
        answers = list[tuple[list[tuple[Port, Value]], int]]()
        if len(columns) == 1:
            # Most models have one output, and the rest would take longer than a small model.
            [port] = self._outputs
            for tensor, nans in columns[0]:
                alone: list[tuple[Port, Value]] = [(port, tensor)]
                answers.append((alone, nans))
            return self._checked(given, answers) if self._certified else answers
        for row in zip(*columns, strict=True):
            values: list[tuple[Port, Value]] = [
                (port, tensor) for port, (tensor, _) in zip(self._outputs, row, strict=True)
            ]
            answers.append((values, sum(nans for _, nans in row)))
        return self._checked(given, answers) if self._certified else answers

    # ------------------------------------------------------------------------------------------------------ certifying

    def _certify(self) -> None:
        """Compare rows in batches of several sizes with the same rows alone.

        Raises:
            ModelUnfit: TW6015, a row's bits depend on its neighbours.
        """
        config = self._config
        for size in PROBED_BATCHES:
            rows = [make_inputs(config.inputs, config.warmup, rows=1, seed=row + 1) for row in range(size)]
            known = [inputs for inputs in rows if inputs is not None]
            if len(known) != size:
                raise ModelUnfit(
                    f"{config.name} cannot be probed in batches", why="its inputs are too large", fix="take batch tick"
                )
            answers = self._run_together(known)
            if answers is None or any(
                values != self._compute(inputs)[0] for inputs, (values, _) in zip(known, answers, strict=True)
            ):
                raise ModelUnfit(
                    f"a row of {config.name} depends on its batch",
                    why=f"rows in a batch of {size} differ from the same rows alone",
                    fix="take batch tick or row",
                )

    def _checked(
        self, given: Sequence[Inputs], answers: list[tuple[list[tuple[Port, Value]], int]]
    ) -> list[tuple[list[tuple[Port, Value]], int]]:
        """Return the answers; now and then those of the rows alone, which a certified batch must equal."""
        self._batches += 1
        if self._batches % CHECK_EVERY:
            return answers
        alone = [self._compute(inputs) for inputs in given]
        if alone != answers:
            self._certified = self._joins = False
            self._incidents.append(
                self._fallback("a certified batch differed from its rows alone; rows are answered alone from now on")
            )
        return alone

    def memory(self) -> int:
        """Return what this process takes now. Units: bytes."""
        return footprint()


def _check_ports(config: ModelConfig) -> None:
    """Refuse ports for which no value can be made.

    Raises:
        ModelUnfit: TW6015.
    """
    outputs = [port for port in config.outputs if port.kind != MAP]
    strange = [port for port in (*config.inputs, *outputs) if port.kind != TENSOR and not arrays.is_plain(port.dtype)]
    as_values = any(not arrays.is_plain(port.dtype) for port in outputs)
    others = [port for port in config.inputs if port.kind != TENSOR or port.dtype == STRING]
    others += [port for port in outputs if port.kind != TENSOR]
    found = strange or (others if as_values else [])
    if found:
        raise ModelUnfit(
            f"{found[0].name!r} cannot be passed to or from the model",
            why="text and sequences do not go with types of which the array library knows nothing",
            fix="cast inside the model to float32",
        )


def _rows(inputs: Inputs) -> int:
    """Return the one first dimension of all inputs; 0 where they have none or several."""
    if len(inputs) == 1:
        # Most models have one input, and a batch asks this for each of its requests.
        [value] = inputs.values()
        return value.shape[0] if isinstance(value, Tensor) and value.shape else 0
    firsts = {value.shape[0] if isinstance(value, Tensor) and value.shape else 0 for value in inputs.values()}
    return firsts.pop() if len(firsts) == 1 else 0


def _run_failed(said: str) -> ModelRunFailed:
    return ModelRunFailed(
        "the model was run and reported an error",
        why=said,
        fix="look at the request: an index or a length it cannot have",
    )


_CODES: Final = {"TW6004": Refusal.BAD_MESSAGE, "TW6005": Refusal.NO_MEMORY, "TW6008": Refusal.UNSUPPORTED}


def refuse(error: ModelError, encoding: int) -> Ran:
    """Return a refusal that says what is wrong in words that are the same everywhere."""
    text = f"{error.what}: {error.why}" if isinstance(error, ModelInputInvalid) else error.what
    return Ran(int(_CODES.get(error.code, Refusal.FAILED)), encoding, text.encode(), error=error)
