"""What an expression may cost at most, reckoned from its tree and the sizes of what it reads, before it is evaluated.

The engine of CEL counts the rounds of loops and nothing else: ten calls of ``map`` one after the other, each writing
``a + a + a``, are thirty rounds and make gigabytes. Here every node has an upper bound of its value's size and of the
work it takes. A size inside a loop is a sum over the sizes of the elements of the loops around it, so that
``rows.map(r, r.name)`` is found to be as large as ``rows``, and not as the square of it.

Invariants:
    * A bound is never too small. It may be too large, and then an expression is refused that would have ended well.
    * It follows from the tree and the sizes alone, and so is the same on every machine.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from .cel_tree import Call, ListNode, Literal, Loop, MapNode, Name, Node, Path, Pattern, Select, path_of, walk

MAX_WEIGHT: Final = 4 << 20
"""How large any value of an expression may become. Units: bytes, as JSON."""

MAX_WORK: Final = 1 << 26
"""Bytes that are read, compared or written; a tenth of a second here."""

MAX_ROUNDS: Final = 10_000
"""Rounds of all loops together, after which the engine itself stops."""

COPY_WORK: Final = 16
"""What it takes to copy an element of a list in the engine, for each round of ``map`` and ``filter``."""

SCALAR_WEIGHT: Final = 32
"""Size of a number, a truth or a point in time, at most."""

_SCALAR: Final = frozenset(
    "_==_ _!=_ _<_ _<=_ _>_ _>=_ _-_ _*_ _/_ _%_ -_ !_ _&&_ _||_ @in @not_strictly_false size startsWith endsWith type "
    "int uint double bool duration timestamp getFullYear getMonth getDate getDayOfMonth getDayOfYear getDayOfWeek "
    "getHours getMinutes getSeconds getMilliseconds math.@max math.@min math.ceil math.floor math.round math.trunc "
    "math.abs math.sign math.isNaN math.isInf math.isFinite".split()
)
_SUM: Final = frozenset("_+_ string bytes dyn lowerAscii upperAscii trim substring charAt reverse".split())
_WIDER: Final = frozenset(("split", "strings.quote"))
_SEARCH: Final = frozenset(("contains", "indexOf", "lastIndexOf"))
_PRODUCT: Final = frozenset(("matches", "replace", "join", *_SEARCH))

FUNCTIONS: Final = _SCALAR | _SUM | _WIDER | _PRODUCT | {"_?_:_", "_[_]"}
"""What may be called. The rest of the engine's functions look at the machine's time zones or have no bound."""


class Size(msgspec.Struct, frozen=True):
    """A bound: ``constant`` plus, for each loop that is named, a multiple of the weight of its element."""

    constant: int = 0
    parts: tuple[tuple[int, int], ...] = ()


class Reckoned(msgspec.Struct, frozen=True):
    """Bounds of a node.

    Attributes:
        weight: How large its value is.
        count: How many elements it has of its own.
        work: What it takes to come to it.
        pattern: Which part of a variable it is, where that is known.
    """

    weight: Size
    count: Size
    work: Size
    pattern: Pattern | None = None


class Excess(msgspec.Struct, frozen=True):
    """What is too much: ``size`` or ``work``, and how much it may be."""

    kind: str
    amount: int


_NONE: Final = Size()
_ONE: Final = Size(1)


def is_linear(tree: Node) -> bool:
    """Return whether nothing in a tree makes more than what is written there together."""
    return not any(
        isinstance(node, Loop) or (isinstance(node, Call) and node.function in _PRODUCT) for node in walk(tree)
    )


Measure = Callable[[Path], tuple[int, int]]
"""Gives weight and count of what a path leads to."""


Look = Callable[[Pattern], tuple[int, int]]
"""Gives, of everything that a pattern leads to, the number of elements of the longest and the heaviest element."""


def reckon(tree: Node, measure: Measure, look: Look | None = None) -> tuple[int, int]:
    """Return how large a value on the way may become at most, and how much work all of it is.

    Args:
        look: Makes the bounds closer; without it, one element may be as heavy as all of them.

    Law: whatever the tree comes to is not larger, as JSON.
    """
    reckoning = _Reckoning(measure, look)
    work = reckoning.number(reckoning.node(tree, {}).work)
    return reckoning.heaviest, work


def find_excess(tree: Node, measure: Measure, look: Look) -> Excess | None:
    """Return what a tree would use too much of, or None where it can be evaluated."""
    size, work = reckon(tree, measure)
    if size > MAX_WEIGHT or work > MAX_WORK:
        # To weigh every element takes time, and is needed only where loops lie within each other.
        size, work = reckon(tree, measure, look)
    if size > MAX_WEIGHT:
        return Excess("size", size)
    return Excess("work", work) if work > MAX_WORK else None


class _Reckoning:
    """One look at a tree. A loop is known by its number, and ``most`` holds the largest weight of its elements."""

    def __init__(self, measure: Measure, look: Look | None) -> None:
        self.measure = measure
        self.look = look
        self.most: list[int] = []
        self.heaviest = 0

    def number(self, size: Size) -> int:
        """Return a bound without loops."""
        return size.constant + sum(factor * self.most[loop] for loop, factor in size.parts)

    def times(self, left: Size, right: Size) -> Size:
        """Return a bound of a product. The weight of one of two elements is taken for the largest there is."""
        total = Size(left.constant * right.constant)
        for loop, factor in left.parts:
            total = _plus(total, Size(0, ((loop, factor * self.number(right)),)))
        for loop, factor in right.parts:
            total = _plus(total, Size(0, ((loop, factor * left.constant),)))
        return total

    def node(self, node: Node, bound: Mapping[str, Reckoned]) -> Reckoned:
        """Return the bounds of a node, of which a loop's variables are known."""
        found = self.bounds(node, bound)
        self.heaviest = max(self.heaviest, self.number(found.weight))
        return found

    def bounds(self, node: Node, bound: Mapping[str, Reckoned]) -> Reckoned:
        path = path_of(node)
        if path is not None and path[0] not in bound:
            weight, count = self.measure(path)
            return Reckoned(Size(weight), Size(count), _ONE, path)
        match node:
            case Name():
                return bound[node.name]
            case Literal():
                return Reckoned(Size(node.size + 2), Size(node.size), _ONE)
            case Select():
                return _member(self.node(node.operand, bound), node.member)
            case ListNode() | MapNode():
                inner = [self.node(item, bound) for item in node.items]
                written = _sum([Size(2 + len(inner)), *(item.weight for item in inner)])
                return Reckoned(written, Size(len(inner)), _sum([Size(1 + len(inner)), *(item.work for item in inner)]))
            case Call():
                return self.call(node, [self.node(argument, bound) for argument in node.arguments])
            case Loop():
                return self.loop(node, bound)

    def call(self, node: Call, given: list[Reckoned]) -> Reckoned:
        weight = _sum([item.weight for item in given])
        work = _sum([_ONE, *(item.work for item in given)])
        match node.function:
            case "_?_:_":
                _, yes, no = given
                return Reckoned(_most(yes.weight, no.weight), _most(yes.count, no.count), work)
            case "_[_]":
                key = node.arguments[1]
                found = _member(given[0], key.text if isinstance(key, Literal) else None)
                return msgspec.structs.replace(found, work=work)
            case "_&&_" | "_||_" | "!_" | "@not_strictly_false":
                return Reckoned(Size(SCALAR_WEIGHT), _NONE, work)
            case name if name in _PRODUCT:
                return self.product(node, given, work)
            case name if name in _SCALAR:
                return Reckoned(Size(SCALAR_WEIGHT), _NONE, _plus(work, weight))
            case _:
                wide = _plus(_plus(weight, weight), Size(2)) if node.function in _WIDER else weight
                count = wide if node.function in _WIDER else _sum([item.count for item in given])
                return Reckoned(_plus(wide, Size(SCALAR_WEIGHT)), count, _plus(work, wide))

    def product(self, node: Call, given: list[Reckoned], work: Size) -> Reckoned:
        """Return the bounds of what takes each of one argument with each of another."""
        text = given[0]
        other = given[1].weight if len(given) > 1 else _ONE
        match node.function:
            case "join":
                weight = _plus(text.weight, self.times(text.count, other))
                return Reckoned(weight, weight, _plus(work, weight))
            case "replace":
                weight = self.times(_plus(text.weight, _ONE), _plus(given[2].weight, _ONE))
                return Reckoned(weight, weight, _plus(work, _plus(weight, other)))
            case "matches":
                pattern = _pattern_size(node.arguments[1], other)
                each = _divided(pattern, 64)
                work = _sum([work, self.times(text.weight, each), _times(pattern, 64)])
            case _:
                work = _plus(work, self.times(text.weight, _divided(other, 16)))
        return Reckoned(Size(SCALAR_WEIGHT), _NONE, work)

    def loop(self, node: Loop, bound: Mapping[str, Reckoned]) -> Reckoned:
        over = self.node(node.over, bound)
        start = self.node(node.start, bound)
        number = len(self.most)
        heaviest, rounds = self.number(over.weight), over.count
        if self.look is not None and over.pattern is not None:
            longest, heaviest = self.look(over.pattern)
            rounds = Size(longest)
        if not rounds.parts:
            # The engine's own bound says less than how the rounds follow from what a loop around this one goes over.
            rounds = Size(min(rounds.constant, MAX_ROUNDS))
        self.most.append(heaviest)
        element = Size(0, ((number, 1),))
        within = None if over.pattern is None else (*over.pattern, None)
        inner = {**bound, node.variable: Reckoned(element, element, _ONE, within), node.total: _NOTHING}
        going, step = self.node(node.going, inner), self.node(node.step, inner)

        def over_all(size: Size) -> Size:
            rest = Size(size.constant, tuple(part for part in size.parts if part[0] != number))
            factor = dict(size.parts).get(number, 0)
            return _plus(self.times(rounds, rest), _times(over.weight, factor))

        total = Reckoned(_plus(start.weight, over_all(step.weight)), _plus(start.count, over_all(step.count)), _ONE)
        result = self.node(node.result, {**bound, node.total: total})
        each = over_all(_sum([_ONE, going.work, step.work]))
        if isinstance(node.start, ListNode):
            # The engine copies the list that comes together in every round.
            each = _plus(each, _times(self.times(rounds, rounds), COPY_WORK))
        return Reckoned(result.weight, result.count, _sum([over.work, start.work, each, result.work]))


