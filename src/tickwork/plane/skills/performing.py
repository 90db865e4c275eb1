"""Performs the calls of one skill: checks what goes in, calls it within its time, checks what comes out.

Invariants:
    * Every effect comes to an answer. Whatever a skill raises, or if it never returns, the answer says so.
    * The same call under the same key gets the same idempotency key, however often it is performed.
    * An answer holds no secret, no path of this machine and no time.
    * After a failure of a call that may have changed something and cannot be told apart from one that did not, the
      answer does not say that it may be tried again.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol, cast

import msgspec

from ... import codec
from ...clock import Clock
from ...errors import TickworkError
from ...kinds import EffectClass
from ...records import Effect, Encoding, Result
from ..calls import MAX_OUTPUT_BYTES, Answer, ArtifactRef, Failure, SkillCall, Usage
from ..deadlines import Crowded, Overdue, Threads
from ..errors import (
    ArtifactNotFound,
    BudgetExceeded,
    OutputTooLarge,
    PlaneError,
    SkillFailed,
    SkillInputInvalid,
    SkillOutputInvalid,
    SkillRefused,
    SkillTimeout,
    StoreFailed,
)
from ..json_text import read_json
from ..prices import ESTIMATED
from ..secrets import Revealed, SecretBox
from .registry import Found
from .skill import Artifacts, CallContext

MAX_MESSAGE: Final = 2000
"""Characters of a failure's text that are kept."""

MOST_SAID: Final = 1 << 20
"""Characters of it that are looked at for secrets."""

MOST_USED: Final = 1 << 53
"""Tokens, or micro-dollars, of one call: more is not believed."""

GRACE_MS: Final = 250
"""What a skill is given beyond its deadline, so that one that keeps to it can say itself what it was waiting for."""

REFUSED: Final = frozenset({"TW7005", "TW7024", "TW7025", "TW7030"})
"""Codes of failures that come from policy."""

PROVIDER: Final = frozenset({"TW7017", "TW7026"})

SETTLE_TRIES: Final = 3
"""Each of them waits as long as the store does for others who write."""

_calls: Final = msgspec.msgpack.Decoder(SkillCall)
_answers: Final = msgspec.msgpack.Decoder(Answer)


class Kept(msgspec.Struct, frozen=True):
    """An earlier output, as a cache keeps it. One that has left artifacts is not kept: they are the other run's."""

    output: bytes
    labels: tuple[str, ...] = ()


class Cache(Protocol):
    """Where earlier outputs of pure and idempotent skills lie, by the digest of the skill and a key."""

    def look(self, skill: bytes, key: str, newest_ms: int) -> Kept | None:
        """Return what was kept at most ``newest_ms`` ago."""
        ...

    def keep(self, skill: bytes, key: str, value: Kept, for_ms: int) -> None:
        """Keep an output, in place of an earlier one; after ``for_ms`` it may be thrown away."""
        ...


class _NoArtifacts:
    """Where nothing can be kept."""

    def put(self, name: str, mime: str, body: bytes, *, type: str = "file") -> ArtifactRef:
        raise SkillRefused(f"there is nowhere to keep the artifact {name}")

    def get(self, digest: bytes) -> bytes:
        raise ArtifactNotFound("there are no artifacts here")


class _Hiding:
    """Where a call leaves artifacts, without the secrets that it was shown: what a server echoes is one too."""

    def __init__(self, inner: Artifacts, secrets: Revealed) -> None:
        self._inner = inner
        self._secrets = secrets

    def put(self, name: str, mime: str, body: bytes, *, type: str = "file") -> ArtifactRef:
        told = self._secrets.hide(name.encode(errors="replace")).decode(errors="replace")
        return self._inner.put(told, mime, self._secrets.hide(body), type=type)

    def get(self, digest: bytes) -> bytes:
        return self._inner.get(digest)


class Purse(Protocol):
    """Money that several runs share. Each method changes nothing when it is called again under the same key."""

    def reserve(self, key: str, micros: int, step: str, skill: str, *, metered: bool = False) -> bytes:
        """Set aside what a call may cost, and return the answer of one that is booked already, if it is kept.

        Args:
            metered: Whether a call that is made again is paid for again.

        Raises:
            BudgetExceeded: TW7010, it is more than there is left.
        """
        ...

    def settle(self, key: str, micros: int, usage: Usage, answer: bytes = b"") -> None:
        """Book what a call has used, for which ``micros`` were set aside, and keep what it came to.

        Raises:
            StoreFailed: TW7018, it could not be written now.
        """
        ...


