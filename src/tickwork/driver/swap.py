"""Swaps: what is asked for, what it comes to for the agent as it is now, and whether it may be done at all.

Invariants:
    * A new version is given what the old one was granted and it declares too; anything more is named by who swaps.
    * Whatever is wrong with a swap that can be known beforehand is said before anything is written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from .. import codec
from ..errors import AgentNotFound, SwapRefused, TickOutOfRange, TickworkError
from ..kernel.swap import shown_version
from ..packages.rights import KINDS
from ..records import AgentSpec, Header, Input, InputKind, Limits, Refusal, SwapMode, SwapOrder, SwapPlan
from ..sandbox.admission import Admitted
from ..sandbox.compiled import Compiled, decode_compiled
from ..sandbox.manifest import Manifest
from ..sandbox.wasm import DATA, TABLE, parse
from .plans import in_order, may_be_spawned, place_of
from .versions import Version, Versions

GRANT_LISTS: Final = ("publish", "subscribe", "send", "skills", "spawn", "models", "windows")
CLOCK: Final = "clock"
LIMITS: Final = ("fuel", "memory_pages", "depth")
"""What a new version may be given more of, each as ``fuel:N``."""

OPERATOR: Final = "operator"


def check_plans(
    plans: Sequence[SwapPlan],
    header: Header,
    specs: Mapping[str, AgentSpec],
    versions: Versions,
    *,
    started: Mapping[str, bool] | None = None,
) -> None:
    """Refuse what cannot come to a good end, each swap judged as if those before it had been done.

    Args:
        specs: The agents there are now, by name. One that is still to be spawned is judged when its time comes.
        started: Which of them have had their first turn; None where the run is still to begin.

    Raises:
        AgentNotFound: TW4005.
        TickOutOfRange: TW4006, the run is over before that tick.
        SwapRefused: TW4101.
    """
    known, seen = dict(specs), set[tuple[int, str]]()
    for plan in in_order(plans):
        where = place_of(plan.agent, plan.at)
        if plan.at < 0 or (header.ticks and plan.at >= header.ticks):
            last = header.ticks - 1
            raise TickOutOfRange(
                f"there is no tick {plan.at} to swap at", where=where, why=f"the run has ticks 0 to {last}"
            )
        if (plan.at, plan.agent) in seen:
            raise SwapRefused("one tick holds two swaps of one agent", where=where, fix="give one of them another tick")
        seen.add((plan.at, plan.agent))
        if plan.agent not in known:
            if not may_be_spawned([template.name for template in header.templates], plan.agent):
                raise unknown_agent(plan.agent, known, where)
            continue
        spec = known[plan.agent]
        order = order_swap(spec, plan, versions, header, started=(started or {}).get(plan.agent, plan.at > 0))
        known[plan.agent] = order.spec


def unknown_agent(name: str, known: Iterable[str], where: str) -> AgentNotFound:
    """Return the error of a swap of an agent that the run has not."""
    listed = ", ".join(list(known)[:20])
    return AgentNotFound(f"the run has no agent {name!r}", where=where, why=f"it has {listed}", fix="name one of them")


def order_swap(spec: AgentSpec, plan: SwapPlan, versions: Versions, header: Header, *, started: bool) -> SwapOrder:
    """Return what a plan comes to for an agent as it is now.

    Args:
        started: Whether the agent has had its first turn; one that has not has no state to hand on.

    Raises:
        SwapRefused: TW4101, the rule that forbids it and how to go on.
    """
    where = place_of(plan.agent, plan.at)
    if spec.kind != "wasm":
        raise SwapRefused(
            f"agent {plan.agent!r} is native",
            where=where,
            why="only a module takes the place of a module; native code lies outside the journal",
            fix="change its source and fork the run from a new world",
        )
    # What the old version was granted says nothing of the new one: it may declare less.
    nothing = dict.fromkeys(KINDS, ())
    bare = msgspec.structs.replace(spec, digest=plan.digest, source=plan.source, clock=False, **nothing)
    new = versions.version(bare)
    changed = next_spec(spec, plan, new.admitted, header, where)
    if new.admitted.pages > changed.limits.memory_pages:
        raise SwapRefused(
            f"the new version's memory begins with {new.admitted.pages} pages",
            where=where,
            why=f"agent {plan.agent!r} may have {changed.limits.memory_pages} pages of 64 KiB",
            fix=f"allow it with --grant {plan.agent}=memory_pages:{new.admitted.pages}, or build it with less",
        )
    if started and plan.mode != SwapMode.RESTART:
        flaw = (_cannot_migrate if plan.mode == SwapMode.MIGRATE else _cannot_keep)(versions.version(spec), new)
        if plan.mode == SwapMode.KEEP_IMAGE and (spec.source or plan.source):
            flaw = "the sources that a base module runs lie in the memory that would be kept"
        if not flaw and plan.mode == SwapMode.KEEP_IMAGE:
            flaw = _handles_differ(spec, changed)
        if flaw:
            fix = "swap with mode migrate or restart" if plan.mode == SwapMode.KEEP_IMAGE else "swap with mode restart"
            raise SwapRefused(
                f"agent {plan.agent!r} cannot be swapped with mode {plan.mode}", where=where, why=flaw, fix=fix
            )
    return SwapOrder(plan.mode, changed, spec.package)


def _cannot_migrate(old: Version, new: Version) -> str:
    """Return why no state can travel between two versions, or nothing."""
    for version, who, export in ((old, "running", "agent_save"), (new, "new", "agent_load")):
        if not any(known.name == export for known in parse(version.wasm).exports):
            return f"the {who} version does not export {export}"
    return ""


def _cannot_keep(old: Version, new: Version) -> str:
    """Return why the memory of one version means nothing to the other, or nothing."""
    flaw = layout_flaw(decode_compiled(old.admitted.compiled), decode_compiled(new.admitted.compiled))
    if flaw:
        return flaw
    before, after = parse(old.wasm), parse(new.wasm)
    for kind, what in ((DATA, "initial data"), (TABLE, "table of functions")):
        sections = [module.section(kind) for module in (before, after)]
        parts = [
            module.data[section.start : section.end] if section else b""
            for module, section in zip((before, after), sections, strict=True)
        ]
        if parts[0] != parts[1]:
            return f"the {what} of the new version differs, and the kept memory holds the old one's"
    return ""


def layout_flaw(old: Compiled, new: Compiled) -> str:
    """Return the first part of two versions' layouts that differs, or nothing."""
    for field in ("inbox_at", "inbox_bytes", "outbox_at", "outbox_bytes", "context_at"):
        before, after = getattr(old.descriptor, field), getattr(new.descriptor, field)
        if before != after:
            return f"{field} of the descriptor is {before} in the running version and {after} in the new one"
    for field, what in (
        ("globals", "mutable globals"),
        ("types", "types of mutable globals"),
        ("regions", "regions of windows"),
    ):
        if getattr(old, field) != getattr(new, field):
            return f"the {what} differ"
    for field, what in (("pages", "initial"), ("maximum", "greatest")):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            return f"the {what} size of the memory is {before} pages in the running version and {after} in the new one"
    return ""


