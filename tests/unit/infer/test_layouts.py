"""Bodies that look like the one before."""

from hypothesis import given
from hypothesis import strategies as st

from tickwork.errors import ModelInputInvalid
from tickwork.infer.layouts import Memo, encode_alike
from tickwork.infer.manifest import Port
from tickwork.infer.ports import Value, match_inputs
from tickwork.tensors import (
    FLOAT32,
    STRING,
    UINT8,
    Tensor,
    bytes_needed,
    decode_tensors,
    encode_tensors,
    join_text,
)

PORTS = (Port("a", UINT8, ("n",)), Port("b", FLOAT32, ("n", 2)))


def make(name: str, dtype: int, shape: tuple[int, ...], fill: int) -> Tensor:
    return Tensor(name, dtype, shape, bytes([fill]) * bytes_needed(dtype, shape))


BODIES = st.builds(
    lambda a, b, n, m, fill, swap: encode_tensors(
        [make(a, UINT8, (n,), fill), make(b, FLOAT32, (m, 2), fill)][:: -1 if swap else 1]
    ),
    st.sampled_from(["a", "", "b"]),
    st.sampled_from(["b", "", "bb"]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 255),
    st.booleans(),
)


def plainly(body: bytes) -> dict[str, Value] | None:
    try:
        return match_inputs(decode_tensors(body), PORTS)
    except ModelInputInvalid:
        return None


@given(st.lists(BODIES, min_size=2, max_size=8))
def test_what_is_recalled_is_what_reading_gives(bodies: list[bytes]) -> None:
    memo = Memo()
    for body in bodies:
        recalled, read = memo.recall(body), plainly(body)
        assert recalled is None or recalled == read
        if read is not None:
            memo.learn(body, decode_tensors(body), read)
            assert memo.recall(body) == read


def test_a_body_that_was_never_seen_is_not_recalled() -> None:
    assert Memo().recall(b"") is None


def test_text_is_read_each_time() -> None:
    memo, port = Memo(), Port("t", STRING, ("n",))
    body = encode_tensors([Tensor("t", STRING, (1,), join_text(["ab"]))])
    tensors = decode_tensors(body)
    memo.learn(body, tensors, match_inputs(tensors, [port]))
    assert memo.recall(body) is None


@given(st.lists(st.builds(make, st.text(max_size=9), st.sampled_from([UINT8, FLOAT32]), st.just((3,)), st.just(7))))
def test_what_is_written_is_what_writing_gives(tensors: list[Tensor]) -> None:
    assert encode_alike(tensors) == encode_tensors(tensors)
