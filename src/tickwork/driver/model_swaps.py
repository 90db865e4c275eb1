"""Swaps of models: which version is meant, whether it fits, and what comes of it when its tick is there.

Invariants:
    * What a reference means is looked up when the swap is planned. From then on the digest is the version.
    * A version that is swapped in has been loaded and has answered its probe before the input enters.
    * Why one cannot be swapped in is said in the same words on every machine: the reason is part of the run.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from .. import codec
from ..errors import (
    ModelCrashed,
    ModelDamaged,
    ModelError,
    ModelHostLost,
    ModelInvalid,
    ModelNotFound,
    ModelRunFailed,
    ModelsMissing,
    ModelTimeout,
    ModelTooLarge,
    ModelUnfit,
    PackageError,
    ProviderMissing,
    SwapRefused,
    TickOutOfRange,
    TickworkError,
)
from ..infer.manifest import ModelConfig, Port
from ..kernel import Machine, RunStatus
from ..kernel.models import shown_model
from ..records import Environment, Header, Input, InputKind, ModelOrder, ModelPlan, ModelSpec, Refusal
from ..tensors import NAMES
from .models import Desk
from .options import Options
from .pinning import find_model, judge_pinned
from .plans import ModelSwap, in_order, place_of_model
from .resolve import ModelSource, World

OPERATOR: Final = "operator"

_WORDS: Final[Mapping[type[TickworkError], tuple[Refusal, str]]] = {
    ModelNotFound: (Refusal.NOT_FOUND, "there is no such version where it was looked for"),
    ModelInvalid: (Refusal.UNSUPPORTED, "it is no model that can be loaded"),
    ModelDamaged: (Refusal.UNSUPPORTED, "its bytes are not those of its digest"),
    ModelTooLarge: (Refusal.NO_MEMORY, "it needs more memory than it may have"),
    ModelTimeout: (Refusal.TIMEOUT, "it took too long to load"),
    ModelCrashed: (Refusal.FAILED, "its worker ended while it was loaded"),
    ProviderMissing: (Refusal.UNSUPPORTED, "no provider that it may run on is there"),
    ModelHostLost: (Refusal.FAILED, "nobody could be reached who loads models"),
    ModelsMissing: (Refusal.UNSUPPORTED, "what runs models is not installed"),
    ModelRunFailed: (Refusal.FAILED, "it did not answer its probe"),
    ModelUnfit: (Refusal.UNSUPPORTED, "its operators do not allow the profile or the batches that it is to run with"),
    PackageError: (Refusal.DENIED, "who signed it is not believed"),
}
"""What the run's record says of an error; its own text may name paths and versions of libraries."""


def plan_model_swaps(
    swaps: Iterable[ModelSwap], header: Header, options: Options, at: int | None = None
) -> tuple[ModelPlan, ...]:
    """Return what is asked for as plans. Order: tick, then as given.

    Args:
        at: The tick of swaps that name none.

    Raises:
        ModelNotFound: TW6001. ModelInvalid: TW6002, a file is no model.
        PackageError: TW3201 to TW3210, a version is not believed.
        SwapRefused: TW4101, a swap names no tick, or a model that the run has not.
    """
    plans = list[ModelPlan]()
    for swap in swaps:
        tick = swap.at if swap.at is not None else at
        if tick is None:
            raise SwapRefused(f"the swap of model {swap.model!r} names no tick", fix="say before which tick it is")
        if swap.model not in [model.name for model in header.models]:
            raise _unknown_model(swap.model, header, place_of_model(swap.model, tick))
        path = swap.to if isinstance(swap.to, Path) else None
        reference = "" if isinstance(swap.to, Path) else swap.to
        source = ModelSource(swap.model, reference, path, place_of_model(swap.model, tick))
        # That a journal was recorded with unsigned models allowed is its own word, which holds only where it may.
        found = find_model(source, options, allow_unsigned=header.allow_unsigned and options.allow_unsigned)
        plans.append(ModelPlan(tick, swap.model, found.digest, found.version))
    return in_order(plans)


def _unknown_model(name: str, header: Header, where: str) -> SwapRefused:
    known = ", ".join(model.name for model in header.models)
    return SwapRefused(
        f"the run has no model {name!r}", where=where, why=f"it has {known or 'none'}", fix="name one of them"
    )


