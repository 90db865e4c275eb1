"""A plan is gone through without anything being done."""

from typing import Any

from tests.unit.plane.plan_skills import FakeRegistry, step, table
from tickwork.plane.compiled import AgentPin
from tickwork.plane.compiling import compile_plan
from tickwork.plane.rehearsal import Rehearsal, Row, partly, rehearse


def gone_through(*steps: dict[str, Any], inputs: dict[str, Any] | None = None, **more: Any) -> Rehearsal:
    agent = more.pop("agent", None)
    declared = {name: {"type": "integer"} if isinstance(value, int) else {} for name, value in (inputs or {}).items()}
    compiled = compile_plan(table(*steps, inputs=declared, **more), FakeRegistry())
    return rehearse(compiled, inputs or {}, "the goal", agent)


def rows(found: Rehearsal) -> dict[str, Row]:
    return {row.path: row for row in found.rows}


def test_what_follows_from_the_inputs_is_worked_out_and_the_rest_is_left() -> None:
    found = gone_through(
        step("load", "fetch", params={"url": "http://${inputs.city}/${goal}"}),
        step("use", params={"value": ["${steps.load.output.text}", "${inputs.n + 1}"]}),
        inputs={"city": "JFK", "n": 2},
        outputs={"n": "${inputs.n}", "text": "${steps.load.output.text}"},
    )
    assert rows(found)["load"].params == {"url": "http://JFK/the goal"}
    assert rows(found)["use"].params == {"value": ["${steps.load.output.text}", 3]}
    assert found.outputs == {"n": 2, "text": "${steps.load.output.text}"}
    assert [(row.wave, row.path, row.after) for row in found.rows] == [(1, "load", ()), (2, "use", ("load",))]


def test_steps_that_will_not_be_done_are_known_where_inputs_decide() -> None:
    found = rows(
        gone_through(
            step("no", when="inputs.n > 5"),
            step("after_no", after=["no"]),
            step("any_of", after=["no", "yes"], join="any"),
            step("yes", when="inputs.n < 5"),
            step("open", when="steps.yes.output.value == 1"),
            inputs={"n": 2},
        )
    )
    assert {path: row.when for path, row in found.items()} == {
        "no": "false",
        "after_no": "false",
        "yes": "true",
        "any_of": "true",
        "open": "steps.yes.output.value == 1",
    }


def test_costs_are_added_up_with_iterations_attempts_and_plans() -> None:
    ask = step("ask", "ask", params={"prompt": "x"})
    one = gone_through(ask)
    assert one.rows[0].cost_micros == 1000 + 14 * 3 + 100 * 15
    assert (one.cost_micros, one.worst_micros) == (2542, 2542 * 3)
    assert gone_through({**ask, "for_each": "[1, 2]"}).cost_micros == 2 * 2542
    assert gone_through({**ask, "for_each": "inputs.n > 1 ? [] : [1]"}, inputs={"n": 2}).cost_micros == 0
    unknown = gone_through(step("load", "fetch"), {**ask, "for_each": "steps.load.output.rows"})
    assert (unknown.rows[1].each, unknown.cost_micros) == (-1, 2542)
    inner = {"inner": {"name": "inner", "steps": [ask]}}
    nested = gone_through(step("run", "", plan="inner", for_each="[1, 2, 3]"), plans=inner)
    assert (nested.cost_micros, rows(nested)["run/ask"].wave) == (3 * 2542, 2)
    assert not gone_through(step("a", "priceless")).bounded


def test_who_will_be_asked_is_known() -> None:
    steps = (
        step("load", "fetch"),
        step("copy", params={"value": "${steps.load.output.text}"}),
        step("send", "send", params={"to": "ann", "text": "${steps.copy.output.value}"}),
        step("plain", "send", params={"to": "ann", "text": "hello"}, approval={"by": ["bob"]}),
    )
    found = rows(gone_through(*steps, agent=AgentPin(approvers=("eve",))))
    assert (found["send"].asks, found["send"].by) == (("outside values",), ("eve",))
    assert (found["plain"].asks, found["plain"].by) == (("step",), ("bob",))
    assert (found["load"].asks, found["copy"].asks) == ((), ())
    allowed = rows(gone_through(*steps, agent=AgentPin(tainted=("send if params.to == 'ann'",))))
    assert allowed["send"].asks == ()


def test_outside_values_are_followed_into_plans_and_out_of_them() -> None:
    inner = {
        "name": "inner",
        "inputs": {"text": {}},
        "steps": [step("send", "send", params={"to": "ann", "text": "${inputs.text}"})],
    }
    found = rows(
        gone_through(
            step("load", "fetch"),
            step("run", "", plan="inner", params={"text": "${steps.load.output.text}"}),
            plans={"inner": inner},
        )
    )
    assert found["run/send"].asks == ("outside values",)


def test_templates_that_come_to_nothing_stay() -> None:
    known = {"inputs": {"a": 1}}
    assert partly({"x": "${inputs.b}", "y": "${1 +}", "z": "${"}, known) == {
        "x": "${inputs.b}",
        "y": "${1 +}",
        "z": "${",
    }
