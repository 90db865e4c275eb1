"""A turn at work: a copy of the state that is changed, what is still to be looked at, and the outbox.

Invariants:
    * The state that a turn was given stays as it was; scopes and items are copied when they are first asked for. The
      turn's own state has its tables as they were until the turn is over.
    * What follows from something is put on a list here and looked at by ``advance.py``, so that nothing is reached by
      a call that the plan decides the depth of.
"""

from collections import deque
from functools import lru_cache
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from ... import codec
from ...native import Context, Outbox, Random
from ..calls import Answer, Failure, SkillCall
from .prepared import Prepared, PreparedPlan, PreparedStep
from .rows import Draft
from .state import ASKED_SKILL, SCOPE_RUNNING, Asked, Item, OpenCall, PlanState, Scope, StepState

MOST_OPEN: Final = 2048
"""Calls that are out at once. The kernel allows an agent twice as many; what ends the time of a plan, or waits to try
again, is on top of it."""

_KEPT_VALUES: Final = 512
_SMALL_BYTES: Final = 64 * 1024
_KEPT_LARGE: Final = 6
"""Decoded values that stay at hand: the inputs of a plan and the list of a step are asked for by every iteration."""

Ready = tuple[int, int, int, int]
"""What can go on: scope, step, iteration and item, 0 for one that is to be begun. Its order is that of the plan."""


class Note(msgspec.Struct, frozen=True):
    """Something that the executor decided or was told, for people.

    Attributes:
        kind: ``begun``, ``called``, ``answered``, ``backing off``, ``ended`` or the like.
        state: How a step or an iteration has ended.
        effect: Name of the effect that a call is.
    """

    path: str
    kind: str
    text: str = ""
    call: SkillCall | None = None
    answer: Answer | None = None
    state: StepState | None = None
    effect: str = ""


class Site:
    """A plan that a turn works at.

    Attributes:
        scope: A copy that is the turn's own.
        steps: How far each of them is.
    """

    __slots__ = ("plan", "scope", "steps")

    def __init__(self, scope: Scope, plan: PreparedPlan) -> None:
        self.scope = scope
        self.plan = plan
        self.steps = Draft(scope.steps)

    def path(self, step: int, index: int = -1) -> str:
        """Return the path of a step or of an iteration of it."""
        name = self.scope.path + self.plan.plan.steps[step].id
        return name if index < 0 else f"{name}[{index}]"


