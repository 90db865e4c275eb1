"""Performers of what a plan waits for: each looks its row up, and parks the effect while nothing is there.

Invariants:
    * No thread and no state of theirs waits. A run that was killed looks the same rows up again.
    * What comes of a wait is an answer like that of any skill.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from .. import codec
from ..driver.performers import Parked, Performer
from ..errors import EffectUndecided, JournalBusy, TickworkError
from ..records import Effect, Encoding, Result
from .calls import (
    Answer,
    ApprovalDecision,
    ApprovalRequest,
    Failure,
    InputRequest,
    SignalRequest,
    SkillCall,
    TimerRequest,
)
from .compiled import APPROVAL, INPUT, SIGNAL, TIMER
from .errors import SkillFailed, StoreFailed
from .json_text import write_json
from .waits import APPROVAL as APPROVAL_KIND
from .waits import INPUT as INPUT_KIND
from .waits import SIGNAL as SIGNAL_KIND
from .waits import TIMER as TIMER_KIND
from .waits import NewWait, Waits, wait_id

LOST: Final = "lost"

AGAIN_US: Final = 1_000_000
"""When a wait is looked at again whose row could not be read."""

_MOST_TEXT: Final = 2000

_calls: Final = msgspec.msgpack.Decoder(SkillCall)
T = TypeVar("T")


def read_call(effect: Effect) -> SkillCall:
    """Return the call that an effect of the executor is."""
    return _calls.decode(effect.body)


def answered(effect: Effect, answer: Answer) -> Result:
    """Return an answer as the result of an effect."""
    return Result(effect.number, 0, Encoding.MSGPACK, codec.encode(answer))


class Answering:
    """A performer whose every effect comes to an answer that says whose it is, whatever is raised within."""

    def __init__(self, performer: Performer) -> None:
        self._performer = performer

    def perform(self, effect: Effect) -> Result | Parked:
        """Return what the performer gives, or an answer that it failed."""
        try:
            given: object = self._performer.perform(effect)
        except TickworkError as error:
            return _broken(effect, str(error.code), str(error.what))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - Any fault of a performer is the effect's result.
            return _broken(effect, SkillFailed.code, f"it could not be performed: {type(error).__name__}")
        if isinstance(given, Parked) or (
            isinstance(given, Result) and (given.number, given.code) == (effect.number, 0)
        ):
            return given
        return _broken(effect, SkillFailed.code, "what performs it gave no answer")


def _broken(effect: Effect, code: str, text: str) -> Result:
    clean = text[:_MOST_TEXT].encode(errors="replace").decode()
    return answered(effect, Answer(read_call(effect).number, failure=Failure(code, clean, source="run")))


class WaitPerformer:
    """Performs the effects of one kind of waiting in one run."""

    def __init__(self, waits: Waits, run_id: str, read: Callable[[SkillCall], NewWait]) -> None:
        self._waits = waits
        self._run = run_id
        self._read = read

    def perform(self, effect: Effect) -> Result | Parked:
        """Return what was answered; park the effect while nothing was."""
        call = read_call(effect)
        try:
            looked = self._waits.look(self._run, effect.key.hex(), self._read(call))
        except StoreFailed as error:
            if not isinstance(error.__cause__, JournalBusy):
                raise
            # Another process has been writing for too long: whoever is asked has not failed for that.
            return Parked(self._waits.now_us() + AGAIN_US)
        if looked.failure is not None:
            return answered(effect, Answer(call.number, failure=looked.failure))
        if looked.answer is None:
            return Parked(looked.due_us)
        return answered(effect, Answer(call.number, looked.answer))


def waiting_performers(waits: Waits, run_id: str) -> dict[str, Performer]:
    """Return the performers of everything that a run can wait for, by system skill."""
    kinds: Mapping[str, Callable[[SkillCall], NewWait]] = {
        APPROVAL: _approval,
        INPUT: _input,
        SIGNAL: _signal,
        TIMER: _timer,
    }
    return {skill: WaitPerformer(waits, run_id, read) for skill, read in kinds.items()}


def _request(call: SkillCall, kind: type[T]) -> T:
    return msgspec.json.decode(call.params, type=kind)


def _approval(call: SkillCall) -> NewWait:
    asked = _request(call, ApprovalRequest)
    return NewWait(
        APPROVAL_KIND, call.path, call.params, message=asked.message, delay_ms=asked.timeout_ms, approval=asked
    )


def _input(call: SkillCall) -> NewWait:
    asked = _request(call, InputRequest)
    return NewWait(INPUT_KIND, call.path, call.params, message=asked.message, delay_ms=asked.timeout_ms)


def _signal(call: SkillCall) -> NewWait:
    asked = _request(call, SignalRequest)
    return NewWait(SIGNAL_KIND, call.path, call.params, name=asked.signal, delay_ms=asked.timeout_ms)


def _timer(call: SkillCall) -> NewWait:
    return NewWait(TIMER_KIND, call.path, call.params, delay_ms=_request(call, TimerRequest).delay_ms)


class LostEffects:
    """Effects of a run whose results a crash has lost and that may not simply go out again: people are asked.

    Each loss is a question of its own, so that a call which was tried again and lost again is asked about again.
    """

    def __init__(self, waits: Waits, run_id: str) -> None:
        self._waits = waits
        self._run = run_id
        self._rounds: dict[int, int] = {}

    def look(self, effect: Effect) -> str | Result | None:
        """Return ``retry``, the result that somebody has decided on, or None while nobody has decided."""
        round_ = self._rounds.setdefault(effect.number, self._waits.losses(self._run, f"{effect.key.hex()}:{LOST}:"))
        call = read_call(effect)
        looked = self._waits.look(self._run, self.row_of(effect, round_), _loss(call))
        if looked.answer is None:
            return None
        decision = msgspec.json.decode(looked.answer, type=ApprovalDecision)
        if decision.decision == "grant":
            return "retry"
        if decision.decision == "complete":
            output = write_json(decision.arguments)
            return answered(effect, Answer(call.number, output))
        who = ", ".join(decision.by) or "nobody"
        text = f"its result was lost in a crash, and {who} declared it failed"
        failure = Failure(EffectUndecided.code, text, source="person")
        return answered(effect, Answer(call.number, failure=failure))

    def row_of(self, effect: Effect, round_: int | None = None) -> str:
        """Return what the question's row is found by."""
        number = self._rounds[effect.number] if round_ is None else round_
        return f"{effect.key.hex()}:{LOST}:{number}"

    def retried(self, effect: Effect) -> None:
        """Note that an effect goes out again, before it does: should it be lost again, that is another question."""
        self._waits.use(self._run, self.row_of(effect))

    def question(self, effect: Effect) -> str:
        """Return the id of the approval that asks about an effect."""
        return wait_id(self._run, self.row_of(effect))


def _loss(call: SkillCall) -> NewWait:
    message = "nobody knows whether this call happened: its result was lost in a crash"
    asked = ApprovalRequest(
        LOST,
        call.path,
        call.skill,
        msgspec.Raw(call.params),
        message=message,
        labels=call.labels,
        cost_micros=call.reserved_micros,
    )
    request = msgspec.json.encode(asked, order="deterministic")
    return NewWait(APPROVAL_KIND, call.path, request, message=message, approval=asked)
