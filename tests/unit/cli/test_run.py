"""cli/run.py and cli/session.py: running, stopping and going on."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.unit.cli.program import call
from tests.unit.journal.test_wal import LENGTH, changed, killed, log_of, put_log
from tickwork.cli.config import Settings
from tickwork.cli.run import decisions, tell_lost_records
from tickwork.cli.session import ModelChoice, next_journal, options_for, stop_on_signal, worker_count
from tickwork.errors import UsageFault


def test_a_run_tells_what_it_came_to(world: Path) -> None:
    answer = call("run", world, "--journal", "a.twk")
    assert answer.status == 0
    assert "complete" in answer.out
    assert answer.err == ""
    document = call("run", world, "-o", "json").document()
    assert {"schema_version", "run_id", "status", "ticks", "head", "journal"} <= set(document)
    assert (document["name"], document["status"], document["failed_turns"]) == ("counting", "complete", 0)
    assert str(document["head"]) in answer.out


def test_options_replace_seed_and_ticks(world: Path) -> None:
    heads = {call("run", world, "--seed", seed, "-o", "json").document()["head"] for seed in ("4", "5")}
    assert len(heads) == 2
    short = call("run", world, "--ticks", "3", "-o", "json").document()
    assert short["head"] not in heads


def test_journals_are_numbered_in_a_folder_git_leaves_alone(world: Path) -> None:
    names = [call("run", world, "-o", "json").document()["journal"] for _ in range(3)]
    assert names == [str(Path(".tickwork") / "runs" / f"counting-{number}.twk") for number in (1, 2, 3)]
    assert Path(".tickwork", ".gitignore").read_text(encoding="utf-8") == "*\n"
    Path(".tickwork", "runs", "counting-x.twk").touch()
    Path(".tickwork", "runs", "counting-more-7.twk").touch()
    assert next_journal("counting").name == "counting-4.twk"
    assert next_journal("a/b").name == "a_b-1.twk"


def test_a_folder_that_cannot_be_made_is_told(world: Path) -> None:
    Path(".tickwork").write_text("in the way", encoding="utf-8")
    answer = call("run", world)
    assert answer.status == 69
    assert answer.err.startswith("TW2006: ")


def test_a_run_never_overwrites_a_journal(journal: Path, world: Path) -> None:
    before = journal.read_bytes()
    answer = call("run", world, "--journal", journal)
    assert answer.status == 7
    assert answer.err.startswith("TW2002")
    assert journal.read_bytes() == before


def test_an_unsigned_module_is_refused_before_a_journal_is_made(world: Path) -> None:
    Path("echo.wasm").write_bytes((ROOT / "tests" / "modules" / "echo.wasm").read_bytes())
    world.write_text('schema = 1\nname = "w"\nticks = 2\n[agents.a]\nmodule = "echo.wasm"\n', encoding="utf-8")
    answer = call("run", world, "--journal", "w.twk")
    assert answer.status == 4
    assert answer.err.startswith("TW3004")
    assert not Path("w.twk").exists()


def test_a_world_that_cannot_be_run_ends_with_78(world: Path) -> None:
    world.write_text(world.read_text(encoding="utf-8").replace("ticks", "tikcs"), encoding="utf-8")
    answer = call("run", world)
    assert answer.status == 78
    assert 'did you mean "ticks"?' in answer.err
    assert f"{world}:3, tikcs" in answer.err


def test_a_run_without_a_world_says_what_to_name() -> None:
    answer = call("run")
    assert (answer.status, answer.err.splitlines()[0]) == (2, "TW1001: tickwork run needs a world file")


# --- stopping and going on ---


INTERRUPT = """
import signal
from pathlib import Path


class Talker(Talker):
    def turn(self, state, inbox, context):
        if context.tick == 7 and Path("interrupt").exists():
            signal.raise_signal(signal.SIGINT)
        return super().turn(state, inbox, context)
