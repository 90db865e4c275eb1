"""What the executor knows between two turns, as plain data that is encoded and decoded to an equal value.

    PlanState
    ├── scopes   a plan that is being run: the run's own, and one for each step that is a plan
    │   └── steps    of each step how far it is, in the order of the plan's table
    ├── items    what is under way: a step, or one iteration of a step with ``for_each``
    └── calls    what has been asked for and is not answered yet

Invariants:
    * A step that has not begun costs nothing but its row; a step that has ended has no item.
    * Numbers of scopes, items and calls only grow, so that the order of each table is the order of their beginning.
    * The state, scopes and items are changed in place, by the turn that has copied them, and never after it.
"""

from enum import IntEnum
from typing import Final

import msgspec

from ..calls import Failure, Usage
from .rows import Rows


class Stage(IntEnum):
    """How far a run is as a whole."""

    RECALLING = 0
    PLANNING = 1
    RUNNING = 2
    CLOSING = 3
    KEEPING = 4
    ENDED = 5


class StepStatus(IntEnum):
    """How far a step is. From ``SUCCEEDED`` on it has ended."""

    PENDING = 0
    READY = 1
    RUNNING = 2
    BACKING_OFF = 3
    WAITING = 4
    SUCCEEDED = 5
    FAILED = 6
    SKIPPED = 7
    CANCELLED = 8
    COMPENSATED = 9


class Purpose(IntEnum):
    """Why an item calls: to do the step, in place of that, or to undo it."""

    STEP = 0
    FALLBACK = 1
    COMPENSATE = 2


class Asked(IntEnum):
    """What a call is for."""

    SKILL = 0
    APPROVAL = 1
    POLICY = 2
    ESCALATION = 3
    BACKOFF = 4
    WAIT = 5
    TIMEOUT = 6
    RECALL = 7
    PROPOSE = 8
    KEEP = 9


class ScopeStatus(IntEnum):
    """How far a plan is: it goes on, takes what is still out, undoes what was done, or has ended."""

    RUNNING = 0
    STOPPING = 1
    UNDOING = 2
    ENDED = 3


STEP_PENDING: Final = int(StepStatus.PENDING)
STEP_READY: Final = int(StepStatus.READY)
STEP_RUNNING: Final = int(StepStatus.RUNNING)
STEP_SUCCEEDED: Final = int(StepStatus.SUCCEEDED)
SCOPE_RUNNING: Final = int(ScopeStatus.RUNNING)
SCOPE_ENDED: Final = int(ScopeStatus.ENDED)
FOR_STEP: Final = int(Purpose.STEP)
FOR_FALLBACK: Final = int(Purpose.FALLBACK)
FOR_UNDOING: Final = int(Purpose.COMPENSATE)
ASKED_SKILL: Final = int(Asked.SKILL)
"""What every turn compares with: to look a member of an enumeration up takes longer than all that a step compares."""


class Each(msgspec.Struct, frozen=True, array_like=True):
    """How far the iterations of a step are.

    Attributes:
        values: The list, as JSON.
        next: The iteration that begins next.
        outputs: Of each iteration, as JSON. Order: the list's.
    """

    values: bytes
    count: int
    outputs: Rows[bytes]
    next: int = 0
    done: int = 0
    failed: int = 0


class StepState(msgspec.Struct, frozen=True, array_like=True):
    """How far a step is.

    Attributes:
        left: How many steps that it comes after have not ended.
        good: How many of them have succeeded.
        fine: How many of them it may go on after: also those that were allowed to fail, or that a person skipped.
        item: What is under way for it, 0 for nothing; of a step with ``for_each`` nothing is named.
        output: As JSON.
        labels: Where the output comes from. Order: sorted.
        reason: Why it was skipped: ``condition``, ``upstream`` or ``manual``.
        tolerated: Whether the run goes on although it has failed, as a whole or in part.
        spent, reserved: Of the step's own budget. Units: micro-dollars.
    """

    left: int = 0
    good: int = 0
    fine: int = 0
    status: int = StepStatus.PENDING
    item: int = 0
    output: bytes = b"null"
    labels: tuple[str, ...] = ()
    error: Failure | None = None
    reason: str = ""
    tolerated: bool = False
    spent: int = 0
    reserved: int = 0
    each: Each | None = None


class Undo(msgspec.Struct, frozen=True, array_like=True):
    """Something that was done and can be undone, with what doing it gave."""

    scope: int
    step: int
    index: int
    result: bytes


