"""Comparing two journals record by record, to the first field that differs."""

from collections.abc import Sequence
from struct import unpack
from typing import Final

import msgspec

from .. import codec
from ..errors import ModelInputInvalid
from ..records import (
    Derived,
    DerivedKind,
    Encoding,
    Frame,
    FrameKind,
    Header,
    Input,
    InputKind,
    Message,
    Operation,
    Status,
)
from ..tensors import BITS, FORMATS, NAMES, Tensor, count_elements, decode_tensors

SHOWN_BYTES: Final = 48
"""A body is shown up to so many bytes."""

SHOWN_TENSORS: Final = 4
SHOWN_ELEMENTS: Final = 6
"""Of tensors so many are shown, and of each so many elements."""

Value = str | int | None


class Divergence(msgspec.Struct, frozen=True):
    """The first difference.

    Attributes:
        tick: -1 for the header.
        record: Which record of the tick: ``inputs[3]``, ``turns[0]``, ``turns[0].outbox[2]``, ``derived[1]``,
            ``header``.
        kind: What sort of record it is.
        field: The first field that differs.
        expected, actual: Its values as a person reads them; None where one side has no such record.
        agent: Name of the agent concerned, or an empty text.
    """

    tick: int
    record: str
    kind: str
    field: str
    expected: Value
    actual: Value
    agent: str = ""

    def sentence(self) -> str:
        """Return the difference as one line."""
        who = f" of agent {self.agent!r}" if self.agent else ""
        place = "in the header" if self.tick < 0 else f"at tick {self.tick}, {self.record} ({self.kind}{who})"
        return f"first difference {place}: {self.field} is {self.actual!r} where {self.expected!r} was recorded"

    @classmethod
    def of_schedule(cls, tick: int, slot: int) -> "Divergence":
        """Return the difference of a schedule that plans other agents than recorded."""
        return cls(tick, f"turns[{slot}]", "schedule", "agent", "as recorded", "another agent or none")


def name_of(header: Header, agent: int) -> str:
    """Return the name of an agent that the header declares, else its number as text."""
    return header.agents[agent].name if 0 <= agent < len(header.agents) else str(agent)


def shown(body: bytes) -> str:
    """Return a body for people: text where it is printable, hexadecimal else, cut to a length."""
    cut = body[:SHOWN_BYTES]
    try:
        text = cut.decode()
        if text.isprintable():
            return text + ("…" if len(body) > SHOWN_BYTES else "")
    except UnicodeDecodeError:
        pass
    return cut.hex() + ("…" if len(body) > SHOWN_BYTES else "")


def shown_as(body: bytes, encoding: int) -> str:
    """Return a body for people: tensors by name, type, shape and first elements, all else as ``shown``."""
    if encoding != Encoding.TENSOR:
        return shown(body)
    try:
        tensors = decode_tensors(body)
    except ModelInputInvalid:
        return shown(body)
    more = ["…"] if len(tensors) > SHOWN_TENSORS else []
    return "; ".join([*map(_shown_tensor, tensors[:SHOWN_TENSORS]), *more])


