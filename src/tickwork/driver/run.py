"""Run a world, and go on with an interrupted run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from .. import codec
from ..errors import EffectUndecided, JournalClosed, JournalExists
from ..journal.memory import MemoryJournal
from ..journal.signing import sign
from ..journal.store import Journal
from ..kernel import Machine, RunStatus
from ..records import Effect, Environment, Header
from .crew import Crew, open_versions, pin_capacities
from .feeds import Feed
from .judging import Judge
from .loop import OPERATOR, Decision, Inbox, Loop, settle_unknown, status_name
from .model_swaps import check_model_plans, further_model_plans, plan_model_swaps, resumed_model_plans
from .models import Desk
from .opening import executing, journal_path, native_folder, natives, new_environment, performers, resumed_performers
from .options import Options, settled
from .owed import read_owed
from .pinning import pin_models, storing
from .plans import AnySwap, split_swaps
from .resolve import World
from .settle import further_plans, judge_plans, resumed_plans
from .swap import check_plans
from .verify import Run, fold_prefix


def run(world: World, *, journal: Path | str | Journal | None = None, options: Options | None = None) -> Run:
    """Run a world to its end.

    Args:
        journal: The file to write, or an empty journal of this world's header; None keeps it in memory.

    Raises:
        ModuleError: TW3001 to TW3006, a module is refused; no journal is made then.
        PackageError: TW3201 to TW3210, a module is not believed; no journal is made then.
        SwapRefused: TW4101, a planned swap cannot be done; no journal is made then.
        ModelError: TW6001 to TW6015, a model is not there, not believed or cannot be run; no journal is made then.
        JournalExists: TW2002.
    """
    with storing(world, settled(options)) as chosen:
        return _run(pin_models(world, chosen), journal, chosen)


def _run(world: World, journal: Path | str | Journal | None, options: Options) -> Run:
    known = performers(world, options)
    judge = Judge(world.header, options, update=True)
    admitted, versions = open_versions(world.header, world.modules.__getitem__, options, judge)
    header = pin_capacities(world.header, admitted)
    check_plans(world.swaps, header, {spec.name: spec for spec in header.agents}, versions)
    header_bytes = codec.encode(header)
    feeds = open_feeds(header, {codec.digest(body): body for body in world.contents}.__getitem__)
    model_plans = plan_model_swaps(world.model_swaps, header, options)
    check_model_plans(model_plans, header, header.models, options)
    place = str(world.folder.absolute())
    environment = new_environment(options, world=place, swaps=world.swaps, model_swaps=model_plans)
    environment_bytes = codec.encode(environment)
    folder = native_folder(world, environment, options)
    crew = Crew(header, admitted, natives(world), folder, options, versions=versions)
    with closing(crew), closing(Desk(options, known)) as desk:
        desk.open(header.models)
        writer = create_journal(journal, header_bytes, environment_bytes, world.contents)
        dispatch = desk.dispatch(header.models, in_order=header.ordering == "issue")
        machine = Machine(header, codec.digest(header_bytes))
        heads = codec.start_chain(*writer.header())
        inbox = Inbox(feeds)
        inbox.schedule(world.swaps)
        inbox.schedule_models(model_plans)
        inbox.recall(world.inputs)
        loop = Loop(machine, crew, writer, inbox, dispatch, options, heads)
        loop.desk = desk
        return finish(loop, environment, journal)


def create_journal(
    journal: Path | str | Journal | None, header: bytes, environment: bytes, contents: Sequence[bytes]
) -> Journal:
    """Return the journal to write: a new file, the given one, or one in memory."""
    if journal is None:
        return MemoryJournal(header, environment, contents)
    if isinstance(journal, str | Path):
        from ..journal.sqlite import SqliteJournal

        return SqliteJournal.create(Path(journal), header, environment, contents)
    if journal.length() or journal.header()[0] != header:
        raise JournalExists(
            "the journal that was given is of another run",
            why="it has ticks already" if journal.length() else "its record 0 is not this run's",
            fix="give one made from this run's header, or None to keep the run in memory",
        )
    for body in contents:
        journal.put_content(body)
    return journal


def open_feeds(header: Header, content: Callable[[bytes], bytes]) -> list[Feed]:
    """Return the feeds of a header. Order: the header's."""
    return [Feed(spec, content(spec.digest)) for spec in header.feeds]


