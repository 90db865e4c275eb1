"""The tables of a plan as people, templates and models write them, in TOML or JSON.

A plan is data: nothing in it is executed but expressions of CEL, which always come to an end. ``compiling.py`` turns it
into what the executor runs.

Invariants:
    * A table says what is wanted and never who may: grants, prices and rules about outside values come from the agent.
    * Every field has a description, which is where the published JSON Schema and the reference have theirs from.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

NAME_PATTERN: Final = r"^[a-z][a-z0-9_]{0,63}$"
DURATION_PATTERN: Final = r"^(\d+(ms|s|m|h|d))+$"
MONEY_PATTERN: Final = r"^\d{1,9}(\.\d{1,6})?$"

MAX_STEPS: Final = 10_000

Name = Annotated[
    str, Meta(pattern=NAME_PATTERN, description="A name of lower-case letters, digits and `_`.", examples=["load"])
]
Duration = Annotated[
    str, Meta(pattern=DURATION_PATTERN, description="A text such as `250ms`, `30s`, `5m` or `1h30m`.", examples=["30s"])
]
Money = Annotated[
    str,
    Meta(
        pattern=MONEY_PATTERN,
        description="A text of US dollars such as `0.25`, with at most six decimals.",
        examples=["0.25"],
    ),
]
MaybeDuration = Annotated[
    str, Meta(pattern=f"^$|{DURATION_PATTERN}", description="A text such as `30s` or `1h30m`.", examples=["30s"])
]
MaybeMoney = Annotated[
    str, Meta(pattern=f"^$|{MONEY_PATTERN}", description="A text of US dollars such as `0.25`.", examples=["0.25"])
]
Expression = Annotated[str, Meta(max_length=4096, description="An expression of CEL.")]
OnError = Literal["abort", "continue", "retry", "fallback", "escalate"]
Join = Literal["all", "any"] | Annotated[int, Meta(ge=1)]
_SKILL_PATTERN: Final = r"^[a-z][a-z0-9_.-]{0,127}(@[0-9A-Za-z.+-]{1,32})?$"
MaybeSkill = Annotated[
    str,
    Meta(
        pattern=f"^$|{_SKILL_PATTERN}",
        description="A skill, `NAME` or `NAME@VERSION`.",
        examples=["http_call"],
    ),
]
SkillName = Annotated[
    str,
    Meta(
        pattern=_SKILL_PATTERN,
        description="A skill, `NAME` or `NAME@VERSION`.",
        examples=["http_call"],
    ),
]


class InputTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A parameter of a plan. One without a default has to be given."""

    type: Literal["string", "integer", "number", "boolean", "array", "object"] = "string"
    description: str = ""
    default: Any = None
    enum: tuple[Any, ...] = ()
    pattern: str = ""
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False


class RetryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often and when a failed call is tried again.

    Units: the wait before attempt n + 1 is ``initial`` times ``factor`` to the power n - 1, at most ``longest``, and
    with ``jitter`` a seeded share between a half and the whole of that.
    """

    max: Annotated[int, Meta(ge=0, le=100, description="Further attempts after the first.")] = 2
    initial: Duration = "1s"
    factor: Annotated[float, Meta(ge=1, le=10)] = 2.0
    longest: Duration = "1m"
    jitter: bool = True
    never: Annotated[tuple[str, ...], Meta(description="Error codes that are not tried again, such as `TW7006`.")] = ()


class CallTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Another call: what is done instead of a step, or to undo it."""

    skill: SkillName
    params: dict[str, Any] = {}


class ApprovalTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """People who have to agree before a step is done."""

    by: Annotated[tuple[str, ...], Meta(description="Who may decide; empty for anybody.")] = ()
    need: Annotated[int, Meta(ge=1, le=32, description="How many of them have to agree.")] = 1
    message: Annotated[str, Meta(description="What they are asked; may hold `${expressions}`.")] = ""
    timeout: MaybeDuration = ""
    on_timeout: Literal["deny", "grant", "escalate"] = "deny"
    escalate_to: tuple[str, ...] = ()


class WaitTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a step without a skill waits for: exactly one of ``timer``, ``signal`` and ``input``."""

    timer: MaybeDuration = ""
    signal: Annotated[str, Meta(max_length=128, description="Name of a signal; its body is the step's output.")] = ""
    input: Annotated[dict[str, Any], Meta(description="JSON Schema of what a person has to give.")] = {}
    message: str = ""
    timeout: MaybeDuration = ""


class CacheTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An earlier output of the same skill that is used again; for pure and idempotent skills alone."""

    key: Annotated[str, Meta(description="Text, may hold `${expressions}`; empty for the parameters themselves.")] = ""
    ttl: Duration = "1h"


class BudgetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a run may use at most. A hard limit is never passed; a soft one is told of."""

    usd: MaybeMoney = ""
    soft_usd: MaybeMoney = ""
    tokens: Annotated[int, Meta(ge=0)] = 0
    calls: Annotated[int, Meta(ge=0)] = 0


class StepTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A step: exactly one of ``skill``, ``wait`` and ``plan``.

    A step begins when what it depends on has ended, as ``join`` says. An expression that reads ``steps.NAME`` makes it
    depend on that step too.
    """

    id: Name
    title: str = ""
    skill: MaybeSkill = ""
    params: Annotated[dict[str, Any], Meta(description="Texts may hold `${expressions}`.")] = {}
    plan: Annotated[str, Meta(description="A plan of `plans`, run as this step; `params` are its inputs.")] = ""
    wait: WaitTable | None = None
    depends_on: tuple[str, ...] = ()
    join: Annotated[Join, Meta(description="How many of `depends_on` must have succeeded.")] = "all"
    when: Expression = ""
    for_each: Annotated[Expression, Meta(description="A list; the step is done for each `item`, at `index`.")] = ""
    max_parallel: Annotated[int, Meta(ge=0, le=1024, description="Calls of `for_each` at once; 0 for no bound.")] = 0
    timeout: MaybeDuration = ""
    retry: RetryTable | None = None
    on_error: OnError = "abort"
    fallback: CallTable | None = None
    approval: ApprovalTable | None = None
    compensate: CallTable | None = None
    cache: CacheTable | None = None
    outputs: Annotated[dict[str, Any], Meta(description="What `steps.NAME.output` is to hold; may read `result`.")] = {}
    effect_class: Literal["", "pure", "idempotent", "compensable", "unsafe"] = ""
    budget_usd: MaybeMoney = ""


class PlanTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A plan."""

    name: Name
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.+-]{1,32}$")] = "1"
    format: Annotated[int, Meta(ge=1, le=1, description="Layout of this table.")] = 1
    goal: Annotated[str, Meta(max_length=10_000, description="What it achieves; goals are matched with it.")] = ""
    description: str = ""
    examples: Annotated[tuple[str, ...], Meta(description="Goals that it fits; may hold `{inputs}`.")] = ()
    planner: Annotated[str, Meta(description="Who made it: `template`, `llm`, a person.")] = ""
    inputs: dict[str, InputTable] = {}
    ordering: Literal["issue", "arrival"] = "issue"
    budget: BudgetTable = BudgetTable()
    steps: Annotated[tuple[StepTable, ...], Meta(max_length=MAX_STEPS)] = ()
    outputs: Annotated[dict[str, Any], Meta(description="What the run comes to; may hold `${expressions}`.")] = {}
    plans: Annotated[dict[str, "PlanTable"], Meta(description="Plans that steps may run.")] = {}
