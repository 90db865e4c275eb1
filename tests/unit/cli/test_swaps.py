"""cli/swaps.py: swaps as they are written, and what run, fork and resume make of them."""

from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tests.unit.driver.successors import version
from tickwork import ModelSwap, load_world
from tickwork.cli.swaps import parse_model_swaps, parse_swaps
from tickwork.errors import UsageFault

WORLD = """schema = 1
name = "counting"
ticks = 20
[topics.counts]
[topics.totals]
[agents.c]
module = "one.wasm"
count = 2
"""


@pytest.fixture
def counting(folder: Path) -> Path:
    """Return the file of a world of counters, with versions of them beside it."""
    (folder / "one.wasm").write_bytes(version(subscribe=("counts",)))
    (folder / "two.wasm").write_bytes(version("2.0.0", by=10, subscribe=("counts",)))
    (folder / "greedy.wasm").write_bytes(version("3.0.0", publish=("counts", "totals"), subscribe=("counts",)))
    path = folder / "world.toml"
    path.write_text(WORLD, encoding="utf-8")
    return path


def test_a_swap_is_an_agent_a_file_a_tick_and_a_mode() -> None:
    (plain, full) = parse_swaps(["a=b.wasm@7", "c=d:e@f=g.wasm@12:keep_image"], ["a=clock", "a=fuel:9"], ticks=True)
    assert (plain.agent, plain.module, plain.at, plain.mode, plain.grants) == (
        "a", Path("b.wasm"), 7, "migrate", ("clock", "fuel:9"),
    )  # fmt: skip
    assert (full.agent, full.module, full.at, full.mode, full.grants) == (
        "c", Path("d:e@f=g.wasm"), 12, "keep_image", (),
    )  # fmt: skip
    (forked,) = parse_swaps(["a=b@c.wasm:restart"], [], ticks=False)
    assert (forked.module, forked.at, forked.mode) == (Path("b@c.wasm"), None, "restart")


@pytest.mark.parametrize(
    "word", ["a", "a=", "=b@1", "a=b.wasm", "a=b.wasm@x", "a=@1", "a=b.wasm@1:leap", "a=b@-1", "a=b.wasm:restart@1"]
)
def test_what_is_no_swap_is_told_how_to_write_one(word: str) -> None:
    with pytest.raises(UsageFault) as caught:
        parse_swaps([word], [], ticks=True)
    assert caught.value.fix == "write AGENT=FILE@TICK or AGENT=FILE@TICK:MODE"


@pytest.mark.parametrize("word", ["a", "a=", "b=clock"])
def test_a_grant_is_of_an_agent_that_is_swapped(word: str) -> None:
    with pytest.raises(UsageFault):
        parse_swaps(["a=b.wasm@1"], [word], ticks=True)


def test_a_swap_of_a_model_is_a_name_a_version_and_a_tick() -> None:
    words = ["a=b:1.1.0@7", "a=sha256:00ff@8", "a=models/b@9", "a=b.onnx@10"]
    versions: list[str | Path] = ["b:1.1.0", "sha256:00ff", Path("models/b"), Path("b.onnx")]
    made = parse_model_swaps(words, ticks=True)
    assert made == [ModelSwap("a", to, at) for at, to in enumerate(versions, 7)]
    assert parse_model_swaps(["a=b"], ticks=False) == [ModelSwap("a", "b")]


@pytest.mark.parametrize("word", ["a", "a=", "=b@1", "a=b", "a=b@x", "a=@1", "a=b@-1"])
def test_what_is_no_swap_of_a_model_is_told_how_to_write_one(word: str) -> None:
    with pytest.raises(UsageFault) as caught:
        parse_model_swaps([word], ticks=True)
    assert caught.value.fix.startswith("write NAME=VERSION@TICK")


@pytest.mark.slow
def test_run_swaps_and_show_tells(counting: Path) -> None:
    plain = call("run", counting, "--allow-unsigned", "--journal", "a.twk", "-o", "json").document()
    swapped = call("run", counting, "--allow-unsigned", "--journal", "b.twk", "--swap", "c-0=two.wasm@8", "-o", "json")
    assert swapped.status == 0
    assert swapped.document()["head"] != plain["head"]
    agents = call("show", "b.twk", "agents", "-o", "json").document()["agents"]
    assert isinstance(agents, list)
    assert [agent["version"] for agent in agents] == ["2.0.0", "1.0.0"]
    shown = call("show", "b.twk", "frame", "--tick", "8").out
    assert "swap_agent" in shown
    assert "migrate to 2.0.0" in shown
    assert "swapped c-0 migrate 1.0.0" in shown
    assert call("verify", "b.twk").status == 0
    assert call("diff", "a.twk", "b.twk", "-o", "json").document()["common_ticks"] == 8


@pytest.mark.slow
def test_a_world_file_plans_swaps(counting: Path) -> None:
    given = call("run", counting, "--allow-unsigned", "--swap", "c-0=two.wasm@8:restart", "-o", "json").document()
    table = '[[swaps]]\nat = 8\nagent = "c-0"\nmodule = "two.wasm"\nmode = "restart"\n'
    counting.write_text(WORLD + table, encoding="utf-8")
    assert call("run", counting, "--allow-unsigned", "-o", "json").document()["head"] == given["head"]


