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

VERSION_PATTERN: Final = r"^[0-9A-Za-z.+-]{1,32}$"

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
SKILL_PATTERN: Final = r"^[a-z][a-z0-9_.-]{0,127}(@[0-9A-Za-z.+-]{1,32})?$"
MaybeSkill = Annotated[
    str,
    Meta(
        pattern=f"^$|{SKILL_PATTERN}",
        description="A skill, `NAME` or `NAME@VERSION`.",
        examples=["http_call"],
    ),
]
SkillName = Annotated[
    str,
    Meta(
        pattern=SKILL_PATTERN,
        description="A skill, `NAME` or `NAME@VERSION`.",
        examples=["http_call"],
    ),
]


class InputTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A parameter of a plan. One without a default has to be given."""

    type: Annotated[
        Literal["string", "integer", "number", "boolean", "array", "object"], Meta(description="Kind of its value.")
    ] = "string"
    description: Annotated[str, Meta(description="What it is, for people and planners.")] = ""
    default: Annotated[Any, Meta(description="Its value where none is given.")] = None
    enum: Annotated[tuple[Any, ...], Meta(description="Values that are allowed; empty for any.")] = ()
    pattern: Annotated[str, Meta(description="Regular expression of RE2 that a text has to match.")] = ""
    minimum: Annotated[float | None, Meta(description="Least value of a number.")] = None
    maximum: Annotated[float | None, Meta(description="Greatest value of a number.")] = None
    optional: Annotated[bool, Meta(description="Whether it may be left out, and then is null.")] = False


class RetryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often and when a failed call is tried again.

    Units: the wait before attempt n + 1 is ``initial`` times ``factor`` to the power n - 1, at most ``longest``, and
    with ``jitter`` a seeded share between a half and the whole of that.
    """

    max: Annotated[int, Meta(ge=0, le=100, description="Further attempts after the first.")] = 2
    initial: Annotated[Duration, Meta(description="A text such as `1s`: the first wait.")] = "1s"
    factor: Annotated[float, Meta(ge=1, le=10, description="How much longer each wait is than the one before.")] = 2.0
    longest: Annotated[Duration, Meta(description="A text such as `1m`: the longest wait.")] = "1m"
    jitter: Annotated[bool, Meta(description="Whether waits are shortened at random, by up to a half.")] = True
    never: Annotated[tuple[str, ...], Meta(description="Error codes that are not tried again, such as `TW7006`.")] = ()


class CallTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Another call: what is done instead of a step, or to undo it."""

    skill: SkillName
    params: Annotated[dict[str, Any], Meta(description="Texts may hold `${expressions}`.")] = {}


class ApprovalTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """People who have to agree before a step is done."""

    by: Annotated[tuple[str, ...], Meta(description="Who may decide; empty for anybody.")] = ()
    need: Annotated[int, Meta(ge=1, le=32, description="How many of them have to agree.")] = 1
    message: Annotated[str, Meta(description="What they are asked; may hold `${expressions}`.")] = ""
    timeout: Annotated[MaybeDuration, Meta(description="A text such as `1h`: how long they have; empty for ever.")] = ""
    on_timeout: Annotated[Literal["deny", "grant", "escalate"], Meta(description="What happens when time is up.")] = (
        "deny"
    )
    escalate_to: Annotated[tuple[str, ...], Meta(description="Who is asked when time is up.")] = ()


class WaitTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a step without a skill waits for: exactly one of ``timer``, ``signal`` and ``input``."""

    timer: Annotated[MaybeDuration, Meta(description="A text such as `5m`: how long.")] = ""
    signal: Annotated[str, Meta(max_length=128, description="Name of a signal; its body is the step's output.")] = ""
    input: Annotated[dict[str, Any], Meta(description="JSON Schema of what a person has to give.")] = {}
    message: Annotated[str, Meta(description="What the person is asked; may hold `${expressions}`.")] = ""
    timeout: Annotated[MaybeDuration, Meta(description="A text such as `1h`: after it the step fails.")] = ""


class CacheTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An earlier output of the same skill that is used again; for pure and idempotent skills alone."""

    key: Annotated[str, Meta(description="Text, may hold `${expressions}`; empty for the parameters themselves.")] = ""
    ttl: Annotated[Duration, Meta(description="A text such as `1h`: how old an output may be.")] = "1h"


class BudgetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a run may use at most. A hard limit is never passed; a soft one is told of."""

    usd: Annotated[MaybeMoney, Meta(description="A text such as `0.25`: US dollars, never passed.")] = ""
    soft_usd: Annotated[MaybeMoney, Meta(description="A text such as `0.20`: US dollars, told of when passed.")] = ""
    tokens: Annotated[int, Meta(ge=0, description="Tokens of language models; 0 for no limit.")] = 0
    calls: Annotated[int, Meta(ge=0, description="Calls of skills; 0 for no limit.")] = 0


class StepTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A step: exactly one of ``skill``, ``wait`` and ``plan``.

    A step begins when what it depends on has ended, as ``join`` says. An expression that reads ``steps.NAME`` makes it
    depend on that step too.
    """

    id: Name
    title: Annotated[str, Meta(description="What it does, for people.")] = ""
    skill: MaybeSkill = ""
    params: Annotated[dict[str, Any], Meta(description="Texts may hold `${expressions}`.")] = {}
    plan: Annotated[str, Meta(description="A plan of `plans`, run as this step; `params` are its inputs.")] = ""
    wait: Annotated[WaitTable | None, Meta(description="What a step without a skill waits for.")] = None
    depends_on: Annotated[tuple[str, ...], Meta(description="Steps that have to end first.")] = ()
    join: Annotated[Join, Meta(description="How many of `depends_on` must have succeeded.")] = "all"
    when: Annotated[Expression, Meta(description="A condition; the step is skipped where it is false.")] = ""
    for_each: Annotated[Expression, Meta(description="A list; the step is done for each `item`, at `index`.")] = ""
    max_parallel: Annotated[int, Meta(ge=0, le=1024, description="Calls of `for_each` at once; 0 for no bound.")] = 0
    timeout: Annotated[MaybeDuration, Meta(description="A text such as `30s`: how long one call may take.")] = ""
    retry: Annotated[RetryTable | None, Meta(description="In place of what the skill itself says.")] = None
    on_error: Annotated[OnError, Meta(description="What happens when no further attempt is made.")] = "abort"
    fallback: Annotated[CallTable | None, Meta(description="What is called instead; may read `error`.")] = None
    approval: Annotated[ApprovalTable | None, Meta(description="People who have to agree first.")] = None
    compensate: Annotated[CallTable | None, Meta(description="What undoes the step; may read `result`.")] = None
    cache: Annotated[CacheTable | None, Meta(description="Whether an earlier output may be used again.")] = None
    outputs: Annotated[dict[str, Any], Meta(description="What `steps.NAME.output` is to hold; may read `result`.")] = {}
    effect_class: Annotated[
        Literal["", "pure", "idempotent", "compensable", "unsafe"],
        Meta(description="What a call whose result is lost means here, in place of what the skill says."),
    ] = ""
    budget_usd: Annotated[MaybeMoney, Meta(description="A text such as `0.05`: what the step may spend.")] = ""


class PlanTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A plan."""

    name: Name
    version: Annotated[str, Meta(pattern=VERSION_PATTERN, description="The author's own.")] = "1"
    format: Annotated[int, Meta(ge=1, le=1, description="Layout of this table.")] = 1
    goal: Annotated[str, Meta(max_length=10_000, description="What it achieves; goals are matched with it.")] = ""
    description: Annotated[str, Meta(description="More about it, for people and planners.")] = ""
    examples: Annotated[tuple[str, ...], Meta(description="Goals that it fits; may hold `{inputs}`.")] = ()
    planner: Annotated[str, Meta(description="Who made it: `template`, `llm`, a person.")] = ""
    inputs: Annotated[dict[str, InputTable], Meta(description="Its parameters.")] = {}
    ordering: Annotated[
        Literal["issue", "arrival"],
        Meta(
            description="Whether results are taken in the order of the calls, or as they come. "
            "What people say waits for no call."
        ),
    ] = "issue"
    budget: BudgetTable = BudgetTable()
    steps: Annotated[tuple[StepTable, ...], Meta(max_length=MAX_STEPS, description="What is done.")] = ()
    outputs: Annotated[dict[str, Any], Meta(description="What the run comes to; may hold `${expressions}`.")] = {}
    plans: Annotated[dict[str, "PlanTable"], Meta(description="Plans that steps may run.")] = {}
