"""driver/world.py, with the scanner, the shape and the faults it is made of."""

import json
import tomllib
from itertools import pairwise
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import ROOT
from tickwork.driver.faults import choose, key_text, nearest
from tickwork.driver.places import find_places, line_of
from tickwork.driver.world import WorldFile, find_cycle, member_names, parse_world, read_world, world_schema
from tickwork.errors import TaskCycleError, WorldError, WorldReferenceError, WorldSchemaError, WorldSyntaxError

HEAD = 'schema = 1\nname = "w"\nticks = 3\n'
AGENT = '[agents.a]\nmodule = "a.wasm"\n'


def parse(text: str) -> WorldFile:
    return parse_world(text, Path("world.toml"))


def fault(text: str) -> WorldError:
    with pytest.raises(WorldError) as caught:
        parse(text)
    return caught.value


# --- places ---


def test_a_key_is_found_on_its_line_wherever_toml_lets_it_stand() -> None:
    text = """a = 1
"b.c".'d' = [ 1, # a comment with ] and "
  2, { z = 3, y.q = \"\"\"
k = 3 = [
\"\"\"\"\" } ]
[t.u]  # a comment
limits = { fuel = 3 }
path = 'a"\\'
lines = '''
[not.a.table]
'''
[[tasks]]
name = "x"
[[tasks]]
name = "y"
[tasks.sub]
q = 1979-05-27T07:32:00Z
[[tasks.z]]
g = 1
"""
    tomllib.loads(text)
    places = find_places(text)
    expected = {
        ("a",): 1,
        ("b.c", "d"): 2,
        ("b.c", "d", 0): 2,
        ("b.c", "d", 1): 3,
        ("b.c", "d", 2, "z"): 3,
        ("b.c", "d", 2, "y", "q"): 3,
        ("t", "u"): 6,
        ("t", "u", "limits", "fuel"): 7,
        ("t", "u", "path"): 8,
        ("t", "u", "lines"): 9,
        ("tasks",): 12,
        ("tasks", 0, "name"): 13,
        ("tasks", 1): 14,
        ("tasks", 1, "name"): 15,
        ("tasks", 1, "sub", "q"): 17,
        ("tasks", 1, "z", 0, "g"): 19,
    }
    assert {path: places[path] for path in expected} == expected
    assert not [path for path in places if "not" in path or "k" in path]


def test_a_quoted_key_is_the_text_it_stands_for() -> None:
    assert find_places('"tab\\tA\\u00e9\\"" = 1\n')[('tab\tAé"',)] == 1


def test_the_line_of_an_absent_key_is_that_of_its_nearest_parent() -> None:
    places = find_places("[a]\n[a.b]\nc = 1\n")
    assert line_of(places, ("a", "b", "nothing", 3)) == 2
    assert line_of(places, ("nothing",)) == 1


KEYS = st.text(alphabet="ab-_1", min_size=1, max_size=3)
SCALARS = st.sampled_from(["1", '"# [x]"', "'\"'", "true", "1.5", "2024-01-01", '"""\n[k]\n"""', "'''\nk = 1\n'''"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ",\n".join(items) + "]")
        | st.dictionaries(KEYS, inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key} = {value}" for key, value in items.items()) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_every_key_that_tomllib_reads_has_a_place_and_no_other_has(tables: dict[str, dict[str, str]]) -> None:
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) for name, keys in tables.items()
    )
    document = tomllib.loads(text)
    lines = text.splitlines()
    places = find_places(text)
    assert set(places) == set(_paths(document, ()))
    for name, keys in tables.items():
        assert lines[places[(name,)] - 1] == f"[{name}]"
        for key in keys:
            assert lines[places[(name, key)] - 1].startswith(f"{key} = ")


