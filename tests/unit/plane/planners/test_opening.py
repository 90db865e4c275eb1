import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.plane.llm.stand import KEY, Stand, anthropic_whole
from tickwork import codec
from tickwork.clock import SystemClock
from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.calls import Answer, ProposeRequest, SkillCall, Usage
from tickwork.plane.compiled import PROPOSE, AgentPin, Assignment
from tickwork.plane.errors import BudgetExceeded, PlanInvalid
from tickwork.plane.planners.folder import read_plans
from tickwork.plane.planners.opening import ProjectProposer, open_planners
from tickwork.plane.planners.planner import Means
from tickwork.plane.secrets import SecretBox
from tickwork.plane.skills.registry import Registry
from tickwork.records import Effect, Encoding

PLAN = """
name = "pick"
goal = "Pick the names out of a list"

[[steps]]
id = "pick"
skill = "json_transform@1"
params = { value = [{ name = "Ann" }], expression = "[].name" }
"""
MODELS = """
[providers.p]
kind = "anthropic"
base_url = "URL"
key = "secret:KEY"
loopback = true

[models.m]
provider = "p"
model = "m-1"
input_usd = "3"
output_usd = "15"
"""


class Book:
    """A purse that notes what is booked."""

    def __init__(self, most: int = 10**9) -> None:
        self.most = most
        self.booked = list[tuple[str, str, int]]()

    def reserve(self, key: str, micros: int, step: str, skill: str, *, metered: bool = False) -> None:
        assert (step, skill, metered) == ("", PROPOSE, True)
        if micros > self.most:
            raise BudgetExceeded("the day's money is spent")
        self.booked.append(("reserve", key, micros))

    def settle(self, key: str, micros: int, usage: Usage) -> None:
        self.booked.append(("settle", key, usage.cost_micros))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / ".tickwork"
    (folder / "plans").mkdir(parents=True)
    (folder / "plans" / "pick.toml").write_text(PLAN)
    (folder / "plans" / "notes.md").write_text("no plan")
    return folder


def propose(folder: Path, planner: str, **more: Any) -> Answer:
    registry = Registry.load(installed=False)
    allowed = (registry.find("json_transform").pin,)
    assignment = Assignment("", b"{}", AgentPin(), allowed=allowed, planner=planner)
    proposer = ProjectProposer(
        assignment, registry, folder, clock=SystemClock(), secrets=SecretBox({"KEY": KEY}), **more
    )
    request = ProposeRequest("Pick the names out of a list", msgspec.Raw(b"{}"), planner, msgspec.Raw(b"{}"))
    call = SkillCall(1, "", "system", 1, PROPOSE, msgspec.json.encode(request))
    effect = Effect(1, 1, 0, PROPOSE, 1, bytes(32), Encoding.MSGPACK, codec.encode(call))
    return msgspec.msgpack.decode(proposer.perform(effect).body, type=Answer)


def test_a_project_plans_with_the_plans_of_its_folder(project: Path) -> None:
    answer = propose(project, "template", embedder=lambda: HashedNgrams(64))
    assert answer.failure is None
    assert json.loads(answer.transcript)["notes"]["embedder"] == "hashed-ngrams-1:64"


def test_a_file_that_is_no_plan_is_named(project: Path) -> None:
    (project / "plans" / "other.toml").write_text("name = 3")
    answer = propose(project, "template")
    assert answer.failure is not None
    assert answer.failure.code == "TW7001"


def test_two_plans_of_one_name_are_refused(project: Path) -> None:
    (project / "plans" / "again.toml").write_text(PLAN)
    with pytest.raises(PlanInvalid, match="two plans are called pick"):
        open_planners(project)


def test_a_folder_that_is_not_there_has_no_plans(tmp_path: Path) -> None:
    assert read_plans([tmp_path / "nowhere"]).plans == {}


def test_a_project_plans_with_its_language_models_and_books_what_they_cost(project: Path) -> None:
    (project / "plans" / "other.toml").write_text("what only the template planner would read")
    bad = json.dumps({"name": "pick", "steps": [{"id": "a", "skill": "teleport@1"}]})
    good = json.dumps({"name": "pick", "steps": [{"id": "a", "wait": {"timer": "1s"}}]})
    book = Book()
    with Stand(anthropic_whole(bad), anthropic_whole(good)) as stand:
        (project / "providers.toml").write_text(MODELS.replace("URL", stand.url))
        answer = propose(project, "llm", means=Means(purse=book))
        assert stand.heard[0].headers["x-api-key"] == KEY
    assert answer.failure is None
    kinds, keys, micros = zip(*book.booked, strict=True)
    assert kinds == ("reserve", "settle", "reserve", "settle")
    assert len(set(keys)) == 2
    assert (micros[1], micros[3]) == (141, 141)
    assert min(micros[0], micros[2]) > 8_000 * 15


def test_money_that_runs_share_is_asked_for_first(project: Path) -> None:
    with Stand(anthropic_whole("{}")) as stand:
        (project / "providers.toml").write_text(MODELS.replace("URL", stand.url))
        answer = propose(project, "llm", means=Means(purse=Book(1000)))
        assert stand.heard == []
    assert answer.failure is not None
    assert answer.failure.code == "TW7010"
    assert answer.usage == Usage()


def test_settings_that_are_wrong_are_the_answer(project: Path) -> None:
    (project / "providers.toml").write_text("models = 3")
    answer = propose(project, "llm")
    assert answer.failure is not None
    assert answer.failure.code == "TW7004"