class Ports(msgspec.Struct, frozen=True):
    """What skills reach, besides their parameters.

    Attributes:
        secrets: None for none.
        artifacts: Makes, of a run's id, a step and labels, where that step leaves artifacts; None for nowhere.
        cache: None where nothing is kept.
        purse: What all runs of the profile may spend; None where only the run itself counts.
        parts: By name, for what only some skills need: ``network`` (an ``Egress``), ``files`` (``Folders``),
            ``databases`` (``Databases``), ``models`` (``tickwork.Models``), ``llm``, ``memory``.
        threads: For calls with a deadline; all performers of a process had better share them.
    """

    clock: Clock
    secrets: SecretBox | None = None
    artifacts: Callable[[str, str, tuple[str, ...]], Artifacts] | None = None
    cache: Cache | None = None
    purse: Purse | None = None
    parts: Mapping[str, Any] = {}
    threads: Threads = msgspec.field(default_factory=Threads)


def call_key(lineage: str, path: str, purpose: str) -> str:
    """Return the idempotency key of a call. Shape: 64 hexadecimal digits.

    Law: it depends on nothing else, and so is the same for every attempt and after every crash.
    """
    return codec.digest(codec.encode((lineage, path, purpose))).hex()


class SkillPerformer:
    """Performs the calls of one skill in one run.

    Args:
        found: The skill.
        lineage: What keys are made of; the run itself, where it is not said.
    """

    def __init__(self, found: Found, ports: Ports, *, run_id: str, lineage: str = "") -> None:
        self._found = found
        self._ports = ports
        self._run = run_id
        self._lineage = lineage or run_id
        self._given, self._made = found.skill.shapes

    def perform(self, effect: Effect) -> Result:
        """Return the answer to a call. May block, to the call's deadline."""
        call = _calls.decode(effect.body)
        answer = self.answer(call, EffectClass(effect.effect_class))
        return Result(effect.number, 0, Encoding.MSGPACK, codec.encode(answer))

    def answer(self, call: SkillCall, effect_class: EffectClass | None = None) -> Answer:
        """Return what comes of a call.

        Args:
            effect_class: What the step says, where it says something else than the skill.
        """
        kind = self._found.traits.effect_class if effect_class is None else effect_class
        repeatable = kind in (EffectClass.PURE, EffectClass.IDEMPOTENT)
        cache_key = self._cache_key(call) if call.cache_ms and repeatable else ""
        if cache_key and (answer := self._cached(call, cache_key)) is not None:
            return answer
        answer = self._paid(call, repeatable=repeatable)
        if cache_key and self._ports.cache is not None and answer.failure is None and not answer.artifacts:
            kept = Kept(answer.output, answer.labels)
            with suppress(StoreFailed):  # Then it is made again the next time.
                self._ports.cache.keep(self._found.pin.digest, cache_key, kept, call.cache_ms)
        return answer

    def _paid(self, call: SkillCall, *, repeatable: bool) -> Answer:
        """Return what comes of a call whose cost is set aside before and booked after, beside what other runs spend."""
        purse, micros = self._ports.purse, call.reserved_micros
        if purse is None or not micros:
            return self._performed(call, repeatable=repeatable)
        # Of the attempt: each of them may cost as much, and one that is performed again after a crash is the same.
        key = f"{call_key(self._lineage, call.path, call.purpose)}.{call.attempt}"
        hint = self._found.pin.cost
        metered = bool(hint.input_micros or hint.output_micros)
        try:
            known = purse.reserve(key, micros, call.path, call.skill, metered=metered)
        except BudgetExceeded as error:
            return Answer(call.number, failure=Failure(error.code, error.what, source="policy"), labels=call.labels)
        except StoreFailed as error:
            # Nothing was sent, so that any call may be made later.
            return Answer(call.number, failure=Failure(error.code, error.what, True, "run"), labels=call.labels)
        if known:
            # It was made and paid for before a crash that the run's journal has nothing of it.
            return msgspec.structs.replace(_answers.decode(known), number=call.number)
        answer = self._performed(call, repeatable=repeatable)
        for _ in range(SETTLE_TRIES):
            # What was done is answered for although its booking fails; what was set aside is booked at the run's end.
            with suppress(StoreFailed):
                purse.settle(key, micros, answer.usage, codec.encode(answer))
                break
        return answer

    def _performed(self, call: SkillCall, *, repeatable: bool) -> Answer:
        """Return what comes of a call, whatever the skill raises."""
        secrets = Revealed(self._ports.secrets)
        context = self._context(call, secrets)
        output, failure, unknown = b"null", None, False
        try:
            output = self._hidden(self._call(call, context), secrets)
        except TickworkError as error:
            failure = _failure(error, secrets, repeatable=repeatable)
            unknown = isinstance(error, SkillTimeout) and not error.unsent and bool(call.reserved_micros)
        except Exception as error:  # noqa: BLE001 - Any fault of a skill is its answer, never the run's end.
            # The text of a stranger's exception may name anything; its kind names nothing.
            told = SkillFailed(f"the skill raised {type(error).__name__}")
            failure = _failure(told, secrets, repeatable=repeatable)
        if (wrong := _put_right(context)) and failure is None:
            told_wrong = SkillOutputInvalid(f"{self._found.traits.name} left {', '.join(wrong)} that cannot be read")
            failure = _failure(told_wrong, secrets, repeatable=repeatable)
        if failure is None:
            return _answer(call, context, secrets, output)
        answer = _failed(call, context, secrets, failure)
        if unknown and not answer.usage.requests and not answer.usage.cost_micros:
            # It was sent, and nobody says what it has used: what was set aside for it is charged.
            used = Usage(requests=1, cost_micros=call.reserved_micros, prices=ESTIMATED)
            answer = msgspec.structs.replace(answer, usage=used)
        return answer

    def _call(self, call: SkillCall, context: CallContext) -> bytes:
        """Return the output of a call, checked.

        Raises:
            TickworkError: It came to none.
        """
        traits = self._found.traits
        try:
            given = self._given.check(call.params)
        except ValueError as error:
            raise SkillInputInvalid(f"parameters of {traits.name}: {error}") from None
        if traits.inline:
            value = self._guarded(given, context)
        else:
            within = call.timeout_ms or traits.timeout_ms
            value = self._within(lambda: self._guarded(given, context), within)
        try:
            output = self._made.render(value)
        except ValueError as error:
            raise SkillOutputInvalid(f"result of {traits.name}: {error}") from None
        if len(output) > MAX_OUTPUT_BYTES:
            raise OutputTooLarge(
                f"the result of {traits.name} has {len(output):,} bytes, and {MAX_OUTPUT_BYTES:,} are allowed"
            )
        return output

    def _hidden(self, output: bytes, secrets: Revealed) -> bytes:
        """Return an output without secrets.

        Raises:
            SkillOutputInvalid: TW7007, one stands where no text does, as a number that is or holds it.
        """
        hidden = secrets.hide(output)
        if hidden != output:
            try:
                read_json(hidden)
            except ValueError:
                name = self._found.traits.name
                raise SkillOutputInvalid(f"result of {name}: a secret stands where none can be taken out") from None
        return hidden

    def _guarded(self, given: Any, context: CallContext) -> Any:
        """Return what the skill returns. It cannot end this process or its thread by what it raises.

        Raises:
            Exception: Whatever the skill raises that is one.
        """
        try:
            return self._found.skill.call(given, context)
        except Exception:
            raise
        except BaseException as error:
            if self._found.traits.inline and isinstance(error, KeyboardInterrupt):
                raise  # Somebody has interrupted this process, whose own thread this may be.
            raise SkillFailed(f"the skill raised {type(error).__name__}") from None

    def _within(self, function: Any, within_ms: int) -> Any:
        name = self._found.traits.name
        try:
            return self._ports.threads.call(function, within_ms + GRACE_MS if within_ms else 0)
        except Overdue:
            raise SkillTimeout(f"{name} gave no result within {within_ms:,} ms") from None
        except Crowded:
            failed = SkillFailed(f"{name} was not called, since too many earlier calls still hang")
            failed.unsent = True
            raise failed from None

    def _context(self, call: SkillCall, secrets: Revealed) -> CallContext:
        clock, traits, artifacts = self._ports.clock, self._found.traits, self._ports.artifacts
        within = call.timeout_ms or traits.timeout_ms
        return CallContext(
            run_id=self._run,
            step=call.path,
            attempt=call.attempt,
            key=call_key(self._lineage, call.path, call.purpose),
            clock=clock,
            secrets=secrets,
            artifacts=_Hiding(artifacts(self._run, call.path, call.labels), secrets) if artifacts else _NoArtifacts(),
            deadline_ns=clock.elapsed_ns() + within * 1_000_000 if within else 0,
            labels=set(call.labels),
            reserved_micros=call.reserved_micros,
            parts=self._ports.parts,
        )

    def _cache_key(self, call: SkillCall) -> str:
        """Return the key of a call's output: what the plan says, else the parameters. Shape: 64 hexadecimal digits."""
        what = call.cache_key.encode() if call.cache_key else call.params
        return codec.digest(codec.encode((bool(call.cache_key), what))).hex()

    def _cached(self, call: SkillCall, key: str) -> Answer | None:
        cache, kept = self._ports.cache, None
        with suppress(StoreFailed):
            kept = cache.look(self._found.pin.digest, key, call.cache_ms) if cache is not None else None
        if kept is None:
            return None
        return Answer(call.number, kept.output, labels=tuple(sorted({*kept.labels, *call.labels})), cached=True)


