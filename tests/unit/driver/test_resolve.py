"""driver/resolve.py: from a world file and the files beside it to a header and the contents it pins."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.support import ROOT
from tickwork.codec import digest
from tickwork.driver.resolve import World, canonical_json, load_world, make_world, new_header
from tickwork.errors import ModuleRefused, WorldReferenceError, WorldSchemaError
from tickwork.records import AgentSpec, EffectClass, Encoding, Limits, WindowSpec
from tickwork.sandbox.manifest import Capabilities, Manifest, ManifestLimits, append_manifest

HEAD = 'schema = 1\nname = "w"\nticks = 3\nseed = 5\n'
NATIVE = '[agents.a]\nnative = "code:Agent"\n'
EMPTY_MODULE = b"\0asm\1\0\0\0"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes a world file beside a native agent, a module and a feed."""
    (tmp_path / "code.py").write_text("class Agent:\n    pass\n", encoding="utf-8")
    (tmp_path / "bare.wasm").write_bytes(EMPTY_MODULE)
    (tmp_path / "told.wasm").write_bytes(told())
    (tmp_path / "rows.csv").write_text("hour,value\n0,a\n2,b\n", encoding="utf-8")

    def world(text: str) -> Path:
        path = tmp_path / "world.toml"
        path.write_text(HEAD + text, encoding="utf-8")
        return path

    return world


def told(**limits: int) -> bytes:
    """Return a module that declares two topics, an agent, a skill, a template and the clock."""
    asked = Capabilities(
        publish=("north", "south"), subscribe=("south",), send=("b",), skills=("s",), spawn=("t",), clock=True
    )
    return append_manifest(EMPTY_MODULE, Manifest("told", "1.0.0", capabilities=asked, limits=ManifestLimits(**limits)))


TOLD = """
[topics.north]
[topics.south]
[skills.s]
[agents.b]
native = "code:Agent"
[templates.t]
native = "code:Agent"
[agents.a]
module = "told.wasm"
"""


def test_a_native_agent_is_pinned_by_its_source(write: Write) -> None:
    world = load_world(write(NATIVE))
    [spec] = world.header.agents
    assert (spec.kind, spec.entry) == ("native", "code:Agent")
    assert spec.digest == digest((world.folder / "code.py").read_bytes())
    assert world.contents == ()


def test_a_module_is_pinned_and_kept(write: Write) -> None:
    world = load_world(write('[agents.a]\nmodule = "bare.wasm"\n[agents.b]\nmodule = "bare.wasm"\n'))
    mark = digest(EMPTY_MODULE)
    assert [agent.digest for agent in world.header.agents] == [mark, mark]
    assert world.contents == (EMPTY_MODULE,)
    assert world.modules == {mark: EMPTY_MODULE}
    assert world.header.agents[0].entry == "bare"


def test_options_replace_the_seed_and_the_ticks_of_the_file(write: Write) -> None:
    header = load_world(write(NATIVE), seed=0, ticks=9, allow_unsigned=True).header
    assert (header.seed, header.ticks, header.allow_unsigned) == (0, 9, True)
    plain = load_world(write(NATIVE)).header
    assert (plain.seed, plain.ticks, plain.allow_unsigned) == (5, 3, False)


def test_a_header_names_no_place(write: Write, tmp_path: Path) -> None:
    here = load_world(write(TOLD)).header
    there = tmp_path / "elsewhere"
    there.mkdir()
    for name in ("code.py", "told.wasm", "world.toml"):
        (there / name).write_bytes((tmp_path / name).read_bytes())
    assert load_world(there / "world.toml").header == here


def test_count_makes_agents_that_differ_in_their_names_alone(write: Write) -> None:
    agents = load_world(write(NATIVE + "count = 3\npriority = 4\n")).header.agents
    assert [agent.name for agent in agents] == ["a-0", "a-1", "a-2"]
    assert len({msgspec.structs.replace(agent, name="") for agent in agents}) == 1


def test_configuration_is_the_same_bytes_whatever_the_order_of_its_keys(write: Write) -> None:
    one = load_world(write(NATIVE + 'config = { b = [1, { d = true, c = "é" }], a = -7 }\n')).header.agents[0]
    other = load_world(write(NATIVE + 'config = { a = -7, b = [1, { c = "é", d = true }] }\n')).header.agents[0]
    assert one.config == other.config == '{"a":-7,"b":[1,{"c":"é","d":true}]}'.encode()
    assert one.config_encoding == Encoding.JSON
    assert canonical_json({}) == b"{}"


# --- manifests ---


def test_a_manifest_says_what_the_world_leaves_out(write: Write) -> None:
    agent = load_world(write(TOLD)).header.agents[1]
    assert (agent.publish, agent.subscribe, agent.send) == (("north", "south"), ("south",), ("b",))
    assert (agent.skills, agent.spawn, agent.entry) == (("s",), ("t",), "told")
    assert agent.denied == ("clock",)
    assert agent.clock is False