def finish(loop: Loop, environment: Environment, journal: Path | str | Journal | None) -> Run:
    """Drive a loop to its end, close what it holds, and say how it came out."""
    try:
        if loop.run():
            _close_run(loop)
        return Run(
            environment.run_id,
            loop.machine.header.name,
            loop.status,
            loop.machine.ticks,
            loop.heads[0],
            journal_path(journal) if isinstance(journal, str | Path) else None,
            loop.turns,
            loop.failed,
            loop.machine.state.tick,
        )
    finally:
        loop.dispatch.close()
        if isinstance(journal, str | Path):
            loop.journal.close()


def _close_run(loop: Loop) -> None:
    key = loop.options.signing_key
    signature = sign(key, loop.journal.head()) if key is not None else None
    loop.journal.close_run(status_name(loop.machine), signature)


def resume(
    source: Path | str,
    *,
    world: World | None = None,
    decisions: Mapping[int, Decision] | None = None,
    swaps: Iterable[AnySwap] = (),
    options: Options | None = None,
) -> Run:
    """Go on with an interrupted run: check its journal, verify it from the last snapshot on, run live to the end.

    Args:
        decisions: By effect number, ``retry`` or ``fail`` for unsafe effects whose result a crash has lost.
        swaps: Further swaps, beside those planned when the run began. Should this run be interrupted too before one
            of them has happened, it is to be given again.

    Raises:
        JournalClosed: TW2007, the run has ended.
        EffectUndecided: TW4003, an unsafe effect's result is unknown and not in ``decisions``.
        ReplayDivergence: TW4001, what is there does not come out again.
        ModelError: TW6001 to TW6015, a model that the run may still ask is not there or cannot be run.
    """
    options = settled(options)
    from ..journal.sqlite import SqliteJournal

    with closing(SqliteJournal.open(Path(source), write=True)) as journal:
        return resume_journal(
            journal, Path(source), world=world, decisions=decisions or {}, swaps=swaps, options=options
        )


def resume_journal(
    journal: Journal,
    path: Path | None,
    *,
    world: World | None,
    decisions: Mapping[int, Decision],
    options: Options,
    swaps: Iterable[AnySwap] = (),
) -> Run:
    """Go on with an interrupted run whose journal is open for writing."""
    if journal.status().closed:
        raise JournalClosed(
            f"the run has ended ({journal.status().text})",
            where=str(path or "memory"),
            fix="fork it to go on differently: `tickwork fork JOURNAL --at TICK`",
        )
    with executing(journal, world, options, until=journal.length(), live=True) as (header, environment, fold):
        assert fold.crew is not None
        inbox = Inbox(open_feeds(header, journal.content))
        plans = resumed_plans(environment, world, fold.crew)
        inbox.schedule(plans)
        inbox.schedule_models(resumed_model_plans(environment, world, options))
        inbox.recall(world.inputs if world is not None else ())
        heads = fold_prefix(fold, journal, journal.length(), inbox, "verify", options)
        judge_plans(plans, fold.machine, fold.crew)
        of_agents, of_models = split_swaps(swaps)
        inbox.schedule(further_plans(of_agents, fold.machine, fold.crew))
        inbox.schedule_models(further_model_plans(of_models, fold.machine, options))
        state, owed = fold.machine.state, read_owed(environment, journal)
        open_ = state.effects if state.status < RunStatus.COMPLETE else []
        known = owed.answers(open_)
        answered = {item.number for _, item in known}
        unknown = [effect for effect in open_ if effect.number not in answered]
        again, decided, undecided = settle_unknown(unknown, decisions)
        if undecided:
            raise undecided_error(undecided)
        inbox.change(owed.pending(journal.length()))
        inbox.recall(known)
        inbox.offer(decided, OPERATOR)
        with closing(Desk(options, resumed_performers(world, environment, options, header))) as desk:
            desk.reopen(header, state, again)
            dispatch = desk.dispatch(state.models, in_order=header.ordering == "issue")
            loop = Loop(fold.machine, fold.crew, journal, inbox, dispatch, options, heads)
            loop.desk, loop.turns, loop.failed = desk, fold.turns, fold.failed
            loop.release_again(again)
            done = finish(loop, environment, journal)
        return msgspec.structs.replace(done, journal=path)


def undecided_error(effects: Sequence[Effect]) -> EffectUndecided:
    """Return the error that asks a person about effects whose result is unknown."""
    named = ", ".join(
        f"{effect.number} ({effect.skill}, tick {effect.tick}, key {effect.key.hex()})" for effect in effects
    )
    return EffectUndecided(
        f"nobody knows whether these effects happened: {named}",
        why="no result of theirs is recorded, and the skill is declared unsafe to repeat",
        fix=f"look whether it happened, then say --decide {effects[0].number}=retry, or =fail",
    )
