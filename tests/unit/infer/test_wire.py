"""What processes say to each other arrives as it was said."""

import msgspec
import pytest

from tests.unit.infer.standins import wanted
from tickwork import errors
from tickwork.errors import InternalError, ModelCrashed, ModelError, ModelHostLost
from tickwork.infer import wire
from tickwork.infer.manifest import ModelConfig

QUESTIONS = (
    wire.Setup("/store", budgets={"cpu": 1}),
    wire.Connect(),
    wire.Acquire(wanted("a"), 5),
    wire.Ask(1, 2, b"digest"),
    wire.Expire(1, 2),
    wire.Unload(b"model"),
    wire.Pin(b"model", True),
    wire.Look(),
    wire.Stop(),
    wire.Absolve(b"model", b"digest"),
)
ANSWERS = (
    wire.Acquired(1, 2, b"", ModelConfig(name="a", version="1"), (), (b"no",), 5),
    wire.Fate(True, False, "signal SIGFPE", False),
    wire.Failed("TW6001", "what", "", "why", "fix"),
    wire.Done(3),
    wire.Seen(1, "0.1.0", {"cpu": 1}, {"cpu": 0}, 1, 2, 3, 4, ()),
)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: type(one).__name__)
def test_a_question_arrives_as_it_was_asked(question: wire.Question) -> None:
    assert wire.decode_question(wire.encode(question)) == question


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_an_answer_arrives_as_it_was_given(answer: wire.Answer) -> None:
    assert wire.decode_answer(wire.encode(answer)) == answer


def test_what_nobody_asks_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode_question(b"\x92\xccn\1")


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ModelError) and kind is not ModelError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_about_models_is_raised_again_as_it_was(kind: type[ModelError]) -> None:
    before = kind("what", where="where", why="why", fix="fix")
    after = wire.decode_error(wire.encode_error(before))
    assert type(after) is kind
    assert str(after) == str(before)


def test_no_error_is_no_bytes() -> None:
    assert wire.encode_error(None) == b""
    assert wire.decode_error(b"") is None


def test_an_error_of_another_kind_is_a_defect() -> None:
    unknown = wire.Failed("TW0000", "what", "", "", "")
    assert isinstance(wire.raised(unknown), InternalError)
    assert {ModelCrashed, ModelHostLost} <= set(KINDS)
