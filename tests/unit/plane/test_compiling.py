"""Plans are compiled, or everything that is wrong with them is said."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.plane.plan_skills import FakeRegistry, step, table
from tickwork import codec
from tickwork.plane.cel import MAX_SOURCE
from tickwork.plane.compiled import Budget, Compiled, Plan, RetryRule
from tickwork.plane.compiling import Constraints, compile_plan, find_faults
from tickwork.plane.errors import PlanInvalid
from tickwork.plane.plan_order import find_cycles, levels, topological
from tickwork.plane.tables import PlanTable

FREE = Constraints()


def compiled(*steps: dict[str, Any], constraints: Constraints = FREE, **more: Any) -> Compiled:
    return compile_plan(table(*steps, **more), FakeRegistry(), constraints)


def plan_of(*steps: dict[str, Any], **more: Any) -> Plan:
    return compiled(*steps, **more).plans[0]


def faults(*steps: dict[str, Any], constraints: Constraints = FREE, **more: Any) -> dict[str, str]:
    """Return what is wrong, by path."""
    found = find_faults(table(*steps, **more), FakeRegistry(), constraints)
    return {fault.as_row()["path"]: fault.told() for fault in found}


def test_all_inputs_may_be_handed_on_at_once() -> None:
    assert plan_of(step("a", params={"value": "${inputs}"}), inputs={"city": {}}).steps[0].after == ()


def test_a_plan_becomes_what_the_executor_runs() -> None:
    whole = compiled(
        step("load", "fetch", params={"url": "${inputs.url}"}, retry={"max": 3, "initial": "2s", "factor": 1.5}),
        step("each", "count", for_each="steps.load.output.rows", params={"text": "row ${item.id}", "n": "${index}"}),
        step(
            "send", "send", params={"to": "ann", "text": "$${x}"}, join="any", after=["load", "each"], timeout="1m30s"
        ),
        inputs={"url": {}},
        outputs={"n": "${steps.each.output}"},
        budget={"usd": "0.5", "calls": 9},
        ordering="arrival",
    )
    plan = whole.plans[0]
    load, each, send = plan.steps
    assert [pin.name for pin in whole.pins] == ["fetch", "count", "send"]
    assert load.call is not None and not load.call.static  # noqa: PT018
    assert load.retry == RetryRule(3, 2000, 1500, 60_000, True)
    assert (each.after, send.after, send.join, send.timeout_ms) == ((0,), (0, 1), 1, 90_000)
    assert send.call is not None and not send.call.static  # noqa: PT018
    assert plan.budget == Budget(500_000, -1, -1, 9)
    assert whole.ordering == "arrival"
    assert msgspec.msgpack.decode(codec.encode(whole), type=Compiled) == whole


def test_equal_plans_come_to_equal_bytes() -> None:
    one = step("a", "echo", params={"value": {"x": 1, "y": 2}})
    other = step("a", "echo", params={"value": {"y": 2, "x": 1}})
    assert codec.encode(compiled(one)) == codec.encode(compiled(other))
    assert compiled(one).digest != compiled(step("a", "echo", params={"value": 1})).digest


def test_a_step_waits_for_whatever_it_reads() -> None:
    plan = plan_of(
        step("z", after=["a", "e"]),
        step("a"),
        step(
            "b",
            when='steps.a.status == "succeeded"',
            params={"value": "${steps.c.output.value} and $${steps.e.output}"},
        ),
        step("c", cache={"key": "${steps.d.output.value}"}),
        step("d", approval={"message": "${steps.e.output.x}?"}),
        step("e", outputs={"x": "${result.value + steps.f.output.value}"}),
        step("f", compensate={"skill": "echo", "params": {"value": "${steps.f.output.value}${result}"}}),
        step(
            "g", on_error="fallback", fallback={"skill": "echo", "params": {"value": "${error.code}${steps.a.output}"}}
        ),
        step("h", "", wait={"signal": "go-${steps.g.output}", "timeout": "1h"}),
    )
    assert [step.after for step in plan.steps] == [(1, 5), (), (1, 3), (4,), (5,), (6,), (), (1,), (7,)]


def test_every_fault_is_found_at_once_with_its_place() -> None:
    found = faults(
        step("a", "fetch", params={"url": 3, "hurl": 1}),
        step("a", "nothing"),
        step("b", "count", after=["aa", "b"], params={"text": "${steps.c.output.text}", "n": "${inputs.city}"}),
        step("c", "fetch", params={"url": "${steps.a.outptu}${inputs.town}${item}"}, when="1 + 1", for_each='"x"'),
        step("d", "", plan="none"),
        step("e", join=2),
        inputs={"city": {}},
        outputs={"x": "${steps.f.output} ${1 +}", "y": "${steps.c"},
    )
    assert "a whole number" in found["steps[0].params.url"]
    assert 'did you mean "url"' in found["steps[0].params.hurl"]
    assert "two steps are called a" in found["steps[1].id"]
    assert "there is no skill called nothing" in found["steps[1].skill"]
    assert "there is no step aa" in found["steps[2].depends_on[0]"]
    assert "waits for itself" in found["steps[2].depends_on[1]"]
    assert "steps.c.output has no text" in found["steps[2].params.text"]
    assert "comes to a text; a whole number is wanted" in found["steps[2].params.n"]
    assert "inputs has no town" in found["steps[3].params.url"]
    assert "does not come to true or false" in found["steps[3].when"]
    assert "does not come to a list" in found["steps[3].for_each"]
    assert "there is no plan none" in found["steps[4].plan"]
    assert "2 have to succeed" in found["steps[5].join"]
    assert "cannot be read" in found["outputs.x"]
    assert "does not end" in found["outputs.y"]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("steps.load.outptu", "steps.load has no outptu; a step has output, status and error; write steps.load.output"),
        ("steps.load.rows", "write steps.load.output.rows"),
        ("steps.load", "is read as a whole"),
        ("steps.laod.output", 'there is no step laod; steps.laod.output; did you mean "load"?'),
        ("steps.load.output.tetx", 'steps.load.output has no tetx; there is no tetx; did you mean "text"?'),
        ("steps.load.output.text.size", "it is a text, which has no members"),
        ("steps.load.error.kode", 'did you mean "code"?'),
        ("steps.use.output.value", "use reads itself"),
        ("inputs.citty", 'did you mean "city"?'),
        ("item", "item is known in a step with for_each"),
        ("result.x", "result is known in outputs of a step"),
        ("params.x", "params is known in the rules"),
        ("steps.load.output.rows.map(k, k", "Syntax error"),
        ("x" * (MAX_SOURCE + 1), "write at most 4,096 characters"),
    ],
)
def test_an_expression_that_reads_what_is_not_there_says_what_is(expression: str, words: str) -> None:
    use = step("use", params={"value": f"${{{expression}}}"})
    found = faults(step("load", "fetch"), use, inputs={"city": {}})
    assert words in found.get("steps[1].params.value", "")


def test_what_outputs_say_replaces_what_the_skill_promises() -> None:
    load = step("load", "fetch", outputs={"first": "${result.rows[0].id}", "kind": "x"})
    assert faults(load, step("a", params={"value": "${steps.load.output.first.any}"})) == {}
    assert (
        "has no rows" in faults(load, step("a", params={"value": "${steps.load.output.rows}"}))["steps[1].params.value"]
    )
    text = faults(
        load, step("a", "count", params={"text": "${steps.load.output.kind}", "n": "${steps.load.output.kind}"})
    )
    assert list(text) == ["steps[1].params.n"]


def test_the_output_of_a_step_that_is_done_for_each_is_a_list() -> None:
    load = step("load", "fetch", for_each="[1]")
    found = faults(
        load, step("a", params={"value": "${steps.load.output.text}"}), step("b", for_each="steps.load.output")
    )
    assert "it is a list" in found["steps[1].params.value"]
    assert len(found) == 1
    found = faults(load, step("c", for_each="steps.load.output", params={"value": "${item.txet}"}))
    assert "item has no txet" in found["steps[1].params.value"]


def test_parameters_that_are_all_known_are_checked_by_the_skill() -> None:
    found = faults(step("a", "count", params={"text": "x", "n": 13}))
    assert "thirteen is never taken" in found["steps[0].params"]


@pytest.mark.parametrize(
    ("more", "path", "words"),
    [
        ({"skill": ""}, "steps[0]", "does nothing"),
        ({"wait": {"timer": "1s"}}, "steps[0].wait", "skill and wait"),
        ({"skill": "", "params": {}, "wait": {"message": "?"}}, "steps[0].wait", "for nothing"),
        ({"skill": "", "params": {}, "wait": {"timer": "1s", "signal": "x"}}, "steps[0].wait", "timer and signal"),
        ({"skill": "", "params": {}, "wait": {"timer": "1s", "timeout": "2s"}}, "steps[0].wait.timeout", "no timeout"),
        ({"skill": "", "wait": {"timer": "1s"}}, "steps[0].params", "no meaning"),
        ({"skill": "", "params": {}, "wait": {"timer": "1s"}, "cache": {}}, "steps[0].cache", "no meaning"),
        ({"max_parallel": 2}, "steps[0].max_parallel", "no for_each"),
        ({"on_error": "fallback"}, "steps[0].on_error", "no fallback"),
        ({"fallback": {"skill": "echo", "params": {"value": 1}}}, "steps[0].fallback", "never used"),
        ({"approval": {"by": ["ann"], "need": 2}}, "steps[0].approval.need", "2 have to agree"),
        (
            {"approval": {"by": ["ann", "Ann", "ann "], "need": 2}},
            "steps[0].approval.need",
            "2 have to agree and 1 is asked",
        ),
        ({"approval": {"on_timeout": "escalate", "timeout": "1h"}}, "steps[0].approval.escalate_to", "nobody is named"),
        ({"approval": {"escalate_to": ["bob"]}}, "steps[0].approval.escalate_to", "never used"),
        ({"approval": {"on_timeout": "grant"}}, "steps[0].approval.on_timeout", "never runs out"),
        ({"timeout": "99999d"}, "steps[0].timeout", "ten years"),
        ({"retry": {"longest": "99999d"}}, "steps[0].retry.longest", "ten years"),
        ({"depends_on": ["b", "b"]}, "steps[0].depends_on[1]", "named twice"),
        ({"skill": "send", "params": {"to": "a", "text": "b"}, "cache": {}}, "steps[0].cache", "unsafe"),
        ({"skill": "fetch", "params": {"url": "x"}, "effect_class": "pure"}, "steps[0].effect_class", "idempotent"),
    ],
)
def test_a_step_that_contradicts_itself_is_refused(more: dict[str, Any], path: str, words: str) -> None:
    found = faults({**step("a"), **more}, step("b"))
    assert words in found[path]


def test_the_plans_own_tables_are_judged() -> None:
    found = faults(
        step("a"),
        inputs={
            "Bad": {},
            "age": {"type": "integer", "default": "x"},
            "text": {"pattern": "["},
            "mode": {"enum": ["a", 1]},
            "size": {"minimum": 1},
        },
        budget={"usd": "1", "soft_usd": "2"},
    )
    assert set(found) == {
        "inputs.Bad",
        "inputs.age.default",
        "inputs.text.pattern",
        "inputs.mode.enum[1]",
        "inputs.size",
        "budget.soft_usd",
    }
    assert "call it bad" in found["inputs.Bad"]
    assert faults()["steps"].startswith("the plan has no steps")


def test_a_cycle_is_named() -> None:
    steps = [
        step("a", after=["c"]),
        step("b", params={"value": "${steps.a.output}"}),
        step("c", after=["b"]),
        step("d"),
    ]
    found = faults(*steps, step("e", after=["f"]), step("f", after=["e"]))
    assert found["steps[0].depends_on"].startswith("the steps a → c → b → a wait for each other; a waits for c")
    assert "e → f → e" in found["steps[4].depends_on"]
    assert len(found) == 2
    ring = [step(f"s{index}", after=[f"s{(index + 1) % 50}"]) for index in range(50)]
    assert "38 more → s0" in faults(*ring)["steps[0].depends_on"]


def test_orders_of_steps() -> None:
    after = [(2,), (), (1,), (0, 2), ()]
    assert topological(after) == [1, 2, 0, 3, 4]
    assert levels(after) == [2, 0, 1, 3, 0]
    assert find_cycles(after) == []
    assert find_cycles([(1,), (0,), (0, 1), (3,)]) == [[0, 1], [3]]


def test_what_the_agent_may_not_use_is_refused() -> None:
    only = Constraints(lambda name, _version: name == "echo")
    found = faults(step("a"), step("b", "fetch"), constraints=only)
    assert found["steps[1].skill"].startswith("the agent may not use fetch")
    found = faults(step("a", on_error="fallback", fallback={"skill": "send"}), constraints=only)
    assert "steps[0].fallback.skill" in found
    named = Constraints(lambda name, _version: name == "echo", skills=("echo", "count"))
    assert "allowed: count, echo" in faults(step("a", "fetch"), constraints=named)["steps[0].skill"]
    assert 'did you mean "echo"' in faults(step("a", "ecko"), constraints=named)["steps[0].skill"]


def test_a_plan_that_may_cost_more_than_there_is_is_refused() -> None:
    ask = step("a", "ask", params={"prompt": "x", "max_tokens": 1000})
    assert faults(ask) == {}
    # 1,000 fixed, 32 bytes of parameters for 3 each, 1,000 tokens for 15 each.
    assert faults(ask, budget={"usd": "0.016"})["budget.usd"].startswith("the plan may cost 0.016096 USD")
    assert faults(ask, budget={"usd": "0.017"}) == {}
    assert "the agent's budget is 0.01 USD" in faults(ask, constraints=Constraints(budget=Budget(10_000)))["budget.usd"]
    assert "a call may cost" in faults({**ask, "budget_usd": "0.01"})["steps[0].budget_usd"]
    assert "0.048288" in faults({**ask, "for_each": "[1, 2, 3]"}, budget={"usd": "0.02"})["budget.usd"]


def test_nothing_without_a_price_is_called_where_money_is_limited() -> None:
    assert faults(step("a", "priceless")) == {}
    for more in ({"budget": {"usd": "1"}}, {"constraints": Constraints(budget=Budget(10))}):
        assert "nobody knows what the call costs" in faults(step("a", "priceless"), **more)["steps[0].skill"]
    found = faults(step("a", on_error="fallback", fallback={"skill": "priceless"}, budget_usd="1"))
    assert "steps[0].fallback.skill" in found


def test_plans_within_plans_are_compiled_once_and_take_inputs() -> None:
    inner = {
        "name": "inner",
        "inputs": {"n": {"type": "integer"}, "mode": {"default": "fast"}, "note": {"optional": True}},
        "steps": [step("x", params={"value": "${inputs.n}"})],
        "outputs": {"total": "${steps.x.output}"},
    }
    whole = compiled(
        step("a", "", plan="inner", params={"n": 1}),
        step("b", "", plan="inner", params={"n": "${steps.a.output.total}"}),
        plans={"inner": inner},
    )
    assert [plan.name for plan in whole.plans] == ["plan", "inner"]
    assert [step.plan for step in whole.plans[0].steps] == [1, 1]
    assert msgspec.json.decode(whole.plans[0].steps[0].params) == {"n": 1, "mode": "fast", "note": None}
    found = faults(
        step("a", "", plan="inner", params={"n": "x", "m": 1}),
        step("b", params={"value": "${steps.a.output.sum}"}),
        step("c", "", plan="innner"),
        plans={"inner": inner},
    )
    assert "a whole number is wanted" in found["steps[0].params.n"]
    assert "m is not a parameter" in found["steps[0].params.m"]
    assert "has no sum" in found["steps[1].params.value"]
    assert 'did you mean "inner"' in found["steps[2].plan"]


def test_faults_of_plans_within_plans_have_their_own_paths() -> None:
    deep = {"name": "deep", "steps": [step("x", "nothing")]}
    inner = {
        "name": "inner",
        "steps": [step("y", "", plan="deep"), step("z", "", plan="inner")],
        "plans": {"deep": deep},
    }
    found = faults(step("a", "", plan="inner"), plans={"inner": inner})
    assert "there is no skill" in found["plans.inner.plans.deep.steps[0].skill"]
    assert "runs itself" in found["plans.inner.steps[1].plan"]
    assert "plans.unused.steps" in faults(step("a"), plans={"unused": {"name": "unused"}})


def test_plans_that_come_to_too_many_steps_are_refused() -> None:
    few = Constraints(max_steps=3)
    assert faults(step("a"), step("b"), step("c"), constraints=few) == {}
    inner = {"name": "inner", "steps": [step("x"), step("y")]}
    found = faults(step("a", "", plan="inner"), step("b"), plans={"inner": inner}, constraints=few)
    assert "4 steps; at most 3" in found["steps"]
    # Each runs the next one twice: a million steps in twenty plans.
    plans: dict[str, Any] = {"p0": {"name": "p0", "steps": [step("x")]}}
    for index in range(1, 20):
        halves = [step(half, "", plan=f"p{index - 1}") for half in "ab"]
        plans[f"p{index}"] = {"name": f"p{index}", "steps": halves}
    assert "at most 10,000 are allowed" in faults(step("a", "", plan="p19"), plans=plans)["steps"]


def test_an_error_names_file_and_lines() -> None:
    with pytest.raises(PlanInvalid) as caught:
        compile_plan(table(step("a", "nothing")), FakeRegistry(), file=Path("p.toml"), lines={("steps", 0, "skill"): 7})
    assert caught.value.where == "p.toml:7, steps[0].skill (step a)"


def test_a_skill_is_looked_up_once() -> None:
    registry = FakeRegistry()
    compile_plan(table(step("a"), step("b"), step("c", "echo@1", params={"value": 1})), registry)
    assert registry.asked == ["echo", "echo@1"]
    assert len(compiled(step("a"), step("b", "echo@1", params={"value": 1})).pins) == 1


@pytest.mark.slow
def test_a_plan_of_five_thousand_steps_is_compiled() -> None:
    steps = [
        step(
            f"s{index}",
            after=[f"s{index // 2}"] if index else [],
            params={"value": {"n": f"${{inputs.n + {index}}}", "before": f"${{steps.s{index // 3}.output.value}}"}}
            if index > 3
            else {"value": 1},
        )
        for index in range(5000)
    ]
    plan: PlanTable = table(*steps, inputs={"n": {"type": "integer"}})
    assert len(compile_plan(plan, FakeRegistry()).plans[0].steps) == 5000