def test_what_the_world_does_not_grant_keeps_its_handle_and_is_denied(write: Write) -> None:
    agent = load_world(write(TOLD + 'publish = ["south"]\nsend = []\nclock = true\n')).header.agents[1]
    assert agent.publish == ("north", "south")
    assert agent.denied == ("publish:north", "send:b")
    assert agent.clock is True


@pytest.mark.parametrize(
    ("line", "place", "fix"),
    [
        ('publish = ["sout"]', "", ""),
        ('subscribe = ["north"]', "agents.a.subscribe[0]", 'did you mean "south"?'),
    ],
)
def test_a_grant_the_module_never_asked_for_is_refused(write: Write, line: str, place: str, fix: str) -> None:
    kind = WorldSchemaError if place else WorldReferenceError
    with pytest.raises(kind) as caught:
        load_world(write(TOLD + line + "\n"))
    assert place in caught.value.where
    assert caught.value.fix.startswith(fix)


def test_the_clock_is_granted_only_to_a_module_that_asks_for_it(write: Write, tmp_path: Path) -> None:
    silent = append_manifest(EMPTY_MODULE, Manifest("silent", "1.0.0"))
    (tmp_path / "told.wasm").write_bytes(silent)
    with pytest.raises(WorldSchemaError, match="clock is granted to a module that does not declare it"):
        load_world(write(TOLD + "clock = true\n"))


def test_a_name_a_manifest_brings_in_must_exist_or_be_denied(write: Write) -> None:
    lacking = TOLD.replace("[topics.north]\n", "")
    with pytest.raises(WorldReferenceError, match='there is no topic "north"') as caught:
        load_world(write(lacking))
    assert "publish = [...] without it" in caught.value.fix
    agent = load_world(write(lacking + 'publish = ["south"]\n')).header.agents[1]
    assert agent.denied == ("publish:north", "clock")


WINDOWS = """[windows.w]
bytes = 64
writer = "a"
readers = ["c"]
kind = "log"
[models.m]
[agents.c]
native = "code:Agent"
"""


def test_windows_and_models_enter_the_header(write: Write) -> None:
    world = write(NATIVE + 'windows = ["w"]\nmodels = ["m"]\n' + WINDOWS + 'windows = ["w"]\n')
    header = load_world(world).header
    assert header.windows == (WindowSpec("w", "log", 64, "a", ("c",)),)
    assert [model.name for model in header.models] == list(header.agents[0].models) == ["m"]
    assert header.agents[0].windows == ("w",)


@pytest.mark.parametrize(("writer", "reader"), [("", 'windows = ["w"]\n'), ('windows = ["w"]\n', "")])
def test_who_writes_or_reads_a_window_declares_it(write: Write, writer: str, reader: str) -> None:
    with pytest.raises(WorldReferenceError, match='does not declare the window "w"') as caught:
        load_world(write(NATIVE + writer + WINDOWS + reader))
    assert ("windows.w.readers[0]" if writer else "windows.w.writer") in caught.value.where


def test_limits_are_the_lesser_of_world_and_manifest(write: Write, tmp_path: Path) -> None:
    (tmp_path / "told.wasm").write_bytes(told(fuel=1000, depth=5000))
    limits = load_world(write(TOLD + "limits = { memory_pages = 7, depth = 9 }\n")).header.agents[1].limits
    assert (limits.fuel, limits.memory_pages, limits.depth) == (1000, 7, 9)
    defaults = load_world(write(TOLD)).header.agents[1].limits
    assert (defaults.fuel, defaults.depth) == (1000, Limits().depth)
    assert load_world(write(NATIVE)).header.agents[0].limits == Limits()


# --- files that are not there, or not what they should be ---


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ('[agents.a]\nmodule = "no.wasm"\n', "there is no file no.wasm", "agents.a.module"),
        ('[agents.a]\nnative = "no:Agent"\n', "there is no file no.py", "agents.a.native"),
        ('[agents.a]\nnative = "code:Agen"\n', 'code.py has no class "Agen"', "agents.a.native"),
        (NATIVE + '[feeds.f]\nfile = "no.csv"\nto = "a"\n', "there is no file no.csv", "feeds.f.file"),
    ],
)
def test_a_file_the_world_names_must_be_there(write: Write, text: str, what: str, where: str) -> None:
    path = write(text)
    with pytest.raises(WorldReferenceError) as caught:
        load_world(path)
    assert caught.value.what == what
    assert caught.value.where.startswith(f"{path}:")
    assert caught.value.where.endswith(where)


def test_a_misspelt_class_is_answered_with_the_nearest(write: Write) -> None:
    with pytest.raises(WorldReferenceError) as caught:
        load_world(write('[agents.a]\nnative = "code:Agen"\n'))
    assert caught.value.fix.startswith('did you mean "Agent"?')


