"""Settling swaps: what comes of each is found out before it enters, and checked where a journal says it already.

Invariants:
    * An input says whether its swap succeeded. The kernel believes it, and verification tries it again.
    * Nothing happens to an agent here. A new version that is ready takes its place when the kernel has said so.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from ..errors import AgentCodeMissing, JournalIncomplete, ModuleError, PackageError, RunError, SwapRefused
from ..kernel import AgentStatus, Machine, RunStatus
from ..kernel.state import AgentState
from ..kernel.swap import begins_anew, read_order, why_not
from ..records import Environment, Input, InputKind, Outcome, Refusal, Status, SwapOrder, SwapPlan
from .compare import Divergence
from .crew import Crew
from .plans import Swap, place_of, plan_swaps
from .resolve import World
from .swap import check_plans, order_swap, refused_input, swap_input, unknown_agent

_SWAP: Final = int(InputKind.SWAP_AGENT)
_CODES: Final = frozenset(map(int, Refusal))

_IMPOSSIBLE: Final = (RunError, ModuleError, PackageError, JournalIncomplete)
"""What makes a swap impossible, as opposed to this machine's own failures, which abort the tick."""


def order_due(machine: Machine, crew: Crew, plans: Sequence[SwapPlan]) -> list[Input]:
    """Return the inputs of swaps whose tick has come. What makes one impossible by now is recorded, not raised."""
    return [_ordered(machine, crew, plan) for plan in plans]


def _ordered(machine: Machine, crew: Crew, plan: SwapPlan) -> Input:
    agent, versions = _agent(machine, plan.agent), crew.versions
    assert versions is not None, "who plans swaps says where modules come from"
    try:
        if agent is None:
            raise unknown_agent(plan.agent, machine.cast.numbers, "")
        order = order_swap(agent.spec, plan, versions, machine.header, started=agent.started)
        return swap_input(plan.agent, order)
    except _IMPOSSIBLE as error:
        return refused_input(plan, agent.spec if agent is not None else None, error)


def settle(machine: Machine, crew: Crew, inputs: Sequence[Input]) -> tuple[list[Input], list[bytes]]:
    """Return a tick's inputs, those of swaps saying what came of them, and the modules that these bring."""
    if _SWAP not in [item.kind for item in inputs]:
        return list(inputs), []
    settled, bodies = list[Input](), dict[bytes, bytes]()
    for item in inputs:
        if item.kind != InputKind.SWAP_AGENT:
            settled.append(item)
            continue
        settled.append(_settled(machine, crew, item))
        for digest in module_digests([item]):
            if digest not in bodies and crew.versions is not None:
                with suppress(AgentCodeMissing, JournalIncomplete):
                    bodies[digest] = crew.versions.body(digest)
    return settled, list(bodies.values())


def _agent(machine: Machine, name: str) -> AgentState | None:
    number = machine.cast.numbers.get(name)
    return None if number is None else machine.state.agents[number]


def _settled(machine: Machine, crew: Crew, item: Input) -> Input:
    order, agent = read_order(item), _agent(machine, item.target)
    if item.code or order is None or agent is None or why_not(agent, item.target, order):
        return item  # The kernel says what is wrong with it.
    try:
        outcome = _attempt(machine, crew, agent, order)
    except _IMPOSSIBLE as error:
        return swap_input(item.target, _failed(order, 0, 0, f"{error.code}: {error.what}"), Refusal.UNSUPPORTED)
    if not outcome.status:
        return item
    return swap_input(item.target, _failed(order, outcome.status, outcome.code, outcome.detail), _refusal(outcome))


def _attempt(machine: Machine, crew: Crew, agent: AgentState, order: SwapOrder) -> Outcome:
    return crew.rehearse(agent, order, machine.state.tick, anew=begins_anew(agent, order))


def _failed(order: SwapOrder, status: int, number: int, reason: str) -> SwapOrder:
    return msgspec.structs.replace(order, status=status, number=number, reason=reason)


def _refusal(outcome: Outcome) -> int:
    known = outcome.status == Status.FAILED and outcome.code in _CODES
    return outcome.code if known else Refusal.FAILED


