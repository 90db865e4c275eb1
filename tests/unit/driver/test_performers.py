"""Performers and their dispatch."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.driver.troupe import AtOnce, Echo
from tickwork.codec import digest
from tickwork.driver.performers import ArtifactReceipt, ArtifactWriter, Dispatch, Parked, Terms
from tickwork.errors import WorldReferenceError
from tickwork.records import Effect, Encoding, ModelNote, NoteKind, Refusal, Result


def effect(number: int = 1, body: bytes = b"x", skill: str = "do") -> Effect:
    return Effect(number, 0, 0, skill, 0, bytes([number]) * 32, Encoding.MSGPACK, body)


def artifact(name: str, data: bytes = b"data") -> Effect:
    return effect(body=msgspec.msgpack.encode({"name": name, "mime": "text/plain", "data": data}))


class Giving:
    def __init__(self, given: Any) -> None:
        self.given = given

    def perform(self, effect: Effect) -> Result:
        if isinstance(self.given, BaseException):
            raise self.given
        result: Result = self.given
        return result


def given(value: Any) -> Result:
    dispatch = Dispatch({"do": Giving(value)}, in_order=True, executor=AtOnce)
    dispatch.release([effect()])
    return dispatch.take()[0]


def test_an_artifact_is_written_whole_and_told_by_digest(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "artifacts"
    result = ArtifactWriter(folder).perform(artifact("report.txt", b"hello"))
    assert (folder / "report.txt").read_bytes() == b"hello"
    receipt = msgspec.msgpack.decode(result.body, type=ArtifactReceipt)
    assert receipt == ArtifactReceipt("report.txt", 5, digest(b"hello").hex())
    assert [path.name for path in folder.iterdir()] == ["report.txt"]
    assert str(tmp_path).encode() not in result.body


def test_writing_an_artifact_again_changes_nothing(tmp_path: Path) -> None:
    writer = ArtifactWriter(tmp_path)
    assert writer.perform(artifact("a")) == writer.perform(artifact("a"))


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "c:x", "a\0b", "a\nb", "x" * 201])
def test_an_artifact_that_is_no_plain_file_name_is_denied(tmp_path: Path, name: str) -> None:
    assert ArtifactWriter(tmp_path).perform(artifact(name)).code == Refusal.DENIED
    assert list(tmp_path.iterdir()) == []


def test_what_a_performer_raises_becomes_its_result() -> None:
    assert given(ZeroDivisionError("secret path")) == Result(1, Refusal.FAILED, 0, b"ZeroDivisionError")
    assert given(WorldReferenceError("no such thing")).body == b"no such thing"


@pytest.mark.parametrize(
    "value",
    [
        Result(2, 0, 0, b""),
        Result(1, 5, 0, b""),
        Result(1, -99, 0, b""),
        Result(1, 0, 70_000, b""),
        Result(1, 0, -1, b""),
    ],
)
def test_a_result_that_could_not_enter_the_run_becomes_a_failure(value: Result) -> None:
    assert given(value) == Result(1, Refusal.FAILED, 0, b"the performer gave a result that is none")


def test_what_is_no_result_at_all_becomes_a_failure() -> None:
    assert given(None).code == Refusal.FAILED
    assert given("text").code == Refusal.FAILED


def test_a_skill_nobody_performs_is_unsupported() -> None:
    dispatch = Dispatch({}, in_order=True, executor=AtOnce)
    dispatch.release([effect(skill="other")])
    assert [item.code for item in dispatch.take()] == [Refusal.UNSUPPORTED]


class Gate(AtOnce):
    """Holds what it is given until it is told to run it."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Any, Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.held.append((future, fn, args))
        return future

    def run(self, index: int) -> None:
        future, fn, args = self.held[index]
        future.set_result(fn(*args))


def test_in_arrival_order_what_is_finished_comes_first() -> None:
    gate = Gate()
    dispatch = Dispatch({"do": Echo()}, in_order=False, executor=lambda: gate)
    dispatch.release([effect(n) for n in range(3)])
    assert dispatch.take() == []
    gate.run(2)
    assert [item.number for item in dispatch.take()] == [2]
    assert dispatch.waiting
    gate.run(1)
    gate.run(0)
    assert [item.number for item in dispatch.take(wait=True)] == [0, 1]
    assert not dispatch.waiting


def test_in_issue_order_threads_change_nothing() -> None:
    dispatch = Dispatch({"do": Echo()}, in_order=True)
    dispatch.release([effect(n) for n in range(20)])
    assert [item.number for item in dispatch.take()] == list(range(20))
    dispatch.close()


def test_closing_without_ever_releasing_does_nothing() -> None:
    Dispatch({}, in_order=True).close()


def test_effects_of_one_skill_are_performed_in_the_order_they_were_asked_for() -> None:
    performed: list[int] = []

    class Slow:
        def perform(self, effect: Effect) -> Result:
            for _ in range(1000 * (8 - effect.number)):
                pass
            performed.append(effect.number)
            return Result(effect.number, 0, Encoding.BYTES, b"")

    dispatch = Dispatch({"do": Slow()}, in_order=True)
    dispatch.release([effect(number) for number in range(8)])
    dispatch.take()
    dispatch.close()
    assert performed == list(range(8))