def test_a_source_that_is_not_python_is_refused_with_its_line(write: Write, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("class Agent:\n  def\n", encoding="utf-8")
    with pytest.raises(WorldReferenceError, match=r"code\.py is not Python") as caught:
        load_world(write(NATIVE))
    assert "code.py:2" in caught.value.why


def test_reading_a_world_runs_none_of_its_code(write: Write, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("class Agent:\n    pass\nraise SystemExit(9)\n", encoding="utf-8")
    assert load_world(write(NATIVE)).header.agents[0].entry == "code:Agent"


@pytest.mark.parametrize("content", [b"", b"(module)", b"\0asm\1\0\0", b"\0asm\1\0\0\0\x01"])
def test_a_file_that_is_no_module_is_refused(write: Write, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bare.wasm").write_bytes(content)
    with pytest.raises(ModuleRefused) as caught:
        load_world(write('[agents.a]\nmodule = "bare.wasm"\n'))
    assert "agents.a.module" in caught.value.where
    assert caught.value.exit_status == 4


def test_a_feed_without_its_tick_column_is_refused_at_its_key(write: Write) -> None:
    feed = '[feeds.f]\nfile = "rows.csv"\nto = "a"\ntick = "day"\n'
    with pytest.raises(WorldSchemaError, match=r"rows\.csv") as caught:
        load_world(write(NATIVE + feed))
    assert caught.value.where.endswith("feeds.f.tick")


# --- feeds, tasks, skills ---


def test_a_feed_is_pinned_and_kept(write: Write) -> None:
    text = (
        '[topics.t]\n[feeds.f]\nfile = "rows.csv"\nto = "a"\ntick = "hour"\n[feeds.g]\nfile = "rows.csv"\ntopic = "t"\n'
    )
    world = load_world(write(NATIVE + text))
    first, second = world.header.feeds
    assert (first.target, first.to_topic, first.tick_column) == ("a", False, "hour")
    assert (second.target, second.to_topic, second.tick_column) == ("t", True, "")
    assert world.contents == ((world.folder / "rows.csv").read_bytes(),)
    assert first.digest == second.digest == digest(world.contents[0])


def test_tasks_depend_on_each_other_by_number(write: Write) -> None:
    text = """
[[tasks]]
name = "second"
agent = "a"
payload = { b = 1, a = 2 }
depends_on = ["first"]
[[tasks]]
name = "first"
agent = "a"
payload = "go"
"""
    second, first = load_world(write(NATIVE + text)).header.tasks
    assert (second.depends_on, second.body, second.encoding) == ((1,), b'{"a":2,"b":1}', Encoding.JSON)
    assert (first.depends_on, first.body, first.encoding) == ((), b"go", Encoding.BYTES)


def test_how_a_skill_is_performed_is_no_part_of_the_header(write: Write) -> None:
    text = NATIVE + '[skills."artifact.write"]\nclass = "idempotent"\nfolder = "out"\n'
    world = load_world(write(text))
    assert world.performers[0].folder == world.folder / "out"
    assert world.header.skills[0].effect_class == EffectClass.IDEMPOTENT
    assert load_world(write(text.replace("out", "elsewhere"))).header == world.header


def test_the_example_is_a_world() -> None:
    world = load_world(ROOT / "examples" / "weather" / "world.toml", ticks=24)
    assert world.header.ticks == 24
    assert {feed.digest for feed in world.header.feeds} <= {digest(content) for content in world.contents}


# --- worlds made in Python ---


def test_a_world_can_be_made_without_files() -> None:
    class Native:
        pass

    agents = (
        AgentSpec("a", "native", "here:Native", bytes(32)),
        AgentSpec("b", "wasm", "b", digest(EMPTY_MODULE)),
    )
    world = make_world(new_header("made", 4, agents), modules=[EMPTY_MODULE], feeds=[b"x\n1\n"])
    assert isinstance(world, World)
    assert (world.header.name, world.header.ticks, world.header.policy) == ("made", 4, "fifo")
    assert world.contents == (EMPTY_MODULE, b"x\n1\n")
    assert world.modules == {digest(EMPTY_MODULE): EMPTY_MODULE}


def test_a_made_header_has_the_defaults_of_a_file(write: Write) -> None:
    loaded = load_world(write(NATIVE)).header
    assert msgspec.structs.replace(new_header("w", 3, loaded.agents), seed=5) == loaded


def test_a_model_is_named_in_the_header_and_looked_up_by_nobody_yet(write: Write, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"whatever")
    text = '[models.one]\nmodel = "forecast"\nbatch = "tick"\nmost = 7\n[models.two]\nfile = "m.onnx"\n[models.three]\n'
    world = load_world(write('[agents.a]\nnative = "code:Agent"\nmodels = ["one"]\n' + text))
    assert [(spec.name, spec.digest, spec.batch, spec.most) for spec in world.header.models] == [
        ("one", b"", "tick", 7),
        ("two", b"", "row", 64),
        ("three", b"", "row", 64),
    ]
    one, two = world.models
    assert (one.name, one.reference, one.path) == ("one", "forecast", None)
    assert (two.name, two.reference, two.path) == ("two", "", tmp_path / "m.onnx")
    assert one.where.endswith("models.one.model")


def test_a_model_whose_file_is_absent_is_refused_with_its_line(write: Write) -> None:
    with pytest.raises(WorldReferenceError) as caught:
        load_world(write('[agents.a]\nnative = "code:Agent"\n[models.m]\nfile = "gone.onnx"\n'))
    assert caught.value.what == "there is no file gone.onnx"
    assert caught.value.where.endswith("models.m.file")
