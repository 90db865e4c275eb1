"""Fork: a new run that shares a prefix with another and goes on live."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import msgspec

from .. import codec
from ..errors import JournalIncomplete, TickOutOfRange
from ..journal.store import Journal, JournalReader
from ..kernel import RunStatus
from ..records import Effect, Environment, Frame, Input, InputKind, ModelPlan, SwapPlan
from .fold import read_inputs
from .loop import OPERATOR, Decision, Inbox, Loop, Mark, settle_unknown
from .model_swaps import further_model_plans, resumed_model_plans
from .models import Desk
from .opening import executing, new_environment, reading, resumed_performers
from .options import Options, settled
from .owed import Owed, keep_owed, read_owed
from .plans import AnySwap, in_order, split_swaps
from .resolve import World
from .run import create_journal, finish, open_feeds, undecided_error
from .settle import further_plans, judge_plans, module_digests, resumed_plans
from .snapshots import snapshot_bodies
from .verify import Run, fold_prefix


class Edit(msgspec.Struct, frozen=True):
    """What a fork changes.

    Attributes:
        inputs: Operator inputs at the tick of the fork.
        dropped: ``source:feed:NAME``, or ``topic:NAME`` and ``agent:NAME`` for what feeds send there: left out from
            then on.
        swaps: New versions of agents and models, beside those planned when the original began; one that names no tick
            happens at the tick of the fork.
    """

    inputs: tuple[Input, ...] = ()
    dropped: tuple[str, ...] = ()
    swaps: tuple[AnySwap, ...] = ()


class _Change(msgspec.Struct, frozen=True):
    """What of an edit its mark is the digest of."""

    inputs: tuple[Input, ...]
    dropped: tuple[str, ...]


def fork(
    source: Path | str | JournalReader,
    *,
    at: int,
    to: Path | str | Journal | None = None,
    edit: Edit | None = None,
    world: World | None = None,
    decisions: Mapping[int, Decision] | None = None,
    options: Options | None = None,
) -> Run:
    """Copy the ticks before ``at`` into a new journal, change something, and go on live.

    An effect that was asked for before the fork is not performed again: its recorded result is used.
    Law: a fork that changes nothing has the head of the original.

    Args:
        decisions: By effect number, ``retry`` or ``fail`` for unsafe effects asked for before the fork that have no
            recorded result.

    Raises:
        TickOutOfRange: TW4006.
        EffectUndecided: TW4003, such an effect is not in ``decisions``; no journal is made then.
    """
    options = settled(options)
    edit = edit or Edit()
    with reading(source) as parent:
        if not 0 <= at <= parent.length():
            raise TickOutOfRange(
                f"there is no tick {at} to fork at",
                why=f"the run has ticks 0 to {parent.length() - 1}",
                fix="name one of them",
            )
        with executing(parent, world, options, until=at, live=True) as (header, known, fold):
            assert fold.crew is not None
            inbox = Inbox(open_feeds(header, parent.content))
            planned = resumed_plans(known, world, fold.crew)
            inbox.schedule(planned)
            model_plans = resumed_model_plans(known, world, options)
            inbox.schedule_models(model_plans)
            inbox.recall(world.inputs if world is not None else ())
            fold_prefix(fold, parent, at, inbox, "fork", options)
            ended = fold.machine.state.status >= RunStatus.COMPLETE
            if ended and (edit.inputs or edit.dropped or edit.swaps):
                raise TickOutOfRange(
                    f"nothing can be changed at tick {at}", why="the run has ended there", fix="fork at an earlier tick"
                )
            owed = read_owed(known, parent)
            waiting, results = recorded_results(parent, at, () if ended else fold.machine.state.effects, owed)
            again, decided, undecided = settle_unknown(waiting, decisions or {})
            if undecided:
                raise undecided_error(undecided)
            judge_plans(planned, fold.machine, fold.crew)
            of_agents, of_models = split_swaps(edit.swaps)
            plans = further_plans(of_agents, fold.machine, fold.crew)
            further = further_model_plans(of_models, fold.machine, options)
            edits = [*(owed.pending(at) if at == parent.length() else ()), *edits_of(edit, (*plans, *further))]
            inbox.schedule(plans)
            inbox.schedule_models(further)
            inbox.recall(results)
            inbox.offer(decided, OPERATOR)
            inbox.change(edits)
            planned = in_order((*planned, *plans))
            body = keep_owed(at, edits, results)
            named, model_plans = codec.digest(body), in_order((*model_plans, *further))
            environment = new_environment(
                options, world=known.world, parent=known.run_id, swaps=planned, owed=named, model_swaps=model_plans
            )
            performers = resumed_performers(world, known, options, header)
            assert fold.crew.versions is not None, "a fold that executes knows where modules come from"
            wanted = [mark for plan in planned if plan.at >= at for mark in (plan.digest, plan.source) if mark]
            coming = [body, *(fold.crew.versions.body(mark) for mark in wanted)]
            with closing(Desk(options, performers)) as desk:
                desk.reopen(header, fold.machine.state, again)
                writer, heads = _copy_prefix(parent, at, to, environment, coming)
                dispatch = desk.dispatch(fold.machine.state.models, in_order=header.ordering == "issue")
                loop = Loop(fold.machine, fold.crew, writer, inbox, dispatch, options, heads)
                loop.desk, loop.turns, loop.failed = desk, fold.turns, fold.failed
                loop.release_again(again)
                if edits:
                    loop.tick()  # Whatever stops the fork, its change is in the journal's first own tick.
                return finish(loop, environment, to)


def edits_of(edit: Edit, plans: Sequence[SwapPlan | ModelPlan]) -> list[Input]:
    """Return a fork's inputs, after one that gives its effects keys of their own."""
    if not edit.inputs and not edit.dropped and not plans:
        return []
    changed = codec.encode(_Change(edit.inputs, edit.dropped)) + (codec.encode(tuple(plans)) if plans else b"")
    mark = codec.encode(Mark(codec.digest(changed), edit.dropped))
    return [Input(InputKind.LINEAGE, OPERATOR, body=mark, size=len(mark)), *edit.inputs]


