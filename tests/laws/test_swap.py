"""Laws of swaps: whatever takes an agent's place, a run stays one run."""

from pathlib import Path

import msgspec
import pytest

from tests.laws.recorded import Recorded, empty_journal, prefix, record
from tests.support import ROOT
from tests.unit.sdk.python_base import BASES, built
from tickwork import codec
from tickwork.driver.canary import canary
from tickwork.driver.diff import diff
from tickwork.driver.fold import Fold, open_machine
from tickwork.driver.fork import fork
from tickwork.driver.options import Options
from tickwork.driver.plans import Swap
from tickwork.driver.resolve import World, load_world, with_swaps
from tickwork.driver.run import resume_journal
from tickwork.driver.verify import replay, verify
from tickwork.kernel import Machine, decode_state, encode_state
from tickwork.sim.audit import Audit

pytestmark = pytest.mark.slow

MARKET = ROOT / "examples" / "market"
MODULES = {language: MARKET / language / f"market-{language}.wasm" for language in ("c", "rust", "assemblyscript")}
WORLD = f"""schema = 1
name = "market"
ticks = 60
seed = 3
checkpoint_every = 4
[topics.orders]
[topics.price]
[agents.t]
module = '{MODULES["c"]}'
count = 6
config = {{ spread = 5 }}
[agents.t.limits]
mailbox_messages = 8
overflow = "defer"
"""
SWAPS = (
    Swap("t-1", MODULES["rust"], 7),
    Swap("t-2", MODULES["assemblyscript"], 9, "restart"),
    Swap("t-3", MODULES["c"], 15, "keep_image"),
    Swap("t-1", MODULES["assemblyscript"], 23),
    Swap("t-1", MODULES["c"], 40),
)


def market(folder: Path, *swaps: Swap) -> World:
    path = folder / "world.toml"
    path.write_text(WORLD, encoding="utf-8")
    return with_swaps(load_world(path, allow_unsigned=True), swaps)


@pytest.fixture(scope="module")
def options(cache: Path) -> Options:
    """Options under which every run here is made."""
    return Options(cache=cache)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, options: Options) -> Recorded:
    """A run in which three agents are swapped five times."""
    return record(market(tmp_path_factory.mktemp("market"), *SWAPS), options)


def test_a_replay_executes_nothing_and_has_the_head(made: Recorded) -> None:
    assert replay(made.journal).head == made.run.head


def test_a_verification_swaps_again_and_finds_every_record_equal(made: Recorded) -> None:
    found = verify(made.journal, options=made.options)
    assert found.equal, found.divergence


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_workers_changes_no_head(made: Recorded, workers: int) -> None:
    wide = msgspec.structs.replace(made.options, workers=workers)
    assert record(made.world, wide).run.head == made.run.head
    assert verify(made.journal, options=wide).equal


@pytest.mark.parametrize("ticks", [0, 7, 8, 9, 10, 15, 22, 23, 24, 41])
def test_a_prefix_of_a_run_resumes_to_its_head(made: Recorded, ticks: int) -> None:
    cut = prefix(made, ticks)
    resumed = resume_journal(cut, None, world=made.world, decisions={}, options=made.options)
    assert resumed.head == made.run.head
    assert diff(made.journal, cut).equal


@pytest.mark.parametrize("at", [0, 7, 8, 16, 30, 50])
def test_a_fork_without_a_change_is_the_original(made: Recorded, at: int) -> None:
    copy = empty_journal(made.world, made.options)
    assert fork(made.journal, at=at, to=copy, world=made.world, options=made.options).head == made.run.head
    assert diff(made.journal, copy).equal


def test_snapshots_begin_with_the_versions_that_run_then(made: Recorded) -> None:
    often = msgspec.structs.replace(made.options, snapshot_ticks=5)
    again = record(made.world, often)
    assert again.run.head == made.run.head
    cut = prefix(again, 38)
    assert resume_journal(cut, None, world=made.world, decisions={}, options=often).head == made.run.head


def test_a_machine_made_from_any_state_goes_on_to_the_same_records(made: Recorded) -> None:
    header, machine = open_machine(made.journal.header()[0])
    fold = Fold(made.journal, machine, None)
    for frame in made.journal.frames():
        fold.feed(frame)
        fold.machine = Machine(header, b"", state=decode_state(encode_state(fold.machine.state)))
    assert fold.machine.state.tick == made.journal.length()


def test_messages_come_in_order_and_none_is_lost_without_a_record(made: Recorded) -> None:
    assert Audit(made.journal).run() == []


def test_state_travels_between_languages_and_no_turn_differs(tmp_path: Path, options: Options) -> None:
    plain = record(market(tmp_path), options)
    moved = record(market(tmp_path, SWAPS[0], SWAPS[3], SWAPS[4]), options)
    turns = [[frame.turns for frame in each.journal.frames()] for each in (plain, moved)]
    assert turns[0] == turns[1]
    assert plain.run.head != moved.run.head


def test_a_canary_of_the_same_agent_in_another_language_is_equal(made: Recorded) -> None:
    for language in ("c", "rust", "assemblyscript"):
        found = canary(made.journal, Swap("t-0", MODULES[language]), ticks=30, options=made.options)
        assert found.equal, (language, found.divergence)


def test_the_new_modules_are_the_journals(made: Recorded) -> None:
    digests = {codec.digest(path.read_bytes()) for path in MODULES.values()}
    assert all(codec.digest(made.journal.content(digest)) == digest for digest in digests)


@pytest.mark.slow
def test_state_travels_into_python_and_back(tmp_path: Path) -> None:
    grants = ("memory_pages:512", "fuel:5000000000", "depth:5000")
    bundle = tmp_path / "market-python.bundle"
    bundle.write_bytes(built(MARKET / "python"))
    away = Swap("t-1", bundle, 20, grants=grants, bases=(BASES,))
    options = Options(cache=BASES / "modules")
    plain = record(market(tmp_path), options)
    moved = record(market(tmp_path, away, Swap("t-1", MODULES["rust"], 30)), options)
    turns = [[frame.turns for frame in each.journal.frames()] for each in (plain, moved)]
    assert turns[0] == turns[1]
    assert verify(moved.journal, options=options).equal
