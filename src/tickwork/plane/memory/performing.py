"""Performs what a plan's run asks of memory: to recall before planning, and to keep a summary at its end.

Invariants:
    * Every effect comes to an answer; a memory that cannot be read makes the call fail, not the run.
    * Keeping the same summary again, after a crash, leaves what is there.
    * What was recalled carries the labels of what it was remembered with.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from ... import codec
from ...driver.performers import Performer
from ...errors import TickworkError
from ...records import Effect, Encoding, Result
from ..calls import Answer, Failure, KeepRequest, RecallRequest, SkillCall
from ..compiled import KEEP, RECALL
from ..errors import PlaneError, SkillInputInvalid
from ..json_text import write_json
from ..profile import MemoryTable
from .context import recall
from .items import MAX_TEXT_BYTES, Memory, Source

SUMMARY_BYTES: Final = 8_192
"""What is kept of a run's summary; more would fill the context of whoever recalls it."""

T = TypeVar("T", bound=msgspec.Struct)

_calls: Final = msgspec.msgpack.Decoder(SkillCall)


def _performed(effect: Effect, answer: Callable[[SkillCall], Answer]) -> Result:
    """Return the answer to an effect's call, or that it failed."""
    call = _calls.decode(effect.body)
    try:
        made = answer(call)
    except TickworkError as error:
        again = isinstance(error, PlaneError) and error.retryable
        made = Answer(call.number, failure=Failure(error.code, error.what, again, "run"))
    return Result(effect.number, 0, Encoding.MSGPACK, codec.encode(made))


class RecallPerformer:
    """Performs ``memory.recall``: the context of a goal, by section."""

    def __init__(self, memory: Memory, table: MemoryTable) -> None:
        self._memory = memory
        self._table = table

    def perform(self, effect: Effect) -> Result:
        """Return the answer to a call."""
        return _performed(effect, self.answer)

    def answer(self, call: SkillCall) -> Answer:
        """Return the context, and the labels of what is in it."""
        request = _read(call.params, RecallRequest)
        if not self._table.recall:
            return Answer(call.number, write_json({"sections": []}), labels=call.labels)
        found = recall(self._memory, self._table, request.goal)
        output = write_json(msgspec.to_builtins(found.context))
        return Answer(call.number, output, labels=tuple(sorted({*found.labels, *call.labels})))


class KeepPerformer:
    """Performs ``memory.keep``: a run's summary becomes an item, and its goal and outcome are what was said.

    Args:
        run_id: The run that is summarised.
    """

    def __init__(self, memory: Memory, run_id: str) -> None:
        self._memory = memory
        self._run = run_id

    def perform(self, effect: Effect) -> Result:
        """Return the answer to a call."""
        return _performed(effect, lambda call: self.answer(call, effect.key.hex()))

    def answer(self, call: SkillCall, key: str) -> Answer:
        """Keep the summary. Law: doing so again changes nothing."""
        request = _read(call.params, KeepRequest)
        source = Source(self._run, call.path, call.labels)
        goal = _cut(request.goal, MAX_TEXT_BYTES)
        summary = _cut(request.summary, SUMMARY_BYTES)
        if not goal and not summary:
            return Answer(call.number)
        told = _cut(f"{goal}\n{request.status}: {summary}".strip(), MAX_TEXT_BYTES)
        self._memory.add("summary", told, source)
        if goal:
            self._memory.say(f"{key[:32]}-1", "user", goal, msgspec.structs.replace(source, labels=()))
        self._memory.say(f"{key[:32]}-2", "agent", f"{request.status}: {summary}".strip(), source)
        return Answer(call.number)


def memory_performers(memory: Memory, table: MemoryTable, run_id: str) -> Mapping[str, Performer]:
    """Return the performers of one run's memory, by skill."""
    return {RECALL: RecallPerformer(memory, table), KEEP: KeepPerformer(memory, run_id)}


def _read(params: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(params, type=shape)
    except msgspec.DecodeError as error:
        raise SkillInputInvalid(f"a request to memory that is none: {error}") from None


def _cut(text: str, most: int) -> str:
    """Return as many whole characters of a text as fit. Units: bytes."""
    clean = text.replace("\0", " ").encode("utf-8", "replace")
    return clean[:most].decode("utf-8", "ignore").strip()
