"""Whether an expression goes over the keys of a map, whose order the engine of CEL does not fix.

The engine keeps every map, those that it is given and those that an expression makes, in an order that differs from
process to process. Maps are compared, read and returned in ways that do not show it; a loop over one would.

Invariants:
    * What a loop may go over is either a value that it was given, and looked at before the expression is evaluated, or
      made by the expression, and then known from its tree.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from ..driver.shape import is_array, is_table
from .cel_tree import Call, ListNode, Literal, Loop, MapNode, Name, Node, Pattern, Select, path_of


class Origin(msgspec.Struct, frozen=True):
    """Where a value may come from.

    Attributes:
        made: Whether it may be a map of several entries that the expression makes.
        paths: Parts of variables that it may be.
        inside: Where that may come from what it holds, as far as the expression has put it there.
    """

    made: bool = False
    paths: frozenset[Pattern] = frozenset()
    inside: "Origin | None" = None


NOWHERE: Final = Origin()


class LoopOverMap(Exception):
    """A loop over a map that the expression makes."""


def loops_over(tree: Node) -> frozenset[Pattern]:
    """Return the parts of variables that the loops of an expression go over.

    Raises:
        LoopOverMap: One of them goes over a map that the expression makes.
    """
    found = set[Pattern]()
    _origin(tree, {}, found)
    return frozenset(found)


def matched(value: object, pattern: Pattern) -> list[object]:
    """Return everything that a pattern leads to."""
    level = [value]
    for part in pattern:
        inner: list[object] = []
        for item in level:
            if is_table(item):
                inner += item.values() if part is None else [item[part]] if part in item else []
            elif is_array(item) and part is None:
                inner += item
        level = inner
    return level


def is_several(value: object, pattern: Pattern) -> bool:
    """Return whether what a pattern leads to may be a map of more than one entry."""
    return any(is_table(item) and len(item) > 1 for item in matched(value, pattern))


def _inside(origin: Origin, name: str | None) -> Origin:
    """Return where a member or an element of a value comes from."""
    paths = frozenset((*path, name) for path in origin.paths)
    return _either(Origin(paths=paths), origin.inside or NOWHERE)


def _either(left: Origin, right: Origin) -> Origin:
    inside = left.inside or right.inside
    if left.inside is not None and right.inside is not None:
        inside = _either(left.inside, right.inside)
    return Origin(left.made or right.made, left.paths | right.paths, inside)


def _any_of(found: list[Origin]) -> Origin:
    total = NOWHERE
    for origin in found:
        total = _either(total, origin)
    return total


def _origin(node: Node, bound: Mapping[str, Origin], loops: set[Pattern]) -> Origin:
    path = path_of(node)
    if path is not None and path[0] not in bound:
        return Origin(paths=frozenset((path,)))
    match node:
        case Name():
            return bound[node.name]
        case Select():
            return _inside(_origin(node.operand, bound, loops), node.member)
        case ListNode():
            return Origin(inside=_any_of([_origin(item, bound, loops) for item in node.items]))
        case MapNode():
            # A map of one entry has only one order.
            held = _any_of([_origin(item, bound, loops) for item in node.items])
            return Origin(len(node.items) > 2, inside=held)
        case Call():
            return _of_call(node, bound, loops)
        case Loop():
            return _of_loop(node, bound, loops)
        case Literal():
            return NOWHERE


def _of_call(node: Call, bound: Mapping[str, Origin], loops: set[Pattern]) -> Origin:
    given = [_origin(argument, bound, loops) for argument in node.arguments]
    match node.function:
        case "_?_:_":
            return _either(given[1], given[2])
        case "_+_" | "dyn":
            return _any_of(given)
        case "_[_]":
            key = node.arguments[1]
            return _inside(given[0], key.text if isinstance(key, Literal) else None)
        case _:
            return NOWHERE


def _of_loop(node: Loop, bound: Mapping[str, Origin], loops: set[Pattern]) -> Origin:
    over = _origin(node.over, bound, loops)
    if over.made:
        raise LoopOverMap
    loops |= over.paths
    inner = {**bound, node.variable: _inside(over, None), node.total: NOWHERE}
    start = _origin(node.start, bound, loops)
    _origin(node.going, inner, loops)
    # Twice, since what has come together in one round is there in the next.
    once = _origin(node.step, inner, loops)
    total = _either(start, _origin(node.step, {**inner, node.total: _either(start, once)}, loops))
    return _origin(node.result, {**inner, node.total: total}, loops)
