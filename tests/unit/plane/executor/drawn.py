"""Plans drawn from a seed: every kind of step, join and policy, and skills that fail now and then, always alike."""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

from tests.unit.plane.executor.props import BREAK, ECHO, FETCH, PINS, SEND, assign, call, params_of, plan, step, usual
from tickwork.plane.calls import Answer, Failure, SkillCall, Usage
from tickwork.plane.compiled import SYSTEM_SKILLS, Approval, Assignment, Plan, RetryRule, Step, Wait

POLICIES = ("abort", "continue", "continue", "continue", "retry", "fallback", "fallback", "escalate")
MILD = ("continue",)


def draw(seed: int, count: int = 0) -> Assignment:
    """Return an assignment whose plan has steps of every kind, and a plan that steps of it run.

    Args:
        count: Steps of a plan that ends well, mostly; 0 for up to forty of a plan that may fail.
    """
    draws = random.Random(seed)
    policies = MILD if count else POLICIES
    inner = _plan(draws, draws.randint(1, 5), "inner", policies, within=False)
    outer = _plan(draws, count or draws.randint(1, 40), "drawn", policies, within=True)
    return assign(outer, inner, inputs={"list": [1, 2, 3], "v": 1})


def chain(count: int) -> Assignment:
    """Return a plan of steps one after the other, each of which reads the one before."""
    steps = [step("s0", params={"n": 0})]
    steps += [step(f"s{n}", n - 1, params={"n": f"${{steps.s{n - 1}.output.n + 1}}"}) for n in range(1, count)]
    return assign(plan(*steps))


def _plan(draws: random.Random, count: int, name: str, policies: Sequence[str], *, within: bool) -> Plan:
    # The order of the table is not that of the dependencies.
    order = list(range(count))
    draws.shuffle(order)
    steps: dict[int, Step] = {}
    for place, number in enumerate(order):
        before = draws.sample(order[:place], min(place, draws.choice((0, 1, 1, 2, 2, 3))))
        steps[number] = _step(draws, number, sorted(before), policies, within=within)
    return plan(*(steps[number] for number in range(count)), outputs={}, name=name)


def _step(draws: random.Random, number: int, after: list[int], policies: Sequence[str], *, within: bool) -> Step:
    more: dict[str, Any] = {"on_error": draws.choice(policies)}
    if after and draws.random() < 0.3:
        more["join"] = draws.randint(1, len(after))
    if draws.random() < 0.15:
        more["when"] = draws.choice(("true", "false", "inputs.v == 1"))
    if draws.random() < 0.15:
        more["for_each"] = draws.choice(("inputs.list", "[]", "[7]"))
        more["max_parallel"] = draws.randint(0, 2)
    if draws.random() < 0.2:
        more["retry"] = RetryRule(max=draws.randint(0, 3), initial_ms=draws.choice((0, 10)))
    if draws.random() < 0.2:
        more["compensate"] = call(SEND, {"undo": "${result}"})
    if draws.random() < 0.1:
        more["approval"] = Approval()
    if more["on_error"] == "fallback":
        more["fallback"] = call(draws.choice((ECHO, BREAK)), {"because": "${error.code}"})
    kind = draws.random()
    if within and kind < 0.1:
        return step(f"s{number}", *after, plan=1, params={"v": 1, "list": [1]}, **more)
    if kind < 0.2:
        return step(f"s{number}", *after, wait=Wait("timer", timer_ms=5), **more)
    reads = [f"${{steps.s{one}.output}}" for one in after if draws.random() < 0.5]
    skill = draws.choice((ECHO, ECHO, SEND, FETCH, BREAK))
    return step(f"s{number}", *after, skill=skill, params={"n": number, "reads": reads}, **more)


def given(asked: SkillCall) -> Any:
    """Answer from a digest of what is asked, so that it is the same whoever answers, whenever."""
    if asked.skill == "ask.approval":
        choices = ("retry", "skip", "deny") if params_of(asked)["kind"] == "escalation" else ("grant", "grant", "deny")
        return {"decision": choices[_number(asked) % 3], "by": ["ann"]}
    if asked.skill in SYSTEM_SKILLS:
        return usual(asked)
    usage = Usage(tokens_in=1, cost_micros=_number(asked) % 50)
    if asked.skill == PINS[BREAK].name + "@1" and _number(asked) % 3:
        return Answer(0, failure=Failure("TW7008", "it broke", retryable=bool(_number(asked) % 2)), usage=usage)
    return Answer(0, b'{"n":%d}' % (_number(asked) % 10), usage=usage)


def _number(asked: SkillCall) -> int:
    text = f"{asked.path} {asked.purpose} {asked.attempt} {asked.skill}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
