"""Reexecution: recorded answers of models asked for again and compared bit for bit."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

import tickwork
from tests.unit.driver.oracle import Oracle, asking_options, consulting
from tests.unit.driver.test_model_swaps import BRAIN, NEW, Versions, made, swap, world
from tests.unit.driver.troupe import Echo, acting, empty, options, spec, stage, stop_after
from tickwork import codec
from tickwork.driver.fork import Edit, fork
from tickwork.driver.reexecute import Reexecution, reexecute
from tickwork.driver.resolve import World
from tickwork.driver.run import resume_journal, run
from tickwork.errors import ModelNotFound, ModelTimeout, ReexecutionRefused
from tickwork.infer.asking import Reply, Wanted
from tickwork.infer.fingerprint import Fingerprint
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import Encoding, Input, InputKind, Message, ModelSpec, Refusal, WindowSpec


def recorded(here: World, oracle: Oracle | None = None, **fields: Any) -> MemoryJournal:
    journal = empty(here)
    run(here, journal=journal, options=asking_options(oracle or Oracle(), **fields))
    return journal


def again(
    journal: MemoryJournal, oracle: Oracle | None = None, here: World | None = None, **fields: Any
) -> Reexecution:
    return reexecute(journal, world=here, options=asking_options(oracle or Oracle()), **fields)


def counts(found: Reexecution) -> list[tuple[str, int, int, int]]:
    return [(tally.model, tally.equal, tally.different, tally.skipped) for tally in found.models]


def test_answers_that_come_out_again_are_equal() -> None:
    oracle = Oracle()
    found = again(recorded(world()), oracle)
    assert (found.equal, counts(found), found.first) == (True, [("brain", 8, 0, 0)], None)
    assert len(oracle.asked) == 8


@pytest.mark.parametrize("batch", ["tick", "certified"])
def test_what_was_asked_together_is_asked_together(batch: str) -> None:
    before, after = Oracle(), Oracle()
    journal = recorded(consulting(msgspec.structs.replace(BRAIN, batch=batch, most=5), askers=3, asks=2), before)
    assert again(journal, after).equal
    assert after.asked == before.asked
    assert {len(bodies) for bodies in after.asked} == {5, 1}


class Flaky(Oracle):
    """Answers one request otherwise than before."""

    def ask_batch(self, wanted: Wanted, *args: Any, **fields: Any) -> list[Reply]:
        replies = super().ask_batch(wanted, *args, **fields)
        wrong = len(self.asked) == 5
        return [msgspec.structs.replace(reply, body=b"X" + reply.body[1:]) if wrong else reply for reply in replies]


def test_an_answer_that_is_another_now_is_named() -> None:
    found = again(recorded(world()), Flaky())
    assert (found.equal, counts(found)) == (False, [("brain", 7, 1, 0)])
    assert found.first is not None
    assert (found.first.tick, found.first.agent) == (6, "asker0")
    assert found.first.sentence().endswith("model 'brain 1 (00010203)': 1 of 10 bytes differ, the first at 0")


def test_other_numerics_are_refused_and_named_before_anything_is_asked() -> None:
    journal, oracle = recorded(world()), Oracle(build="oracle 2")
    with pytest.raises(ReexecutionRefused) as caught:
        again(journal, oracle)
    assert caught.value.why == "runtime oracle 2, recorded is oracle 1"
    assert not oracle.asked


def test_a_store_that_lacks_the_version_says_so() -> None:
    with pytest.raises(ModelNotFound):
        again(recorded(world()), Oracle(fault=ModelNotFound("gone")))


def test_answers_without_a_promise_of_bits_are_refused_unless_left_out() -> None:
    fast = ModelSpec("brain", BRAIN.digest, "1", "fast")
    journal = recorded(consulting(fast))
    with pytest.raises(ReexecutionRefused, match="ran with the profile fast"):
        again(journal)


def test_a_model_the_run_has_not_is_told() -> None:
    with pytest.raises(ModelNotFound, match="the run has no model 'mind'"):
        again(recorded(world()), models=["mind"])


def two() -> World:
    """Return a world with a model of exact and one of no exact answers."""

    def step(state: Any, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.sleep(0)
        if context.tick < 4:
            outbox.infer("brain", b"abc", encoding=Encoding.TENSOR)
            outbox.infer("quick", b"abc", encoding=Encoding.TENSOR)

    models = (BRAIN, ModelSpec("quick", NEW, "1", "fast"))
    return stage({spec("asker", models=("brain", "quick")): acting(step)}, ticks=8, models=models)


def test_the_models_that_are_named_alone_are_asked() -> None:
    oracle = Oracle()
    found = again(recorded(two()), oracle, models=["brain"])
    assert counts(found) == [("brain", 3, 0, 0)]
    assert {wanted.model for wanted in oracle.wanted} == {BRAIN.digest}


def test_each_version_is_asked_what_it_was_asked() -> None:
    oracle = Versions()
    found = again(made(swap()), oracle)
    assert found.equal
    assert counts(found) == [("brain", 2, 0, 0), ("brain", 6, 0, 0)]
    assert [wanted.model for wanted in oracle.wanted] == [BRAIN.digest] * 2 + [NEW] * 6


def test_what_no_model_answered_is_skipped_with_its_reason() -> None:
    refusals = {b"asker0/1/0": (Refusal.TIMEOUT, b"late"), b"asker0/2/0": (Refusal.BAD_MESSAGE, b"shape")}
    found = again(recorded(world(), Oracle(refusals=refusals)), Oracle(refusals=refusals))
    assert counts(found) == [("brain", 7, 0, 1)]
    assert found.models[0].reasons == ["the request was refused for want of time or room"]


class Nobody(Oracle):
    """Refuses without a session."""

    def ask_batch(self, wanted: Wanted, *args: Any, **fields: Any) -> list[Reply]:
        replies = super().ask_batch(wanted, *args, **fields)
        return [Reply(Refusal.NO_MEMORY, 0, b"no room") for _ in replies]


def test_answers_of_nobody_are_skipped() -> None:
    found = again(recorded(world(), Nobody()))
    assert (found.equal, counts(found)) == (True, [("brain", 0, 0, 8)])
    assert found.models[0].reasons == ["no model answered"]


def test_answers_of_performers_are_skipped() -> None:
    here = world()
    journal = empty(here)
    run(here, journal=journal, options=msgspec.structs.replace(options(), performers={"infer:brain": Echo()}))
    found = again(journal)
    assert counts(found) == [("brain", 0, 0, 8)]
    assert found.models[0].reasons == ["nobody noted who answered"]


def test_a_failure_of_this_machine_is_no_difference() -> None:
    class Late(Oracle):
        def ask_batch(self, wanted: Wanted, *args: Any, **fields: Any) -> list[Reply]:
            replies = super().ask_batch(wanted, *args, **fields)
            return [msgspec.structs.replace(reply, code=-11, error=ModelTimeout("late")) for reply in replies]

    with pytest.raises(ModelTimeout):
        again(recorded(world()), Late())


def test_a_session_that_becomes_another_meanwhile_is_no_difference() -> None:
    class Changing(Oracle):
        def fingerprint(self, wanted: Wanted) -> Fingerprint:
            known = super().fingerprint(wanted)
            return msgspec.structs.replace(known, processor="other") if self.asked else known

    with pytest.raises(ReexecutionRefused, match="became another while it was asked"):
        again(recorded(world()), Changing())


def test_a_resumed_run_is_asked_again_as_a_whole() -> None:
    here = world()
    journal = empty(here)
    run(here, journal=journal, options=asking_options(Oracle(), stop=stop_after(4)))
    resume_journal(journal, None, world=here, decisions={}, options=asking_options(Oracle()))
    assert counts(again(journal)) == [("brain", 8, 0, 0)]


def test_answers_a_fork_took_from_its_parent_are_skipped_where_nobody_noted_them() -> None:
    here = world()
    copy = MemoryJournal(*(journal := recorded(here)).header())
    fork(journal, at=4, to=copy, world=here, options=asking_options(Oracle()))
    found = again(copy)
    assert found.equal
    assert sum(counts(found)[0][1:]) == 8


def test_what_an_operator_answered_is_skipped_and_the_others_of_its_batch_come_out_again() -> None:
    class Crowded(Oracle):
        """Says with each answer how the batch was made up."""

        def ask_batch(self, wanted: Wanted, bodies: Sequence[bytes], **fields: Any) -> list[Reply]:
            mark = codec.digest(b"|".join(bodies))
            replies = super().ask_batch(wanted, bodies, **fields)
            return [msgspec.structs.replace(reply, body=mark + reply.body) for reply in replies]

    here = consulting(msgspec.structs.replace(BRAIN, batch="tick"), asks=4, turns=1)
    part = recorded(here, Crowded(), stop=stop_after(2))
    asked = [item.number for item in codec.decode_derived(next(part.frames(1, 1)).derived) if item.digest]
    said = Input(InputKind.RESULT, "operator", number=asked[2], encoding=Encoding.TENSOR, body=b"mine", size=4)
    copy = MemoryJournal(*part.header())
    fork(part, at=2, to=copy, world=here, edit=Edit((said,)), options=asking_options(Crowded()))
    found = again(copy, Crowded())
    assert (found.equal, counts(found)) == (True, [("brain", 3, 0, 1)])
    assert found.models[0].reasons == ["an operator answered"]


WINDOW = WindowSpec("sky", "frame", 4096, "painter", ())


def painter() -> World:
    def paint(state: Any, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.sleep(0)
        if context.tick < 6:
            outbox.write("sky", b"%04d" % context.tick * 700)
            outbox.infer_window("brain", "sky", 0, 2800)

    return stage(
        {spec("painter", windows=("sky",), models=("brain",)): acting(paint)}, ticks=8, models=(BRAIN,),
        windows=(WINDOW,),
    )  # fmt: skip


def opened_by_an_operator() -> World:
    """Return the painter's world with a window of which its header knows nothing."""
    here, body = painter(), codec.encode(WINDOW)
    opens = Input(InputKind.OPEN_WINDOW, "operator", WINDOW.name, body=body, size=len(body))
    header = msgspec.structs.replace(here.header, windows=())
    return msgspec.structs.replace(here, header=header, inputs=((0, opens),))


@pytest.mark.parametrize("make", [painter, opened_by_an_operator])
def test_tensors_in_windows_are_put_back_from_the_turns(make: Callable[[], World]) -> None:
    here, before, after = make(), Oracle(), Oracle()
    found = again(recorded(here, before), after, here)
    assert counts(found) == [("brain", 5, 0, 0)]
    assert after.asked == before.asked
    assert {len(body) for (body,) in after.asked} == {2800}


def test_from_python_a_verification_holds_what_came_of_it() -> None:
    here, journal = world(), recorded(world())
    found = tickwork.verify(journal, world=here, reexecute=True, options=asking_options(Oracle()))
    assert found.equal
    assert found.reexecution is not None
    assert counts(found.reexecution) == [("brain", 8, 0, 0)]
    assert tickwork.verify(journal, world=here, options=asking_options(Oracle())).reexecution is None