def _failure(error: TickworkError, secrets: Revealed, *, repeatable: bool) -> Failure:
    again, wait = False, 0
    if isinstance(error, PlaneError):
        again, wait = error.retryable and (repeatable or error.unsent), error.retry_after_ms
    source = "policy" if error.code in REFUSED else "provider" if error.code in PROVIDER else "skill"
    # Cut last: half of a secret would not be known for one.
    message = secrets.hide(str(error.what)[:MOST_SAID].encode(errors="replace")).decode(errors="replace")
    return Failure(str(error.code), message[:MAX_MESSAGE], bool(again), source, wait)


def _put_right(context: CallContext) -> list[str]:
    """Put what a skill has left beside its result right where it cannot be a part of an answer; return what was not."""
    wrong = list[str]()
    used: object = context.usage
    if not _is_usage(used):
        context.usage = Usage()
        wrong.append("usage")
    labels: object = context.labels
    if not isinstance(labels, set) or not all(map(_is_text, cast("set[object]", labels))):
        kept = cast("set[object]", labels) if isinstance(labels, set) else set[object]()
        context.labels = {label for label in kept if isinstance(label, str) and _is_text(label)}
        wrong.append("labels")
    transcript: object = context.transcript
    if not isinstance(transcript, bytes):
        context.transcript = b""
        wrong.append("a transcript")
    kept_refs: object = context.kept
    if not isinstance(kept_refs, list) or not all(
        isinstance(one, ArtifactRef) for one in cast("list[object]", kept_refs)
    ):
        context.kept = []
        wrong.append("artifacts")
    return wrong


