"""One plan's names: what its expressions may read, what that promises, and which steps it makes them wait for."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from ..driver.faults import choose, nearest
from ..driver.places import Path
from . import cel, templates
from .errors import ExpressionInvalid
from .plan_faults import PlanFault
from .plan_inputs import promise_of_input
from .plan_types import ANYTHING, Kinds, Promise, element, kinds_of, member, of_members, promise_of
from .tables import PlanTable

OUTSIDE: Final = frozenset(("goal", "inputs", "steps"))
"""What every expression of a plan may read."""

STEP_MEMBERS: Final = ("error", "output", "status")

_WHERE: Final[Mapping[str, str]] = {
    "error": "error is known in a fallback",
    "index": "index is known in a step with for_each",
    "item": "item is known in a step with for_each",
    "result": "result is known in outputs of a step, and in compensate",
    "params": "params is known in the rules of agents and skills",
    "labels": "labels is known in the rules of agents and skills",
}
_TEXT: Final = promise_of({"type": "string"})
_ERROR: Final = promise_of(
    {
        "type": ["object", "null"],
        "properties": {name: {"type": "string"} for name in ("code", "message", "source")},
        "additionalProperties": False,
    }
)
_BOOLEAN: Final = frozenset(("boolean",))
_ARRAY: Final = frozenset(("array",))


class Place(msgspec.Struct, frozen=True):
    """Where an expression stands.

    Attributes:
        step: Id of the step; empty for the plan's own.
        names: Variables beside those that are known everywhere.
        itself: Whether the step's own output may be read.
        item: What an element of ``for_each`` promises.
    """

    path: Path
    step: str = ""
    names: frozenset[str] = frozenset()
    itself: bool = False
    item: Promise = ANYTHING

    def inside(self, *keys: str | int) -> "Place":
        """Return the place below this one."""
        return msgspec.structs.replace(self, path=(*self.path, *keys))


class Scope:
    """The names of one plan.

    Args:
        output_of: Gives what the output of a step promises.
        faults: Where faults are put.
    """

    def __init__(self, table: PlanTable, output_of: Callable[[int], Promise], faults: list[PlanFault]) -> None:
        self.table = table
        self.places = {step.id: index for index, step in reversed(list(enumerate(table.steps)))}
        self._output_of = output_of
        self._faults = faults
        self._outputs: dict[str, Promise] = {}

    def fault(self, place: Place, what: str, why: str = "", fix: str = "") -> None:
        """Note a fault."""
        self._faults.append(PlanFault(place.path, what, why, fix, place.step))

    @cached_property
    def inputs(self) -> Promise:
        """What the plan's inputs promise."""
        return of_members({name: promise_of_input(declared) for name, declared in self.table.inputs.items()})

    def expression(self, source: str, place: Place, wanted: Kinds | None = None) -> set[int]:
        """Check an expression, and return the steps that it reads."""
        kinds = self.kinds(source, place)
        if wanted is not None and kinds is not None and not kinds & wanted:
            name = "true or false" if wanted == _BOOLEAN else "a list"
            self.fault(place, f"the expression does not come to {name}", "", f"write one that comes to {name}")
        return self._read(source, place)

    def condition(self, source: str, place: Place) -> set[int]:
        """Check an expression that has to come to true or false."""
        return self.expression(source, place, _BOOLEAN)

    def sequence(self, source: str, place: Place) -> set[int]:
        """Check an expression that has to come to a list."""
        return self.expression(source, place, _ARRAY)

    def value(self, value: Any, place: Place) -> set[int]:
        """Check the templates of a value, and return the steps that they read."""
        reads = set[int]()
        for text, inside in templates.texts(value):
            here = place.inside(*inside)
            try:
                parts = templates.split(text)
            except ExpressionInvalid as error:
                self.fault(here, error.what, error.where, error.fix)
                continue
            for part in parts:
                if part.is_expression:
                    reads |= self._read(part.text, here)
        return reads

    def expected(self, text: str, place: Place) -> Kinds | bool | None:
        """Return the kinds that a text may come to; None for any, False for a text without templates."""
        if "${" not in text:
            return False
        try:
            source = templates.single(text)
        except ExpressionInvalid:
            return None
        return frozenset(("string",)) if source is None else self.kinds(source, place)

    def kinds(self, source: str, place: Place) -> Kinds | None:
        """Return the kinds that an expression may come to; None for any, or where it cannot be read."""
        try:
            compiled = cel.compile_expression(source)
        except ExpressionInvalid:
            return None
        return kinds_of(self.promise(compiled.direct, place)) if compiled.direct else compiled.kinds

    def element_of(self, source: str, place: Place) -> Promise:
        """Return what an element promises of the list that an expression comes to."""
        try:
            compiled = cel.compile_expression(source)
        except ExpressionInvalid:
            return ANYTHING
        return element(self.promise(compiled.direct, place)) if compiled.direct else ANYTHING

    def promise(self, path: tuple[str | int, ...], place: Place) -> Promise:
        """Return what members and indices lead to; anything where they lead nowhere."""
        found = self._root(str(path[0]), "".join(map(str, path[1:2])), place)
        start = 2 if path[0] == "steps" else 1
        for part in path[start:]:
            inner = member(found, part) if isinstance(part, str) else element(found)
            if isinstance(inner, str):
                return ANYTHING
            found = inner
        return found

    def _root(self, root: str, name: str, place: Place) -> Promise:
        """Return what a variable promises; of the steps, what the one of a name does."""
        if root == "inputs":
            return self.inputs
        if root == "steps" and name in self.places:
            return self._step(name)
        return {"item": place.item, "goal": _TEXT, "error": _ERROR}.get(root, ANYTHING)

    def _step(self, name: str) -> Promise:
        found = self._outputs.get(name)
        if found is None:
            # Set before it is found out, since outputs of a step may read the step itself by mistake.
            self._outputs[name] = ANYTHING
            output = self._output_of(self.places[name])
            found = self._outputs[name] = of_members({"output": output, "status": _TEXT, "error": _ERROR})
        return found

    def _read(self, source: str, place: Place) -> set[int]:
        """Check what an expression reads, and return the steps among it."""
        try:
            compiled = cel.compile_expression(source)
        except ExpressionInvalid as error:
            self.fault(place, error.what, "; ".join(filter(None, (error.why, error.where))), error.fix)
            return set()
        reads = set[int]()
        for path in compiled.paths:
            if path[0] not in OUTSIDE and path[0] not in place.names:
                known = ", ".join(sorted(OUTSIDE | place.names))
                self.fault(place, f"{path[0]} is not known here", _WHERE.get(path[0], ""), f"known here: {known}")
            elif path[0] == "steps":
                reads |= self._read_step(path, place)
            else:
                self._follow(path, 1, place)
        return reads

    def _read_step(self, path: tuple[str, ...], place: Place) -> set[int]:
        name = path[1]
        if name not in self.places:
            fix = choose(name, self.places, "add it")
            self.fault(place, f"there is no step {name}", ".".join(path), fix)
            return set()
        if name == place.step and not place.itself:
            self.fault(place, f"{name} reads itself", ".".join(path), "read another step")
            return set()
        if len(path) < 3:
            what = f"steps.{name} is read as a whole"
            self.fault(place, what, "a step has output, status and error", f"write steps.{name}.output")
        elif path[2] not in STEP_MEMBERS:
            why = "a step has output, status and error"
            meant = nearest(path[2], STEP_MEMBERS) or f"output.{path[2]}"
            self.fault(place, f"steps.{name} has no {path[2]}", why, f"write steps.{name}.{meant}")
        else:
            self._follow(path, 2, place)
        return set() if name == place.step else {self.places[name]}

    def _follow(self, path: tuple[str, ...], start: int, place: Place) -> None:
        """Note a member that is read and cannot be there."""
        found = self._root(path[0], path[1] if start > 1 else "", place)
        for depth in range(start, len(path)):
            inner = member(found, path[depth])
            if isinstance(inner, str):
                what = f"{'.'.join(path[:depth])} has no {path[depth]}"
                _, _, fix = inner.partition("; ")
                self.fault(place, what, inner.partition("; ")[0], fix or "read what is there")
                return
            found = inner