def _handles_differ(old: AgentSpec, new: AgentSpec) -> str:
    for key in GRANT_LISTS:
        if getattr(old, key) != getattr(new, key):
            return f"the manifests differ in {key}, and the kept memory holds handles of the old one"
    return ""


# -- grants ------------------------------------------------------------------------------------------------------------


def next_spec(spec: AgentSpec, plan: SwapPlan, admitted: Admitted, header: Header, where: str) -> AgentSpec:
    """Return the agent as it is to be: what it was granted, as far as the new version declares it.

    Raises:
        SwapRefused: TW4101, the new version declares more than was granted and nobody grants it, or a grant fits
            nothing.
    """
    manifest = admitted.manifest
    grants = set(plan.grants)
    changed = msgspec.structs.replace(
        spec,
        digest=plan.digest,
        source=plan.source,
        version=manifest.version if manifest is not None else "",
        entry=manifest.name if manifest is not None else spec.entry,
        limits=_limits(spec.limits, manifest, grants, admitted.inbox_bytes),
        regions=admitted.regions,
    )
    if manifest is not None:
        changed = _with_handles(spec, changed, manifest, grants)
        wanted = _ungranted(spec, changed, manifest, grants)
        if wanted:
            raise SwapRefused(
                f"the new version of agent {plan.agent!r} declares more than it was granted: {', '.join(wanted)}",
                where=where,
                why="a swap gives a new version at most what the old one had",
                fix=f"grant it by name: {' '.join(f'--grant {plan.agent}={word}' for word in wanted)}",
            )
    _refuse_useless(spec, changed, plan, header, where)
    return changed