class Scope(msgspec.Struct, array_like=True):
    """A plan that is being run.

    Attributes:
        plan: Index in the compiled plans.
        path: What the paths of its steps begin with: empty, or ``outer/``.
        parent: The item that it is run for; 0 for the run's own plan.
        outer, outer_step: Where that item's step is.
        inputs: JSON object.
        labels: Where the inputs come from. Order: sorted.
        left: Steps that have not ended.
        busy: Items whose results are still taken when the plan is stopped: calls of skills, and plans within.
        failure, culprit: Why it is stopped, and the path of the step it is stopped for.
        cancelled: Whether a person stopped it.
        partial: Whether something failed that was allowed to.
        undo: What can be undone. Order: as done.
        undoing: The item that undoes something; 0 for none.
        spent, reserved: Units: micro-dollars.
        tokens, tokens_reserved, calls: Used of the plan's other limits.
    """

    plan: int
    path: str
    parent: int
    inputs: bytes
    labels: tuple[str, ...]
    steps: Rows[StepState]
    left: int
    busy: int = 0
    status: int = ScopeStatus.RUNNING
    failure: Failure | None = None
    culprit: str = ""
    cancelled: bool = False
    partial: bool = False
    undo: tuple[Undo, ...] = ()
    undoing: int = 0
    outer: int = 0
    outer_step: int = 0
    spent: int = 0
    reserved: int = 0
    tokens: int = 0
    tokens_reserved: int = 0
    calls: int = 0


class Item(msgspec.Struct, array_like=True):
    """A step that is under way, or an iteration of it.

    Attributes:
        index: The iteration; -1 for the step itself.
        attempt: Calls made for the purpose so far.
        params: As they are called with, JSON; empty where they are not known yet.
        labels: Where the parameters come from. Order: sorted.
        agreed: Which questions have been answered: 1 the step's own approval, 2 what policy asks.
        approved_by: Who agreed.
        call: The call that is out; 0 for none.
        timer: The call that ends the step's time, for a step that is a plan; 0 for none.
        scope_within: The plan that runs for it; 0 for none.
        runs: Plans begun for it, since a plan that is begun again has paths of its own.
        result: What undoing it may read.
        undoer: The scope that undoes it, around its own or that one itself; 0 where it is done.
    """

    scope: int
    step: int
    index: int
    purpose: int = Purpose.STEP
    attempt: int = 0
    params: bytes = b""
    labels: tuple[str, ...] = ()
    agreed: int = 0
    approved_by: str = ""
    call: int = 0
    timer: int = 0
    scope_within: int = 0
    runs: int = 0
    result: bytes = b"null"
    undoer: int = 0
    error: Failure | None = None


class OpenCall(msgspec.Struct, frozen=True, array_like=True):
    """A call that is not answered yet.

    Attributes:
        item: Whose; 0 where nobody waits for it any more, and only what it costs is still counted.
        scope, step: Whose budgets it counts against.
        index: The iteration that it is for; -1 for the step itself.
        undoable: Whether there is a way to undo it.
        reserved, tokens: What is set aside for it. Units: micro-dollars, tokens.
    """

    asked: int
    item: int = 0
    scope: int = 0
    step: int = 0
    index: int = -1
    undoable: bool = False
    reserved: int = 0
    tokens: int = 0


class PlanState(msgspec.Struct, array_like=True):
    """State of the executor.

    Attributes:
        planned: The planner's plan, encoded; empty where the configuration holds one.
        last_call, last_item, last_scope: Numbers given so far.
        scopes, items, calls: By number. Order: number.
        queue: Items that wait for a free call. Order: first come.
        held: Items that wait until money that is set aside is settled. Order: first come.
        degraded: Whether a fallback stood in for a step.
        undone: Whether everything that was to be undone could be.
        told: Whether it has been told that the soft limit is passed.
        changed: Inputs that people have given other values before there was a plan, as JSON.
    """

    stage: int = Stage.RUNNING
    planned: bytes = b""
    recalled: bytes = b""
    last_call: int = 0
    last_item: int = 0
    last_scope: int = 0
    scopes: tuple[tuple[int, Scope], ...] = ()
    items: tuple[tuple[int, Item], ...] = ()
    calls: tuple[tuple[int, OpenCall], ...] = ()
    queue: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    usage: Usage = Usage()
    skill_calls: int = 0
    status: str = ""
    output: bytes = b"null"
    failure: Failure | None = None
    degraded: bool = False
    undone: bool = True
    told: bool = False
    changed: bytes = b"{}"
