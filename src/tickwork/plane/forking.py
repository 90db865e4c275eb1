"""A run of a plan forked: a new run of the store that shares a prefix with another and goes on with something changed.

Invariants:
    * What was asked for before the fork is not asked for again where the original has an answer: that answer enters.
    * The new run has idempotency keys of its own for everything else, so that nothing is taken for the original's.
    * Row, header, prefix and change are one transaction: the fork is there whole, or not at all.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .. import codec
from ..driver.fork import Edit, detached_bodies, edits_of, recorded_results
from ..driver.opening import executing, new_environment, read_header
from ..driver.options import Options
from ..driver.owed import keep_owed, read_owed
from ..driver.resolve import World
from ..driver.verify import fold_prefix
from ..errors import TickOutOfRange
from ..journal.shared import SharedJournal
from ..journal.store import JournalReader
from ..kernel import RunStatus
from ..kinds import Encoding, InputKind
from ..records import Environment, Header, Input
from .calls import Order
from .compiled import EXECUTOR_ENTRY, EXECUTOR_NAME, Assignment
from .engine import read_assignment
from .executor.agent import PlanExecutor
from .plan_inputs import read_inputs, take_inputs
from .store.runs import NewRun, RunRow, Runs
from .store.store import Store

OPERATOR: Final = "operator"
"""Source of the inputs that a change becomes."""


def changed_inputs(assignment: Assignment, values: Mapping[str, Any], by: str) -> tuple[Input, ...]:
    """Return the inputs of a run that give inputs of its plan other values. Order: as given.

    Raises:
        UsageFault: TW1001, the plan has no such input, or the value is not of its kind.
    """
    compiled = assignment.compiled
    if compiled is not None and values:
        known = msgspec.json.decode(assignment.inputs, type=dict[str, Any])
        take_inputs(read_inputs(compiled.plans[0].inputs), {**known, **values})
    orders = [Order("input", by, name, value) for name, value in values.items()]
    bodies = [msgspec.json.encode(order, order="deterministic") for order in orders]
    return tuple(
        Input(InputKind.MESSAGE, OPERATOR, EXECUTOR_NAME, encoding=Encoding.JSON, body=body, size=len(body))
        for body in bodies
    )


def fork_run(store: Store, source: JournalReader, *, at: int, edit: Edit, options: Options) -> RunRow:
    """Return a new run, queued, that has the ticks before ``at`` of another and goes on with a change.

    Raises:
        TickOutOfRange: TW4006, the run has no such tick, or has ended there.
        ReplayDivergence: TW4001. JournalDamaged: TW2004.
    """
    header, known = read_header(source)
    if not 0 <= at <= source.length():
        raise TickOutOfRange(
            f"there is no tick {at} to fork at",
            why=f"the run has ticks 0 to {source.length() - 1}",
            fix="name one of them",
        )
    owed = read_owed(known, source)
    world = World(header, natives={EXECUTOR_ENTRY: PlanExecutor})
    with executing(source, world, options, until=at, live=True) as (_, _, fold):
        fold_prefix(fold, source, at, None, "fork", options)
        if fold.machine.state.status >= RunStatus.COMPLETE:
            raise TickOutOfRange(
                f"nothing can go on at tick {at}", why="the run has ended there", fix="fork at an earlier tick"
            )
        _, results = recorded_results(source, at, fold.machine.state.effects, owed)
    edits = [*(owed.pending(at) if at == source.length() else ()), *edits_of(edit, ())]
    body = keep_owed(at, edits, results)
    environment = new_environment(options, parent=known.run_id, owed=codec.digest(body))
    with store.writing_quickly(durable=True):
        row, _ = Runs(store).submit(_described(header, known, at), durable=True)
        journal = _copy(store, row.id, source, at, msgspec.structs.replace(environment, run_id=row.id), body)
    journal.close()
    return row


def _described(header: Header, parent: Environment, at: int) -> NewRun:
    assignment = read_assignment(header)
    compiled = assignment.compiled
    return NewRun(
        name=header.name,
        goal=assignment.goal,
        profile=assignment.agent.name,
        profile_version=assignment.agent.version,
        plan_digest=compiled.digest if compiled is not None else b"",
        inputs=assignment.inputs,
        parent_id=parent.run_id,
        relation="fork",
        parent_tick=at,
    )


def _copy(
    store: Store, run_id: str, source: JournalReader, at: int, environment: Environment, owed: bytes
) -> SharedJournal:
    header_bytes, environment_bytes = source.header()[0], codec.encode(environment)
    heads = codec.start_chain(header_bytes, environment_bytes)
    journal = store.journals.create(run_id, header_bytes, environment_bytes, [owed])
    for frame in source.frames(0, at - 1) if at else ():
        copied = codec.link(heads, frame.tick, frame.inputs, frame.turns, frame.derived, frame.hints)
        heads = (copied.d, copied.f)
        journal.append(copied, detached_bodies(source, frame))
    return journal
