"""One class, three ways: an agent's Python in this interpreter and in the sandbox does what the agent in C does."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_languages import FOLDERS, SCRIPTS, TRADERS, Said, Stage, _turn, reference
from tests.unit.sdk.python_base import built, program
from tickwork.authoring.project import read_project
from tickwork.driver.natives import NativeCrew
from tickwork.native import Context
from tickwork.records import AgentSpec, Operation, Status
from tickwork.sandbox.pool import InlinePool


class Sandboxed(Stage):
    """Agents of one bundle on the base module."""

    def __init__(self, folder: Path, seats: int) -> None:
        self.path, self.content = folder, built(folder)
        self.pool = InlinePool()
        self.said = []
        for seat in range(seats):
            self.pool.place(program(seat, self.content))

    def swap(self, tick: int, seat: int = 0) -> None:
        fresh = program(seat, self.content)
        outcome, image = self.pool.carry(_turn(Operation.STEP, tick, (), seat, 0), fresh)
        assert outcome.status == Status.OK, outcome
        assert image is not None
        self.pool.retire([seat])
        self.pool.place(fresh)
        self.pool.restore(seat, image)


class Native(Stage):
    """Agents of one class in this interpreter."""

    def __init__(self, folder: Path, seats: int) -> None:
        self.agent = _agent(folder)
        self.crew = NativeCrew(None, {"agent": self.agent})
        self.said = []
        self.specs = _spec(folder)
        for seat in range(seats):
            self.crew.place(seat, self.specs)

    def turn(self, operation: Operation, tick: int, frames: Any, seat: int = 0, seed: int = 0) -> bytes:
        outcome = self.crew.compute(_turn(operation, tick, frames, seat, seed))
        self.said.append(Said(f"{operation.name} {seat} tick {tick}", outcome.status, outcome.code, outcome.outbox))
        return outcome.outbox

    def save(self, tick: int, seat: int = 0) -> bytes:
        state: bytes = self.agent.save(self.crew._states[seat])
        self.said.append(Said(f"save {seat} tick {tick}", Status.OK, len(state), state))
        return state

    def swap(self, tick: int, seat: int = 0) -> None:
        saved = self.agent.save(self.crew._states[seat])
        self.crew._states[seat] = self.agent.load(saved, Context(tick, 0, seat, 0, self.specs))

    def close(self) -> list[Said]:
        return self.said


def _agent(folder: Path) -> Any:
    name = f"conformance_{folder.parent.name}"
    spec = importlib.util.spec_from_file_location(name, folder / "agent.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return getattr(module, folder.parent.name.capitalize())()


def _spec(folder: Path) -> AgentSpec:
    asked = read_project(folder).table.capabilities
    return AgentSpec(
        "tested", "native", "agent", b"", publish=asked.publish, subscribe=asked.subscribe, send=asked.send,
        skills=asked.skills, spawn=asked.spawn, models=asked.models, windows=asked.windows,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("kind", [Native, Sandboxed])
def test_an_agent_in_python_says_and_saves_what_the_one_in_c_does(kind: type[Stage], script: str) -> None:
    agent, seats, run = SCRIPTS[script]
    stage = kind(FOLDERS[agent] / "python", seats)
    run(stage)
    said, wanted = stage.close(), reference(script)
    assert seats <= TRADERS
    for mine, theirs in zip(said, wanted, strict=True):
        assert mine == theirs, f"{script}, {mine.what}"