def _with_handles(old: AgentSpec, changed: AgentSpec, manifest: Manifest, grants: set[str]) -> AgentSpec:
    """Return the agent with the new manifest's handles; what the old version was denied stays denied."""
    asked = manifest.capabilities
    lists: dict[str, tuple[str, ...]] = {key: getattr(asked, key) for key in GRANT_LISTS}
    denied = set(old.denied) - grants
    kept = [f"{key}:{name}" for key, names in lists.items() for name in names if f"{key}:{name}" in denied]
    clock = asked.clock and CLOCK not in denied
    if asked.clock and CLOCK in denied:
        kept.append(CLOCK)
    return msgspec.structs.replace(changed, **lists, clock=clock, denied=tuple(kept))


def _ungranted(old: AgentSpec, changed: AgentSpec, manifest: Manifest, grants: set[str]) -> list[str]:
    """Return what the new version declares and the old one did not, and nobody grants."""
    found = [
        f"{key}:{name}"
        for key in GRANT_LISTS
        for name in getattr(changed, key)
        if name not in getattr(old, key) and f"{key}:{name}" not in grants
    ]
    if manifest.capabilities.clock and not old.clock and CLOCK not in old.denied and CLOCK not in grants:
        found.append(CLOCK)
    return found


def _limits(limits: Limits, manifest: Manifest | None, grants: set[str], inbox_bytes: int) -> Limits:
    """Return the lesser of what the agent has, or is granted now, and what the new version asks for."""
    allowed = {key: int(getattr(limits, key)) for key in LIMITS}
    for word in grants:
        key, _, number = word.partition(":")
        if key in allowed and number.isdecimal():
            allowed[key] = int(number)
    asked = manifest.limits if manifest is not None else None
    chosen = {key: min(value, (getattr(asked, key) if asked else 0) or value) for key, value in allowed.items()}
    return msgspec.structs.replace(limits, **chosen, inbox_bytes=inbox_bytes)


def _refuse_useless(old: AgentSpec, changed: AgentSpec, plan: SwapPlan, header: Header, where: str) -> None:
    """Refuse a grant that the new version does not declare, or of something the run has not."""
    known: dict[str, tuple[str, ...]] = {
        "publish": header.topics,
        "subscribe": header.topics,
        "skills": tuple(skill.name for skill in header.skills),
        "spawn": tuple(template.name for template in header.templates),
        "models": tuple(model.name for model in header.models),
        "windows": tuple(window.name for window in header.windows),
    }
    for word in plan.grants:
        key, _, name = word.partition(":")
        if key in LIMITS and name.isdecimal() and int(name) > 0:
            continue
        declared: tuple[str, ...] = getattr(changed, key) if key in GRANT_LISTS else ()
        if word == CLOCK and (changed.clock or old.clock):
            continue
        if name not in declared:
            why = "the new version does not declare it" if key in (*GRANT_LISTS, CLOCK) else "no such thing is granted"
            raise SwapRefused(f"{word} cannot be granted to {plan.agent!r}", where=where, why=why, fix="leave it out")
        if key in known and name not in known[key]:
            raise SwapRefused(
                f"{word} cannot be granted to {plan.agent!r}",
                where=where,
                why=f"the run has only these: {', '.join(known[key]) or 'none'}",
                fix="fork from a world that declares it",
            )


# -- inputs ------------------------------------------------------------------------------------------------------------


def swap_input(agent: str, order: SwapOrder, code: int = 0) -> Input:
    """Return the input that a swap enters as."""
    body = codec.encode(order)
    return Input(InputKind.SWAP_AGENT, OPERATOR, agent, code=code, body=body, size=len(body))


def refused_input(plan: SwapPlan, spec: AgentSpec | None, error: TickworkError) -> Input:
    """Return the input of a swap that turned out to be impossible when its tick came."""
    before = spec or AgentSpec(plan.agent, "wasm", "", plan.digest)
    order = SwapOrder(
        plan.mode,
        msgspec.structs.replace(before, digest=plan.digest, source=plan.source),
        before.package if spec is not None else b"",
        reason=f"{error.code}: {error.what}" + (f": {error.why}" if error.why else ""),
    )
    return swap_input(plan.agent, order, Refusal.NOT_FOUND if spec is None else Refusal.UNSUPPORTED)


def shown_order(order: SwapOrder) -> str:
    """Return a swap for people."""
    return f"{order.mode} to {shown_version(order.spec)}" + (f": {order.reason}" if order.reason else "")