@pytest.mark.slow
def test_a_fork_swaps(counting: Path) -> None:
    call("run", counting, "--allow-unsigned", "--journal", "a.twk")
    forked = ("fork", "a.twk", "--at", "6", "--swap", "c-1=two.wasm", "--journal", "b.twk")
    refused = call(*forked)
    assert (refused.status, "TW3004" in refused.err) == (4, True), "that a journal says so is not its reader's word"
    assert not Path("b.twk").exists()
    assert call(*forked, "--allow-unsigned").status == 0
    assert "swapped c-1" in call("show", "b.twk", "frame", "--tick", "6").out


REFUSED: dict[tuple[str, ...], tuple[int, str, str]] = {
    ("c-0=nothing.wasm@8",): (4, "TW4101", "no module can be read"),
    ("c-9=two.wasm@8",): (8, "TW4005", "no agent 'c-9'"),
    ("c-0=two.wasm@20",): (8, "TW4006", "ticks 0 to 19"),
    ("c-0=world.toml@8",): (4, "TW3001", "magic"),
    ("c-0=greedy.wasm@8",): (4, "TW4101", "--grant c-0=publish:totals"),
    ("c-0=two.wasm@8:leap",): (2, "TW1001", "AGENT=FILE@TICK"),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", list(REFUSED))
def test_a_swap_that_cannot_be_done_writes_nothing_and_says_why(counting: Path, words: tuple[str, ...]) -> None:
    status, code, text = REFUSED[words]
    answer = call("run", counting, "--allow-unsigned", "--journal", "a.twk", "--swap", *words)
    assert (answer.status, answer.err.split(":")[0]) == (status, code)
    assert text in answer.err
    assert not Path("a.twk").exists()


@pytest.mark.slow
def test_what_more_a_version_asks_for_is_granted_by_name(counting: Path) -> None:
    swap = ("--swap", "c-0=greedy.wasm@8", "--grant", "c-0=publish:totals")
    assert call("run", counting, "--allow-unsigned", *swap).status == 0


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ('[[swaps]]\nat = 8\nagent = "nobody"\nmodule = "two.wasm"\n', 'there is no agent "nobody"'),
        ('[[swaps]]\nat = 8\nagent = "c-0"\nmodule = "gone.wasm"\n', "there is no file gone.wasm"),
        ('[[swaps]]\nat = 8\nagent = "c-0"\nmodule = "two.wasm"\nmode = "leap"\n', "mode"),
        ('[[swaps]]\nagent = "c-0"\nmodule = "two.wasm"\n', "at"),
    ],
)
def test_a_fault_in_a_planned_swap_is_told_with_its_line(counting: Path, table: str, text: str) -> None:
    counting.write_text(WORLD + table, encoding="utf-8")
    answer = call("run", counting, "--allow-unsigned")
    assert answer.status == 78
    assert text in answer.err
    assert "world.toml:" in answer.err


MODELS = '[models.brain]\nmodel = "brain:1"\n[models.heart]\n'


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ('agent = "c-0"\nmodel = "brain"\nmodule = "two.wasm"', "a swap names an agent and a model"),
        ('module = "two.wasm"', "a swap names neither an agent nor a model"),
        ('agent = "c-0"', "the swap of agent 'c-0' names no new version"),
        ('agent = "c-0"\nmodule = "two.wasm"\nto = "brain:2"', "to is set in the swap of agent 'c-0'"),
        ('model = "brain"', "the swap of model 'brain' names no new version"),
        ('model = "brain"\nto = "brain:2"\nfile = "b.onnx"', "the swap of model 'brain' names two new versions"),
        ('model = "brain"\nto = "brain:2"\nmode = "restart"', "mode is set in the swap of model 'brain'"),
        ('model = "brain"\nto = "brain:2"\ngrants = ["clock"]', "grants is set in the swap of model 'brain'"),
        ('model = "mind"\nto = "brain:2"', 'there is no model "mind"'),
        ('model = "brain"\nfile = "gone.onnx"', "there is no file gone.onnx"),
    ],
)
def test_a_swap_in_a_world_file_is_of_an_agent_or_of_a_model(counting: Path, table: str, text: str) -> None:
    counting.write_text(f"{WORLD}{MODELS}[[swaps]]\nat = 8\n{table}\n", encoding="utf-8")
    answer = call("run", counting, "--allow-unsigned")
    assert answer.status == 78
    assert text in answer.err
    assert "world.toml:" in answer.err


def test_a_world_file_plans_swaps_of_models(counting: Path) -> None:
    (counting.parent / "b.onnx").write_bytes(b"model")
    tables = '[[swaps]]\nat = 8\nmodel = "brain"\nto = "brain:2"\n[[swaps]]\nat = 9\nmodel = "brain"\nfile = "b.onnx"\n'
    counting.write_text(f"{WORLD}{MODELS}{tables}", encoding="utf-8")
    planned = load_world(counting, allow_unsigned=True)
    assert planned.swaps == ()
    assert planned.model_swaps == (
        ModelSwap("brain", "brain:2", 8),
        ModelSwap("brain", counting.parent / "b.onnx", 9),
    )
