"""The encoder: canonical bytes, layouts, chains."""

import hashlib
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork import codec
from tickwork.codec import CodecError
from tickwork.driver.resolve import new_header
from tickwork.records import DETACH_BYTES, AgentSpec, Derived, Environment, Frame, Input, Message, Outcome, Status

u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
inputs = st.builds(
    Input,
    st.integers(0, 20),
    st.text(max_size=10),
    st.text(max_size=10),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-20, 20),
    st.integers(0, 4),
    st.binary(max_size=50),
)
deriveds = st.builds(
    Derived, st.integers(0, 30), st.integers(-1, 99), u32, u64, st.text(max_size=9), st.binary(max_size=32)
)
messages = st.builds(Message, st.integers(0, 65535), st.integers(0, 65535), u32, u32, u64, u64, st.binary(max_size=70))
HEADER = new_header("codec", 9, (AgentSpec("a", "native", "x:Y", bytes(32)),))


@given(st.lists(inputs, max_size=5))
def test_inputs_come_back_as_they_were(items: list[Input]) -> None:
    encoded = codec.encode_inputs(items)
    assert codec.decode_inputs(encoded) == tuple(items)
    assert codec.encode_inputs(codec.decode_inputs(encoded)) == encoded


@given(st.lists(deriveds, max_size=5))
def test_derived_records_come_back_as_they_were(items: list[Derived]) -> None:
    assert codec.decode_derived(codec.encode_derived(items)) == tuple(items)


@given(inputs, st.booleans())
def test_a_detached_body_comes_back(item: Input, large: bool) -> None:
    if large:
        item = msgspec.structs.replace(item, body=bytes(DETACH_BYTES + 1))
    kept, body = codec.detach_input(item)
    assert (body is not None) == large
    assert kept.size == len(item.body)
    assert codec.attach_input(kept, body) == msgspec.structs.replace(item, size=len(item.body))


@pytest.mark.parametrize(("size", "detached"), [(DETACH_BYTES, False), (DETACH_BYTES + 1, True)])
def test_a_body_is_detached_from_one_byte_more_than_the_bound(size: int, detached: bool) -> None:
    body = bytes(size)
    assert (codec.detach_input(Input(1, "x", body=body))[1] is not None) == detached
    parts: list[bytes] = []
    assert (codec.encode_turn(0, 1, Outcome(0, 0, 0, body), 0, parts) is not None) == detached


@given(
    st.lists(
        st.tuples(
            u32,
            st.integers(0, 2),
            st.sampled_from(list(Status)),
            st.integers(-(2**31), 2**31 - 1),
            u64,
            st.one_of(st.binary(max_size=60), st.just(bytes(DETACH_BYTES + 8))),
        ),
        max_size=4,
    )
)
def test_turns_come_back_as_they_were(items: list[tuple[int, int, int, int, int, bytes]]) -> None:
    parts: list[bytes] = []
    for agent, operation, status, code, charged, outbox in items:
        codec.encode_turn(agent, operation, Outcome(status, code, 5, outbox), charged, parts)
    records = list(codec.decode_turns(b"".join(parts)))
    for (agent, operation, status, code, charged, outbox), record in zip(items, records, strict=True):
        assert (record.agent, record.operation, record.charged, record.size) == (agent, operation, charged, len(outbox))
        assert (record.outcome.status, record.outcome.code) == (status, code)
        if record.digest:
            assert (record.digest, record.outcome.outbox) == (hashlib.sha256(outbox).digest(), b"")
        else:
            assert record.outcome.outbox == outbox


@given(st.lists(messages, max_size=5))
def test_frames_come_back_as_they_were_and_are_aligned(items: list[Message]) -> None:
    encoded = b"".join(
        codec.encode_frame(m.kind, m.encoding, m.source, m.destination, m.seq, m.tick, m.body) for m in items
    )
    assert len(encoded) % 8 == 0
    assert list(codec.decode_frames(encoded)) == items


@given(st.binary(max_size=200))
def test_no_decoder_trusts_a_byte(data: bytes) -> None:
    for decode in (
        codec.decode_inputs,
        codec.decode_derived,
        codec.decode_header,
        codec.decode_environment,
        codec.decode_hints,
        lambda raw: list(codec.decode_turns(raw)),
        lambda raw: list(codec.decode_frames(raw)),
    ):
        with suppress(CodecError):
            decode(data)