def _copy_prefix(
    parent: JournalReader, at: int, to: Path | str | Journal | None, environment: Environment, coming: Sequence[bytes]
) -> tuple[Journal, tuple[bytes, bytes]]:
    header_bytes, _ = parent.header()
    environment_bytes = codec.encode(environment)
    header = codec.decode_header(header_bytes)
    modules = [spec for spec in (*header.agents, *header.templates) if spec.kind == "wasm"]
    named = [digest for spec in modules for digest in (spec.digest, spec.source) if digest]
    named += [feed.digest for feed in header.feeds]
    contents = [*(parent.content(digest) for digest in dict.fromkeys(named)), *coming]
    writer = create_journal(to, header_bytes, environment_bytes, contents)
    heads = codec.start_chain(*writer.header())
    for frame in parent.frames(0, at - 1) if at else ():
        copied = codec.link(heads, frame.tick, frame.inputs, frame.turns, frame.derived, frame.hints)
        heads = (copied.d, copied.f)
        writer.append(copied, detached_bodies(parent, frame))
    writer.flush(durable=True)  # One group: the prefix is there whole, or the journal is no fork yet.
    return writer, heads


def detached_bodies(parent: JournalReader, frame: Frame) -> list[bytes]:
    """Return the bodies a frame's records name by digest."""
    digests = [item.digest for item in codec.decode_inputs(frame.inputs) if item.digest]
    digests += [turn.digest for turn in codec.decode_turns(frame.turns) if turn.digest]
    named = codec.decode_hints(frame.hints).snapshot
    pages = snapshot_bodies(parent, named) if named else ()
    return [*(parent.content(digest) for digest in digests), *_brought(parent, frame), *pages]


def _brought(parent: JournalReader, frame: Frame) -> Iterator[bytes]:
    """Yield the modules that a frame's swaps bring; what a swap failed for because it was nowhere is nowhere here."""
    swaps = [item for item in read_inputs(parent, frame) if item.kind == InputKind.SWAP_AGENT]
    for item in swaps:
        for digest in module_digests([item]):
            with suppress(JournalIncomplete) if item.code else nullcontext():
                yield parent.content(digest)


def recorded_results(
    parent: JournalReader, at: int, effects: Sequence[Effect], owed: Owed
) -> tuple[list[Effect], list[tuple[int, Input]]]:
    """Return the effects open at a tick whose result is not recorded, and the recorded results, each with its tick.

    Args:
        owed: What the parent, if it is itself a fork, had still to take in.
    """
    waiting = {effect.number: effect for effect in effects}
    results: list[tuple[int, Input]] = []
    for frame in parent.frames(at) if waiting else ():
        found = [item for item in read_inputs(parent, frame) if item.kind == InputKind.RESULT]
        results += [(frame.tick, item) for item in found if waiting.pop(item.number, None) is not None]
        if not waiting:
            break
    results += [known for known in owed.answers(waiting.values()) if waiting.pop(known[1].number, None) is not None]
    return list(waiting.values()), results