def _paths(value: object, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [found for key, item in items for found in [(*path, key), *_paths(item, (*path, key))]]


# --- syntax ---


def test_a_file_that_is_not_toml_is_refused_with_line_and_column() -> None:
    error = fault("schema = 1\nname = = 2\n")
    assert type(error) is WorldSyntaxError
    assert error.where == "world.toml:2, column 8"
    assert error.exit_status == 78


def test_a_file_that_ends_too_early_is_refused() -> None:
    error = fault("name = '''\n")
    assert type(error) is WorldSyntaxError
    assert "end of document" in error.why


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "world.toml"
    path.write_bytes(b"schema = 1\nname = '\xff'\n")
    with pytest.raises(WorldSyntaxError) as caught:
        read_world(path)
    assert caught.value.where == f"{path}:2, byte 19"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorldReferenceError, match=r"no world file can be read at .*none\.toml"):
        read_world(tmp_path / "none.toml")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "world.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + AGENT).replace("\n", "\r\n").encode())
    assert read_world(path).lines[("agents", "a", "module")] == 5


# --- shape ---


def test_a_whole_world_is_read_with_its_defaults() -> None:
    table = parse(HEAD + AGENT).table
    assert (table.seed, table.policy, table.visibility, table.ordering) == (0, "fifo", "next", "issue")
    assert table.agents["a"].limits.mailbox_messages == 1024


@pytest.mark.parametrize(
    ("line", "where", "what", "fix"),
    [
        ('polcy = "fifo"', "world.toml:4, polcy", 'unknown key "polcy"', 'did you mean "policy"?'),
        ('policy = "prio"', "world.toml:4, policy", "policy is 'prio'", 'did you mean "priority"?'),
        ("seed = 1.5", "world.toml:4, seed", "seed must be an integer, 0 or more", "write an integer, 0 or more"),
        ("seed = true", "world.toml:4, seed", "seed must be an integer, 0 or more", "write an integer, 0 or more"),
        ("seed = -1", "world.toml:4, seed", "seed is -1, out of range", "write an integer, 0 or more"),
        ("topics = 3", "world.toml:4, topics", "topics must be a table", "write a table"),
        ("tasks = {}", "world.toml:4, tasks", "tasks must be an array", "write an array"),
    ],
)
def test_a_key_or_value_the_schema_lacks_is_named_with_what_is_allowed(
    line: str, where: str, what: str, fix: str
) -> None:
    error = fault(HEAD + line + "\n" + AGENT)
    assert type(error) is WorldSchemaError
    assert (error.where, error.what) == (where, what)
    assert error.fix.startswith(fix)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("limits = { fuel = 0 }", "agents.a.limits.fuel"),
        ("limits = { fule = 1 }", "agents.a.limits.fule"),
        ('limits.overflow = "drop"', "agents.a.limits.overflow"),
        ("count = 0", "agents.a.count"),
        ("count = true", "agents.a.count"),
        ('clock = "yes"', "agents.a.clock"),
        ('publish = ["a b"]', "agents.a.publish[0]"),
        ("publish = [1]", "agents.a.publish[0]"),
        ('supervision = { policy = "retri" }', "agents.a.supervision.policy"),
        ("config = []", "agents.a.config"),
        ("priority = 4294967296", "agents.a.priority"),
    ],
)
def test_a_fault_inside_an_agent_is_found_at_its_key(line: str, path: str) -> None:
    error = fault(HEAD + AGENT + line + "\n")
    assert type(error) is WorldSchemaError
    assert error.where == f"world.toml:6, {path}"


def test_a_table_that_lacks_a_key_says_which() -> None:
    error = fault("")
    assert error.what == 'the file lacks "schema"'
    assert error.fix.startswith("add schema = 1\n")
    assert 'the file lacks "ticks"' in error.fix


def test_a_newer_schema_is_refused() -> None:
    assert fault(HEAD.replace("schema = 1", "schema = 2") + AGENT).what == "schema is 2"


def test_all_faults_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = str(fault(HEAD + 'b = 1\na = 2\nseed = "x"\n' + AGENT))
    places = [text.index(place) for place in ("world.toml:4, b", "world.toml:5, a", "world.toml:6, seed")]
    assert places == sorted(places)
    assert text.count("also:") == 2