"""


def test_an_interrupted_run_goes_on_and_ends_in_the_head_it_would_have_had(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = Path("code.py")
    source.write_text(source.read_text(encoding="utf-8") + INTERRUPT, encoding="utf-8")
    whole = call("run", world, "-o", "json").document()
    Path("interrupt").touch()
    answer = call("run", world, "--journal", "parts.twk", "-o", "json")
    assert answer.status == 130
    assert (answer.document()["status"], answer.document()["ticks"]) == ("interrupted", 8)
    assert answer.err == "interrupted before tick 8; go on with: tickwork run --resume parts.twk\n"
    assert "stopping after this tick" in capfd.readouterr().err
    Path("interrupt").unlink()
    lines: list[list[str | Path]] = [["--resume", "parts.twk"], [world, "--resume", "--journal", "parts.twk"]]
    for line in lines:
        copy = Path("copy.twk")
        copy.unlink(missing_ok=True)
        shutil.copy("parts.twk", copy)
        done = call("run", *(copy if word == "parts.twk" else word for word in line), "-o", "json").document()
        assert (done["status"], done["head"]) == ("complete", whole["head"])


def test_records_that_a_resumed_run_computes_again_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = killed(tmp_path / "run")
    tell_lost_records(path)
    assert capsys.readouterr().err == ""
    log = log_of(path)
    put_log(path, changed(log, len(log) - LENGTH - 9))
    tell_lost_records(path)
    assert "the run goes on from tick" in capsys.readouterr().err


def test_a_finished_run_is_not_resumed(journal: Path) -> None:
    answer = call("run", "--resume", journal)
    assert answer.status == 7
    assert "fork" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume", "--seed", "3"], "--resume takes neither"),
        (["--resume"], "there is no journal"),
        (["--resume", "a.twk", "--journal", "b.twk"], "two journals are named"),
        (["world.toml", "--decide", "3=retry"], "--decide goes with --resume"),
        (["--resume", "a.twk", "--decide", "3=perhaps"], "--decide 3=perhaps is not understood"),
        (["world.toml", "--seed", "-1"], "seed -1 is out of range"),
        (["world.toml", "--seed", "99999999999999999999"], "is out of range"),
        (["world.toml", "--ticks", "0"], "ticks 0 is out of range"),
        (["world.toml", "--workers", "1000"], "--workers 1000 is out of range"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(arguments: list[str], said: str) -> None:
    answer = call("run", *arguments)
    assert answer.status == 2
    assert said in answer.err


def test_decisions_name_an_effect_and_what_to_do() -> None:
    assert decisions(["3=retry", "17=fail"]) == {3: "retry", 17: "fail"}
    for wrong in ("3", "x=retry", "3=", "=fail"):
        with pytest.raises(UsageFault):
            decisions([wrong])


def test_the_first_interrupt_asks_and_the_second_one_interrupts(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        assert stop.status(1) == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "once more to stop at once" in capfd.readouterr().err


def test_workers_are_none_by_default_and_as_many_as_the_settings_say() -> None:
    assert worker_count(None, Settings()) == 0
    assert worker_count(None, Settings(workers=3)) == 3
    assert worker_count("inline", Settings(workers=3)) == 0
    assert worker_count(2, Settings(workers=3)) == 2


def test_a_run_with_a_failed_turn_says_which_and_where_to_look(world: Path) -> None:
    source = next(world.parent.glob("*.py"))
    broken = source.read_text(encoding="utf-8").replace("outbox.publish(", "outbox.shout(")
    source.write_text(broken, encoding="utf-8")
    answer = call("run", world, "--journal", "slip.twk")
    assert answer.status == 0
    assert "first failed turn: agent" in answer.err
    assert "AttributeError" in answer.err
    assert "tickwork show slip.twk frame --tick" in answer.err


# -- models and telemetry ----------------------------------------------------------------------------------------------


def test_telemetry_is_a_line_of_json_for_each_sample_and_no_part_of_the_journal(world: Path) -> None:
    plain = call("run", world, "-o", "json").document()
    told = call("run", world, "--telemetry", "took.jsonl", "-o", "json").document()
    assert told["head"] == plain["head"]
    lines = [json.loads(line) for line in Path("took.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["type"] for line in lines} == {"tick", "step"}
    assert all(line["at_us"] > 0 for line in lines)
    assert sum(line["type"] == "tick" for line in lines) == told["frames"]


def test_telemetry_that_cannot_be_written_is_told_before_the_run(world: Path) -> None:
    answer = call("run", world, "--telemetry", "absent/took.jsonl")
    assert answer.status == 69
    assert "absent" in answer.err
    assert not Path(".tickwork/runs/counting-1.twk").exists()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--model-budget", "4 gigs", "no size"),
        ("--providers", "cuda;cpu", "not understood"),
        ("--providers", ",", "not"),
        ("--providers", "gpu", "cuda, directml, coreml, cpu"),
    ],
)
def test_an_option_of_models_that_is_not_understood_is_refused(world: Path, option: str, value: str, says: str) -> None:
    answer = call("run", world, option, value)
    assert answer.status == 2
    assert says in answer.err


def test_options_of_models_go_before_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKWORK_MODEL_BUDGET", "1GiB")
    monkeypatch.setenv("TICKWORK_PROVIDERS", "cpu")
    monkeypatch.setenv("TICKWORK_MODELS", "own")
    with options_for("run") as options:
        assert (options.store, options.providers, options.model_budget) == (Path("own"), ("cpu",), 1 << 30)
    with options_for("run", models=ModelChoice(Path("other"), "CUDA, cpu", "5MiB")) as options:
        assert (options.store, options.providers, options.model_budget) == (Path("other"), ("cuda", "cpu"), 5 << 20)


def test_a_model_that_is_nowhere_is_told_with_its_line(world: Path) -> None:
    text = world.read_text(encoding="utf-8")
    world.write_text(text + '\n[models.brain]\nmodel = "brain:2.0"\n', encoding="utf-8")
    answer = call("run", world)
    assert answer.status == 8
    assert answer.err.startswith("TW6001: ")
    assert "models.brain.model" in answer.err
