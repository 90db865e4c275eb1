"""Swaps of models: planned, tried before they enter, and believed ever after."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.driver.oracle import MODEL, Oracle, asking_options, consulting
from tests.unit.driver.troupe import empty, stop_after
from tickwork import codec
from tickwork.driver.fork import Edit, fork
from tickwork.driver.model_swaps import check_model_plans, misfit, plan_model_swaps, said
from tickwork.driver.options import Options
from tickwork.driver.plans import ModelSwap
from tickwork.driver.resolve import World, with_swaps
from tickwork.driver.run import resume_journal, run
from tickwork.driver.verify import replay, verify
from tickwork.errors import (
    ModelCrashed,
    ModelDamaged,
    ModelInvalid,
    ModelNotFound,
    ModelTooLarge,
    SignatureInvalid,
    SwapRefused,
    TickOutOfRange,
    TickworkError,
)
from tickwork.infer.asking import Reply, Wanted
from tickwork.infer.fingerprint import Fingerprint
from tickwork.infer.manifest import ModelConfig, Port
from tickwork.journal.memory import MemoryJournal
from tickwork.kernel.models import read_model_order
from tickwork.records import DerivedKind, Effect, InputKind, ModelPlan, ModelSpec, Refusal, Result
from tickwork.tensors import FLOAT32, INT64

BRAIN = ModelSpec("brain", MODEL, "1")
NEW, NEWER, BAD = b"n" * 32, b"w" * 32, b"b" * 32
PORTS = (Port("x", FLOAT32, ("rows", 16)), Port("y", INT64, (1,)))


def config(inputs: tuple[Port, ...] = PORTS, outputs: tuple[Port, ...] = PORTS[:1], **fields: Any) -> ModelConfig:
    return ModelConfig(name="brain", version="1", inputs=inputs, outputs=outputs, **fields)


class Versions(Oracle):
    """Answers with the first byte of the version and the request."""

    def __init__(
        self,
        configs: Mapping[bytes, ModelConfig] | None = None,
        faults: Mapping[bytes, TickworkError] | None = None,
    ) -> None:
        super().__init__()
        self.configs = configs or {}
        self.faults = faults or {}

    def load(self, wanted: Wanted, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        self.loads.append(wanted)
        if wanted.model in self.faults:
            raise self.faults[wanted.model]
        return self.fingerprint(wanted), self.configs.get(wanted.model, config())

    def ask_batch(self, wanted: Wanted, *args: Any, **fields: Any) -> list[Reply]:
        replies = super().ask_batch(wanted, *args, **fields)
        return [msgspec.structs.replace(reply, body=wanted.model[:1] + reply.body) for reply in replies]


def swap(to: bytes = NEW, at: int | None = 3) -> ModelSwap:
    return ModelSwap("brain", f"sha256:{to.hex()}", at)


def world(*swaps: ModelSwap, **fields: Any) -> World:
    fields = {"turns": 8, "asks": 1, **fields}
    return with_swaps(consulting(BRAIN, **fields), swaps)


def made(*swaps: ModelSwap, oracle: Oracle | None = None, **fields: Any) -> MemoryJournal:
    """Return the journal of a run in which these swaps happen."""
    here = world(*swaps)
    journal = empty(here)
    environment = codec.decode_environment(journal.header()[1])
    plans = plan_model_swaps(swaps, here.header, Options())
    known = codec.encode(msgspec.structs.replace(environment, model_swaps=plans))
    journal = MemoryJournal(codec.encode(here.header), known, here.contents)
    run(here, journal=journal, options=asking_options(oracle or Versions(), **fields))
    return journal


def answers(journal: MemoryJournal) -> list[bytes]:
    """Return the first byte of each answer, which says the version."""
    return [item.body[:1] for item in inputs_of(journal, InputKind.RESULT)]


def inputs_of(journal: MemoryJournal, kind: InputKind) -> list[Any]:
    return [item for frame in journal.frames() for item in codec.decode_inputs(frame.inputs) if item.kind == kind]


def notes_of(journal: MemoryJournal, kind: DerivedKind) -> list[tuple[int, str]]:
    return [
        (frame.tick, item.note)
        for frame in journal.frames()
        for item in codec.decode_derived(frame.derived)
        if item.kind == kind
    ]


# -- in a run ----------------------------------------------------------------------------------------------------------


def test_from_its_tick_on_requests_are_answered_by_the_new_version() -> None:
    journal = made(swap(NEW, 3), swap(NEWER, 6))
    assert answers(journal) == [b"\0", b"\0", b"n", b"n", b"n", b"w", b"w", b"w"]
    assert notes_of(journal, DerivedKind.MODEL_SWAPPED) == [
        (3, "brain 1 (00010203) -> 6e6e6e6e"),
        (6, "brain 6e6e6e6e -> 77777777"),
    ]


def test_a_swapped_run_comes_out_again_without_any_model() -> None:
    journal = made(swap())
    assert replay(journal).head == journal.head().d
    found = verify(journal, world=world(), options=asking_options(Versions(faults={NEW: ModelNotFound("gone")})))
    assert found.equal, found.divergence


def test_a_version_is_loaded_before_it_is_swapped_in() -> None:
    oracle = Versions()
    made(swap(at=3), oracle=oracle)
    assert [wanted.model for wanted in oracle.loads] == [MODEL, NEW, MODEL]
    assert {wanted.profile for wanted in oracle.loads} == {"exact-1"}


FAULTS: dict[str, tuple[TickworkError, Refusal, str]] = {
    "absent": (
        ModelNotFound("no", where="/srv/models"),
        Refusal.NOT_FOUND,
        "TW6001: there is no such version where it",
    ),
    "no model": (ModelInvalid("onnxruntime 9.9 says no"), Refusal.UNSUPPORTED, "TW6002: it is no model that can be"),
    "damaged": (ModelDamaged("x"), Refusal.UNSUPPORTED, "TW6003: its bytes are not those of its digest"),
    "too large": (ModelTooLarge("x"), Refusal.NO_MEMORY, "TW6005: it needs more memory than it may have"),
    "crashed": (ModelCrashed("x"), Refusal.FAILED, "TW6007: its worker ended while it was loaded"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_version_that_cannot_be_loaded_leaves_the_old_one_and_says_why_in_fixed_words(name: str) -> None:
    fault, code, words = FAULTS[name]
    journal = made(swap(), oracle=Versions(faults={NEW: fault}))
    assert set(answers(journal)) == {b"\0"}
    ((tick, note),) = notes_of(journal, DerivedKind.MODEL_SWAP_FAILED)
    assert (tick, words in note) == (3, True)
    (entered,) = inputs_of(journal, InputKind.SWAP_MODEL)
    order = read_model_order(entered)
    assert order is not None
    assert (entered.code, order.spec.digest, order.replaces) == (code, NEW, MODEL)
    assert not any(text in order.reason for text in ("/srv", "9.9")), "no path and no library's words"
    assert replay(journal).head == journal.head().d


def test_who_signed_a_version_is_asked_as_well() -> None:
    assert said(SignatureInvalid("x"))[1].endswith("who signed it is not believed")
    assert said(TickworkError("x"))[0] == Refusal.UNSUPPORTED


def test_a_version_that_does_not_fit_is_refused_when_its_tick_comes() -> None:
    other = config(inputs=(Port("x", INT64, ("rows", 16)), PORTS[1]))
    journal = made(swap(), oracle=Versions({NEW: other}))
    ((_, note),) = notes_of(journal, DerivedKind.MODEL_SWAP_FAILED)
    assert "TW4101: input 'x' is of float32 in the running version and of int64 in the new one" in note
    assert set(answers(journal)) == {b"\0"}


def test_a_version_nobody_can_look_at_any_more_is_replaced_all_the_same() -> None:
    oracle = Versions({NEW: config(())})

    def later(wanted: Wanted, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        if tick and wanted.model == MODEL:
            raise ModelDamaged("x")
        return Versions.load(oracle, wanted, tick=tick)

    oracle.load = later  # type: ignore[method-assign]
    assert b"n" in answers(made(swap(), oracle=oracle))


def test_swaps_of_one_tick_and_model_that_failed_leave_room_for_the_next() -> None:
    journal = made(swap(BAD, 3), swap(NEW, 5), oracle=Versions(faults={BAD: ModelInvalid("x")}))
    assert answers(journal) == [b"\0"] * 4 + [b"n"] * 4


class Answers:
    """A performer that answers for a model."""

    def perform(self, effect: Effect) -> Result:
        return Result(effect.number, 0, 0, effect.model[:1])


def test_where_a_performer_answers_nothing_is_loaded() -> None:
    oracle, here = Versions(faults={NEW: ModelNotFound("gone")}), world(swap())
    journal = empty(here)
    run(
        here,
        journal=journal,
        options=msgspec.structs.replace(asking_options(oracle), performers={"infer:brain": Answers()}),
    )
    assert answers(journal) == [b"\0"] * 2 + [b"n"] * 6
    assert not oracle.loads


def test_a_fork_needs_no_version_whose_answers_are_all_recorded() -> None:
    here = with_swaps(consulting(BRAIN, asks=5, turns=4, max_inputs=2), [swap()])
    journal = empty(here)
    head = run(here, journal=journal, options=asking_options(Versions())).head
    assert answers(journal)[2 * 3 :].count(MODEL[:1]) > 0, "some answers of the old version come after the swap"
    gone = Versions(faults={MODEL: ModelNotFound("it was removed from the store")})
    assert fork(journal, at=4, to=empty(here), world=here, options=asking_options(gone)).head == head
    assert {wanted.model for wanted in gone.loads} == {NEW}


# -- resumed and forked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ticks", [1, 3, 4, 6])
def test_a_resumed_run_keeps_what_was_planned(ticks: int) -> None:
    whole = made(swap(at=4))
    cut = made(swap(at=4), stop=stop_after(ticks))
    assert cut.length() == ticks
    oracle = Versions()
    resume_journal(cut, None, world=world(), decisions={}, options=asking_options(oracle))
    assert cut.head().d == whole.head().d


def test_a_resumed_run_takes_further_swaps() -> None:
    journal = made(stop=stop_after(4))
    options = asking_options(Versions())
    resume_journal(journal, None, world=world(), decisions={}, swaps=[swap(at=5)], options=options)
    assert notes_of(journal, DerivedKind.MODEL_SWAPPED) == [(5, "brain 1 (00010203) -> 6e6e6e6e")]


def test_a_fork_swaps_at_its_tick_and_is_another_run() -> None:
    journal = made()
    copy = MemoryJournal(*journal.header())
    forked = fork(
        journal, at=5, to=copy, edit=Edit(swaps=(swap(at=None),)), world=world(), options=asking_options(Versions())
    )
    assert notes_of(copy, DerivedKind.MODEL_SWAPPED) == [(5, "brain 1 (00010203) -> 6e6e6e6e")]
    assert forked.head != journal.head().d
    assert copy.frame(4) == journal.frame(4)
    assert replay(copy).head == forked.head


def test_a_fork_keeps_the_swaps_that_were_planned() -> None:
    journal = made(swap(at=6))
    copy = MemoryJournal(*journal.header())
    fork(journal, at=4, to=copy, world=world(), options=asking_options(Versions()))
    assert copy.head().d == journal.head().d


@pytest.mark.parametrize(
    ("late", "text"),
    [
        (swap(at=2), "tick 2 is past"),
        (swap(at=99), "no tick 99"),
        (ModelSwap("x", "y", 5), "the run has no model 'x'"),
    ],
)
def test_a_further_swap_that_cannot_be_done_is_refused_at_once(late: ModelSwap, text: str) -> None:
    journal = made(stop=stop_after(4))
    before = journal.length()
    with pytest.raises((SwapRefused, TickOutOfRange, ModelNotFound), match=text):
        resume_journal(journal, None, world=world(), decisions={}, swaps=[late], options=asking_options(Versions()))
    assert journal.length() == before


# -- planned -----------------------------------------------------------------------------------------------------------


def plan(at: int = 3, model: str = "brain", digest: bytes = NEW) -> ModelPlan:
    return ModelPlan(at, model, digest)


@pytest.mark.parametrize(
    ("plans", "text"),
    [
        ([plan(), plan()], "two swaps of one model"),
        ([plan(model="mind")], "the run has no model 'mind'"),
        ([plan(model="heart")], "model 'heart' is answered for by a performer"),
    ],
)
def test_a_plan_that_cannot_come_to_a_good_end_is_refused(plans: list[ModelPlan], text: str) -> None:
    header = world().header
    with pytest.raises(SwapRefused, match=text) as caught:
        check_model_plans(plans, header, (BRAIN, ModelSpec("heart")), Options())
    assert caught.value.fix


@pytest.mark.parametrize("at", [-1, 12])
def test_a_plan_is_for_a_tick_of_the_run(at: int) -> None:
    with pytest.raises(TickOutOfRange):
        check_model_plans([plan(at)], world().header, (BRAIN,), Options())


def test_a_name_means_something_only_in_a_store() -> None:
    with pytest.raises(ModelNotFound, match="nobody knows what model 'brain' is"):
        plan_model_swaps([ModelSwap("brain", "brain:2", 3)], world().header, Options())
    with pytest.raises(SwapRefused, match="names no tick"):
        plan_model_swaps([swap(at=None)], world().header, Options())


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (config(), ""),
        (config((*PORTS, Port("z", INT64, optional=True))), ""),
        (config((Port("x", FLOAT32, ("n", 8)), PORTS[1])), ""),
        (config((Port("x", FLOAT32, ranked=False), PORTS[1])), ""),
        (config(PORTS[:1]), "the inputs are 'x', 'y' in the running version and 'x' in the new one"),
        (config(PORTS[::-1]), "the inputs are 'x', 'y' in the running version and 'y', 'x' in the new one"),
        (config((*PORTS, Port("z", INT64))), "the inputs are 'x', 'y' in the running"),
        (config(outputs=()), "the outputs are 'x' in the running version and none in the new one"),
        (config((Port("x", FLOAT32, (16,)), PORTS[1])), "input 'x' has rank 2 in the running version and 1 in the new"),
        (config((Port("x", FLOAT32, ("r", 16), kind="sequence"), PORTS[1])), "input 'x' is a tensor in the running"),
        (config(kind="llm"), "the running version is of kind onnx, the new one of kind llm"),
    ],
)
def test_a_version_fits_that_takes_and_gives_the_same(new: ModelConfig, why: str) -> None:
    found = misfit(config(), new)
    assert found.startswith(why) if why else not found


def test_a_file_of_a_version_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        plan_model_swaps([ModelSwap("brain", tmp_path / "brain.onnx", 3)], world().header, Options())