def turn_record() -> bytes:
    parts: list[bytes] = []
    codec.encode_turn(3, 1, Outcome(0, 0, 0, b"outbox"), 0, parts)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (turn_record()[:10], "cut off"),
        (turn_record()[:-1], "past the end"),
        (codec.TURN.pack(0, 99, 0, 0, 0, 0), "status 99"),
        (codec.TURN.pack(0, 0, codec.TURN_DETACHED, 0, 3, 0) + b"abc", "names no content"),
    ],
)
def test_a_torn_turn_is_refused_with_its_place(data: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        list(codec.decode_turns(data))


@pytest.mark.parametrize("size", [0, 31, 33, 2**32 - 1])
def test_a_frame_of_a_wrong_size_is_refused(size: int) -> None:
    with pytest.raises(CodecError, match="size"):
        list(codec.decode_frames(codec.FRAME.pack(size, 1, 0, 0, 0, 0, 0)))


def test_layouts_have_the_sizes_of_the_abi() -> None:
    sizes = (codec.FRAME.size, codec.CONTEXT.size, codec.DESCRIPTOR.size, codec.TURN.size, codec.DETACHED.size)
    assert sizes == (32, 64, 32, 24, 36)
    assert codec.CONTEXT.unpack(codec.CONTEXT.pack(*range(1, 10)))[7:] == (8, 9)
    output = codec.CONTEXT.pack(*range(1, 10))[codec.CONTEXT_OUTPUT_OFFSET :][: codec.CONTEXT_OUTPUT.size]
    assert codec.CONTEXT_OUTPUT.unpack(output) == (8, 9)


def test_the_header_comes_back_and_a_longer_one_of_a_later_minor_version_is_read() -> None:
    encoded = codec.encode(HEADER)
    assert codec.decode_header(encoded) == HEADER
    fields = msgspec.msgpack.decode(encoded)
    assert codec.decode_header(msgspec.msgpack.encode([*fields, "later"])) == HEADER


PREVIOUS = (bytes(32), bytes(range(32)))
PARTS = (b"inputs", b"turns", b"derived", b"hints")


@pytest.mark.parametrize("changed", range(4))
def test_d_covers_all_but_hints_and_f_covers_everything(changed: int) -> None:
    one = codec.link(PREVIOUS, 3, *PARTS)
    parts = [part + b"!" if index == changed else part for index, part in enumerate(PARTS)]
    other = codec.link(PREVIOUS, 3, *parts)
    assert (one.d == other.d) == (changed == 3)
    assert one.f != other.f


def test_bytes_that_move_from_one_part_to_the_next_change_d() -> None:
    one = codec.link(PREVIOUS, 3, b"ab", b"c", b"d", b"")
    assert one.d != codec.link(PREVIOUS, 3, b"a", b"bc", b"d", b"").d
    assert one.d != codec.link(PREVIOUS, 3, b"ab", b"", b"cd", b"").d


def test_a_link_depends_on_what_came_before() -> None:
    assert codec.link(PREVIOUS, 3, *PARTS).d != codec.link((bytes(31) + b"x", PREVIOUS[1]), 3, *PARTS).d


def test_the_chain_begins_with_record_0_and_the_environment_is_in_f_alone() -> None:
    header = codec.encode(HEADER)
    one, other = (
        codec.start_chain(header, codec.encode(Environment(run, 0, "", "", "", ""))) for run in ("r_1", "r_2")
    )
    assert one[0] == other[0] == hashlib.sha256(b"TWD1" + header).digest()
    assert one[1] != other[1]


def test_golden_bytes_of_records_do_not_change() -> None:
    item = Input(1, "feed:x", "a", 7, -2, 1, b"body", b"", 4)
    assert codec.encode_inputs((item,)).hex() == "919901a6666565643a78a16107fe01c404626f6479c40004"
    assert codec.encode_derived((Derived(8, -1, 3, 4, "why"),)).hex() == "919608ff0304a3776879c400"
    assert codec.encode_inputs(()) == codec.encode_derived(()) == b"\x90"
    parts: list[bytes] = []
    codec.encode_turn(1, 1, Outcome(2, -3, 0, b""), 4, parts)
    assert b"".join(parts).hex() == "0100000002000001fdffffff000000000400000000000000"
    assert codec.encode_frame(1, 2, 3, 4, 5, 6, b"x").hex() == (
        "2100000001000200030000000400000005000000000000000600000000000000" + "7800000000000000"
    )
    linked = codec.link(PREVIOUS, 3, *PARTS)
    assert isinstance(linked, Frame)
    assert (linked.d.hex()[:16], linked.f.hex()[:16]) == GOLDEN_LINK


GOLDEN_LINK = ("38c9c154cca93599", "c50f87f21e7ab7b6")