_NOTHING: Final = Reckoned(_NONE, _NONE, _ONE)
"""What has come together before the first round: a step adds to it, so its own bound is what it adds."""


def _member(found: Reckoned, name: str | None) -> Reckoned:
    pattern = None if found.pattern is None else (*found.pattern, name)
    return Reckoned(found.weight, found.weight, _plus(found.work, _ONE), pattern)


def _pattern_size(pattern: Node, weight: Size) -> Size:
    """Return how large a pattern is once its counted repetitions are written out, which the engine does."""
    if not isinstance(pattern, Literal) or pattern.text is None:
        return _times(weight, 1000)
    factor = 1
    for part in pattern.text.split("{")[1:]:
        numbers = part.partition("}")[0].split(",")
        factor *= max([1, *(int(number) for number in numbers if number.isdecimal() and len(number) < 5)])
    # The engine refuses a pattern in which they come to more.
    return _times(weight, min(factor, 1000))


def _plus(left: Size, right: Size) -> Size:
    if not left.parts and not right.parts:
        return Size(left.constant + right.constant)
    parts = dict(left.parts)
    for loop, factor in right.parts:
        parts[loop] = parts.get(loop, 0) + factor
    return Size(left.constant + right.constant, tuple(parts.items()))


def _most(left: Size, right: Size) -> Size:
    parts = dict(left.parts)
    for loop, factor in right.parts:
        parts[loop] = max(parts.get(loop, 0), factor)
    return Size(max(left.constant, right.constant), tuple(parts.items()))


def _sum(sizes: list[Size]) -> Size:
    total = _NONE
    for size in sizes:
        total = _plus(total, size)
    return total


def _times(size: Size, factor: int) -> Size:
    return Size(size.constant * factor, tuple((loop, part * factor) for loop, part in size.parts)) if factor else _NONE


def _divided(size: Size, divisor: int) -> Size:
    """Return a bound of one and a part of a size."""
    return Size(1 + size.constant // divisor, tuple((loop, -(-part // divisor)) for loop, part in size.parts))
