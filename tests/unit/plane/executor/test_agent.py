"""Plans that are run from their beginning to their end."""

from tests.unit.plane.executor.props import assign, plan, play, step


def test_steps_run_one_after_the_other_and_the_last_output_is_the_plans() -> None:
    done = play(assign(plan(step("a", params={"x": 1}), step("b", 0, params={"x": 2}))))
    assert done.ending.status == "succeeded"
    assert done.output == {"b": {"x": 2}}
    assert done.skills.paths() == ["a", "b"]


def test_a_step_reads_the_outputs_of_those_it_comes_after() -> None:
    steps = (
        step("load", params={"n": 2}),
        step("left", 0, params={"twice": "${steps.load.output.n * 2}"}),
        step("right", 0, params={"text": "n is ${steps.load.output.n}"}),
        step("join", 1, 2, params={"all": ["${steps.left.output.twice}", "${steps.right.output.text}"]}),
    )
    done = play(assign(plan(*steps, outputs={"got": "${steps.join.output.all}"})))
    assert done.output == {"got": [4, "n is 2"]}
    assert done.skills.paths() == ["load", "left", "right", "join"]


def test_a_list_is_done_item_by_item() -> None:
    steps = (
        step("list", params={"names": ["a", "b", "c"]}),
        step("each", 0, for_each="steps.list.output.names", params={"name": "${item}", "at": "${index}"}),
    )
    done = play(assign(plan(*steps)))
    assert done.output == {"each": [{"at": 0, "name": "a"}, {"at": 1, "name": "b"}, {"at": 2, "name": "c"}]}
    assert done.skills.paths() == ["list", "each[0]", "each[1]", "each[2]"]
