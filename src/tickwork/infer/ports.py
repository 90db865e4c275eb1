"""A request's tensors set against a model's inputs: which belongs where, and whether it fits.

Shape: an input or output that is no tensor is sent as a head of its name, of one int64, which says how many tensors
follow, each of the same name: as many as a sequence has, one for an optional that is there, and -1 where it is absent.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from ..errors import ModelInputInvalid
from ..tensors import INT64, NAMES, Tensor
from .manifest import Port

ELEMENTS_MOST: Final = 1 << 40
"""Elements that the dimensions of one tensor may multiply to, those that are 0 left out: no product overflows."""

TENSOR: Final = "tensor"
SEQUENCE: Final = "sequence"
OPTIONAL: Final = "optional"
OPTIONAL_SEQUENCE: Final = "optional sequence"
MAP: Final = "map"
"""Kinds of ports. A map is no input that can be given and no output that is passed on."""

Value = Tensor | list[Tensor] | None
"""What a port holds: a tensor, those of a sequence, or nothing."""

_HEAD: Final = struct.Struct("<q")
_ABSENT: Final = -1


def match_inputs(tensors: Sequence[Tensor], ports: Sequence[Port]) -> dict[str, Value]:
    """Return what each input is given, by its name.

    Order: a tensor without a name takes the input at its own place among the tensors.

    Raises:
        ModelInputInvalid: TW6004: an input is missing, unknown or given twice, or a tensor has another type, rank or
            dimension than its input.
    """
    given = dict[str, Value]()
    by_name = {port.name: port for port in ports}
    place = 0
    while place < len(tensors):
        tensor = tensors[place]
        port = by_name.get(tensor.name) if tensor.name else (ports[place] if place < len(ports) else None)
        if port is None:
            raise _unknown(tensor.name, ports)
        if port.name in given:
            raise _unfit(f"the input {port.name!r} is given twice", "each input is given once")
        place += 1
        if port.kind == TENSOR:
            check_fit(tensor, port)
            given[port.name] = tensor
        else:
            value, place = _read_others(port, tensor, tensors, place)
            given[port.name] = value
    if len(given) != len(ports):
        check_complete(given, ports)
    return given


def check_complete(given: Iterable[str], ports: Iterable[Port]) -> None:
    """Refuse a request that leaves out an input.

    Raises:
        ModelInputInvalid: TW6004.
    """
    known = set(given)
    missing = [port.name for port in ports if port.name not in known and not port.optional]
    if missing:
        raise _unfit(f"the input {missing[0]!r} is missing", f"the model takes {_names(ports)}")


def _read_others(port: Port, head: Tensor, tensors: Sequence[Tensor], place: int) -> tuple[Value, int]:
    if port.kind == MAP:
        raise _unfit(f"the input {port.name!r} is a map", "only tensors, sequences and optionals can be given")
    if head.dtype != INT64 or len(head.data) != _HEAD.size:
        raise _unfit(f"the input {port.name!r} has no head", "one int64 says how many tensors follow")
    count = int(_HEAD.unpack(head.data)[0])
    if count == _ABSENT and port.kind in {OPTIONAL, OPTIONAL_SEQUENCE}:
        return None, place
    if count < 0 or count > len(tensors) - place or (port.kind == OPTIONAL and count != 1):
        raise _unfit(f"the head of the input {port.name!r} says {count}", "as many tensors must follow as it says")
    members = list(tensors[place : place + count])
    for member in members:
        if member.name not in {"", port.name}:
            raise _unfit(f"the input {port.name!r} has a member named {member.name!r}", "its members have its name")
        check_fit(member, port)
    return (members[0] if port.kind == OPTIONAL else members), place + count


def check_fit(tensor: Tensor, port: Port) -> None:
    """Refuse a tensor that is not what its input takes.

    Raises:
        ModelInputInvalid: TW6004.
    """
    shape, wanted = tensor.shape, port.shape
    if tensor.dtype != port.dtype:
        raise _unfit(
            f"the input {port.name!r} is given {NAMES[tensor.dtype]}", f"it takes {NAMES.get(port.dtype, 'nothing')}"
        )
    size = 1
    for dimension in shape:
        if dimension:
            size *= dimension
    if size > ELEMENTS_MOST:
        raise _unfit(f"the input {port.name!r} has shape {list(shape)}", f"{ELEMENTS_MOST:,} elements are the most")
    if not port.ranked:
        return
    if len(shape) != len(wanted):
        raise _unfit(
            f"the input {port.name!r} is given rank {len(shape)}", f"it takes rank {len(wanted)}: {shown_shape(port)}"
        )
    for dimension, expected in zip(shape, wanted, strict=True):
        if dimension != expected and isinstance(expected, int):
            raise _unfit(f"the input {port.name!r} is given shape {list(shape)}", f"it takes {shown_shape(port)}")


def spread_outputs(values: Iterable[tuple[Port, Value]]) -> list[Tensor]:
    """Return the tensors of an answer. Law: ``match_inputs`` of them, with the same ports, gives the values again.

    Order: as given, the members of a sequence in their own.
    """
    tensors = list[Tensor]()
    for port, value in values:
        if port.kind == TENSOR and isinstance(value, Tensor):
            tensors.append(value)
            continue
        members = [value] if isinstance(value, Tensor) else (value or [])
        count = _ABSENT if value is None else len(members)
        tensors.append(Tensor(port.name, INT64, (1,), _HEAD.pack(count)))
        tensors += members
    return tensors


def shown_shape(port: Port) -> str:
    """Return a port's shape as people read it: ``[rows, 16]``, with ``?`` for a dimension without a name."""
    if not port.ranked:
        return "any shape"
    return f"[{', '.join(str(dimension) if dimension != '' else '?' for dimension in port.shape)}]"


def _unknown(name: str, ports: Sequence[Port]) -> ModelInputInvalid:
    if not name:
        return _unfit(f"more than {len(ports)} tensors are given", f"the model takes {_names(ports)}")
    return _unfit(f"the model has no input {name!r}", f"it takes {_names(ports)}")


def _names(ports: Iterable[Port]) -> str:
    return ", ".join(f"{port.name!r}" for port in ports) or "no input"


def _unfit(what: str, why: str) -> ModelInputInvalid:
    return ModelInputInvalid(what, why=why, fix="`tickwork model show NAME` lists what the model takes")
