"""Models inside a run: who is asked, in which batches, and what is noted."""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.driver.oracle import MODEL, Oracle, asking_options, consulting
from tests.unit.driver.troupe import AtOnce, Echo, empty, frames_of, options, stop_after
from tickwork import codec
from tickwork.driver.fork import fork
from tickwork.driver.models import Desk, terms_of
from tickwork.driver.performers import Terms
from tickwork.driver.run import resume_journal, run
from tickwork.driver.verify import replay, verify
from tickwork.errors import (
    ModelDamaged,
    ModelHostLost,
    ModelNotFound,
    ModelTooLarge,
    ModelUnfit,
    ProviderMissing,
    TickworkError,
)
from tickwork.infer.asking import Incident, Reply, Wanted
from tickwork.infer.fingerprint import decode_fingerprint
from tickwork.journal.memory import MemoryJournal
from tickwork.records import (
    Effect,
    EffectClass,
    Encoding,
    InputKind,
    ModelNote,
    ModelSpec,
    NoteKind,
    Refusal,
    Result,
)

PINNED = ModelSpec("brain", MODEL, "1")


def pinned(**fields: Any) -> ModelSpec:
    return msgspec.structs.replace(PINNED, **fields)


def notes_of(journal: MemoryJournal) -> list[tuple[int, ModelNote]]:
    return [(frame.tick, note) for frame in journal.frames() for note in codec.decode_hints(frame.hints).models]


def results_of(journal: MemoryJournal) -> list[tuple[int, int, int, bytes]]:
    return [
        (frame.tick, item.number, item.code, item.body)
        for frame in journal.frames()
        for item in codec.decode_inputs(frame.inputs)
        if item.kind == InputKind.RESULT
    ]


def effect(body: bytes = b"x", **fields: Any) -> Effect:
    known = Effect(7, 3, 0, "infer:brain", EffectClass.PURE, bytes(32), Encoding.TENSOR, body, MODEL)
    return msgspec.structs.replace(known, **fields)


def test_each_request_is_asked_alone_unless_the_world_says_otherwise() -> None:
    oracle = Oracle()
    run(consulting(pinned()), options=asking_options(oracle))
    assert oracle.asked == [(b"asker0/0/0",), (b"asker0/0/1",), (b"asker0/1/0",), (b"asker0/1/1",)]
    assert {wanted.model for wanted in oracle.wanted} == {MODEL}


@pytest.mark.parametrize("batch", ["tick", "certified"])
def test_the_requests_of_a_tick_are_asked_together_in_the_order_of_their_issue(batch: str) -> None:
    oracle = Oracle()
    journal = empty(world := consulting(pinned(batch=batch), askers=3))
    run(world, journal=journal, options=asking_options(oracle))
    assert [len(bodies) for bodies in oracle.asked] == [6, 6]
    assert oracle.asked[0] == tuple(b"asker%d/0/%d" % (agent, n) for agent in range(3) for n in range(2))
    answers = [body for _, _, _, body in results_of(journal)]
    assert answers == [body[::-1] for bodies in oracle.asked for body in bodies]
    batches = {note.number: note.batch for _, note in notes_of(journal) if note.kind == NoteKind.ANSWER}
    assert sorted(set(batches.values())) == [min(batches), min(n for n, of in batches.items() if of != min(batches))]


def test_a_batch_holds_at_most_what_the_world_says() -> None:
    oracle = Oracle()
    run(consulting(pinned(batch="tick", most=4), askers=3, turns=1), options=asking_options(oracle))
    assert [len(bodies) for bodies in oracle.asked] == [4, 2]


def test_answers_enter_the_next_tick_in_issue_order() -> None:
    journal = empty(world := consulting(pinned(), askers=2, turns=1))
    run(world, journal=journal, options=asking_options(Oracle()))
    found = results_of(journal)
    assert {tick for tick, *_ in found} == {2}
    assert [number for _, number, _, _ in found] == sorted(number for _, number, _, _ in found)