def _is_usage(used: object) -> bool:
    """Return whether this is what a call used: no number is below zero, which would be money won."""
    if not isinstance(used, Usage):
        return False
    numbers = (used.tokens_in, used.tokens_out, used.tokens_cached, used.requests, used.cost_micros)
    fits = all(type(number) is int and 0 <= number <= MOST_USED for number in numbers)
    return fits and _is_text(used.model) and _is_text(used.prices)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value == value.encode(errors="replace").decode()


def _answer(call: SkillCall, context: CallContext, secrets: Revealed, output: bytes) -> Answer:
    return Answer(
        call.number,
        output,
        usage=context.usage,
        labels=_labels(context, secrets),
        artifacts=tuple(context.kept),
        transcript=secrets.hide(context.transcript),
    )


def _failed(call: SkillCall, context: CallContext, secrets: Revealed, failure: Failure) -> Answer:
    """Return the answer of a call that failed; what it has spent until then is spent."""
    usage: Usage = context.usage
    return Answer(
        call.number,
        failure=failure,
        usage=usage,
        labels=_labels(context, secrets),
        transcript=secrets.hide(context.transcript),
    )


def _labels(context: CallContext, secrets: Revealed) -> tuple[str, ...]:
    """Return where a result comes from; the host that a redirection names may be anything. Order: sorted."""
    return tuple(sorted({secrets.hide(label.encode()).decode(errors="replace") for label in context.labels}))
