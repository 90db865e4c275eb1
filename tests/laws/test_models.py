"""Worlds that ask real models: one head, whatever is killed, and a typed error for whatever cannot be answered."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support import ROOT
from tests.unit.driver.troupe import Echo, Memory, acting, empty, frames_of, options, spec, stage, stop_after
from tests.unit.infer import nets
from tests.unit.infer.kept import keep
from tickwork import codec
from tickwork.driver.model_notes import models_of
from tickwork.driver.options import Options
from tickwork.driver.resolve import World, load_world
from tickwork.driver.run import resume_journal, run
from tickwork.driver.verify import replay, verify
from tickwork.errors import ModelDamaged, ModelNotFound, ModelUnfit
from tickwork.infer.client import Models
from tickwork.infer.store import ModelStore
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import Encoding, FrameKind, InputKind, Message, ModelSpec, Refusal
from tickwork.tensors import FLOAT32, INT32, INT64, encode_tensors, make_tensor

pytestmark = pytest.mark.slow


class Shelf:
    """A store with models under the names of the functions that make them."""

    def __init__(self, folder: Path) -> None:
        self.store = ModelStore(folder)
        made = {
            "mlp": nets.mlp(),
            "echo": nets.echo(),
            "divide": nets.divide(),
            "loop": nets.loop(),
            "dynamic": nets.dynamic_int8(),
            "noise": nets.noise(),
            "large": nets.echo(),
        }
        sizes = {"large": 1 << 40}
        self.digests = {
            name: keep(self.store, name, data, memory=sizes.get(name, 64 << 20)).model for name, data in made.items()
        }

    def spec(self, name: str, **fields: Any) -> ModelSpec:
        return ModelSpec(name, self.digests[name], "1.0.0", **fields)

    def options(self, **fields: Any) -> Options:
        return options(store=self.store.folder, executor=None, **fields)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("models"))


def row(agent: int, tick: int, width: int = 16) -> bytes:
    return tensor([((agent * 31 + tick * 7 + place) % 17) / 8 for place in range(width)], (1, width))


def tensor(numbers: Sequence[float], shape: Sequence[int], dtype: int = FLOAT32, name: str = "x") -> bytes:
    return encode_tensors([make_tensor(dtype, shape, numbers, name)])


Ask = Callable[[Context, Outbox], None]


def world(model: ModelSpec, ask: Ask, *, askers: int = 1, turns: int = 1, ticks: int = 30, **fields: Any) -> World:
    """Return agents that ask in each of their first turns and remember what they hear."""

    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        for item in inbox:
            if item.kind == FrameKind.ERROR:
                outbox.log(item.body[16:].decode())
        if state.turns < turns:
            outbox.sleep(0)
            ask(context, outbox)

    actors = {spec(f"asker{number}", models=(model.name,)): acting(step) for number in range(askers)}
    return stage(actors, ticks=ticks, models=(model,), **fields)


def rows_of(name: str) -> Ask:
    return lambda context, outbox: outbox.infer(name, row(context.agent, context.tick), encoding=Encoding.TENSOR)


def results_of(journal: MemoryJournal) -> list[tuple[int, bytes]]:
    return [
        (item.code, item.body)
        for frame in journal.frames()
        for item in codec.decode_inputs(frame.inputs)
        if item.kind == InputKind.RESULT
    ]


@pytest.mark.parametrize("batch", ["row", "tick", "certified"])
def test_a_world_with_a_model_has_one_head_and_needs_the_model_once(shelf: Shelf, batch: str) -> None:
    asking = world(shelf.spec("mlp", batch=batch), rows_of("mlp"), askers=3, turns=5)
    one, other = empty(asking), empty(asking)
    head = run(asking, journal=one, options=shelf.options()).head
    assert run(asking, journal=other, options=shelf.options()).head == head
    assert frames_of(one) == frames_of(other)
    assert [code for code, _ in results_of(one)] == [0] * 15
    assert replay(one).head == head
    assert verify(one, world=asking).equal


def test_a_run_replays_and_verifies_after_its_store_was_deleted(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(shelf.store.folder, folder)
    asking = world(shelf.spec("mlp"), rows_of("mlp"), turns=4)
    journal = empty(asking)
    done = run(asking, journal=journal, options=options(store=folder, executor=None, stop=stop_after(4)))
    shutil.rmtree(folder)
    assert replay(journal).head == done.head
    assert verify(journal, world=asking).equal
    with pytest.raises(ModelNotFound):
        resume_journal(journal, None, world=asking, decisions={}, options=options(store=folder))


class Killer:
    """Ends the host at some ticks and a worker at others, before anything of the tick is done.

    Where there is nobody to end yet, since a host that was killed takes its time to be gone, it tries at the next tick.
    """

    def __init__(self, models: Models, plan: dict[int, str]) -> None:
        self.models = models
        self.plan = sorted(plan.items())
        self.tick = -1
        self.struck: list[str] = []

    def __call__(self, edge: str) -> None:
        if edge != "release":
            return
        self.tick += 1
        if not self.plan or self.tick < self.plan[0][0]:
            return
        what = self.plan[0][1]
        pids = [self.models.host_pid] if what == "host" else [worker.pid for worker in self.models.list()]
        if not all(pids) or not pids:
            return
        self.struck.append(self.plan.pop(0)[1])
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def models(shelf: Shelf) -> Iterator[Models]:
    with Models(shelf.store.folder) as opened:
        yield opened


@pytest.mark.skipif(os.name != "posix", reason="another system ends processes otherwise")
@pytest.mark.parametrize("batch", ["row", "tick"])
def test_a_run_whose_service_is_killed_twice_has_the_head_of_one_that_is_left_alone(
    shelf: Shelf, models: Models, batch: str
) -> None:
    asking = world(shelf.spec("mlp", batch=batch), rows_of("mlp"), askers=2, turns=12)
    calm, disturbed = empty(asking), empty(asking)
    head = run(asking, journal=calm, options=shelf.options()).head
    killer = Killer(models, {2: "host", 5: "worker", 9: "host"})
    done = run(asking, journal=disturbed, options=options(asker=lambda: models, executor=None, edge=killer))
    assert killer.struck == ["host", "worker", "host"]
    assert (done.status, done.head) == ("complete", head)
    assert frames_of(disturbed) == frames_of(calm)
    assert replay(disturbed).head == head
    assert verify(disturbed, world=asking).equal
    assert any(incident.kind == "crash" for incident in models_of(disturbed).incidents)


def test_a_run_that_was_stopped_asks_the_same_version_to_the_same_head(shelf: Shelf) -> None:
    asking = world(shelf.spec("mlp", batch="tick"), rows_of("mlp"), askers=2, turns=6)
    head = run(asking, options=shelf.options()).head
    part = empty(asking)
    run(asking, journal=part, options=shelf.options(stop=stop_after(3)))
    assert resume_journal(part, None, world=asking, decisions={}, options=shelf.options()).head == head


def test_answers_that_are_not_waited_for_all_arrive(shelf: Shelf) -> None:
    asking = world(shelf.spec("mlp", delivery="async"), rows_of("mlp"), askers=2, turns=10)
    journal = empty(asking)
    done = run(asking, journal=journal, options=shelf.options())
    assert [code for code, _ in results_of(journal)] == [0] * 20
    assert replay(journal).head == done.head


def test_the_number_of_workers_changes_no_head_of_a_world_whose_modules_ask_a_model(tmp_path: Path) -> None:
    weather = load_world(ROOT / "examples" / "weather" / "world.toml", ticks=160)
    chosen = Options(store=tmp_path / "store", performers={"artifact.write": Echo()})
    runs = [run(weather, options=msgspec.structs.replace(chosen, workers=workers)) for workers in (0, 1, 2)]
    assert len({done.head for done in runs}) == 1
    assert {done.failed for done in runs} == {0}


# -- what cannot be answered -------------------------------------------------------------------------------------------


FOUR = tensor([1.0, 2.0, 3.0, 4.0], (1, 4))


def pair(a: list[int], b: list[int]) -> bytes:
    return encode_tensors([make_tensor(INT32, (len(given),), given, name) for name, given in (("a", a), ("b", b))])


BAD = {
    "a wrong name": ("echo", tensor([1.0, 2.0, 3.0, 4.0], (1, 4), name="z"), Refusal.BAD_MESSAGE),
    "a wrong type": ("echo", tensor([1, 2, 3, 4], (1, 4), INT64), Refusal.BAD_MESSAGE),
    "a wrong rank": ("echo", tensor([1.0, 2.0, 3.0, 4.0], (4,)), Refusal.BAD_MESSAGE),
    "a wrong shape": ("echo", tensor([1.0, 2.0], (1, 2)), Refusal.BAD_MESSAGE),
    "no tensor": ("echo", b"", Refusal.BAD_MESSAGE),
    "bytes that are none": ("echo", b"whatever this is", Refusal.BAD_MESSAGE),
    "more memory than there is": ("large", FOUR, Refusal.NO_MEMORY),
    "a request that ends its worker": ("divide", pair(*nets.KILLING), Refusal.FAILED),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_answered_is_an_error_of_the_agent_and_a_record_and_the_run_goes_on(
    shelf: Shelf, what: str
) -> None:
    name, body, code = BAD[what]
    asking = world(shelf.spec(name), lambda _, outbox: outbox.infer(name, body, encoding=Encoding.TENSOR), turns=2)
    one, other = empty(asking), empty(asking)
    done = run(asking, journal=one, options=shelf.options(model_budget=8 << 30))
    assert (done.status, done.failed) == ("complete", 0)
    assert [found for found, _ in results_of(one)] == [code, code]
    said = {text for _, text in results_of(one)}
    assert all(said)
    assert any(text[:40] in frame.turns for text in said for frame in one.frames())
    assert run(asking, journal=other, options=shelf.options(model_budget=8 << 30)).head == done.head
    assert replay(one).head == done.head


def test_nan_passes_and_an_empty_batch_is_one(shelf: Shelf) -> None:
    def ask(_: Context, outbox: Outbox) -> None:
        outbox.infer("echo", tensor([float("nan"), 1.0, 2.0, 3.0], (1, 4)), encoding=Encoding.TENSOR)
        outbox.infer("echo", tensor([], (0, 4)), encoding=Encoding.TENSOR)

    journal = empty(asking := world(shelf.spec("echo"), ask))
    run(asking, journal=journal, options=shelf.options())
    (first, nan), (second, _) = results_of(journal)
    assert (first, second) == (0, 0)
    assert bytes.fromhex("0000c07f") in nan


def test_a_loop_that_does_not_end_is_ended_at_its_deadline(shelf: Shelf) -> None:
    body = tensor([1.0], (1,)) + tensor([nets.FOR_EVER], (), INT64, "count")
    asked = world(shelf.spec("loop", deadline_ms=300), lambda _, outbox: outbox.infer("loop", body, encoding=3))
    journal = empty(asked)
    assert run(asked, journal=journal, options=shelf.options()).status == "complete"
    assert [code for code, _ in results_of(journal)] == [Refusal.TIMEOUT]


def test_a_processor_of_graphics_that_is_absent_is_an_error_of_the_agent(shelf: Shelf) -> None:
    said: list[str] = []
    asked = world(shelf.spec("echo", profile="fast"), lambda _, outbox: outbox.infer("echo", FOUR, encoding=3))
    journal = empty(asked)
    chosen = shelf.options(providers=("directml",), notice=said.append)
    assert run(asked, journal=journal, options=chosen).status == "complete"
    assert [code for code, _ in results_of(journal)] == [Refusal.UNSUPPORTED]
    assert len(said) == 1


def test_one_that_may_be_taken_the_place_of_falls_back_and_says_so(shelf: Shelf) -> None:
    fast = shelf.spec("echo", profile="fast", fallback="on_load")
    asked = world(fast, lambda _, outbox: outbox.infer("echo", FOUR, encoding=Encoding.TENSOR))
    journal = empty(asked)
    run(asked, journal=journal, options=shelf.options(providers=("directml", "cpu")))
    assert [code for code, _ in results_of(journal)] == [0]
    view = models_of(journal)
    assert [session.provider for session in view.sessions] == ["cpu"]
    assert [incident.kind for incident in view.incidents] == ["fallback"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [("noise", {}), ("dynamic", {"batch": "certified"}), ("mlp", {"profile": "exact-portable"})],
)
def test_a_model_that_its_profile_or_batches_do_not_fit_is_told_before_a_journal_is_made(
    shelf: Shelf, tmp_path: Path, name: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(ModelUnfit):
        run(world(shelf.spec(name, **fields), rows_of(name)), journal=tmp_path / "a.twk", options=shelf.options())
    assert not (tmp_path / "a.twk").exists()


def test_a_damaged_model_is_told_before_a_journal_is_made(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(shelf.store.folder, folder)
    largest = max((folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    damaged = ModelStore(folder)
    name = next(
        name
        for name, digest in shelf.digests.items()
        if any(layer.sha256.hex() == largest.name for layer in damaged.manifest(digest).layers)
    )
    largest.chmod(0o600)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    with pytest.raises(ModelDamaged):
        run(world(shelf.spec(name), rows_of(name)), journal=tmp_path / "a.twk", options=options(store=folder))
    assert not (tmp_path / "a.twk").exists()