# --- rules ---


def test_a_world_without_agents_is_refused() -> None:
    assert fault(HEAD).what == "the world has no agents"


@pytest.mark.parametrize(
    ("code", "said"),
    [('module = "a"\nnative = "a:B"', "both module and native"), ("priority = 1", "neither module nor native")],
)
def test_an_agent_is_either_a_module_or_native(code: str, said: str) -> None:
    assert fault(f"{HEAD}[agents.a]\n{code}\n").what == f"[agents.a] has {said}"


@pytest.mark.parametrize("value", ["1.5", "[{ b = 1.5 }]", "nan", "2024-01-01", "07:00:00", "9223372036854775808"])
def test_configuration_that_is_no_exact_json_is_refused_at_its_key(value: str) -> None:
    error = fault(HEAD + AGENT + f"[agents.a.config]\nx = {value}\n")
    assert type(error) is WorldSchemaError
    assert error.where.startswith("world.toml:7, agents.a.config.x")
    assert "write" in error.fix


def test_a_name_stands_once_in_a_list() -> None:
    error = fault(HEAD + '[topics.t]\n[agents.a]\nmodule = "a"\npublish = ["t",\n"t"]\n')
    assert error.where == "world.toml:8, agents.a.publish[1]"


def test_two_agents_never_have_one_name() -> None:
    error = fault(HEAD + '[agents.a]\nmodule = "a"\ncount = 2\n[agents.a-1]\nmodule = "a"\n')
    assert error.what == 'two agents are named "a-1"'
    assert error.where == "world.toml:7, agents.a-1"


def test_two_tasks_never_have_one_name() -> None:
    error = fault(HEAD + AGENT + '[[tasks]]\nname = "t"\nagent = "a"\n[[tasks]]\nname = "t"\nagent = "a"\n')
    assert error.where == "world.toml:10, tasks[1].name"


def test_a_fuel_window_needs_both_its_numbers() -> None:
    assert "half described" in fault(HEAD + AGENT + "limits.window_fuel = 5\n").what


@pytest.mark.parametrize("aim", ["", 'to = "a"\ntopic = "t"\n'])
def test_a_feed_has_one_target(aim: str) -> None:
    assert "either an agent (to) or a topic" in fault(HEAD + AGENT + f'[topics.t]\n[feeds.f]\nfile = "f"\n{aim}').what


MODEL = "[models.m]\n"


def test_a_model_is_read_as_it_is_written() -> None:
    assert parse(HEAD + AGENT + MODEL).table.models["m"].batch == "row"
    text = (
        'model = "forecast:1.0"\nprofile = "fast"\nfallback = "on_run"\nbatch = "tick"\nmost = 8\ndelivery = "async"\n'
    )
    model = parse(HEAD + AGENT + MODEL + text + "deadline_ms = 50\n").table.models["m"]
    assert (model.model, model.profile, model.fallback) == ("forecast:1.0", "fast", "on_run")
    assert (model.batch, model.most, model.delivery, model.deadline_ms) == ("tick", 8, "async", 50)


@pytest.mark.parametrize(
    ("lines", "where", "what"),
    [
        ('model = "m"\nfile = "m.onnx"', "file", "has both model and file"),
        ('profile = "fast"', "profile", "profile is set for a model that a performer answers for"),
        ("deadline_ms = 5", "deadline_ms", "deadline_ms is set for a model that a performer answers for"),
        ('model = "m"\nprofile = "exakt"', "profile", "profile is 'exakt'"),
        ('model = "m"\nbatch = "ticks"', "batch", "batch is 'ticks'"),
        ('model = "m"\ndelivery = "sync"', "delivery", "delivery is 'sync'"),
        ('model = "m"\nmost = 4', "most", "most bounds nothing"),
        ('model = "m"\nbatch = "tick"\nmost = 0', "most", "most is 0"),
        ('model = "m"\nfallback = "on_run"', "fallback", "does not go with an exact profile"),
        ('model = "m"\nprofile = "exact-1"\nfallback = "on_load"', "fallback", "does not go with an exact profile"),
        ('model = "m"\nfallback = "never"', "fallback", "fallback is 'never'"),
        ('model = "m"\ndeadline_ms = 0', "deadline_ms", "deadline_ms is 0"),
        ("version = 1", "version", 'unknown key "version"'),
    ],
)
def test_a_model_that_does_not_hold_together_is_refused(lines: str, where: str, what: str) -> None:
    error = fault(HEAD + AGENT + MODEL + lines + "\n")
    assert type(error) is WorldSchemaError
    assert what in error.what
    assert error.where.endswith(f"models.m.{where}")


