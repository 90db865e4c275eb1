"""The tree of an expression, read from the bytes in which the engine of CEL hands it out.

What an expression reads, and what it may cost, follows from its tree. Source: ``cel/expr/checked.proto`` and
``syntax.proto`` of the specification of CEL, in the encoding of protocol buffers.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

Path = tuple[str, ...]
"""A variable and the members that are read of it one after the other: ``("steps", "load", "output")``."""


Pattern = tuple[str | None, ...]
"""The same, with None standing for any element or member."""


class Literal(msgspec.Struct, frozen=True):
    """A constant of the source. ``text`` is that of a string; ``size`` counts bytes."""

    size: int
    text: str | None = None


class Name(msgspec.Struct, frozen=True):
    """A variable, or a type where a type is written."""

    name: str


class Select(msgspec.Struct, frozen=True):
    """A member, ``operand.member``, or the question whether there is one."""

    operand: "Node"
    member: str


class Call(msgspec.Struct, frozen=True):
    """A function or an operator; what it is called on comes first of the arguments."""

    function: str
    arguments: tuple["Node", ...]


class ListNode(msgspec.Struct, frozen=True):
    """A list that is written out."""

    items: tuple["Node", ...]


class MapNode(msgspec.Struct, frozen=True):
    """A map, or a message, that is written out. Order: key, value, key, value."""

    message: str
    items: tuple["Node", ...]


class Loop(msgspec.Struct, frozen=True):
    """What ``all``, ``exists``, ``exists_one``, ``filter`` and ``map`` are short for.

    Attributes:
        total: Variable that holds what has come together so far.
    """

    variable: str
    over: "Node"
    total: str
    start: "Node"
    going: "Node"
    step: "Node"
    result: "Node"


Node = Literal | Name | Select | Call | ListNode | MapNode | Loop

_CONSTANT, _NAME, _SELECT, _CALL, _LIST, _MAP, _LOOP = range(3, 10)
_STRING, _BYTES = 6, 7
_CHECKED, _PARSED = 4, 2
"""Number of the field that holds the expression, beside what the checker or the parser found out about it."""


def read_tree(serialized: bytes) -> Node:
    """Return the tree of an expression, checked or only parsed."""
    wanted = _CHECKED if _part(serialized, 1).endswith(b".CheckedExpr") else _PARSED
    return _node(_part(_part(serialized, 2), wanted))


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes right below one."""
    match node:
        case Select():
            return (node.operand,)
        case Call():
            return node.arguments
        case ListNode() | MapNode():
            return node.items
        case Loop():
            return (node.over, node.start, node.going, node.step, node.result)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def path_of(node: Node) -> Path | None:
    """Return what a node reads when it is a variable and members of it by name, else None."""
    match node:
        case Name():
            return (node.name,)
        case Select():
            inner = path_of(node.operand)
            return None if inner is None else (*inner, node.member)
        case Call(function="_[_]", arguments=(operand, Literal(text=str(member)))):
            inner = path_of(operand)
            return None if inner is None else (*inner, member)
        case _:
            return None


def paths_read(node: Node, bound: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield every path that is read of variables outside of the expression, the longest that are written."""
    path = path_of(node)
    if path is not None:
        if path[0] not in bound:
            yield path
        return
    if isinstance(node, Loop):
        inner = bound | {node.variable, node.total}
        yield from paths_read(node.over, bound)
        yield from paths_read(node.start, bound)
        for part in (node.going, node.step, node.result):
            yield from paths_read(part, inner)
        return
    for child in children(node):
        yield from paths_read(child, bound)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Return number and bytes of every field; a number is given as no bytes, since none is needed."""
    found: list[tuple[int, bytes]] = []
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        at += 1
        if key >= 0x80:
            key, at = _varint(data, at - 1)
        kind = key & 7
        if kind == 2:
            size = data[at]
            at += 1
            if size >= 0x80:
                size, at = _varint(data, at - 1)
            found.append((key >> 3, data[at : at + size]))
            at += size
        elif kind == 0:
            if data[at] < 0x80:
                at += 1
            else:
                _, at = _varint(data, at)
            found.append((key >> 3, b""))
        elif kind == 1:
            at += 8
            found.append((key >> 3, b""))
        else:
            raise ValueError(f"a field of kind {kind}")
    return found


def _part(data: bytes, number: int) -> bytes:
    for found, value in _fields(data):
        if found == number:
            return value
    return b""


def _node(data: bytes) -> Node:
    for number, value in _fields(data):
        if _CONSTANT <= number <= _LOOP:
            return _READERS[number](value)
    raise ValueError("an empty expression")


def _constant(data: bytes) -> Node:
    for number, value in _fields(data):
        if number == _STRING:
            return Literal(len(value), value.decode())
        if number == _BYTES:
            return Literal(len(value))
    return Literal(1)


def _name(data: bytes) -> Node:
    # A leading dot asks for the outermost variable, and there are no others.
    return Name(_part(data, 1).decode().removeprefix("."))


def _select(data: bytes) -> Node:
    part = dict(_fields(data))
    return Select(_node(part[1]), part[2].decode())


def _call(data: bytes) -> Node:
    function = ""
    arguments: list[Node] = []
    for number, value in _fields(data):
        if number == 2:
            function = value.decode()
        elif number == 1:
            arguments.insert(0, _node(value))
        elif number == 3:
            arguments.append(_node(value))
    return Call(function, tuple(arguments))


def _list(data: bytes) -> Node:
    return ListNode(tuple(_node(value) for number, value in _fields(data) if number == 1))


def _map(data: bytes) -> Node:
    entries = [value for number, value in _fields(data) if number == 2]
    # An entry of a message has a name in place of a key.
    items = [_node(value) for entry in entries for number, value in _fields(entry) if number in (3, 4)]
    return MapNode(_part(data, 1).decode(), tuple(items))


def _loop(data: bytes) -> Node:
    part = dict(_fields(data))
    return Loop(
        variable=part[1].decode(),
        over=_node(part[2]),
        total=part[3].decode(),
        start=_node(part[4]),
        going=_node(part[5]),
        step=_node(part[6]),
        result=_node(part[7]),
    )


_READERS: Final[Mapping[int, Callable[[bytes], Node]]] = {
    _CONSTANT: _constant,
    _NAME: _name,
    _SELECT: _select,
    _CALL: _call,
    _LIST: _list,
    _MAP: _map,
    _LOOP: _loop,
}
