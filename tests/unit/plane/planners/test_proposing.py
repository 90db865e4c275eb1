import base64
import json
from typing import Any

import msgspec
import pytest

from tests.unit.plane.llm.stand import KEY, Stand, anthropic_whole, client_for
from tests.unit.plane.planners.plans import table
from tickwork import codec
from tickwork.clock import SystemClock
from tickwork.plane.calls import Answer, ProposeRequest, SkillCall
from tickwork.plane.compiled import PROPOSE, AgentPin, Assignment, Budget, Compiled
from tickwork.plane.errors import PlannerFailed
from tickwork.plane.planners.planner import Desk, Draft, Planner, Task
from tickwork.plane.planners.proposing import Proposer, find_planner, shipped
from tickwork.plane.secrets import SecretBox
from tickwork.plane.skills.registry import Registry
from tickwork.plane.tables import PlanTable
from tickwork.records import Effect, Encoding

PICK: dict[str, Any] = {
    "name": "pick",
    "goal": "Pick the names out of a list",
    "examples": ["Pick the {field} of everybody"],
    "inputs": {"field": {}, "people": {"type": "array", "default": []}},
    "steps": [
        {
            "id": "pick",
            "skill": "json_transform@1",
            "params": {"value": "${inputs.people}", "expression": "${'[].' + inputs.field}"},
        }
    ],
}


def proposer(registry: Registry, planners: dict[str, Planner], stand: Stand | None = None, **pins: Any) -> Proposer:
    allowed = (registry.find("json_transform").pin,)
    assignment = Assignment("", b"{}", AgentPin(), allowed=allowed, **pins)
    models = client_for(stand) if stand is not None else None
    secrets = SecretBox({"KEY": KEY})
    return Proposer(assignment, planners, registry, clock=SystemClock(), secrets=secrets, models=models)


def ask(proposing: Proposer, planner: str, goal: str, **inputs: Any) -> Answer:
    request = ProposeRequest(goal, msgspec.Raw(json.dumps(inputs).encode()), planner, msgspec.Raw(b'{"sections":[]}'))
    call = SkillCall(7, "", "system", 1, PROPOSE, msgspec.json.encode(request))
    effect = Effect(1, 1, 0, PROPOSE, 1, bytes(32), Encoding.MSGPACK, codec.encode(call))
    result = proposing.perform(effect)
    assert (result.number, result.code, result.encoding) == (1, 0, Encoding.MSGPACK)
    return msgspec.msgpack.decode(result.body, type=Answer)


def plan_of(answer: Answer) -> tuple[Compiled, dict[str, Any]]:
    document = json.loads(answer.output)
    raw = base64.b64decode(document["compiled"], validate=True)
    return msgspec.msgpack.decode(raw, type=Compiled), document["inputs"]


@pytest.fixture
def registry() -> Registry:
    return Registry.load(installed=False)


def test_a_template_comes_back_compiled_with_its_parameters(registry: Registry) -> None:
    planners = shipped({"pick": table(PICK)})
    answer = ask(proposer(registry, planners), "template", "Pick the name of everybody", people=[{"name": "Ann"}])
    compiled, inputs = plan_of(answer)
    assert answer.number == 7
    assert answer.failure is None
    assert (compiled.plans[0].name, [pin.name for pin in compiled.pins]) == ("pick", ["json_transform"])
    assert inputs == {"field": "name", "people": [{"name": "Ann"}]}
    assert json.loads(answer.transcript)["notes"]["near"][0]["likeness"] == 1.0


def test_defaults_are_filled_in(registry: Registry) -> None:
    answer = ask(proposer(registry, shipped({"pick": table(PICK)})), "template", "Pick the name of everybody")
    assert plan_of(answer)[1] == {"field": "name", "people": []}


def test_what_was_given_as_text_becomes_what_the_plan_declares(registry: Registry) -> None:
    planners = shipped({"pick": table(PICK)})
    answer = ask(proposer(registry, planners), "template", "Pick the name of everybody", people='[{"name": "Ann"}]')
    assert plan_of(answer)[1] == {"field": "name", "people": [{"name": "Ann"}]}


def test_an_input_that_the_plan_does_not_have_is_a_fault(registry: Registry) -> None:
    planners = shipped({"pick": table(PICK)})
    answer = ask(proposer(registry, planners), "template", "Pick the name of everybody", place="Oslo")
    assert answer.failure is not None
    assert (answer.failure.code, "no input place" in answer.failure.message) == ("TW7001", True)


