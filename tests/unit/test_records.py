"""The nouns."""

import inspect
from typing import get_args, get_type_hints

import msgspec
import pytest

from tickwork import records
from tickwork.records import AgentSpec, FrameKind, Header, Input, Refusal

STRUCTS = [
    item
    for _, item in inspect.getmembers(records, inspect.isclass)
    if issubclass(item, msgspec.Struct) and item.__module__ == records.__name__
]
PLAIN = {int, str, bytes, bool}


def leaves(kind: object) -> set[object]:
    """Return the types a field is made of."""
    parts = [part for part in get_args(kind) if part is not Ellipsis]
    return set().union(*(leaves(part) for part in parts)) if parts else {kind}


@pytest.mark.parametrize("struct", STRUCTS)
def test_every_noun_is_frozen(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.frozen


@pytest.mark.parametrize("struct", STRUCTS)
def test_no_noun_holds_a_float_a_map_or_a_set(struct: type[msgspec.Struct]) -> None:
    for name, kind in get_type_hints(struct).items():
        if name.startswith("__"):
            continue
        for leaf in leaves(kind):
            # What windows hold travels beside the records and enters none; it may be bytes that nobody copies.
            lent = leaf is memoryview and struct in (records.View, records.Written)
            assert leaf in PLAIN or leaf in STRUCTS or lent, name


def test_what_is_journaled_is_encoded_by_position() -> None:
    for struct in (Input, records.Derived, Header, AgentSpec, records.Effect, records.Environment):
        assert struct.__struct_config__.array_like


def test_kinds_of_the_abi_leave_the_users_range_free() -> None:
    assert all(kind < 0x8000 for kind in FrameKind)


def test_numbers_that_modules_are_compiled_with_do_not_change() -> None:
    assert {kind.name: int(kind) for kind in FrameKind} == {
        "SEND": 1,
        "PUBLISH": 2,
        "PUBLISH_RETAINED": 3,
        "JOIN": 4,
        "LEAVE": 5,
        "SPAWN": 6,
        "EXIT": 7,
        "TIMER": 8,
        "TASK": 9,
        "INFER": 10,
        "SKILL": 11,
        "WINDOW_WRITE": 12,
        "LOG": 13,
        "METRIC": 14,
        "MESSAGE": 32,
        "RESULT": 33,
        "ERROR": 34,
        "TIMER_FIRED": 35,
        "RETAINED": 36,
        "WINDOW_EPOCH": 37,
        "CONFIG": 38,
        "TASK_READY": 39,
    }
    assert [int(code) for code in Refusal] == [-n for n in range(1, 13)]
    assert (records.AGAIN, records.UNTIL_MESSAGE) == (0x7FFFFFFE, 0x7FFFFFFF)
    assert (records.OUTSIDE, records.DIRECT, records.RAW_AGENT) == (0xFFFFFFFF, 0xFFFFFFFF, 0x80000000)