def _shown_tensor(tensor: Tensor) -> str:
    head = f"{tensor.name} {NAMES[tensor.dtype]} {list(tensor.shape)}".lstrip()
    form = FORMATS.get(tensor.dtype)
    if form is None:
        return head
    count = count_elements(tensor.shape)
    few = min(count, SHOWN_ELEMENTS)
    numbers = unpack(f"<{few}{form}", tensor.data[: few * BITS[tensor.dtype] // 8])
    return " ".join(
        [
            f"{head}:",
            *(f"{x:.6g}" if isinstance(x, float) else str(x) for x in numbers),
            *(["…"] if count > few else []),
        ]
    )


def kind_name(kind: int) -> str:
    """Return the name of a frame kind."""
    return FrameKind(kind).name.lower() if kind in FrameKind._value2member_map_ else f"user {kind:#06x}"


def input_kind_name(kind: int) -> str:
    """Return the name of a kind of input."""
    return InputKind(kind).name.lower() if kind in InputKind._value2member_map_ else str(kind)


def _derived_kind_name(kind: int) -> str:
    return DerivedKind(kind).name.lower() if kind in DerivedKind._value2member_map_ else str(kind)


def _shown_value(value: object) -> Value:
    if isinstance(value, bytes):
        return shown(value)
    return value if isinstance(value, int | str) else str(value)


def compare_headers(one: Header, other: Header) -> Divergence | None:
    """Return the first field in which two headers differ."""
    for field in Header.__struct_fields__:
        expected: Value | bytes | tuple[object, ...] = getattr(one, field)
        actual: Value | bytes | tuple[object, ...] = getattr(other, field)
        if expected == actual:
            continue
        if isinstance(expected, tuple) and isinstance(actual, tuple):
            return _compare_items(field, expected, actual)
        return Divergence(-1, "header", "header", field, _shown_value(expected), _shown_value(actual))
    return None


def _compare_items(field: str, expected: tuple[object, ...], actual: tuple[object, ...]) -> Divergence:
    for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
        if one == other:
            continue
        if isinstance(one, msgspec.Struct) and isinstance(other, msgspec.Struct):
            for name in one.__struct_fields__:
                if getattr(one, name) != getattr(other, name):
                    values = _shown_value(getattr(one, name)), _shown_value(getattr(other, name))
                    return Divergence(-1, "header", "header", f"{field}[{index}].{name}", *values)
        return Divergence(-1, "header", "header", f"{field}[{index}]", _shown_value(one), _shown_value(other))
    return Divergence(-1, "header", "header", f"{field}.length", len(expected), len(actual))


def compare_frames(header: Header, expected: Frame, actual: Frame) -> Divergence | None:
    """Return the first record in which two frames of one tick differ. Order: inputs, turns, derived."""
    tick = expected.tick
    if expected.inputs != actual.inputs:
        return _compare_inputs(tick, codec.decode_inputs(expected.inputs), codec.decode_inputs(actual.inputs))
    if expected.turns != actual.turns:
        return _compare_turns(header, tick, expected.turns, actual.turns)
    if expected.derived != actual.derived:
        one, other = codec.decode_derived(expected.derived), codec.decode_derived(actual.derived)
        return _compare_derived(header, tick, one, other)
    return None


def _fields(
    tick: int, record: str, kind: str, one: msgspec.Struct, other: msgspec.Struct, agent: str = ""
) -> Divergence | None:
    for field in one.__struct_fields__:
        expected, actual = getattr(one, field), getattr(other, field)
        if expected != actual:
            return Divergence(tick, record, kind, field, _shown_value(expected), _shown_value(actual), agent)
    return None


def _length(tick: int, record: str, kind: str, expected: int, actual: int) -> Divergence:
    index = min(expected, actual)
    values = ("present", "absent") if expected > actual else ("absent", "present")
    return Divergence(tick, f"{record}[{index}]", kind, "record", *values)


def _compare_inputs(tick: int, expected: Sequence[Input], actual: Sequence[Input]) -> Divergence | None:
    for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
        kind, found_kind = input_kind_name(one.kind), input_kind_name(other.kind)
        if kind != found_kind:
            return Divergence(tick, f"inputs[{index}]", kind, "kind", kind, found_kind)
        found = _fields(tick, f"inputs[{index}]", kind, one, other)
        if found:
            return found
    return _length(tick, "inputs", "input", len(expected), len(actual))


def _compare_derived(
    header: Header, tick: int, expected: Sequence[Derived], actual: Sequence[Derived]
) -> Divergence | None:
    for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
        kind, found_kind = _derived_kind_name(one.kind), _derived_kind_name(other.kind)
        agent = name_of(header, one.agent)
        if kind != found_kind:
            return Divergence(tick, f"derived[{index}]", kind, "kind", kind, found_kind, agent)
        found = _fields(tick, f"derived[{index}]", kind, one, other, agent)
        if found:
            return found
    return _length(tick, "derived", "derived", len(expected), len(actual))


def _operation_name(operation: int) -> str:
    return Operation(operation).name.lower() if operation in Operation._value2member_map_ else "turn"


def _compare_turns(header: Header, tick: int, expected: bytes, actual: bytes) -> Divergence | None:
    ones, others = list(codec.decode_turns(expected)), list(codec.decode_turns(actual))
    for index, (one, other) in enumerate(zip(ones, others, strict=False)):
        record, agent = f"turns[{index}]", name_of(header, one.agent)
        kind = _operation_name(one.operation)
        for field, left, right in (
            ("agent", agent, name_of(header, other.agent)),
            ("operation", kind, _operation_name(other.operation)),
            ("status", Status(one.outcome.status).name.lower(), Status(other.outcome.status).name.lower()),
            ("code", one.outcome.code, other.outcome.code),
            ("charged", one.charged, other.charged),
            ("digest", one.digest.hex(), other.digest.hex()),
        ):
            if left != right:
                return Divergence(tick, record, kind, field, left, right, agent)
        if one.outcome.outbox != other.outcome.outbox:
            return _compare_outboxes(tick, record, agent, one.outcome.outbox, other.outcome.outbox)
    return _length(tick, "turns", "turn", len(ones), len(others))


def _frames(outbox: bytes) -> list[Message] | None:
    try:
        return list(codec.decode_frames(outbox))
    except codec.CodecError:
        return None


def _compare_outboxes(tick: int, record: str, agent: str, expected: bytes, actual: bytes) -> Divergence:
    ones, others = _frames(expected), _frames(actual)
    if ones is not None and others is not None:
        for index, (one, other) in enumerate(zip(ones, others, strict=False)):
            place = f"{record}.outbox[{index}]"
            if one.kind != other.kind:
                return Divergence(tick, place, kind_name(one.kind), "kind", kind_name(one.kind), kind_name(other.kind))
            found = _fields(tick, place, kind_name(one.kind), one, other, agent)
            if found:
                return found
        if len(ones) != len(others):
            return _length(tick, f"{record}.outbox", "frame", len(ones), len(others))
    return Divergence(tick, record, "turn", "outbox", shown(expected), shown(actual), agent)
