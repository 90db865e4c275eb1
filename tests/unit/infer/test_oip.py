import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.errors import ModelInputInvalid
from tickwork.infer.manifest import LLM, ModelConfig, Port
from tickwork.infer.oip import (
    CODES,
    TYPES,
    Output,
    Request,
    configuration,
    describe,
    platform,
    read_request,
    write_answer,
)
from tickwork.tensors import (
    BFLOAT16,
    BOOL,
    FLOAT32,
    INT64,
    NAMES,
    STRING,
    UINT8,
    Tensor,
    join_text,
)

FLOAT8 = 17
INT4 = 22


def request_of(*inputs: dict[str, Any], **rest: Any) -> bytes:
    return json.dumps({"inputs": inputs, **rest}).encode()


def an_input(datatype: str, shape: list[int], data: Any = None, **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "x", "datatype": datatype, "shape": shape}
    if data is not None:
        made["data"] = data
    return made | ({"parameters": parameters} if parameters else {})


def back(tensor: Tensor, *, binary: bool) -> Tensor:
    """The tensor as a client would send again what it got."""
    body, length = (
        write_answer(Request("", ()), ("m", "1"), [tensor])
        if not binary
        else write_answer(Request("", (), binary=True), ("m", "1"), [tensor])
    )
    answer = json.loads(body[:length])
    sent = json.dumps({"inputs": answer["outputs"]}).encode()
    tail = b"" if length is None else body[length:]
    (read,) = read_request(sent + tail, len(sent) if tail else None).tensors
    return Tensor(read.name, read.dtype, read.shape, bytes(read.data))


@given(st.lists(st.floats(width=32, allow_nan=False)), st.booleans())
def test_numbers_come_back_as_they_went(values: list[float], binary: bool) -> None:
    tensor = Tensor("x", FLOAT32, (len(values),), struct.pack(f"<{len(values)}f", *values))
    assert back(tensor, binary=binary) == tensor


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.booleans())
def test_texts_come_back_as_they_went(texts: list[str], binary: bool) -> None:
    tensor = Tensor("x", STRING, (len(texts),), join_text(texts))
    assert back(tensor, binary=binary) == tensor


@pytest.mark.parametrize(
    ("dtype", "data"),
    [(INT64, struct.pack("<2q", -(1 << 63), 5)), (BOOL, b"\1\0"), (UINT8, b"\xff\0"), (BFLOAT16, b"\xc0\x3f\x10\xc0")],
)
@pytest.mark.parametrize("binary", [True, False])
def test_every_type_that_json_can_say_goes_either_way(dtype: int, data: bytes, binary: bool) -> None:
    tensor = Tensor("x", dtype, (2,), data)
    assert back(tensor, binary=binary) == tensor


def test_types_without_a_name_in_the_protocol_go_as_bytes_alone() -> None:
    tensor = Tensor("x", INT4, (3,), b"\x21\x03")
    assert back(tensor, binary=True) == tensor
    with pytest.raises(ModelInputInvalid):
        back(tensor, binary=False)
    with pytest.raises(ModelInputInvalid):
        read_request(request_of(an_input(TYPES[FLOAT8], [1], [1])), None)


def test_every_type_has_a_name_and_every_name_one_type() -> None:
    assert TYPES.keys() == NAMES.keys()
    assert {code: CODES[name] for code, name in TYPES.items()} == {code: code for code in NAMES}


def test_lists_may_be_nested_or_flat() -> None:
    flat = read_request(request_of(an_input("FP32", [2, 2], [1, 2, 3, 4])), None)
    assert read_request(request_of(an_input("FP32", [2, 2], [[1, 2], [3, 4]])), None) == flat


def test_numbers_that_json_has_no_word_for_are_taken_and_written_as_triton_does() -> None:
    body = b'{"inputs":[{"name":"x","shape":[4],"datatype":"FP32","data":[NaN,Infinity,-Infinity,null]}]}'
    (tensor,) = read_request(body, None).tensors
    read = struct.unpack("<4f", tensor.data)
    assert math.isnan(read[0])
    assert read[1:3] == (math.inf, -math.inf)
    assert math.isnan(read[3])
    text, _ = write_answer(Request("", ()), ("m", "1"), [tensor])
    assert b"[NaN,Infinity,-Infinity,NaN]" in text


