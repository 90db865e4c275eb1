"""What goes between the executor and whoever performs: calls and answers, one envelope each.

A call is the body of an effect, an answer the body of its result. Both are records: an answer names no path, host or
time. The executor knows an answer by ``call``, so that everything that happens to a call comes back in an ``Answer``.
"""

from typing import Any, Final

import msgspec

MAX_OUTPUT_BYTES: Final = 1 << 20
"""A larger output is refused: it belongs in an artifact."""


class SkillCall(msgspec.Struct, frozen=True, array_like=True):
    """One call of a skill.

    Attributes:
        number: The executor's own number of the call, unique in the run.
        path: Which step: ``load``, ``each[3]`` for an iteration, ``outer/load`` inside a plan that is a step.
        purpose: ``step``, ``fallback``, ``compensate``, or ``system``.
        attempt: From 1.
        skill: ``NAME@VERSION``, or a system skill.
        params: JSON, canonical. For a system skill the JSON of its request below.
        labels: Where parts of the parameters come from. Order: sorted.
        timeout_ms: 0 for none.
        cache_key, cache_ms: An earlier output that may be used.
        reserved_micros: What the executor has set aside for it.
        approved_by: Who agreed; empty where nobody had to.

    Law: the idempotency key of a call follows from the run's lineage, ``path`` and ``purpose`` alone, and so is the
    same for every attempt and after every crash.
    """

    number: int
    path: str
    purpose: str
    attempt: int
    skill: str
    params: bytes
    labels: tuple[str, ...] = ()
    timeout_ms: int = 0
    cache_key: str = ""
    cache_ms: int = 0
    reserved_micros: int = 0
    approved_by: str = ""


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Why a call failed.

    Attributes:
        code: ``TWnnnn``.
        source: ``skill``, ``provider``, ``policy``, ``run`` or ``person``.
    """

    code: str
    message: str
    retryable: bool = False
    source: str = "skill"
    retry_after_ms: int = 0


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What a call used. Units: tokens, micro-dollars."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    requests: int = 0
    cost_micros: int = 0
    model: str = ""
    prices: str = ""


class ArtifactRef(msgspec.Struct, frozen=True, array_like=True):
    """An artifact, by content. Units: bytes."""

    name: str
    digest: bytes
    size: int
    mime: str
    type: str = "file"


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What came of a call.

    Attributes:
        output: JSON, canonical; ``null`` where it failed.
        labels: Where the output comes from, beside the skill's own. Order: sorted.
        transcript: What was said to a language model and what it said, verbatim, as JSON; empty for none.
        cached: Whether the output is an earlier one.
    """

    number: int
    output: bytes = b"null"
    failure: Failure | None = None
    usage: Usage = Usage()
    labels: tuple[str, ...] = ()
    artifacts: tuple[ArtifactRef, ...] = ()
    transcript: bytes = b""
    cached: bool = False


class ApprovalRequest(msgspec.Struct, frozen=True):
    """Request of ``ask.approval``, as JSON. Its output is an ``ApprovalDecision``.

    Attributes:
        kind: ``step`` before a call, ``escalation`` after a failed one, ``taint`` or ``rule`` where policy asks.
        skill, arguments: Exactly what would be called with what.
    """

    kind: str
    step: str
    skill: str
    arguments: msgspec.Raw
    message: str = ""
    by: tuple[str, ...] = ()
    need: int = 1
    timeout_ms: int = 0
    on_timeout: str = "deny"
    escalate_to: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    error: str = ""
    cost_micros: int = 0


class ApprovalDecision(msgspec.Struct, frozen=True):
    """Output of ``ask.approval``.

    Attributes:
        decision: ``grant``, ``deny`` or ``modify``; for an escalation also ``retry``, ``skip`` or ``complete``.
        arguments: The edited arguments (``modify``), or the step's output (``complete``), as they are decoded.
    """

    decision: str
    by: tuple[str, ...] = ()
    comment: str = ""
    arguments: Any = None


class InputRequest(msgspec.Struct, frozen=True):
    """Request of ``ask.input``, as JSON. Its output is what the person gave."""

    step: str
    message: str
    schema: msgspec.Raw
    timeout_ms: int = 0


class SignalRequest(msgspec.Struct, frozen=True):
    """Request of ``wait.signal``, as JSON. Its output is the signal's body."""

    step: str
    signal: str
    timeout_ms: int = 0


class TimerRequest(msgspec.Struct, frozen=True):
    """Request of ``wait.timer``, as JSON. Its output is null."""

    step: str
    delay_ms: int


class ProposeRequest(msgspec.Struct, frozen=True):
    """Request of ``plan.propose``, as JSON. Its output is ``{"compiled": base64 of codec.encode(Compiled)}``."""

    goal: str
    inputs: msgspec.Raw
    planner: str
    recalled: msgspec.Raw


class RecallRequest(msgspec.Struct, frozen=True):
    """Request of ``memory.recall``, as JSON. Its output is ``{"sections": [{name, items, bytes, of}]}``."""

    goal: str


class KeepRequest(msgspec.Struct, frozen=True):
    """Request of ``memory.keep``, as JSON: a run's summary. Its output is null."""

    goal: str
    status: str
    summary: str


class Order(msgspec.Struct, frozen=True):
    """What a person tells a running plan, as the JSON body of a message to the executor.

    Attributes:
        order: ``cancel``, ``skip``, ``complete``, or ``input`` for another value of an input of the plan, which steps
            read that begin from then on.
        step: Path of the step (``skip``, ``complete``), or name of the input.
        output: What the step came to (``complete``), or the value (``input``), as it is decoded.
    """

    order: str
    by: str = ""
    step: str = ""
    output: Any = None
