"""What a journal says of its models."""

from tests.unit.driver.oracle import MODEL, Oracle, asking_options, consulting
from tests.unit.driver.troupe import empty
from tickwork.driver.look import frame_at
from tickwork.driver.model_notes import describe_note, models_of
from tickwork.driver.run import run
from tickwork.infer.asking import Incident
from tickwork.journal.memory import MemoryJournal
from tickwork.records import ModelNote, ModelSpec, NoteKind, Refusal

BRAIN = ModelSpec("brain", MODEL, "1.0")


def made(oracle: Oracle, model: ModelSpec = BRAIN) -> MemoryJournal:
    journal = empty(world := consulting(model))
    run(world, journal=journal, options=asking_options(oracle))
    return journal


def test_a_version_is_shown_with_what_it_was_asked() -> None:
    (model,) = models_of(made(Oracle(refusals={b"asker0/1/1": (Refusal.TIMEOUT, b"no")}))).models
    assert (model.name, model.version, model.digest, model.since) == ("brain", "1.0", MODEL.hex(), 0)
    assert (model.asked, model.answered, model.refused) == (4, 3, 1)


def test_what_was_open_at_a_tick_is_not_answered_yet() -> None:
    (model,) = models_of(made(Oracle()), until=2).models
    assert (model.asked, model.answered) == (4, 2)


def test_a_session_is_shown_with_what_it_ran_on() -> None:
    (session,) = models_of(made(Oracle(build="build 7"))).sessions
    assert (session.model, session.since, session.answers) == ("brain", 2, 4)
    assert (session.runtime, session.provider) == ("build 7", "cpu")


def test_what_happened_on_the_way_is_shown_with_its_tick() -> None:
    oracle = Oracle()
    oracle.incidents = (Incident(NoteKind.CRASH, "killed by signal 9"),)
    (incident,) = models_of(made(oracle)).incidents
    assert (incident.tick, incident.model, incident.kind, incident.text) == (2, "brain", "crash", "killed by signal 9")


def test_a_tick_is_shown_with_who_answered() -> None:
    journal = made(Oracle(), ModelSpec("brain", MODEL, batch="tick"))
    lines = frame_at(journal, 2).models
    assert lines[0].startswith("session ")
    assert "cpu, oracle 1" in lines[0]
    assert len(lines) == 3
    assert "in the batch of" not in lines[1]
    assert "in the batch of" in lines[2]


def test_a_note_that_cannot_be_read_is_no_reason_to_show_nothing() -> None:
    assert describe_note(ModelNote(99, "m", body=b"later")) == "note 99 of m: later"
    assert describe_note(ModelNote(NoteKind.SESSION, "m", session=b"\1" * 32, body=b"?")).endswith("cannot be read")
    assert describe_note(ModelNote(NoteKind.ANSWER, "m", 3, 3)) == "3 answered by m nobody"