def test_an_exact_profile_may_say_that_nothing_takes_its_place() -> None:
    assert parse(HEAD + AGENT + MODEL + 'model = "m"\nfallback = "strict"\n').table.models["m"].fallback == "strict"


# --- references ---


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ('publish = ["sensor_dta"]', 'there is no topic "sensor_dta"', 'did you mean "sensor_data"?'),
        ('subscribe = ["x"]', 'there is no topic "x"', "declare it with [topics.x]"),
        ('send = ["b"]', 'there is no agent "b"', 'name one of them, such as "b-0"'),
        ('skills = ["artifact.writ"]', 'there is no skill "artifact.writ"', 'did you mean "artifact.write"?'),
        ('spawn = ["t"]', 'there is no template "t"', "add [templates.t]"),
    ],
)
def test_a_name_the_world_does_not_declare_is_refused(line: str, what: str, fix: str) -> None:
    rest = '[topics.sensor_data]\n[skills."artifact.write"]\n[agents.b]\nmodule = "b"\ncount = 2\n'
    error = fault(HEAD + AGENT + line + "\n" + rest)
    assert type(error) is WorldReferenceError
    assert error.what == what
    assert error.where.startswith("world.toml:6, agents.a.")
    assert error.fix.startswith(fix)


def test_tasks_and_feeds_name_what_exists() -> None:
    tail = '[[tasks]]\nname = "t"\nagent = "z"\ndepends_on = ["tt"]\n[feeds.f]\nfile = "f"\ntopic = "y"\n'
    text = str(fault(HEAD + AGENT + tail + '[feeds.g]\nfile = "f"\nto = "aa"\n'))
    for said in ('no agent "z"', 'no task "tt"', 'no topic "y"', 'no agent "aa"'):
        assert said in text


# --- tasks ---


WINDOW = '[windows.w]\nbytes = 64\nwriter = "a"\n'
READER = '[agents.b]\nmodule = "b.wasm"\n'


def test_a_window_is_read_with_its_defaults() -> None:
    window = parse(HEAD + AGENT + READER + WINDOW + 'readers = ["b"]\n').table.windows["w"]
    assert (window.kind, window.bytes, window.readers, window.opens, window.closes) == ("frame", 64, ("b",), 0, 0)


@pytest.mark.parametrize(
    ("lines", "what", "why"),
    [
        ('readers = ["a"]', '"a" both writes and reads the window "w"', "its region holds what it wrote already"),
        ('readers = ["b", "b"]', '"b" stands twice', "a name is bound to one handle"),
        ('readers = ["c"]', 'there is no agent "c"', "the world has: a, b"),
        ("opens = 4\ncloses = 4", "closes at tick 4 and opens at 4", "it would never be open"),
        ('kind = "heap"', "windows.w.kind is 'heap'", "one of"),
        ("opens = -1", "windows.w.opens is -1", "0 or more"),
    ],
)
def test_a_window_that_cannot_be_is_refused(lines: str, what: str, why: str) -> None:
    error = fault(HEAD + AGENT + READER + WINDOW + lines + "\n")
    assert what in error.what
    assert why in error.why


@pytest.mark.parametrize("size", ["0", "268435457"])
def test_a_window_has_bounds(size: str) -> None:
    error = fault(HEAD + AGENT + WINDOW.replace("64", size))
    assert "windows.w.bytes" in error.what
    assert "1 to 268435456" in error.why


