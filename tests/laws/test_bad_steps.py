"""Everything bad at once in one plan: each step fails as its policy says, with code and place, and the others go on."""

import os
import socket
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import pytest

import tickwork
from tickwork.clock import SystemClock
from tickwork.driver.opening import read_header
from tickwork.driver.resolve import World
from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.artifacts import ArtifactShelf, Folder
from tickwork.plane.compiled import EXECUTOR_ENTRY
from tickwork.plane.engine import Engine
from tickwork.plane.executor.agent import PlanExecutor
from tickwork.plane.explain import Explained, explain
from tickwork.plane.goals import Goals, Wish
from tickwork.plane.plan_text import parse_plan
from tickwork.plane.profile import GrantsTable, ProfileTable, SkillsTable
from tickwork.plane.profiles import Profiles
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.registry import Registry
from tickwork.plane.store.store import Store
from tickwork.plane.workshop import Workshop

SKILLS: Final = """
import sys
import threading
from tickwork.kinds import EffectClass
from tickwork.plane.skills.shapes import SchemaShape
from tickwork.plane.skills.skill import Traits

class Bad:
    def __init__(self):
        self.traits = Traits(type(self).__name__.lower(), "1", "Is bad.", EffectClass.PURE)
        self.shapes = SchemaShape({"type": "object"}), SchemaShape(True)
    @classmethod
    def from_config(cls, config):
        return cls()

class Huge(Bad):
    def call(self, given, context):
        return "x" * 10_000_000

class Exits(Bad):
    def call(self, given, context):
        sys.exit(3)

class Hangs(Bad):
    def call(self, given, context):
        threading.Event().wait(20)

class Lies(Bad):
    def call(self, given, context):
        context.usage = "free"
        return {1: object()}
"""

PLAIN: Final = 'skill = "json_transform"\nparams = { value = 1, expression = "@" }'
BOMB: Final = "inputs.list.map(a, inputs.list.map(b, inputs.list.map(c, a * b * c)))"
BAD: Final = {
    "huge": ('skill = "huge"', "TW7029"),
    "exits": ('skill = "exits"', "TW7008"),
    "lies": ('skill = "lies"', "TW7007"),
    "hangs": ('skill = "hangs"\ntimeout = "30ms"', "TW7009"),
    "bomb": (f'skill = "json_transform"\nparams = {{ value = "${{{BOMB}}}", expression = "@" }}', "TW7023"),
    "when_bomb": (f'{PLAIN}\nwhen = "size({BOMB}) > 0"', "TW7023"),
    "each_bomb": (f'{PLAIN}\nfor_each = "{BOMB}"', "TW7023"),
    "divides": ('skill = "json_transform"\nparams = { value = "${1 / inputs.zero}", expression = "@" }', "TW7023"),
    "climbs": ('skill = "file_write"\nparams = { path = "out/../../x", text = "x" }', "TW7025"),
    "links": ('skill = "file_write"\nparams = { path = "out/link/x", text = "x" }', "TW7025"),
    "absolute": ('skill = "file_read"\nparams = { path = "/etc/passwd" }', "TW7025"),
    "metadata": ('skill = "http_call"\nparams = { url = "http://169.254.169.254/latest" }', "TW7024"),
    "spelt": ('skill = "http_call"\nparams = { url = "http://0x7f.1/" }', "TW7024"),
    "mapped": ('skill = "http_call"\nparams = { url = "http://[::ffff:127.0.0.1]/" }', "TW7024"),
    "writes": ('skill = "sql_query"\nparams = { sql = "DELETE FROM book", database = "book.db" }', "TW7030"),
    "wrong": ('skill = "file_write"\nparams = { path = "${steps.first.output}", text = "x" }', "TW7006"),
}
GOOD: Final = ("first", "second", "third")


def plan_text() -> str:
    """Return a plan of every bad step, and a chain of good ones."""
    steps = [f'[[steps]]\nid = "{name}"\n{body}\non_error = "continue"' for name, (body, _) in BAD.items()]
    steps += [
        f'[[steps]]\nid = "{name}"\n{PLAIN}\ndepends_on = {list(GOOD[place - 1 : place]) if place else []}'
        for place, name in enumerate(GOOD)
    ]
    inputs = '[inputs.list]\ntype = "array"\n[inputs.zero]\ntype = "integer"\n'
    return f'name = "bad"\n{inputs}' + "\n".join(steps) + '\n[outputs]\nlast = "${steps.third.output}"\n'


@contextmanager
def project(folder: Path) -> Generator[tuple[Engine, Goals]]:
    """Yield the engine of a project whose skills are bad."""
    (folder / "out").mkdir()
    (folder / "out" / "link").symlink_to(folder.parent)
    (folder / "bad.py").write_text(SKILLS, encoding="utf-8")
    with closing(sqlite3.connect(folder / "book.db")) as database:
        database.execute("CREATE TABLE book (run TEXT)")
    skills = {name: {"kind": f"bad.py:{name.capitalize()}"} for name in ("huge", "exits", "hangs", "lies")}
    configuration = Configuration(skills, project=folder)
    with (
        Store.open(folder / "state.db", SystemClock()) as store,
        Registry.load(configuration, installed=False) as registry,
    ):
        workshop = Workshop(
            store,
            registry,
            folder=folder / ".tickwork",
            secrets={},
            shelf=ArtifactShelf(store, Folder(folder / "artifacts"), store.clock),
            embedder=HashedNgrams,
            models=lambda: None,
        )
        grants = GrantsTable(("*",), read=("out",), write=("out",), databases=("book.db",))
        Profiles(store, store.clock).add(ProfileTable("all", skills=SkillsTable(("*",)), grants=grants, tainted=("*",)))
        with Engine(store, workshop) as engine:
            yield engine, Goals(engine, registry)


def denied(*_: object, **__: object) -> NoReturn:
    """Stand where the network was."""
    raise AssertionError("the network was asked for something")


@pytest.mark.slow
def test_what_is_bad_fails_as_its_policy_says_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with project(folder) as (engine, goals):
        plan = parse_plan(plan_text(), folder / "plan.toml")
        wish = Wish({"list": list(range(300)), "zero": 0}, profile="all")
        run_id = goals.run_plan(plan, wish)[0].id
        engine.work()
        with engine.store.journals.open_run(run_id) as journal:
            told = explain(journal)
            check(told)
            before = sorted(os.listdir(folder / "out"))
            # Replay and verification perform nothing: the network and the skills are gone.
            monkeypatch.setattr(socket.socket, "connect", denied)
            monkeypatch.setattr(Workshop, "staff", denied)
            (folder / "bad.py").unlink()
            assert tickwork.replay(journal).head == engine.outcomes[run_id].head
            header, _ = read_header(journal)
            assert tickwork.verify(journal, world=World(header, natives={EXECUTOR_ENTRY: PlanExecutor})).equal
            assert sorted(os.listdir(folder / "out")) == before == ["link"]
    assert not (tmp_path / "x").exists()


def check(told: Explained) -> None:
    """Check how each step has ended, and what is told of it."""
    assert (told.status, msgspec.json.decode(told.output)) == ("partially_succeeded", {"last": 1})
    found = {step.path: (step.status, step.error.code if step.error is not None else "") for step in told.steps}
    expected = {name: ("failed", code) for name, (_, code) in BAD.items()}
    assert found == expected | dict.fromkeys(GOOD, ("succeeded", ""))
    for step in told.steps:
        assert step.error is None or (0 < len(step.error.message) <= 2000)