def check_swaps(machine: Machine, crew: Crew, inputs: Sequence[Input], *, same_engine: bool) -> Divergence | None:
    """Try a recorded tick's swaps again; return the first that comes to something else.

    Args:
        same_engine: Whether the journal was made with this engine. If not, a recorded trap is believed.
    """
    for index, item in enumerate(inputs):
        if item.kind != InputKind.SWAP_AGENT:
            continue
        order, agent = read_order(item), _agent(machine, item.target)
        if order is None or agent is None or why_not(agent, item.target, order) or (item.code and not order.status):
            continue
        if order.status not in (Status.OK, Status.FAILED) and not same_engine:
            continue
        outcome = _attempt(machine, crew, agent, order)
        for field, expected, actual in (
            ("status", order.status, outcome.status),
            ("number", order.number, outcome.code if outcome.status else 0),
        ):
            if expected != actual:
                return Divergence(
                    machine.state.tick, f"inputs[{index}]", "swap_agent", field, expected, actual, item.target
                )
    return None


def resumed_plans(environment: Environment, world: World | None, crew: Crew) -> tuple[SwapPlan, ...]:
    """Return the swaps planned for a run: those its journal knows of, or else the world's."""
    if environment.swaps or world is None:
        return environment.swaps
    assert crew.versions is not None, "who executes a journal knows where modules come from"
    crew.versions.bring(world.modules)
    return world.swaps


def judge_plans(plans: Iterable[SwapPlan], machine: Machine, crew: Crew) -> None:
    """Refuse to go on where a planned version is not believed: the run that was interrupted believed it.

    What this run's own course makes impossible is not looked at. That is recorded when its tick comes.

    Raises:
        PackageError: TW3201 to TW3210. ModuleUnsigned: TW3004.
    """
    assert crew.versions is not None, "who executes a journal knows where modules come from"
    for plan in plans:
        agent = _agent(machine, plan.agent)
        if plan.at >= machine.state.tick and agent is not None and agent.status != AgentStatus.STOPPED:
            with suppress(AgentCodeMissing, JournalIncomplete):
                crew.versions.judge(msgspec.structs.replace(agent.spec, digest=plan.digest, source=plan.source))


def further_plans(swaps: Iterable[Swap], machine: Machine, crew: Crew) -> tuple[SwapPlan, ...]:
    """Return swaps asked for between two ticks as plans, judged by the agents as they are.

    A swap that names no tick happens at the next one.

    Raises:
        SwapRefused: TW4101, one cannot be done, or its tick is past.
        AgentNotFound: TW4005.
        TickOutOfRange: TW4006.
    """
    state = machine.state
    plans, modules = plan_swaps(swaps, state.tick)
    if not plans:
        return ()
    assert crew.versions is not None, "who executes a journal knows where modules come from"
    crew.versions.bring(modules)
    if state.status != RunStatus.OPEN:
        raise SwapRefused(
            "no agent is swapped any more",
            where=place_of(plans[0].agent, plans[0].at),
            why=f"the run was asked to close at tick {state.closing_since}",
            fix="fork the run at an earlier tick",
        )
    for plan in plans:
        agent = _agent(machine, plan.agent)
        if plan.at < state.tick:
            raise SwapRefused(
                f"tick {plan.at} is past",
                where=place_of(plan.agent, plan.at),
                why=f"the run goes on with tick {state.tick}",
                fix="name that tick or a later one, or fork the run at the earlier one",
            )
        if agent is not None and agent.status == AgentStatus.STOPPED:
            raise SwapRefused(
                f"agent {plan.agent!r} has stopped",
                where=place_of(plan.agent, plan.at),
                why="a stopped agent never runs again, so there is nothing to swap",
                fix="fork the run at a tick at which it still runs",
            )
    started = {agent.name: agent.started for agent in state.agents}
    specs = {agent.name: agent.spec for agent in state.agents}
    check_plans(plans, machine.header, specs, crew.versions, started=started)
    return plans


def module_digests(inputs: Iterable[Input]) -> list[bytes]:
    """Return the digests of what a tick's swaps bring."""
    orders = [read_order(item) for item in inputs if item.kind == InputKind.SWAP_AGENT]
    return [digest for order in orders if order for digest in (order.spec.digest, order.spec.source) if digest]
