"""A plan as the executor runs it: validated, its names resolved, everything it depends on pinned.

It lies in the header of a run, or in the answer of its planner, and so in D: nothing here names a machine, a path or a
time. Field order is the wire order, so a field may be appended and never moved.
"""

from typing import Final

import msgspec

EXECUTOR_ENTRY: Final = "tickwork:plan-1"
"""Entry of the agent that runs plans. Its number is raised when the same records would come to other outboxes."""

EXECUTOR_NAME: Final = "plan"
"""Name of that agent in every run of a plan."""

PROPOSE: Final = "plan.propose"
RECALL: Final = "memory.recall"
KEEP: Final = "memory.keep"
APPROVAL: Final = "ask.approval"
INPUT: Final = "ask.input"
SIGNAL: Final = "wait.signal"
TIMER: Final = "wait.timer"
SYSTEM_SKILLS: Final = (PROPOSE, RECALL, KEEP, APPROVAL, INPUT, SIGNAL, TIMER)
"""What the executor itself asks for. All of them are idempotent by the key of the call."""


class CostHint(msgspec.Struct, frozen=True, array_like=True):
    """What one call costs at most.

    Attributes:
        per_call_micros: Fixed. Units: micro-dollars.
        input_micros, output_micros: For a million tokens each. Units: micro-dollars.
        max_output: Tokens that an answer may hold where the parameters do not say; 0 for none.
        known: Whether this is a bound. With a limit of money, a call without a known bound is refused.
    """

    per_call_micros: int = 0
    input_micros: int = 0
    output_micros: int = 0
    max_output: int = 0
    known: bool = True


class RetryRule(msgspec.Struct, frozen=True, array_like=True):
    """Units: milliseconds, and thousandths for ``factor_milli``."""

    max: int = 0
    initial_ms: int = 1000
    factor_milli: int = 2000
    longest_ms: int = 60_000
    jitter: bool = True
    never: tuple[str, ...] = ()


NETWORK: Final = "network"
"""Capability of skills that reach the hosts of the grants."""


class SkillPin(msgspec.Struct, frozen=True, array_like=True):
    """A skill as it was when the run began.

    Attributes:
        digest: SHA-256 over name, version, schemas and effect class. Shape: 32 bytes.
        effect_class: An ``EffectClass``.
        side_effects: Whether it changes something outside the run.
        outside: Whether its results come from outside, and are labelled ``outside:NAME``.
        approval: Expression over ``params`` and ``labels`` that says whether people have to agree; empty for never.
        timeout_ms: 0 for the executor's.
        retry: Used where a step has none.
    """

    name: str
    version: str
    digest: bytes
    effect_class: int
    side_effects: bool = False
    outside: bool = False
    approval: str = ""
    timeout_ms: int = 0
    retry: RetryRule = RetryRule()
    cost: CostHint = CostHint()
    capabilities: tuple[str, ...] = ()


class Budget(msgspec.Struct, frozen=True, array_like=True):
    """Limits; -1 for none. Units: micro-dollars, tokens, calls."""

    hard_micros: int = -1
    soft_micros: int = -1
    tokens: int = -1
    calls: int = -1


class AgentPin(msgspec.Struct, frozen=True, array_like=True):
    """The agent on whose behalf a run is, as it was when the run began.

    Attributes:
        tainted: Skills that may change something outside although their parameters hold outside values. An entry is
            ``SKILL`` or ``SKILL if EXPRESSION`` over ``params`` and ``labels``.
        approvers: Who decides on approvals that a rule asks for; empty for anybody.
        anywhere: Whether its skills may reach any host, and so whoever has named an address in what they read.
    """

    name: str = "default"
    version: int = 1
    digest: bytes = b""
    tainted: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    budget: Budget = Budget()
    anywhere: bool = False

    def lets_out(self, pin: SkillPin) -> bool:
        """Return whether a call of a skill may carry its parameters to somebody outside, by a change or by asking."""
        return pin.side_effects or (self.anywhere and NETWORK in pin.capabilities)


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A call of a skill.

    Attributes:
        skill: Index into the pins.
        params: JSON with templates.
        static: Whether ``params`` holds no template.
    """

    skill: int
    params: bytes = b"{}"
    static: bool = True


class Approval(msgspec.Struct, frozen=True, array_like=True):
    """Units: milliseconds; 0 waits for ever. ``message`` may hold templates."""

    by: tuple[str, ...] = ()
    need: int = 1
    message: str = ""
    timeout_ms: int = 0
    on_timeout: str = "deny"
    escalate_to: tuple[str, ...] = ()


class Wait(msgspec.Struct, frozen=True, array_like=True):
    """What a step waits for: a timer, a signal or an input. Units: milliseconds; 0 for none."""

    kind: str
    timer_ms: int = 0
    signal: str = ""
    schema: bytes = b""
    message: str = ""
    timeout_ms: int = 0


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A step.

    Attributes:
        after: Steps of the same plan that have to end first, by index, written or read by an expression. Order:
            ascending.
        join: How many of ``after`` must have succeeded; 0 for all of them.
        plan: Index of the plan that it runs; -1 for none.
        budget_micros: -1 for none.
        outputs: JSON with templates; empty for the result itself.
        cache_ms: 0 for no cache.
    """

    id: str
    title: str = ""
    call: Call | None = None
    plan: int = -1
    params: bytes = b"{}"
    wait: Wait | None = None
    after: tuple[int, ...] = ()
    join: int = 0
    when: str = ""
    for_each: str = ""
    max_parallel: int = 0
    timeout_ms: int = 0
    retry: RetryRule | None = None
    on_error: str = "abort"
    fallback: Call | None = None
    approval: Approval | None = None
    compensate: Call | None = None
    cache_key: str = ""
    cache_ms: int = 0
    outputs: bytes = b""
    effect_class: int = -1
    budget_micros: int = -1


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """A plan; ``steps`` in the order of its table, which is also the order in which ready steps are begun."""

    name: str
    version: str
    steps: tuple[Step, ...]
    inputs: bytes = b"{}"
    outputs: bytes = b""
    budget: Budget = Budget()


class Compiled(msgspec.Struct, frozen=True, array_like=True):
    """All plans of a run; the first is the run's own.

    Attributes:
        pins: Skills that calls name. Order: first use.
        source: The tables as JSON, canonical, for people.
        digest: SHA-256 of ``source`` and the pins.
    """

    plans: tuple[Plan, ...]
    pins: tuple[SkillPin, ...]
    source: bytes
    digest: bytes
    ordering: str = "issue"


class Assignment(msgspec.Struct, frozen=True, array_like=True):
    """Configuration of the executor: what the run is to do. Encoded with ``codec.encode``.

    Attributes:
        goal: The goal's text; empty where a plan was given.
        inputs: JSON object.
        compiled: The plan; None where a planner is to make it.
        allowed: Skills that a planner may use, by name and version; they are the run's skills.
        planner: ``template`` or ``llm``; empty where a plan is given.
        prices: Version of the price table.
        remember: Whether the run is summarised into memory at its end.
    """

    goal: str
    inputs: bytes
    agent: AgentPin
    compiled: Compiled | None = None
    allowed: tuple[SkillPin, ...] = ()
    planner: str = ""
    budget: Budget = Budget()
    prices: str = ""
    remember: bool = False