def test_brain_floats_are_rounded_to_even() -> None:
    body = request_of(an_input("BF16", [4], [1.00390625, 1.01171875, None, -0.0]))
    assert bytes(read_request(body, None).tensors[0].data) == b"\x80\x3f\x82\x3f\xc0\x7f\x00\x80"


def test_what_is_asked_of_each_output_is_kept() -> None:
    request = read_request(
        request_of(
            an_input("BOOL", [1], [True]),
            id="seven",
            outputs=[{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}],
            parameters={"timeout": 5, "priority": 1, "anything": "else"},
        ),
        None,
    )
    assert (request.id, request.timeout_us) == ("seven", 5)
    assert request.outputs == (Output("a", True), Output("b", False))
    every = request_of(an_input("BOOL", [1], [True]), outputs=[{"name": "a"}], parameters={"binary_data_output": True})
    assert read_request(every, None).outputs == (Output("a", True),)


@pytest.mark.parametrize(
    "given",
    [
        an_input("FP32", [2], [1]),
        an_input("FP32", [1], ["one"]),
        an_input("FP32", [1], [1e39]),
        an_input("FP31", [1], [1]),
        an_input("UINT8", [1], [256]),
        an_input("UINT8", [1], [1.5]),
        an_input("UINT8", [1], [-1]),
        an_input("BOOL", [1], [2]),
        an_input("BYTES", [1], [1]),
        an_input("INT64", [-1], [1]),
        an_input("FP32", [1]),
        an_input("FP32", [1], binary_data_size=4),
        an_input("FP32", [1], binary_data_size=-4),
        an_input("FP32", [1], binary_data_size="4"),
        an_input("FP32", [1], [1], shared_memory_region="r"),
        an_input("FP32", [1], json.loads("[" * 40 + "1" + "]" * 40)),
        {"name": "x"},
    ],
)
def test_an_input_that_is_not_what_it_says_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ModelInputInvalid):
        read_request(request_of(given), None)


def test_bytes_that_do_not_add_up_are_refused() -> None:
    head = request_of(an_input("FP32", [1], binary_data_size=4))
    assert bytes(read_request(head + b"abcd", len(head)).tensors[0].data) == b"abcd"
    for body, length in ((head + b"abc", len(head)), (head + b"abcde", len(head)), (head, len(head) + 1), (head, -1)):
        with pytest.raises(ModelInputInvalid):
            read_request(body, length)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b"{}", b"[" * 100_000, b'{"inputs":[1]}', b'{"inputs":NaN}',
        b'{"inputs":[],"parameters":{"x":' + DEEP + b"}}", b'{"x":NaN,"inputs":[],"parameters":{"x":' + DEEP + b"}}",
        b'{"x":NaN,"inputs":[{"name":"\\ud800","shape":[1],"datatype":"FP32","data":[1]}]}',
        request_of(outputs=[{"name": "y"}, {"name": "y"}]),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ModelInputInvalid):
        read_request(body, None)


def test_an_output_that_the_model_does_not_have_is_refused() -> None:
    tensor = Tensor("y", FLOAT32, (), bytes(4))
    with pytest.raises(ModelInputInvalid, match="no output 'z'"):
        write_answer(Request("", (), (Output("z", True),)), ("m", "1"), [tensor])


def test_a_models_ports_are_told_in_both_vocabularies() -> None:
    config = ModelConfig(
        name="m",
        version="2",
        inputs=(Port("x", FLOAT32, ("rows", 3, "")), Port("s", STRING, (1,)), Port("u", INT64, ranked=False)),
        outputs=(Port("y", BFLOAT16, ()),),
    )
    told = describe(config, ["1", "2"])
    assert (told["versions"], told["platform"]) == (["1", "2"], "onnxruntime_onnx")
    assert told["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 3, -1]},
        {"name": "s", "datatype": "BYTES", "shape": [1]},
        {"name": "u", "datatype": "INT64", "shape": [-1]},
    ]
    settings = configuration(config)
    assert settings["output"] == [{"name": "y", "data_type": "TYPE_BF16", "dims": []}]
    assert settings["max_batch_size"] == 0
    assert platform(ModelConfig(name="m", version="1", kind=LLM)) == "onnxruntime_genai"