def test_a_window_needs_a_writer_that_exists() -> None:
    assert 'there is no agent "z"' in fault(HEAD + AGENT + WINDOW.replace('"a"', '"z"')).what
    assert 'lacks "writer"' in fault(HEAD + AGENT + "[windows.w]\nbytes = 1\n").what


def test_a_model_and_a_window_must_be_declared_to_be_granted() -> None:
    assert 'there is no model "m"' in fault(HEAD + AGENT + 'models = ["m"]\n').what
    assert 'there is no window "w"' in fault(HEAD + AGENT + 'windows = ["w"]\n').what
    world = parse(HEAD + AGENT + 'models = ["m"]\nwindows = ["w"]\n[models.m]\n' + WINDOW)
    assert (world.table.agents["a"].models, world.table.agents["a"].windows) == (("m",), ("w",))


def test_a_cycle_of_tasks_is_named() -> None:
    tasks = "".join(
        f'[[tasks]]\nname = "{name}"\nagent = "a"\ndepends_on = {needs}\n'
        for name, needs in (("d", []), ("a", ["d", "b"]), ("b", ["d", "c"]), ("c", ["a"]))
    )
    error = fault(HEAD + AGENT + tasks)
    assert type(error) is TaskCycleError
    assert error.what == "tasks wait for each other: a -> b -> c -> a"
    assert error.where == "world.toml:13, tasks[1].depends_on"


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    assert find_cycle({"a": ["a"]}) == ("a", "a")


@given(st.integers(0, 8).flatmap(lambda n: st.lists(st.lists(st.integers(0, max(0, n - 1))), min_size=n, max_size=n)))
def test_a_cycle_is_found_exactly_where_there_is_no_order(edges: list[list[int]]) -> None:
    graph = {str(index): [str(target) for target in targets] for index, targets in enumerate(edges)}
    cycle = find_cycle(graph)
    for one, other in pairwise(cycle):
        assert other in graph[one]
    left = dict(graph)
    while ready := [name for name, needs in left.items() if not any(need in left for need in needs)]:
        left = {name: needs for name, needs in left.items() if name not in ready}
    assert bool(cycle) == bool(left)
    assert not cycle or cycle[0] == cycle[-1]


def test_a_long_chain_of_tasks_needs_no_deep_stack() -> None:
    chain = {str(index): [str(index + 1)] for index in range(20_000)} | {"20000": list[str]()}
    assert find_cycle(chain) == ()


# --- texts and schema ---


def test_count_makes_numbered_agents() -> None:
    assert member_names("a", 3) == ("a-0", "a-1", "a-2")


def test_the_nearest_name_is_offered_only_where_one_is_near() -> None:
    assert nearest("polcy", ["policy", "ticks"]) == "policy"
    assert nearest("x", ["policy"]) == ""
    assert choose("x", [], "add one") == "add one"
    assert choose("x", [f"name{i}" for i in range(30)], "").endswith("and 10 more")


def test_a_path_reads_as_toml_writes_it() -> None:
    assert key_text(("skills", "artifact.write", "class")) == 'skills."artifact.write".class'
    assert key_text(("tasks", 0, "agent")) == "tasks[0].agent"


def test_the_published_schema_is_current() -> None:
    path = ROOT / "docs" / "reference" / "world.schema.json"
    assert path.read_bytes() == world_schema(), "write it again: python -m tickwork.cli.reference"


def test_the_published_schema_accepts_what_the_reader_accepts() -> None:
    schema = json.loads(world_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    text = (
        HEAD + '[topics.t]\n[agents.a]\nmodule = "a"\npublish = ["t"]\nlimits.fuel = 3\n[[tasks]]\nname="x"\nagent="a"'
    )
    jsonschema.validate(tomllib.loads(text), schema)
    parse(text)
    for bad in ("polcy = 1\n", "seed = -1\n", 'policy = "x"\n'):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(HEAD + bad + AGENT), schema)
