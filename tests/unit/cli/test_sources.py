"""cli/sources.py, cli/pack.py and cli/runs.py: runs of the store, named by id in every command."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tickwork.cli.places import STATE
from tickwork.cli.sources import known_world, looks_like_run
from tickwork.clock import SteppedClock
from tickwork.driver.opening import read_header
from tickwork.driver.resolve import make_world, new_header
from tickwork.driver.run import run as run_world
from tickwork.journal.sqlite import SqliteJournal
from tickwork.plane.store.runs import NewRun, Progress, Runs
from tickwork.plane.store.store import Store


def keep(path: Path, run_id: str, profile: str = "", parent: str = "") -> str:
    """Put a run of a file into the store, under an id of its own."""
    with Store.open(STATE, SteppedClock()) as store, closing(SqliteJournal.open(path)) as journal:
        header, _ = read_header(journal)
        runs = Runs(store)
        row, _ = runs.submit(NewRun(run_id=run_id, name=header.name, profile=profile, parent_id=parent), owner="me")
        copy = store.journals.create(run_id, *journal.header())
        for _, body in journal.tables().contents():
            copy.put_content(body)
        for frame in journal.frames():
            copy.append(frame)
        for signature in journal.signatures():
            copy.sign(signature)
        copy.close_run(journal.status().text)
        runs.let_go(row, Progress("succeeded", ticks=journal.length(), cost_micros=1_250_000))
    return run_id


@pytest.fixture
def stored(journal: Path) -> str:
    return keep(journal, "r_abc123")


@pytest.mark.parametrize("name", ["r_abc123", "abc123", "r_ab", "ab"])
def test_every_verb_takes_a_run_by_its_id(stored: str, journal: Path, name: str) -> None:
    expected = call("replay", journal, "-o", "json").document()
    for verb in ("replay", "verify"):
        found = call(verb, name, "-o", "json").document()
        assert found["head"] == expected["head"]
        assert found["journal"] == str(STATE)
    assert call("verify", name, "--chain-only").status == 0
    assert call("show", name, "-o", "json").document() == call("show", journal, "-o", "json").document()
    assert call("diff", name, journal).status == 0
    assert call("fork", name, "--at", "5", "--journal", f"{name}.twk").status == 0
    assert call("diff", f"{name}.twk", name).status == 0


def test_a_file_comes_before_a_run_and_a_word_that_names_neither_is_said_so(stored: str, journal: Path) -> None:
    Path("r_abc123").write_bytes(journal.read_bytes())
    assert call("replay", stored, "-o", "json").document()["journal"] == stored
    Path("r_abc123").unlink()
    answer = call("show", "zzz")
    assert (answer.status, answer.err.split(":")[0]) == (8, "TW7011")
    assert (call("show", "zzz.twk").status, call("show", "a/zzz").status) == (8, 8)
    keep(journal, "r_abd")
    answer = call("replay", "ab")
    assert (answer.status, "r_abc123, r_abd" in answer.err) == (8, True)


def test_what_cannot_be_an_id_is_a_file() -> None:
    assert looks_like_run(Path("r_1"))
    assert not any(looks_like_run(Path(word)) for word in (".", "..", "a/b", "a.twk", "/r_1"))


def test_without_a_store_a_word_is_a_file(folder: Path) -> None:
    answer = call("show", "r_1")
    assert (answer.status, answer.err.split(":")[0]) == (8, "TW2001")
    assert list(folder.glob(".tickwork")) == []
    assert call("runs", "-o", "json").document()["runs"] == []
    assert "there are no such runs" in call("runs").err


def test_a_changed_record_is_found_by_verify_and_refused_by_pack(stored: str) -> None:
    with Store.open(STATE, SteppedClock()) as store, store.journals.transaction() as database:
        database.query("UPDATE journal_frame SET derived = x'91' WHERE tick = 7")
    for options in ([], ["--chain-only"]):
        found = call("verify", stored, *options, "-o", "json")
        assert found.status == 3
        damage = found.document()["damage"]
        assert isinstance(damage, dict)
        assert damage["record"] == 7
    assert call("pack", stored, "-o", "p.twk").status == 3
    assert not Path("p.twk").exists()


def test_a_packed_run_is_the_same_run_in_a_file(stored: str) -> None:
    found = call("pack", stored, "-o", "packed/run.twk", "-o", "json").document()
    verified = call("verify", "packed/run.twk", "-o", "json").document()
    assert (verified["head"], verified["equal"], verified["frames"]) == (found["head"], True, found["frames"])
    assert found["bytes"] == Path("packed/run.twk").stat().st_size
    again = call("pack", stored, "-o", "packed/run.twk")
    assert (again.status, again.err.split(":")[0]) == (7, "TW2002")
    assert "counting-" in call("pack", stored).out
    for wrong in (["packed/run.twk"], [stored, "-o", "a.twk", "-o", "b.twk"]):
        assert call("pack", *wrong).status == 2


def test_runs_are_listed_and_narrowed(stored: str, journal: Path) -> None:
    keep(journal, "r_b", "analyst", stored)
    listed = call("runs")
    assert listed.status == 0
    assert listed.out.index("r_b") < listed.out.index("r_abc123")
    assert "1.25" in listed.out

    def ids(*options: str) -> list[str]:
        found = call("runs", *options, "-o", "json").document()["runs"]
        assert isinstance(found, list)
        return [one["run_id"] for one in found]

    assert ids() == ids("--family", stored) == ids("--status", "succeeded") == ["r_b", "r_abc123"]
    assert ids("--profile", "analyst") == ids("--limit", "1") == ["r_b"]
    assert ids("--status", "failed", "--status", "waiting") == []
    for wrong in (["--status", "asleep"], ["--limit", "0"]):
        assert call("runs", *wrong).status == 2
    assert call("runs", "--family", "zzz").status == 8


def test_only_a_run_of_a_plan_is_given_an_executor(journal: Path, make_plan_run: Callable[[Path], Path]) -> None:
    assert known_world(journal) is None
    world = known_world(make_plan_run(Path("plan.twk")))
    assert world is not None
    assert list(world.natives) == ["tickwork:plan-1"]


@pytest.fixture
def make_plan_run() -> Callable[[Path], Path]:
    from tickwork.plane.compiled import AgentPin, Assignment
    from tickwork.plane.world import plan_world

    def make(path: Path) -> Path:
        assignment = Assignment("", b"{}", AgentPin())
        run_world(plan_world(assignment), journal=path)
        return path

    return make


def test_a_header_alone_can_be_packed(folder: Path) -> None:
    run_world(make_world(new_header("empty", 1, ())), journal=folder / "empty.twk")
    keep(folder / "empty.twk", "r_e")
    assert call("pack", "r_e", "-o", "e.twk").status == 0
