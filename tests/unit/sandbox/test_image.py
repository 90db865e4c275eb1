"""Images: canonical and exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.errors import InternalError
from tickwork.sandbox.image import CHUNK, GLOBAL_BYTES, Image, decode_image, encode_image, memory_bytes

chunks = st.lists(st.sampled_from([bytes(CHUNK), b"\1" * CHUNK, b"\0" * (CHUNK - 1) + b"\2"]), max_size=8)
variables = st.lists(st.binary(min_size=GLOBAL_BYTES, max_size=GLOBAL_BYTES), max_size=4)


@given(chunks=chunks, variables=variables)
def test_an_image_survives_the_round_trip(chunks: list[bytes], variables: list[bytes]) -> None:
    image = Image(b"".join(chunks), b"".join(variables))
    encoded = encode_image(image)
    assert decode_image(encoded) == image
    assert memory_bytes(encoded) == len(image.memory)


def test_zeros_take_no_room() -> None:
    assert len(encode_image(Image(bytes(1 << 20), b""))) == 16


def test_a_damaged_image_is_refused() -> None:
    encoded = encode_image(Image(b"\1" * CHUNK, bytes(GLOBAL_BYTES)))
    for damaged in (encoded[:-1], b"X" + encoded[1:], encoded[:8] + bytes(8) + encoded[16:]):
        with pytest.raises(InternalError):
            decode_image(damaged)