def check_model_plans(
    plans: Sequence[ModelPlan], header: Header, models: Sequence[ModelSpec], options: Options
) -> None:
    """Refuse what cannot come to a good end, each swap judged as if those before it had been done.

    Args:
        models: The versions there are now.

    Raises:
        SwapRefused: TW4101.
        TickOutOfRange: TW4006, the run is over before that tick.
    """
    known, seen = {spec.name: spec for spec in models}, set[tuple[int, str]]()
    for plan in in_order(plans):
        where, current = place_of_model(plan.model, plan.at), known.get(plan.model)
        if plan.at < 0 or (header.ticks and plan.at >= header.ticks):
            why = f"the run has ticks 0 to {header.ticks - 1}"
            raise TickOutOfRange(f"there is no tick {plan.at} to swap at", where=where, why=why)
        if (plan.at, plan.model) in seen:
            raise SwapRefused("one tick holds two swaps of one model", where=where, fix="give one of them another tick")
        seen.add((plan.at, plan.model))
        if current is None:
            raise _unknown_model(plan.model, header, where)
        if not current.digest:
            raise SwapRefused(
                f"model {plan.model!r} is answered for by a performer",
                where=where,
                why="only a model of a store takes the place of one",
                fix="give the run another performer, or name a model of the store in its world",
            )
        flaw = _flaw_in_store(current, plan, options)
        if flaw:
            fix = "swap in a version with the same inputs and outputs, or fork from a world that declares another model"
            raise SwapRefused(f"model {plan.model!r} cannot be swapped", where=where, why=flaw, fix=fix)
        known[plan.model] = successor(current, plan)


def _flaw_in_store(current: ModelSpec, plan: ModelPlan, options: Options) -> str:
    """Return why a version does not fit, as far as the store knows both, or nothing."""
    if options.store is None:
        return ""
    from ..infer.store import ModelStore  # Which a run without models need not load.

    store = ModelStore(options.store)
    try:
        return misfit(store.config(current.digest), store.config(plan.digest))
    except ModelNotFound:
        return ""  # Another asker may have it; this is looked at again when the tick has come.


def misfit(old: ModelConfig, new: ModelConfig) -> str:
    """Return why requests to one version cannot be made to another, or nothing. Pure."""
    if old.kind != new.kind:
        return f"the running version is of kind {old.kind}, the new one of kind {new.kind}"
    for what, before, after in (("inputs", old.inputs, new.inputs), ("outputs", old.outputs, new.outputs)):
        known, given = [port.name for port in before], [port.name for port in after if not port.optional]
        names = [port.name for port in after]
        if names[: len(known)] != known or any(name not in known for name in given):
            return f"the {what} are {_listed(known)} in the running version and {_listed(names)} in the new one"
        for one, other in zip(before, after, strict=False):
            flaw = _port_misfit(one, other)
            if flaw:
                return f"{what.removesuffix('s')} {one.name!r} {flaw}"
    return ""


def _port_misfit(old: Port, new: Port) -> str:
    if old.kind != new.kind:
        return f"is a {old.kind} in the running version and a {new.kind} in the new one"
    if old.dtype != new.dtype:
        names = NAMES.get(old.dtype, "another type"), NAMES.get(new.dtype, "another type")
        return f"is of {names[0]} in the running version and of {names[1]} in the new one"
    if old.ranked and new.ranked and len(old.shape) != len(new.shape):
        return f"has rank {len(old.shape)} in the running version and {len(new.shape)} in the new one"
    return ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def successor(current: ModelSpec, plan: ModelPlan) -> ModelSpec:
    """Return the version a plan puts in the place of another; how it is run stays as it was."""
    return msgspec.structs.replace(current, digest=plan.digest, version=plan.version)


def resumed_model_plans(environment: Environment, world: World | None, options: Options) -> tuple[ModelPlan, ...]:
    """Return the swaps of models planned for a run: those its journal knows of, or else the world's."""
    if environment.model_swaps or world is None:
        return environment.model_swaps
    return plan_model_swaps(world.model_swaps, world.header, options)