# -- several at once ---------------------------------------------------------------------------------------------------


class Together(Echo):
    """Answers several effects at once, each with how many there were."""

    def __init__(self, given: Any = None) -> None:
        super().__init__()
        self.batches: list[list[int]] = []
        self.given = given

    def perform_all(self, effects: Sequence[Effect]) -> list[Result]:
        self.batches.append([one.number for one in effects])
        if isinstance(self.given, BaseException):
            raise self.given
        if self.given is not None:
            return list(self.given)
        return [Result(one.number, 0, 0, b"%d" % len(effects)) for one in effects]


def released(performer: Any, effects: list[Effect], most: int = 64) -> list[Result]:
    dispatch = Dispatch({"do": performer}, in_order=True, executor=AtOnce, terms={"do": Terms(True, most)})
    dispatch.release(effects)
    return dispatch.take()


def test_effects_of_one_tick_are_performed_together_where_the_terms_say_so() -> None:
    together = Together()
    found = released(together, [effect(1), effect(2), effect(3)], most=2)
    assert together.batches == [[1, 2]]
    assert [one.number for one in together.seen] == [3]
    assert [(result.number, result.batch) for result in found] == [(1, 1), (2, 1), (3, 0)]


def test_effects_of_other_ticks_or_of_another_version_are_no_kin() -> None:
    together = Together()
    effects = [effect(1), effect(2), msgspec.structs.replace(effect(3), tick=1), effect(4)]
    effects += [msgspec.structs.replace(effect(5), model=b"new"), msgspec.structs.replace(effect(6), tick=1)]
    found = released(together, effects)
    assert together.batches == [[1, 2, 4], [3, 6]]
    assert [result.number for result in found] == [1, 2, 3, 4, 5, 6]


def test_a_performer_that_takes_one_effect_is_given_one_at_a_time() -> None:
    echo = Echo()
    assert [result.batch for result in released(echo, [effect(1), effect(2)])] == [0, 0]
    assert [one.number for one in echo.seen] == [1, 2]


@pytest.mark.parametrize(
    ("given", "bodies"),
    [
        (ZeroDivisionError("secret"), [b"ZeroDivisionError"] * 2),
        ([Result(1, 0, 0, b"one")], [b"the performer gave a result that is none"] * 2),
        ([Result(2, 0, 0, b"two"), Result(1, 0, 0, b"one")], [b"the performer gave a result that is none"] * 2),
        ([Result(1, 0, 0, b"one"), Result(2, 7, 0, b"two")], [b"one", b"the performer gave a result that is none"]),
    ],
)
def test_what_is_wrong_with_a_batch_is_the_result_of_whom_it_concerns(given: Any, bodies: list[bytes]) -> None:
    found = released(Together(given), [effect(1), effect(2)])
    assert [(result.number, result.body, result.batch) for result in found] == [(1, bodies[0], 1), (2, bodies[1], 1)]


def test_a_result_that_is_not_waited_for_is_given_back_when_it_is_there() -> None:
    late: Future[Any] = Future()

    class Slow(AtOnce):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
            return late if args[0].skill == "slow" else super().submit(fn, *args, **kwargs)

    dispatch = Dispatch({"do": Echo()}, in_order=True, executor=Slow, terms={"slow": Terms(waited=False)})
    dispatch.release([effect(1, skill="slow"), effect(2)])
    assert [result.number for result in dispatch.take()] == [2]
    assert dispatch.waiting
    late.set_result([Result(1, 0, 0, b"at last")])
    assert [result.number for result in dispatch.take()] == [1]
    assert not dispatch.waiting


def test_terms_hold_for_what_is_released_after_they_were_agreed() -> None:
    together = Together()
    dispatch = Dispatch({"do": together}, in_order=True, executor=AtOnce)
    dispatch.release([effect(1), effect(2)])
    dispatch.agree("do", Terms(True, 64))
    dispatch.release([effect(3), effect(4)])
    assert together.batches == [[3, 4]]


def test_notes_of_a_performer_are_kept_and_what_is_none_is_dropped() -> None:
    note = ModelNote(NoteKind.ANSWER, "m", 1, 1)
    notes: Any = (note, "nonsense")
    assert given(Result(1, 0, 0, b"", notes)).notes == (note,)


# -- parked effects ----------------------------------------------------------------------------------------------------