def test_a_models_plan_comes_back_compiled_with_what_it_cost(registry: Registry) -> None:
    said = {key: PICK[key] for key in ("name", "steps")}
    with Stand(anthropic_whole(json.dumps(said))) as stand:
        answer = ask(proposer(registry, shipped({}), stand), "llm", "Pick it", people=[], field="name")
    compiled, inputs = plan_of(answer)
    assert compiled.plans[0].steps[0].id == "pick"
    assert inputs == {"field": "name", "people": []}
    assert (answer.usage.cost_micros, answer.usage.model) == (12 * 3 + 7 * 15, "m-1")
    assert KEY.encode() not in answer.transcript


def test_faults_that_only_compiling_finds_are_sent_back(registry: Registry) -> None:
    good = {key: PICK[key] for key in ("name", "steps")}
    step = PICK["steps"][0]
    bad = {"name": "pick", "steps": [{**step, "params": {"value": 1, "expresion": "${steps.other.output}"}}]}
    with Stand(anthropic_whole(json.dumps(bad)), anthropic_whole(json.dumps(good))) as stand:
        answer = ask(proposer(registry, shipped({}), stand), "llm", "Pick it", people=[], field="name")
        told = stand.heard[1].body["messages"][2]["content"]
    assert answer.failure is None
    assert "expresion" in told
    assert "other" in told


def test_a_failure_keeps_what_was_said_and_spent(registry: Registry) -> None:
    with Stand(anthropic_whole("no plan")) as stand:
        answer = ask(proposer(registry, shipped({}), stand), "llm", "Pick it")
    assert answer.failure is not None
    assert (answer.failure.code, answer.failure.retryable) == ("TW7016", False)
    assert answer.output == b"null"
    assert answer.usage.requests == 3
    assert len(json.loads(answer.transcript)["exchanges"]) == 3


def test_the_tighter_budget_holds(registry: Registry) -> None:
    with Stand(anthropic_whole("no plan")) as stand:
        tight = AgentPin(budget=Budget(hard_micros=10))
        allowed = (registry.find("json_transform").pin,)
        assignment = Assignment("", b"{}", tight, allowed=allowed, budget=Budget(hard_micros=10_000_000))
        proposing = Proposer(
            assignment, shipped({}), registry, clock=SystemClock(), secrets=SecretBox({}), models=client_for(stand)
        )
        answer = ask(proposing, "llm", "Pick it")
        assert stand.heard == []
    assert answer.failure is not None
    assert answer.failure.code == "TW7010"


class Own:
    """A planner that somebody wrote."""

    def __init__(self, made: object) -> None:
        self.made = made

    def propose(self, task: Task, desk: Desk) -> Draft:
        if isinstance(self.made, Exception):
            raise self.made
        desk.notes["why"] = f"asked for {task.goal} with {task.skills[0].name}"
        return Draft(self.made, {"field": "age"})  # type: ignore[arg-type]


def test_an_own_planner_is_asked_by_its_name(registry: Registry) -> None:
    answer = ask(proposer(registry, {"own": Own(table(PICK))}), "own", "x")
    compiled, inputs = plan_of(answer)
    assert (compiled.plans[0].name, inputs["field"]) == ("pick", "age")
    assert json.loads(answer.transcript)["notes"]["why"] == "asked for x with json_transform@1"


def test_no_planner_changes_what_was_given(registry: Registry) -> None:
    answer = ask(proposer(registry, {"own": Own(table(PICK))}), "own", "x", field="name")
    assert plan_of(answer)[1]["field"] == "name"


def test_faults_name_no_skill_that_the_run_does_not_have(registry: Registry) -> None:
    unknown = table({**PICK, "steps": [{"id": "a", "skill": "file_raed@1"}]})
    answer = ask(proposer(registry, {"own": Own(unknown)}), "own", "x")
    assert answer.failure is not None
    assert "json_transform@1" in answer.failure.message
    assert "file_read" not in answer.failure.message


@pytest.mark.parametrize(
    ("made", "code", "told"),
    [
        (ValueError("a path of the planner"), "TW7016", "the planner raised ValueError"),
        (PlannerFailed("no way", why="none", fix="another"), "TW7016", "no way; none; another"),
        ({"name": "pick"}, "TW7016", "gave a dict and no plan"),
        (PlanTable("p", steps=()), "TW7001", "step"),
        (table({**PICK, "steps": [{"id": "a", "skill": "file_write@1"}]}), "TW7001", "file_write"),
    ],
)
def test_whatever_a_planner_does_there_is_an_answer(registry: Registry, made: object, code: str, told: str) -> None:
    answer = ask(proposer(registry, {"own": Own(made)}), "own", "x")
    assert answer.failure is not None
    assert answer.failure.code == code
    assert told in answer.failure.message


def test_a_planner_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(PlannerFailed, match="no planner called tempalte") as caught:
        find_planner("tempalte", shipped({}))
    assert "template" in caught.value.fix
