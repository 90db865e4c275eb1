import msgspec
import pytest

from tickwork.errors import ModelInputInvalid
from tickwork.infer.prompts import (
    ANSWER,
    GUIDE_BYTES,
    REQUEST,
    Message,
    Prompt,
    Said,
    read_prompt,
    read_said,
    write_said,
)
from tickwork.records import Encoding
from tickwork.tensors import INT64, STRING, Tensor, decode_tensors, encode_tensors, join_text, split_text


def test_a_request_reads_back_as_it_was_written() -> None:
    for prompt in (
        Prompt(prompt="Once", max_tokens=3, stop=("\n",), seed=7, temperature=0.5),
        Prompt(messages=(Message("user", "plan"),), schema={"type": "object"}),
    ):
        assert read_prompt(prompt.encode()) == prompt


def test_what_is_not_said_is_greedy_and_drawn_from_no_seed_of_the_moment() -> None:
    prompt = read_prompt(b'{"prompt": "Once"}')
    assert (prompt.temperature, prompt.seed, prompt.guide) == (0.0, 0, None)


def test_a_request_may_be_a_tensor_of_text() -> None:
    wanted = Prompt(prompt="Once")
    for name in ("", REQUEST):
        body = encode_tensors([Tensor(name, STRING, (1,), join_text([wanted.encode().decode()]))])
        assert read_prompt(body, Encoding.TENSOR) == wanted


def test_an_answer_has_the_encoding_of_its_request() -> None:
    said = Said("so", "stop", 4, 2)
    assert read_said(write_said(said, Encoding.JSON)) == said
    (tensor,) = decode_tensors(write_said(said, Encoding.TENSOR))
    assert (tensor.name, tensor.shape) == (ANSWER, (1,))
    assert read_said(split_text(tensor.data)[0].encode()) == said


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"prompt": "a", "messages": [{"role": "user", "content": "b"}]},
        {"prompt": "a", "max_tokens": 0},
        {"prompt": "a", "temperature": 2.5},
        {"prompt": "a", "temperature": -1},
        {"prompt": "a", "top_p": 1.1},
        {"prompt": "a", "top_k": 0},
        {"prompt": "a", "seed": -1},
        {"prompt": "a", "stop": [""]},
        {"prompt": "a", "stop": ["x"] * 17},
        {"prompt": "a", "schema": {}, "regex": "b"},
        {"prompt": "a", "regex": "b" * (GUIDE_BYTES + 1)},
        {"prompt": "a", "surprise": 1},
        {"messages": [{"role": "user"}]},
    ],
)
def test_a_request_that_no_model_can_be_asked_is_refused(asked: object) -> None:
    with pytest.raises(ModelInputInvalid):
        read_prompt(msgspec.json.encode(asked))


DEEP = b'{"prompt": "a", "schema": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"prompt": "\xff"}', b'{"prompt": NaN}', DEEP])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ModelInputInvalid):
        read_prompt(body)


def test_other_tensors_than_one_text_are_refused() -> None:
    text = join_text(['{"prompt": "a"}'])
    for tensors in (
        [],
        [Tensor(REQUEST, INT64, (), bytes(8))],
        [Tensor("x", STRING, (1,), text)],
        [Tensor(REQUEST, STRING, (2,), text + text)],
        [Tensor(REQUEST, STRING, (1,), text), Tensor("y", STRING, (1,), text)],
    ):
        with pytest.raises(ModelInputInvalid):
            read_prompt(encode_tensors(tensors), Encoding.TENSOR)
    with pytest.raises(ModelInputInvalid):
        read_prompt(b"once", Encoding.BYTES)


def test_a_schema_leaves_no_room_for_white_space_unless_it_says_so() -> None:
    kind, text = Prompt(prompt="a", schema={"type": "object"}).guide or ("", "")
    assert (kind, msgspec.json.decode(text)["x-guidance"]) == ("json_schema", {"whitespace_flexible": False})
    own = {"x-guidance": {"whitespace_flexible": True}}
    _, text = Prompt(prompt="a", schema={"type": "object", **own}).guide or ("", "")
    assert msgspec.json.decode(text)["x-guidance"] == own["x-guidance"]
    assert Prompt(prompt="a", regex="b").guide == ("regex", "b")
    assert Prompt(prompt="a", grammar='start: "b"').guide == ("lark_grammar", 'start: "b"')