class Asked:
    """Parks every effect until it has been told the answer."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answers: set[int] = set()

    def perform(self, effect: Effect) -> Result | Parked:
        self.asked.append(effect.number)
        return Result(effect.number, 0, 0, b"yes") if effect.number in self.answers else Parked(effect.number * 10)


@pytest.mark.parametrize("inline", [False, True])
def test_a_parked_effect_is_asked_again_when_it_is_woken(inline: bool) -> None:
    asked = Asked()
    dispatch = Dispatch({"do": asked}, in_order=True, executor=AtOnce, terms={"do": Terms(False, inline=inline)})
    dispatch.release([effect(1), effect(2), effect(3)])
    assert not dispatch.await_result()
    assert {number: held[1].due_us for number, held in dispatch.parked.items()} == {1: 10, 2: 20, 3: 30}
    assert not dispatch.waiting
    asked.answers = {3, 1}
    dispatch.wake([3, 2, 9])
    assert dispatch.await_result()
    assert [result.number for result in dispatch.take(wait=True)] == [3]
    assert sorted(dispatch.parked) == [1, 2]
    assert asked.asked == [1, 2, 3, 2, 3]


def test_a_result_beside_a_parked_effect_is_taken_without_it() -> None:
    dispatch = Dispatch({"do": Echo(), "ask": Asked()}, in_order=True, executor=AtOnce)
    dispatch.release([effect(1, skill="ask"), effect(2)])
    assert [result.number for result in dispatch.take(wait=True)] == [2]
    assert list(dispatch.parked) == [1]
    assert dispatch.take(wait=True) == []


def test_what_nobody_wants_any_more_is_withdrawn() -> None:
    dispatch = Dispatch({}, in_order=True)
    dispatch.park(effect(2))
    dispatch.park(effect(1))
    assert [one.number for one in dispatch.withdraw([2, 1, 7])] == [1, 2]
    assert not dispatch.parked


def test_a_dispatch_holds_while_what_is_waited_for_is_not_in() -> None:
    gate, told = Gate(), list[int]()
    dispatch = Dispatch(
        {"do": Echo()},
        in_order=True,
        executor=lambda: gate,
        terms={"late": Terms(False)},
        told=lambda: told.append(len(told)),
    )
    dispatch.release([effect(1), effect(2, skill="late")])
    assert (dispatch.held, dispatch.look(), told) == (True, False, [])
    gate.run(1)
    assert (dispatch.held, dispatch.look(), told) == (True, True, [0])
    gate.run(0)
    assert (dispatch.held, len(told)) == (False, 2)
    assert [result.number for result in dispatch.take()] == [1, 2]


def test_effects_of_one_skill_run_beside_each_other_in_its_lanes() -> None:
    together = threading.Barrier(3)

    class Meeting:
        def perform(self, effect: Effect) -> Result:
            together.wait(30)
            return Result(effect.number, 0, Encoding.BYTES, b"")

    dispatch = Dispatch({"do": Meeting()}, in_order=True, terms={"do": Terms(True, lanes=3)})
    dispatch.release([effect(number) for number in range(3)])
    assert [result.number for result in dispatch.take()] == [0, 1, 2]
    dispatch.close()


def test_an_inline_effect_is_performed_where_it_is_released() -> None:
    seen: list[int] = []

    class Here:
        def perform(self, effect: Effect) -> Result:
            seen.append(threading.get_ident())
            raise ZeroDivisionError

    dispatch = Dispatch({"do": Here()}, in_order=True, terms={"do": Terms(True, inline=True)})
    dispatch.release([effect(1)])
    assert seen == [threading.get_ident()]
    assert dispatch.take() == [Result(1, Refusal.FAILED, 0, b"ZeroDivisionError")]


class ByNumber:
    """Parks effects until they are asked for again, and gives nothing for those of others before it is told to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen = set[int]()

    def perform(self, effect: Effect) -> Result | Parked:
        if effect.skill == "do":
            assert self.gate.wait(30)
        elif effect.number not in self.seen:
            self.seen.add(effect.number)
            return Parked()
        return Result(effect.number, 0, 0, b"")


def test_an_urgent_result_is_taken_and_the_others_are_left() -> None:
    performer = ByNumber()
    dispatch = Dispatch(
        {"do": performer, "ask": performer}, in_order=True, terms={"ask": Terms(waited=False, inline=True)}
    )
    dispatch.release([effect(1), effect(2, skill="ask"), effect(3, skill="ask")])
    dispatch.set_aside()
    assert (sorted(dispatch.parked), dispatch.held, dispatch.urgent) == ([2, 3], True, False)
    dispatch.wake([2, 3], urgent=[3])
    assert dispatch.urgent
    assert [result.number for result in dispatch.take_urgent()] == [3]
    assert (dispatch.held, dispatch.urgent, dispatch.take_urgent()) == (True, False, [])
    performer.gate.set()
    assert [result.number for result in dispatch.take()] == [1, 2]
    dispatch.close()


def test_what_is_given_up_or_loosened_is_waited_for_no_longer() -> None:
    performer = ByNumber()
    dispatch = Dispatch({"do": performer}, in_order=True)
    dispatch.release([effect(1), effect(2), effect(3)])
    assert [found.number for found in dispatch.out()] == [1, 2, 3]
    dispatch.give_up({1})
    dispatch.loosen({2, 3})
    assert (dispatch.held, dispatch.take(), [found.number for found in dispatch.out()]) == (False, [], [2, 3])
    performer.gate.set()
    assert next(result.number for result in dispatch.take(wait=True)) == 2
    dispatch.close()
