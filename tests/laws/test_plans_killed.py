"""Plans of every class of effects, by the shipped skills, killed at any moment: nothing is lost, nothing done twice.

Law: whenever processes die that work on runs, every run comes to the same output as if none had; what honours a key is
told everything under one; what must not be repeated is done once, if people say truly whether it was done.
"""

import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.laws.receiver import Receiver
from tickwork.clock import SystemClock
from tickwork.driver.options import Options
from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.approvals import Approvals
from tickwork.plane.artifacts import ArtifactShelf, Folder
from tickwork.plane.dead_letters import DeadLetters
from tickwork.plane.engine import Engine
from tickwork.plane.goals import Goals, Wish
from tickwork.plane.plan_text import parse_plan
from tickwork.plane.profile import GrantsTable, ProfileTable, SkillsTable, SpendingTable
from tickwork.plane.profiles import Profiles
from tickwork.plane.results import read_ending_of
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.registry import Registry
from tickwork.plane.store.runs import DEAD, Runs
from tickwork.plane.store.store import Store
from tickwork.plane.workshop import Workshop

RUNS: Final = ("a", "b", "c")
KILLS: Final = 20
BATCHES: Final = 25

PLAN: Final = """
name = "everything"
[inputs.run]
[inputs.at]
[[steps]]
id = "shape"
skill = "json_transform"
params = {{ value = {{ run = "${{inputs.run}}", list = [1, 2, 3] }}, expression = "@" }}
[[steps]]
id = "save"
skill = "file_write"
params = {{ path = "out/${{inputs.run}}.txt", text = "run ${{inputs.run}}" }}
depends_on = ["shape"]
[[steps]]
id = "put"
skill = "put"
for_each = "steps.shape.output.list"
params = {{ url = "http://{place}/put/${{inputs.run}}/${{item}}", method = "PUT", json = {{ n = "${{item}}" }} }}
[[steps]]
id = "tell"
skill = "tell"
params = {{ type = "told.${{inputs.run}}", data = {{ run = "${{inputs.run}}" }} }}
depends_on = ["save"]
[[steps]]
id = "book"
skill = "book"
params = {{ sql = "INSERT INTO book VALUES (?)", params = ["${{inputs.run}}"] }}
depends_on = ["shape"]
[[steps]]
id = "post"
skill = "post"
params = {{ url = "http://{place}/post/${{inputs.run}}", method = "POST", text = "once" }}
depends_on = ["book"]
approval = {{ message = "Post ${{inputs.run}}?" }}
[[steps]]
id = "dear"
skill = "dear"
params = {{ value = "${{inputs.run}}", expression = "@" }}
depends_on = ["put", "tell"]
[[steps]]
id = "last"
skill = "put"
params = {{ url = "http://{place}/last/${{inputs.run}}", method = "PUT", json = {{}} }}
depends_on = ["post", "dear"]
[outputs]
said = ["${{steps.dear.output}}", "${{steps.last.output.text}}", "${{steps.book.output.changed}}"]
"""