def further_model_plans(swaps: Iterable[ModelSwap], machine: Machine, options: Options) -> tuple[ModelPlan, ...]:
    """Return swaps asked for between two ticks as plans; one that names no tick happens at the next one.

    Raises:
        SwapRefused: TW4101, one cannot be done, or its tick is past.
        TickOutOfRange: TW4006.
        ModelNotFound: TW6001.
    """
    state = machine.state
    plans = plan_model_swaps(swaps, machine.header, options, state.tick)
    if plans and state.status != RunStatus.OPEN:
        raise SwapRefused(
            "no model is swapped any more",
            where=place_of_model(plans[0].model, plans[0].at),
            why=f"the run was asked to close at tick {state.closing_since}",
            fix="fork the run at an earlier tick",
        )
    for plan in plans:
        if plan.at < state.tick:
            raise SwapRefused(
                f"tick {plan.at} is past",
                where=place_of_model(plan.model, plan.at),
                why=f"the run goes on with tick {state.tick}",
                fix="name that tick or a later one, or fork the run at the earlier one",
            )
    check_model_plans(plans, machine.header, state.models, options)
    return plans


# -- inputs ------------------------------------------------------------------------------------------------------------


def order_model_swaps(machine: Machine, desk: Desk | None, plans: Sequence[ModelPlan]) -> list[Input]:
    """Return the inputs of swaps whose tick has come; what makes one impossible by now is recorded, not raised."""
    if not plans:
        return []
    current = {spec.name: spec for spec in machine.state.models}
    inputs: list[Input] = []
    for plan in plans:
        item, order = _ordered(current.get(plan.model), desk, plan, machine.state.tick)
        if not item.code:
            current[plan.model] = order.spec
        inputs.append(item)
    return inputs


def _ordered(current: ModelSpec | None, desk: Desk | None, plan: ModelPlan, tick: int) -> tuple[Input, ModelOrder]:
    if current is None:
        order = ModelOrder(ModelSpec(plan.model, plan.digest, plan.version), b"")
        return model_swap_input(order), order  # The kernel says what is wrong with it.
    order = ModelOrder(successor(current, plan), current.digest)
    code, reason = (
        (Refusal.UNSUPPORTED, "nobody here runs models") if desk is None else _tried(desk, current, order, tick)
    )
    if reason:
        order = msgspec.structs.replace(order, reason=reason)
    elif desk is not None:
        desk.learn(order.spec)
    return model_swap_input(order, code), order


def _tried(desk: Desk, current: ModelSpec, order: ModelOrder, tick: int) -> tuple[int, str]:
    """Load a version; return why it cannot take the place of the current one, or zero and nothing."""
    if not current.digest or not desk.asks(current.name):
        return 0, ""
    try:
        # Whether it may go unsigned was decided when it was planned.
        if desk.options.store is not None and desk.options.asker is None:
            judge_pinned(order.spec.digest, desk.options, allow_unsigned=True)
        new = desk.load(order.spec, tick)[1]
    except (ModelError, PackageError) as error:
        return said(error)
    try:
        old = desk.load(current, tick)[1]
    except ModelError:
        return 0, ""  # Of a version that cannot be loaded any more nobody can say what fits it.
    flaw = misfit(old, new)
    return (Refusal.UNSUPPORTED, f"{SwapRefused.code}: {flaw}") if flaw else (0, "")


def said(error: TickworkError) -> tuple[int, str]:
    """Return the code and the words that a run's record has for an error."""
    for kind, (code, words) in _WORDS.items():
        if isinstance(error, kind):
            return int(code), f"{error.code}: {words}"
    return int(Refusal.UNSUPPORTED), f"{error.code}: it cannot be loaded"


def shown_model_order(order: ModelOrder) -> str:
    """Return a swap for people."""
    return f"to {shown_model(order.spec)}" + (f": {order.reason}" if order.reason else "")


def model_swap_input(order: ModelOrder, code: int = 0) -> Input:
    """Return the input that a swap of a model enters as."""
    body = codec.encode(order)
    return Input(InputKind.SWAP_MODEL, OPERATOR, order.spec.name, code=code, body=body, size=len(body))
