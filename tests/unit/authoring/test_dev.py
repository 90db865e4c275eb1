"""authoring/dev.py: what a new build does otherwise in the last ticks of a run, and what makes a build due."""

from pathlib import Path

import pytest

from tests.support import ROOT
from tests.unit.sandbox import wat
from tickwork.authoring.dev import Played, changes, look, play_world, read_world, replay_with, watched
from tickwork.driver.options import Options

MARKET = ROOT / "examples" / "market" / "c" / "market-c.wasm"

WORLD = """schema = 1
name = "small"
ticks = {ticks}
[agents.one]
module = "small.wasm"
"""
OPTIONS = Options()


def counting(extra: str = "", step: int = 1) -> bytes:
    """Return an agent that counts its turns in a global and sleeps as long as the count has it."""
    return wat.agent(
        extra=extra,
        step=f"(global.set $count (i32.add (global.get $count) (i32.const {step}))) "
        "(i32.rem_u (global.get $count) (i32.const 3))",
    )


def played(folder: Path, module: bytes, *, ticks: int = 100, world: str = WORLD) -> Played:
    (folder / "small.wasm").write_bytes(module)
    (folder / "world.toml").write_text(world.format(ticks=ticks), encoding="utf-8")
    found = read_world(folder, ())
    assert found is not None
    return play_world(found, module, OPTIONS, ticks=10)


@pytest.mark.slow
def test_a_build_that_does_the_same_gives_an_equal_head(tmp_path: Path) -> None:
    before = played(tmp_path, counting())
    found = replay_with(before, counting('(func (export "unused"))'), before.world, OPTIONS, ticks=10, bases=())
    assert (found.how, found.refused, found.agents) == ("keep_image", (), ("one",))
    assert found.equal
    assert found.divergence is None
    assert found.first > 50
    assert (found.old.turns, found.old.failed) == (found.new.turns, found.new.failed)


@pytest.mark.slow
def test_the_first_difference_of_the_agent_and_of_the_run_are_told(tmp_path: Path) -> None:
    before = played(tmp_path, counting())
    found = replay_with(before, counting(step=2), before.world, OPTIONS, ticks=10, bases=())
    assert found.how == "keep_image"
    assert not found.equal
    assert found.agent_divergence is not None
    assert found.divergence is not None
    assert found.agent_divergence.tick >= found.first
    assert found.differing >= 1


@pytest.mark.slow
def test_a_memory_that_cannot_be_kept_is_begun_again_and_said(tmp_path: Path) -> None:
    before = played(tmp_path, counting())
    other = counting("(global $new (mut i64) (i64.const 0))")
    found = replay_with(before, other, before.world, OPTIONS, ticks=10, bases=())
    assert found.how == "restart"
    assert [reason.partition(":")[0] for reason in found.refused] == ["keep_image", "migrate"]
    assert "globals differ" in found.refused[0]
    assert "agent_save" in found.refused[1]


@pytest.mark.slow
def test_a_state_that_is_saved_is_loaded(tmp_path: Path) -> None:
    carry = """
(func (export "agent_save") (param i32 i32) (result i32)
  (i32.store (local.get 0) (global.get $count)) (i32.const 4))
(func (export "agent_load") (param i32 i32) (result i32)
  (global.set $count (i32.load (local.get 0))) (i32.const 0))"""
    before = played(tmp_path, counting(carry))
    other = counting(carry + "(global $new (mut i64) (i64.const 0))")
    found = replay_with(before, other, before.world, OPTIONS, ticks=10, bases=())
    assert found.how == "migrate"
    assert found.equal, "the count went on where it was"


@pytest.mark.slow
def test_where_several_agents_run_it_the_run_begins_anew(tmp_path: Path) -> None:
    two = WORLD + '[agents.two]\nmodule = "small.wasm"\n'
    before = played(tmp_path, counting(), world=two)
    after = counting(step=2)
    (tmp_path / "small.wasm").write_bytes(after)
    world = read_world(tmp_path, ())
    assert world is not None
    found = replay_with(before, after, world, OPTIONS, ticks=10, bases=())
    assert (found.how, found.first, found.agents) == ("rerun", 0, ("one", "two"))
    assert found.refused == ("2 agents of the world run it",)
    assert found.ticks == before.journal.length()
    assert found.divergence is not None
    assert found.agent_divergence == found.divergence
    same = replay_with(before, counting(), before.world, OPTIONS, ticks=10, bases=())
    assert same.equal


def test_a_world_with_a_far_end_is_run_for_some_ticks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickwork.authoring.dev.MOST_TICKS", 30)
    assert played(tmp_path, counting(), ticks=1_000_000).journal.length() == 30


def test_a_project_without_a_world_has_nothing_to_run(tmp_path: Path) -> None:
    assert read_world(tmp_path, ()) is None


def test_sources_scripts_and_the_world_are_watched_and_what_is_built_is_not(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    toml = 'name = "small"\nversion = "1.0.0"\nlanguage = "c"\n'
    for name, text in {
        "agent.toml": toml, "agent.c": "", "world.toml": "", "small.wasm": "", "tests/a.toml": "", "tests/a.golden": "",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    names = {path.relative_to(tmp_path).as_posix() for path in watched(tmp_path)}
    assert names >= {"agent.toml", "agent.c", "world.toml", "tests/a.toml", "tests/a.golden"}
    assert "small.wasm" not in names
    (tmp_path / "agent.toml").write_text("[[[")
    assert tmp_path / "agent.c" in watched(tmp_path), "a slip in the project file does not end the watch"


def test_a_change_is_told_once_it_stands_still(tmp_path: Path) -> None:
    source = tmp_path / "agent.c"
    source.write_text("one")
    asked = list[int]()

    def stop() -> bool:
        asked.append(1)
        if len(asked) == 3:
            source.write_text("another")
        return len(asked) > 12

    found = list(changes(tmp_path, look(tmp_path), stop))
    assert len(found) == 1
    assert found[0][source][1] == len("another")
