import itertools

import pytest

from tests.unit.plane.planners.plans import PLANS, desk, table, task
from tickwork.plane.errors import PlannerFailed
from tickwork.plane.planners.template import NEAR, TemplatePlanner


def test_the_nearest_plan_is_taken_with_the_parameters_of_the_goal() -> None:
    at = desk()
    draft = TemplatePlanner(PLANS).propose(task("Give me the temperature forecast for station JFK, 5 days"), at)
    assert draft.table == PLANS["forecast"]
    assert draft.inputs == {"station": "JFK", "days": 5}
    assert at.notes["embedder"] == "hashed-ngrams-1:384"
    assert at.notes["near"][0]["plan"] == "forecast"
    assert at.notes["parameters"] == {"station": "JFK", "days": 5}


@pytest.mark.parametrize(
    ("goal", "name"),
    [
        ("Summarise the errors in app.log", "incident"),
        ("what does the folder of documents say about rain? answer with citations", "answer"),
        ("temperature forecast, JFK", "forecast"),
    ],
)
def test_goals_find_their_plans(goal: str, name: str) -> None:
    matches = TemplatePlanner(PLANS).rank(task(goal), list(PLANS.values()))
    assert matches[0].table.name == name
    assert matches[0].likeness >= NEAR


@pytest.mark.parametrize("goal", ["Book a flight to Oslo", "x", "…", "Write a poem about my cat"])
def test_a_goal_for_which_there_is_no_plan_is_told_the_nearest(goal: str) -> None:
    with pytest.raises(PlannerFailed, match="no plan is for this goal") as caught:
        TemplatePlanner(PLANS).propose(task(goal), desk())
    assert all(name in caught.value.why for name in PLANS)
    assert goal in caught.value.where


def test_a_parameter_that_the_goal_does_not_name_is_asked_for() -> None:
    with pytest.raises(PlannerFailed, match="needs the parameter station") as caught:
        TemplatePlanner(PLANS).propose(task("Forecast the temperature"), desk())
    assert "A weather station." in caught.value.why
    assert "--input station=..." in caught.value.fix


def test_a_parameter_that_was_given_need_not_be_named() -> None:
    draft = TemplatePlanner(PLANS).propose(task("Forecast the temperature", station="LGA"), desk())
    assert draft.inputs == {}


def test_the_order_of_the_plans_makes_no_difference_and_ties_go_by_name() -> None:
    twins = [table({"name": name, "goal": "Forecast the temperature"}) for name in ("b", "a", "c")]
    for order in itertools.permutations(twins):
        planner = TemplatePlanner({each.name: each for each in order})
        assert planner.propose(task("forecast the temperature"), desk()).table.name == "a"


def test_an_example_that_says_more_goes_before_one_that_fits_everything() -> None:
    anything = table(
        {"name": "anything", "examples": ["What {question}?", "How {question}?"], "inputs": {"question": {}}}
    )
    planner = TemplatePlanner({**PLANS, "anything": anything})
    warm = planner.propose(task("How warm will it be at LGA?"), desk())
    assert (warm.table.name, warm.inputs) == ("forecast", {"station": "LGA"})
    assert planner.propose(task("How long is the sea?"), desk()).inputs == {"question": "long is the sea"}


def test_only_plans_that_the_agent_may_use_are_looked_at() -> None:
    at = desk(plans=["incident"])
    with pytest.raises(PlannerFailed, match="nearest is incident"):
        TemplatePlanner(PLANS).propose(task("Book a flight"), at)


def test_without_plans_it_says_where_to_put_them() -> None:
    with pytest.raises(PlannerFailed, match="no plans to choose from") as caught:
        TemplatePlanner({}).propose(task("Forecast"), desk())
    assert ".tickwork/plans" in caught.value.fix
