"""plane/goals.py and workshop.py: a plan is pinned as it is now, and what has changed since is not called."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tickwork.clock import SystemClock
from tickwork.errors import UsageFault
from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.artifacts import ArtifactShelf, Folder
from tickwork.plane.engine import Engine
from tickwork.plane.errors import BudgetExceeded, KeyReused, PlanInvalid, ProfileNotFound, SkillRefused
from tickwork.plane.fixes import code_in
from tickwork.plane.goals import Goals, Wish
from tickwork.plane.plan_text import parse_plan
from tickwork.plane.profile import HARMLESS, ProfileTable, RateTable, SkillsTable
from tickwork.plane.profiles import Profiles
from tickwork.plane.secrets import SecretBox
from tickwork.plane.skills.registry import Found, Registry
from tickwork.plane.store.store import Store
from tickwork.plane.workshop import Workshop

PLAN = parse_plan(
    """
name = "double"
[inputs.n]
type = "integer"
[[steps]]
id = "double"
skill = "json_transform"
params = { value = { n = "${inputs.n * 2}" }, expression = "n" }
[outputs]
n = "${steps.double.output}"
""",
    Path("double.toml"),
)


@contextmanager
def front(folder: Path) -> Generator[tuple[Goals, Engine, Registry]]:
    """Yield the front of a project in a folder."""
    clock = SystemClock()
    with Store.open(folder / "state.db", clock) as store, Registry.load(installed=False) as registry:
        shelf = ArtifactShelf(store, Folder(folder / "artifacts"), clock)
        workshop = Workshop(
            store, registry, folder=folder, secrets={}, shelf=shelf, embedder=HashedNgrams, models=lambda: None
        )
        with Engine(store, workshop) as engine:
            yield Goals(engine, registry), engine, registry


def output(engine: Engine, run_id: str) -> Any:
    ending = engine.outcomes[run_id].ending
    assert ending is not None
    return msgspec.json.decode(ending.output)


def test_a_plan_runs_and_is_run_again_with_other_inputs(tmp_path: Path) -> None:
    with front(tmp_path) as (goals, engine, _):
        one = goals.run_plan(PLAN, Wish({"n": 3}, tags=("t",)))[0]
        engine.work()
        assert output(engine, one.id) == {"n": 6}
        assert set(goals.inputs_of(one)) == {"n"}
        two = goals.rerun(one, Wish({"n": 5}))[0]
        engine.work()
        assert (two.parent_id, two.relation, two.root_id) == (one.id, "rerun", one.id)
        assert output(engine, two.id) == {"n": 10}
        with pytest.raises(UsageFault):
            goals.rerun(one, Wish({"n": "five"}))


def test_what_holds_a_secret_itself_is_refused_and_nothing_is_begun(tmp_path: Path) -> None:
    with front(tmp_path) as (_, engine, registry):
        goals = Goals(engine, registry, SecretBox({"KEY": 'a "quoted" key'}))
        plan = msgspec.structs.replace(PLAN.table, goal='Send a "quoted" key')
        tried: list[Callable[[], object]] = [
            lambda: goals.run_plan(msgspec.structs.replace(PLAN, table=plan), Wish({"n": 3})),
            lambda: goals.run_goal('Send a "quoted" key'),
            lambda: goals.run_goal("Send it", Wish({"key": ['a "quoted" key']})),
        ]
        for wrong in tried:
            with pytest.raises(SkillRefused, match="holds the secret KEY itself") as told:
                wrong()
            assert "quoted" not in str(told.value)
        assert goals.run_plan(PLAN, Wish({"n": 3}))[1]
        assert len(engine.runs.page()) == 1


def test_what_cannot_be_run_is_refused_and_nothing_is_begun(tmp_path: Path) -> None:
    with front(tmp_path) as (goals, engine, _):
        for wish, error in (
            (Wish(), UsageFault),
            (Wish({"n": "three"}), UsageFault),
            (Wish({"n": 3}, profile="nobody"), ProfileNotFound),
        ):
            with pytest.raises(error):
                goals.run_plan(PLAN, wish)
        profiles = Profiles(engine.store, engine.store.clock)
        profiles.add(ProfileTable("strict"))
        with pytest.raises(PlanInvalid):
            goals.run_plan(PLAN, Wish({"n": 3}, profile="strict"))
        profiles.turn("default", "paused")
        with pytest.raises(SkillRefused):
            goals.run_plan(PLAN, Wish({"n": 3}))
        assert engine.runs.page() == []
        assert engine.store.journals.runs() == []


def test_a_key_is_one_run_and_counts_once_against_the_rate(tmp_path: Path) -> None:
    with front(tmp_path) as (goals, engine, _):
        table = ProfileTable("slow", skills=SkillsTable(HARMLESS), rate=RateTable(1, "1h"))
        Profiles(engine.store, engine.store.clock).add(table)
        one = goals.run_plan(PLAN, Wish({"n": 3}, profile="slow", key="k"))
        assert [goals.run_plan(PLAN, Wish({"n": 3}, profile="slow", key="k")) for _ in range(3)] == [
            (one[0], False)
        ] * 3
        with pytest.raises(KeyReused):
            goals.run_plan(PLAN, Wish({"n": 4}, profile="slow", key="k"))
        with pytest.raises(BudgetExceeded):
            goals.run_plan(PLAN, Wish({"n": 4}, profile="slow"))
        engine.work()
        assert engine.store.journals.runs() == [one[0].id]


def test_a_skill_that_has_changed_since_the_run_began_is_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front(tmp_path) as (goals, engine, registry):
        run_id = goals.run_plan(PLAN, Wish({"n": 3}, work=False))[0].id
        found = registry.find("json_transform")
        changed = msgspec.structs.replace(found, pin=msgspec.structs.replace(found.pin, digest=bytes(32)))

        def find(_reference: str) -> Found:
            return changed

        monkeypatch.setattr(registry, "find", find)
        engine.work([run_id])
        row = engine.runs.get(run_id)
        assert (row.status, code_in(row.reason)) == ("failed", "TW7003")