class Project:
    """A folder with a store, a database and a place to write to, and a receiver."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.folder = folder
        self.receiver = receiver
        self.place = f"127.0.0.1:{receiver.port}"
        (folder / "out").mkdir(parents=True)
        with closing(sqlite3.connect(folder / "book.db")) as database:
            database.execute("CREATE TABLE book (run TEXT)")
            database.commit()

    def configuration(self) -> Configuration:
        skills: dict[str, dict[str, Any]] = {
            "put": {"kind": "http_call", "methods": ["PUT"], "receiver_honours_key": True},
            "post": {"kind": "http_call", "methods": ["POST"]},
            "tell": {"kind": "notify", "url": f"http://{self.place}/tell"},
            "book": {"kind": "sql_query", "database": "book.db", "write": True},
            "dear": {"kind": "json_transform", "policy": {"cost_usd": "0.10"}},
        }
        return Configuration(skills, project=self.folder)

    def profile(self) -> ProfileTable:
        grants = GrantsTable(
            (self.place,), loopback=True, write=("out",), databases=("book.db",), writable=("book.db",)
        )
        spending = SpendingTable(total_usd="0.30")
        return ProfileTable("all", skills=SkillsTable(("*",)), grants=grants, spending=spending, tainted=("*",))

    @contextmanager
    def store(self) -> Generator[Store]:
        with Store.open(self.folder / "state.db", SystemClock()) as store:
            yield store

    @contextmanager
    def engine(self, options: Options | None = None) -> Generator[tuple[Engine, Goals]]:
        with self.store() as store, Registry.load(self.configuration(), installed=False) as registry:
            shelf = ArtifactShelf(store, Folder(self.folder / "artifacts"), store.clock)
            workshop = Workshop(
                store,
                registry,
                folder=self.folder / ".tickwork",
                secrets={},
                shelf=shelf,
                embedder=HashedNgrams,
                models=lambda: None,
            )
            with Engine(store, workshop, options) as engine:
                yield engine, Goals(engine, registry)

    def booked(self, run: str) -> int:
        with closing(sqlite3.connect(self.folder / "book.db", timeout=30)) as database:
            return int(database.execute("SELECT count(*) FROM book WHERE run = ?", (run,)).fetchone()[0])

    def decide(self, store: Store, draws: random.Random) -> None:
        """Agree to what is asked for; of a call that was lost look whether it happened, and say so."""
        approvals = Approvals(store)
        views = approvals.list()
        draws.shuffle(views)
        for view in views:
            given = msgspec.json.decode(view.arguments)
            if view.kind != "lost":
                approvals.decide(view.id, "grant", by="ann")
            elif view.step == "book" and self.booked(given["params"][0]):
                approvals.decide(view.id, "complete", by="ann", value=_BOOKED)
            elif view.step == "post" and (given["url"].partition(self.place)[2], ANY) in self.heard():
                approvals.decide(view.id, "complete", by="ann", value={"status": 200, "headers": {}})
            else:
                approvals.decide(view.id, "grant", by="ann")

    def heard(self) -> set[tuple[str, str]]:
        return {(path, ANY) for path, _ in self.receiver.heard()}


ANY: Final = ""
_BOOKED: Final[dict[str, object]] = {"columns": [], "rows": [], "truncated": False, "changed": 1}


def child(work: Callable[[], None]) -> int:
    """Do something in a process of its own; return its id."""
    found = os.fork()
    if not found:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return found


def survive(project: Project, draws: random.Random, kills: int) -> int:
    """Work on the runs until they have ended, killing most of the processes; return how many were killed."""
    plan = parse_plan(PLAN.format(place=project.place), project.folder / "plan.toml")

    def submit() -> None:
        with project.engine() as (engine, goals):
            Profiles(engine.store, engine.store.clock).add(project.profile())
            for run in RUNS:
                wish = Wish({"run": run, "at": project.place}, profile="all", key=run, work=False)
                goals.run_plan(plan, wish)

    assert os.waitpid(child(submit), 0)[1] == 0
    killed = lives = 0
    while True:
        lives += 1
        assert lives < 40 + 4 * kills, "the runs do not come to their end"
        mortal = killed < kills
        within = draws.choice((draws.uniform(0.001, 0.02), draws.uniform(0.01, 0.5)))
        edges = draws.randrange(1, 120) if draws.random() < 0.5 else 0
        seed = draws.randrange(1 << 30)

        def live(*, mortal: bool = mortal, within: float = within, edges: int = edges, seed: int = seed) -> None:
            left = [edges]

            def edge(_: str) -> None:
                left[0] -= 1
                if mortal and not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

            if mortal and not edges:
                # Without a handler the signal ends the process where it stands, as SIGKILL does.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, within)
            own = random.Random(seed)
            with project.engine(Options(edge=edge)) as (engine, _):
                if own.random() < 0.5:
                    project.decide(engine.store, own)
                engine.work_all()

        # Now and then two of them work at once.
        children = [child(live) for _ in range(2 if draws.random() < 0.3 else 1)]
        for one in children:
            status = os.waitpid(one, 0)[1]
            assert os.WIFSIGNALED(status) or not status, f"it failed in another way than by being killed: {status}"
            killed += os.WIFSIGNALED(status)
        with project.store() as store:
            rows = Runs(store).page()
            for row in rows:
                if row.status == DEAD:
                    # Process after process was killed before it could do anything: a person has it tried again.
                    DeadLetters(store).requeue(row.id)
                    rows = Runs(store).page()
            if not any(row.open for row in rows):
                assert {row.status for row in rows} == {"succeeded"}, [row.reason for row in rows]
                for row in rows:
                    ending = read_ending_of(store.journals.open_run(row.id))
                    assert ending is not None
                    run = msgspec.json.decode(row.inputs)["run"]
                    assert msgspec.json.decode(ending.output) == {"said": [run, "ok", 1]}
                break
            project.decide(store, draws)
    check(project)
    return killed


def check(project: Project) -> None:
    """Check what the receiver was told, what was written and what was booked."""
    heard = project.receiver.heard()
    keys = dict[str, set[str]]()
    for path, key in heard:
        keys.setdefault(path, set()).add(key)
    told = keys.pop("/tell")
    assert len(told) == len(RUNS), "each run has told once, under its own id"
    expected = {f"/put/{run}/{n}" for run in RUNS for n in (1, 2, 3)}
    expected |= {f"/{path}/{run}" for path in ("post", "last") for run in RUNS}
    assert keys.keys() == expected
    assert all(len(found) == 1 and "" not in found for found in keys.values()), "one key for one step of one run"
    assert len(set[str]().union(*keys.values())) == len(expected), "no key stands for two"
    posts = Counter(path for path, _ in heard if path.startswith("/post/"))
    assert set(posts.values()) == {1}, "what must not be repeated was not"
    assert [project.booked(run) for run in RUNS] == [1] * len(RUNS)
    for run in RUNS:
        assert (project.folder / f"out/{run}.txt").read_text(encoding="utf-8") == f"run {run}"
    assert sorted(path.name for path in (project.folder / "out").iterdir()) == [f"{run}.txt" for run in RUNS]


@pytest.mark.slow
@pytest.mark.parametrize(
    "batch", [0, *(pytest.param(batch, marks=pytest.mark.thorough) for batch in range(1, BATCHES))]
)
def test_plans_killed_anywhere_lose_nothing_and_repeat_nothing(tmp_path: Path, batch: int) -> None:
    draws, killed, number = random.Random(batch), 0, 0
    while killed < KILLS:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        with Receiver(folder / "heard") as receiver:
            killed += survive(Project(folder / "project", receiver), draws, min(10, KILLS - killed))