class Patient(Executor):
    """Has nothing done before it is asked so often whether it is."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        left = [self.looks]

        class Late(Future[Any]):
            def done(self) -> bool:
                left[0] -= 1
                return left[0] < 0

            def result(self, timeout: float | None = None) -> Any:
                return fn(*args, **kwargs)

        return Late()


@pytest.mark.parametrize("ordering", ["issue", "arrival"])
def test_a_barrier_waits_whatever_the_order_of_skills_is(ordering: str) -> None:
    journal = empty(world := consulting(pinned(), turns=1, ordering=ordering))
    run(world, journal=journal, options=asking_options(Oracle(), executor=lambda: Patient(5)))
    assert {tick for tick, *_ in results_of(journal)} == {2}


@pytest.mark.parametrize("ordering", ["issue", "arrival"])
def test_an_answer_that_is_not_waited_for_enters_when_it_is_there_and_is_replayed_so(ordering: str) -> None:
    journal = empty(world := consulting(pinned(delivery="async"), turns=9, ordering=ordering))
    done = run(world, journal=journal, options=asking_options(Oracle(), executor=lambda: Patient(3)))
    # One that is waited for enters tick 2.
    assert min(tick for tick, *_ in results_of(journal)) > 2
    assert len(results_of(journal)) == 18
    assert replay(journal).head == done.head
    assert verify(journal, world=world).equal


def test_a_batch_that_is_not_waited_for_arrives_whole() -> None:
    journal = empty(world := consulting(pinned(delivery="async", batch="tick"), turns=4, asks=3))
    run(world, journal=journal, options=asking_options(Oracle(), executor=lambda: Patient(2)))
    batches = {note.number: note.batch for _, note in notes_of(journal) if note.kind == NoteKind.ANSWER}
    ticks = {number: tick for tick, number, _, _ in results_of(journal)}
    for first in set(batches.values()):
        assert len({ticks[number] for number, batch in batches.items() if batch == first}) == 1


def test_notes_say_who_answered_once_for_each_session_and_enter_with_the_answers() -> None:
    journal = empty(world := consulting(pinned()))
    oracle = Oracle()
    run(world, journal=journal, options=asking_options(oracle))
    found = notes_of(journal)
    assert [note.kind for _, note in found] == [NoteKind.SESSION, *[NoteKind.ANSWER] * 4]
    _, session = found[0]
    assert decode_fingerprint(session.body) == oracle.fingerprint(oracle.wanted[0])
    assert {note.session for _, note in found} == {session.session}
    answered = [(tick, note.number) for tick, note in found if note.kind == NoteKind.ANSWER]
    assert answered == [(tick, number) for tick, number, _, _ in results_of(journal)]


def test_a_result_that_finds_no_room_keeps_its_note() -> None:
    journal = empty(world := consulting(pinned(), asks=5, turns=1, max_inputs=2))
    run(world, journal=journal, options=asking_options(Oracle()))
    answered = [(tick, note.number) for tick, note in notes_of(journal) if note.kind == NoteKind.ANSWER]
    assert answered == [(tick, number) for tick, number, _, _ in results_of(journal)]
    assert len({tick for tick, _ in answered}) == 3


def test_who_answered_and_what_happened_on_the_way_change_no_head() -> None:
    world = consulting(pinned())
    one, other = empty(world), empty(world)
    run(world, journal=one, options=asking_options(Oracle()))
    elsewhere = Oracle(build="oracle 2")
    elsewhere.incidents = (Incident(NoteKind.CRASH, "it was killed"), Incident(NoteKind.FALLBACK, "no such provider"))
    run(world, journal=other, options=asking_options(elsewhere))
    assert frames_of(one) == frames_of(other)
    assert one.head().d == other.head().d
    assert one.head().f != other.head().f
    kinds = [note.kind for _, note in notes_of(other)]
    assert kinds[:3] == [NoteKind.CRASH, NoteKind.FALLBACK, NoteKind.SESSION]


def test_a_refusal_reaches_the_agent_as_an_error_and_the_run_goes_on() -> None:
    oracle = Oracle(refusals={b"asker0/0/1": (Refusal.BAD_MESSAGE, b"input x has rank 3, 2 is wanted")})
    journal = empty(world := consulting(pinned()))
    done = run(world, journal=journal, options=asking_options(oracle))
    assert (done.status, done.failed) == ("complete", 0)
    refused = [found for found in results_of(journal) if found[2]]
    assert [(code, body) for _, _, code, body in refused] == [(-2, b"input x has rank 3, 2 is wanted")]
    logs = b"".join(frame.turns for frame in journal.frames())
    assert b"ERROR" in logs
    assert b"rank 3" in logs


CODES = ("BAD_MESSAGE", "NO_MEMORY", "TIMEOUT", "CONFLICT", "UNSUPPORTED", "NOT_FOUND", "FAILED")


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("batch", ["row", "tick"])
def test_every_refusal_is_recorded_and_replayed_as_it_came(name: str, batch: str) -> None:
    code = Refusal[name]
    oracle = Oracle(refusals={b"asker0/0/0": (code, b"too many requests wait already")})
    journal = empty(world := consulting(pinned(batch=batch)))
    done = run(world, journal=journal, options=asking_options(oracle))
    assert [found[2] for found in results_of(journal)] == [code, 0, 0, 0]
    assert (done.status, replay(journal).head) == ("complete", done.head)


def test_what_is_neither_tensors_nor_json_is_refused_without_asking() -> None:
    oracle = Oracle()
    desk = Desk(asking_options(oracle), {})
    desk.open([pinned(batch="tick")])
    performer = desk.performers()["infer:brain"]
    refused = performer.perform(effect(encoding=Encoding.MSGPACK))
    assert isinstance(refused, Result)
    assert refused.code == Refusal.BAD_MESSAGE
    assert oracle.asked == []
    answered = performer.perform(effect(encoding=Encoding.JSON))
    assert isinstance(answered, Result)
    assert answered.body == b"x"


def test_one_that_is_refused_without_asking_leaves_the_rest_of_its_batch_as_it_is() -> None:
    oracle = Oracle()
    desk = Desk(asking_options(oracle), {})
    desk.open([pinned(batch="tick")])
    performer: Any = desk.performers()["infer:brain"]
    asked = [effect(b"ab"), effect(b"cd", number=8, encoding=Encoding.BYTES), effect(b"ef", number=9)]
    found: list[Result] = performer.perform_all(asked)
    assert [(result.number, result.code) for result in found] == [(7, 0), (8, Refusal.BAD_MESSAGE), (9, 0)]
    assert [result.body for result in found if not result.code] == [b"ba", b"fe"]
    assert oracle.asked == [(b"ab", b"ef")]


def test_a_model_is_asked_as_the_world_says() -> None:
    oracle = Oracle()
    fast = pinned(profile="fast", fallback="on_run", deadline_ms=250)
    run(consulting(fast), options=asking_options(oracle, providers=("cuda", "cpu")))
    assert oracle.wanted[0].profile == "fast"
    assert oracle.wanted[0].providers == ("cuda", "cpu")
    assert oracle.wanted[0].fallback == "on_run"
    assert oracle.deadlines[0] == 250


def test_an_exact_profile_asks_for_no_provider_but_its_own() -> None:
    oracle = Oracle()
    run(consulting(pinned()), options=asking_options(oracle, providers=("cuda",)))
    assert oracle.wanted[0].providers == ()


def test_a_request_goes_to_the_version_it_was_made_to() -> None:
    oracle = Oracle()
    desk = Desk(asking_options(oracle), {})
    desk.open([pinned(profile="fast", deadline_ms=5)])
    desk.learn(pinned(digest=bytes(32), version="2"))
    performer = desk.performers()["infer:brain"]
    performer.perform(effect())
    performer.perform(effect(model=bytes(32)))
    performer.perform(effect(model=b"?" * 32))
    assert [(wanted.model, wanted.profile) for wanted in oracle.wanted] == [
        (MODEL, "fast"),
        (bytes(32), "exact-1"),
        (b"?" * 32, "exact-1"),
    ]


@pytest.mark.parametrize("fault", [ModelNotFound, ModelDamaged, ModelUnfit, ModelHostLost])
def test_a_model_that_is_broken_is_told_before_a_journal_is_made(fault: type[TickworkError], tmp_path: Path) -> None:
    with pytest.raises(fault, match=r"models\.brain"):
        run(consulting(pinned()), journal=tmp_path / "a.twk", options=asking_options(Oracle(fault=fault("broken"))))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", [ModelTooLarge, ProviderMissing])
def test_a_model_that_does_not_fit_this_machine_is_told_and_the_run_begins(fault: type[TickworkError]) -> None:
    said: list[str] = []
    oracle = Oracle(fault=fault("it cannot be loaded here"))
    assert run(consulting(pinned()), options=asking_options(oracle, notice=said.append)).status == "complete"
    assert said == ["model 'brain': it cannot be loaded here; requests to it are refused while that is so"]
    assert run(consulting(pinned()), options=asking_options(oracle)).status == "complete"


def test_a_run_with_a_pinned_model_needs_somebody_to_ask() -> None:
    with pytest.raises(ModelNotFound) as caught:
        run(consulting(pinned()), options=options())
    assert "store" in caught.value.fix


def test_a_performer_given_with_the_run_answers_and_nobody_else_is_asked() -> None:
    oracle, echo = Oracle(), Echo()
    given = msgspec.structs.replace(asking_options(oracle), performers={"infer:brain": echo})
    run(consulting(pinned()), options=given)
    assert (oracle.loads, oracle.asked) == ([], [])
    assert len(echo.seen) == 4


def test_a_run_whose_models_are_answered_for_by_performers_starts_nobody() -> None:
    oracle = Oracle()
    given = msgspec.structs.replace(asking_options(oracle), performers={"infer:brain": Echo()})
    run(consulting(ModelSpec("brain")), options=given)
    assert oracle.closed == 0


def test_whoever_answered_is_let_go_of() -> None:
    oracle = Oracle()
    run(consulting(pinned()), options=asking_options(oracle))
    assert oracle.closed == 2


def test_neither_replay_nor_verification_asks_anybody() -> None:
    journal = empty(world := consulting(pinned()))
    done = run(world, journal=journal, options=asking_options(Oracle()))
    assert replay(journal).head == done.head
    assert verify(journal, world=world).equal


class Dies(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("batch", ["row", "tick"])
def test_requests_whose_answers_a_crash_has_lost_are_asked_again_to_the_same_head(batch: str) -> None:
    world = consulting(pinned(batch=batch), askers=2, turns=3)
    head = run(world, options=asking_options(Oracle())).head
    for calls in range(6):
        journal, left = empty(world), [calls]

        def die(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Dies

        try:
            run(world, journal=journal, options=asking_options(Oracle(before=die)))
        except Dies:
            again = Oracle()
            done = resume_journal(journal, None, world=world, decisions={}, options=asking_options(again))
            assert done.head == head
            assert {wanted.model for wanted in again.wanted} == {MODEL}
        assert replay(journal).head == head


class Sociable(Oracle):
    """Answers each request with all of its batch."""

    def ask_batch(self, wanted: Wanted, bodies: Sequence[bytes], **how: Any) -> list[Reply]:
        whole = b" ".join(bodies)
        return [msgspec.structs.replace(reply, body=whole) for reply in super().ask_batch(wanted, bodies, **how)]


@pytest.mark.parametrize("max_inputs", [1, 2, 4096])
def test_a_batch_is_the_same_batch_after_a_crash_however_few_inputs_a_tick_takes(max_inputs: int) -> None:
    world = consulting(pinned(batch="tick", most=3), askers=2, asks=3, turns=3, max_inputs=max_inputs)
    whole = empty(world)
    head = run(world, journal=whole, options=asking_options(Sociable())).head
    for ticks in range(1, whole.length()):
        journal = empty(world)
        run(world, journal=journal, options=asking_options(Sociable(), stop=stop_after(ticks)))
        assert resume_journal(journal, None, world=world, decisions={}, options=asking_options(Sociable())).head == head
        assert fork(whole, at=ticks, world=world, options=asking_options(Sociable())).head == head


def test_a_run_that_still_asks_is_not_resumed_without_somebody_to_ask() -> None:
    journal = empty(world := consulting(pinned(), turns=9))
    run(world, journal=journal, options=asking_options(Oracle(), stop=stop_after(3)))
    length = journal.length()
    with pytest.raises(ModelNotFound):
        resume_journal(journal, None, world=world, decisions={}, options=options())
    assert journal.length() == length
    echo = msgspec.structs.replace(options(), performers={"infer:brain": Echo()})
    assert resume_journal(journal, None, world=world, decisions={}, options=echo).status == "complete"


def test_a_run_that_asks_nothing_more_is_resumed_with_nobody_to_ask() -> None:
    journal = empty(world := consulting(pinned(), turns=1))
    done = run(world, journal=journal, options=asking_options(Oracle()))
    part = empty(world)
    for frame in journal.frames():
        part.append(frame, [])
    assert resume_journal(part, None, world=world, decisions={}, options=options()).head == done.head


def test_a_fork_takes_the_answers_its_parent_has_and_asks_for_the_rest() -> None:
    journal = empty(world := consulting(pinned(), turns=4))
    done = run(world, journal=journal, options=asking_options(Oracle()))
    again = Oracle()
    assert fork(journal, at=3, world=world, options=asking_options(again)).head == done.head
    assert again.asked[0] == (b"asker0/2/0",)


def test_a_world_of_models_has_one_head_whatever_the_thread_that_asks() -> None:
    world = consulting(pinned(batch="tick"), askers=3, turns=4)
    heads = {
        run(world, options=asking_options(Oracle(), executor=executor)).head
        for executor in (AtOnce, None)
        for _ in "ab"
    }
    assert len(heads) == 1


def test_terms_follow_from_what_the_world_says_of_a_model() -> None:
    assert terms_of(ModelSpec("m", most=9)) == Terms(waited=True, most=1)
    assert terms_of(ModelSpec("m", batch="tick", most=9, delivery="async")) == Terms(waited=False, most=9)


def test_what_agents_hear_of_a_model_comes_as_results() -> None:
    journal = empty(world := consulting(pinned(), turns=1))
    run(world, journal=journal, options=asking_options(Oracle()))
    assert b"RESULT" in b"".join(frame.turns for frame in journal.frames())
