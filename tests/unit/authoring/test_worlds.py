"""authoring/worlds.py: a world run in a test, what its agents did, and an agent that is not deterministic."""

from pathlib import Path

import msgspec
import pytest

from tests.support import need
from tests.unit.authoring.projects import ENVIRONMENT, begun
from tests.unit.cli.program import make_world
from tickwork.authoring.worlds import Builder, WorldRun, find_world, run_world
from tickwork.driver.options import Options
from tickwork.errors import AgentNotFound, AgentTestFailed, BuildFailed, WorldReferenceError
from tickwork.records import Input, InputKind

FICKLE = '''
from itertools import count

NUMBERS = count()


class Fickle:
    """Keeps its count where no state is kept, so that it is lost when the agent is put into a new process."""

    def init(self, config, context):
        outbox = context.outbox()
        outbox.sleep(0)
        return 0, outbox

    def turn(self, state, inbox, context):
        outbox = context.outbox()
        outbox.publish("t", b"%d" % next(NUMBERS))
        outbox.sleep(0)
        return state, outbox

    def shutdown(self, state, context):
        return state, context.outbox()
'''


@pytest.fixture
def counting(tmp_path: Path) -> WorldRun:
    return run_world(make_world(tmp_path), Options(), ticks=9, inputs=[(2, "listener", "hello"), (4, "count", [1])])


def test_a_run_tells_what_its_agents_did(counting: WorldRun) -> None:
    assert (counting.status, counting.ticks) == ("complete", 9)
    assert counting.failures() == ()
    published = counting.sent("talker")
    assert {sent.kind for sent in published} == {"publish_retained"}
    assert {sent.to for sent in published} == {"count"}
    assert published[0].text.startswith("0 ")
    assert counting.value("count") == published[-1].body
    assert counting.sent("talker", kind="log") == ()
    assert [turn.operation for turn in counting.turns("talker")][:2] == ["init", "step"]
    assert len(counting.turns()) == len(counting.turns("talker")) + len(counting.turns("listener"))
    assert counting.turns("listener")[-1].operation == "shutdown"


def test_a_name_that_the_run_does_not_have_is_refused(counting: WorldRun) -> None:
    with pytest.raises(AgentNotFound, match="no agent 'nobody'"):
        counting.sent("nobody")
    with pytest.raises(WorldReferenceError, match="no topic 'nothing'"):
        counting.value("nothing")


def test_inputs_are_named_by_agent_or_topic_or_given_whole(tmp_path: Path) -> None:
    path = make_world(tmp_path)
    whole = Input(InputKind.MESSAGE, "test", "listener", body=b"x", size=1)
    same = run_world(path, Options(), inputs=[(2, "listener", b"x")])
    assert run_world(path, Options(), inputs=[(2, whole)]).head == same.head
    assert run_world(path, Options()).head != same.head
    with pytest.raises(WorldReferenceError, match="no agent and no topic"):
        run_world(path, Options(), inputs=[(2, "nobody", b"x")])


@pytest.mark.slow
def test_every_way_to_run_a_world_comes_to_its_head(counting: WorldRun) -> None:
    assert counting.check() == counting.head


def test_an_agent_that_is_not_deterministic_is_caught(tmp_path: Path) -> None:
    (tmp_path / "fickle.py").write_text(FICKLE, encoding="utf-8")
    world = tmp_path / "world.toml"
    world.write_text(
        'schema = 1\nname = "fickle"\nticks = 5\n[topics.t]\n[agents.a]\nnative = "fickle:Fickle"\npublish = ["t"]\n',
        encoding="utf-8",
    )
    run = run_world(world, Options())
    assert [sent.text for sent in run.sent("a")] == ["0", "1", "2", "3"]
    with pytest.raises(AgentTestFailed, match="run restored at every tick") as caught:
        run.check()
    assert "first difference at tick 2" in caught.value.why


def test_a_world_is_looked_up_from_the_test_upwards(tmp_path: Path) -> None:
    deep = tmp_path / "tests" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "world.toml").write_text("")
    assert find_world("world.toml", deep) == tmp_path / "world.toml"
    (deep / "world.toml").write_text("")
    assert find_world("world.toml", deep) == deep / "world.toml"
    assert find_world(tmp_path / "world.toml", deep) == tmp_path / "world.toml"
    with pytest.raises(WorldReferenceError):
        find_world("no-such-world.toml", deep)


def test_a_run_is_frozen(counting: WorldRun) -> None:
    with pytest.raises(AttributeError):
        counting.status = "failed"  # type: ignore[misc]
    assert msgspec.structs.asdict(counting.sent()[0])["tick"] == 1


@pytest.mark.slow
def test_a_project_is_built_once_and_written_where_its_world_looks(tmp_path: Path) -> None:
    need("zig")
    project = begun(tmp_path / "begun", "c")
    builder = Builder(ENVIRONMENT)
    builder.prepare(project.folder)
    package = project.folder / "begun.wasm"
    before = package.stat().st_mtime_ns
    builder.prepare(project.folder)
    Builder(ENVIRONMENT).prepare(project.folder)
    assert package.stat().st_mtime_ns == before, "what is there already is what would be written"
    assert run_world(project.folder / "world.toml", Options()).value("totals") is None
    (project.folder / "agent.c").write_text("no C\n")
    with pytest.raises(BuildFailed):
        Builder(ENVIRONMENT).prepare(project.folder)


def test_a_folder_that_is_no_project_needs_no_build(tmp_path: Path) -> None:
    Builder(ENVIRONMENT).prepare(tmp_path)
    assert list(tmp_path.iterdir()) == []