class Work:
    """What a turn works with.

    Args:
        notes: Collects what is decided, where somebody wants to know.
    """

    def __init__(self, state: PlanState, prepared: Prepared, context: Context, notes: list[Note] | None) -> None:
        self.prepared = prepared
        self.context = context
        self.outbox: Outbox = context.outbox()
        self.notes = notes
        self.state = msgspec.structs.replace(state)
        self.scopes = dict(state.scopes)
        self.items = dict(state.items)
        self.calls = dict(state.calls)
        self.queue = deque(state.queue)
        self.held = deque(state.held)
        self.ready: list[Ready] = []
        self.ended: deque[tuple[int, int]] = deque()
        self.closing: deque[int] = deque()
        self._sites: dict[int, Site] = {}
        self._own_items: set[int] = set()
        self._random: Random | None = None

    def freeze(self) -> PlanState:
        """Return the state after the turn."""
        assert not self.ready, "a turn ends when nothing can go on"
        for site in self._sites.values():
            site.scope.steps = site.steps.rows()
        state = self.state
        state.scopes = tuple(self.scopes.items())
        state.items = tuple(self.items.items())
        state.calls = tuple(self.calls.items())
        state.queue = tuple(self.queue)
        state.held = tuple(self.held)
        return state

    def random(self) -> Random:
        """Return the turn's random numbers, from where the last caller left them."""
        if self._random is None:
            self._random = self.context.random()
        return self._random

    def note(
        self,
        path: str,
        kind: str,
        text: str = "",
        *,
        call: SkillCall | None = None,
        answer: Answer | None = None,
        state: StepState | None = None,
        effect: str = "",
    ) -> None:
        """Tell whoever wants to know."""
        if self.notes is not None:
            self.notes.append(Note(path, kind, text, call, answer, state, effect))

    # -- scopes, steps and items --

    def site(self, number: int) -> Site:
        """Return a scope and its plan, to be worked at."""
        found = self._sites.get(number)
        return self._enter(number, msgspec.structs.replace(self.scopes[number])) if found is None else found

    def _enter(self, number: int, scope: Scope) -> Site:
        self.scopes[number] = scope
        found = self._sites[number] = Site(scope, self.prepared.plan(scope.plan))
        return found

    def scope(self, number: int) -> Scope:
        """Return a scope, to be changed."""
        return self.site(number).scope

    def going(self, number: int) -> Site | None:
        """Return a scope that is not being stopped, to be worked at; one that has ended may be gone."""
        found = self.scopes.get(number)
        return self.site(number) if found is not None and found.status == SCOPE_RUNNING else None

    def add_scope(self, scope: Scope) -> int:
        """Add a scope, and return its number."""
        self.state.last_scope = number = self.state.last_scope + 1
        self._enter(number, scope)
        return number

    def drop_scope(self, number: int) -> None:
        """Forget a scope that has ended."""
        del self.scopes[number]
        self._sites.pop(number, None)

    def plan(self, scope: int) -> PreparedPlan:
        """Return the plan of a scope."""
        return self.site(scope).plan

    def step_of(self, item: Item) -> PreparedStep:
        """Return the step that an item is of."""
        return self.site(item.scope).plan.steps[item.step]

    def step(self, scope: int, place: int) -> StepState:
        """Return how far a step is."""
        return self.site(scope).steps[place]

    def put_step(self, scope: int, place: int, state: StepState) -> None:
        """Set how far a step is."""
        self.site(scope).steps[place] = state

    def item(self, number: int) -> Item:
        """Return an item, to be changed."""
        found = self.items[number]
        if number not in self._own_items:
            self._own_items.add(number)
            found = self.items[number] = msgspec.structs.replace(found)
        return found

    def add_item(self, item: Item) -> int:
        """Add an item, and return its number."""
        self.state.last_item = number = self.state.last_item + 1
        self.items[number] = item
        self._own_items.add(number)
        return number

    def push(self, scope: int, step: int, index: int = -1, item: int = 0) -> None:
        """Say that something can go on, or begin."""
        heappush(self.ready, (scope, step, index, item))

    def push_item(self, number: int) -> None:
        """Say that an item can go on."""
        item = self.items[number]
        heappush(self.ready, (item.scope, item.step, item.index, number))

    def pop(self) -> Ready:
        """Return what goes on next. Order: that of the plans and their steps."""
        return heappop(self.ready)

    def path(self, scope: int, step: int, index: int = -1) -> str:
        """Return the path of a step or of an iteration of it."""
        return self.site(scope).path(step, index)

    def path_of(self, item: Item) -> str:
        """Return the path of an item."""
        return self.site(item.scope).path(item.step, item.index)

    # -- calls --

    @property
    def crowded(self) -> bool:
        """Whether so much is out that nothing more is begun."""
        return len(self.calls) >= MOST_OPEN

    def call(self, effect: str, call: SkillCall, open_: OpenCall) -> int:
        """Ask for an effect, and return the number of the call, which takes the place of the one in ``call``."""
        self.state.last_call = number = self.state.last_call + 1
        call = msgspec.structs.replace(call, number=number)
        skills = self.context.spec.skills
        # A planner may want a skill in a class that the run has not; its own is the careful one.
        name = effect if effect in skills else effect.partition("#")[0]
        self.outbox.call(name, codec.encode(call))
        self.calls[number] = open_
        if self.notes is not None:
            self.note(call.path, "called", call=call, effect=name)
        return number

    def ask(
        self,
        asked: Asked,
        skill: str,
        request: object,
        *,
        path: str,
        item: int = 0,
        attempt: int = 1,
        labels: tuple[str, ...] = (),
    ) -> int:
        """Ask for something of the system, and return the number of the call.

        Args:
            labels: Where the request comes from, when it is no item's.
        """
        params = msgspec.json.encode(request, order="deterministic")
        whose = self.items.get(item)
        open_ = OpenCall(asked, item, whose.scope if whose else 0, whose.step if whose else 0)
        labels = whose.labels if whose is not None else labels
        return self.call(skill, SkillCall(0, path, "system", attempt, skill, params, labels), open_)

    def drop_call(self, number: int) -> None:
        """Wait no longer for a call. What a skill uses is counted all the same, and so its call is waited for."""
        found = self.calls.get(number)
        if found is None:
            return
        if found.asked == ASKED_SKILL:
            self.calls[number] = msgspec.structs.replace(found, item=0)
        else:
            del self.calls[number]


@lru_cache(_KEPT_VALUES)
def _small(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


@lru_cache(_KEPT_LARGE)
def _large(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


def value_of(raw: bytes) -> Any:
    """Return what JSON of the run holds. Nobody changes it: it may be the same object each time.

    Raises:
        ValueError, RecursionError: It is no JSON, or too deep.
    """
    return _small(raw) if len(raw) <= _SMALL_BYTES else _large(raw)


def failure_of(code: str, message: str, source: str = "run") -> Failure:
    """Return a failure that trying again does not help."""
    return Failure(code, message, retryable=False, source=source)
