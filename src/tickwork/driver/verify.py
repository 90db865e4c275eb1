"""Replay and verify: a journal folded again, without and with executing its turns."""

from pathlib import Path

import msgspec

from .. import codec
from ..errors import JournalDamaged, ReplayDivergence
from ..journal.check import ChainReport
from ..journal.memory import MemoryJournal
from ..journal.seal import Damage
from ..journal.store import JournalReader
from ..kernel import RunStatus
from ..records import Environment, Frame
from .compare import Divergence
from .fold import Diverged, Fold, open_machine, read_inputs
from .loop import Inbox, status_name
from .opening import executing, journal_path, read_header, reading
from .options import Options, Progress
from .reexecute import Reexecution
from .resolve import World


class Run(msgspec.Struct, frozen=True):
    """A run, or a look at one.

    Attributes:
        status: ``complete``, ``failed``, ``interrupted`` (resumable) or ``waiting``.
        ticks: Ticks until the run was asked to close, or so far. Closing takes some more.
        head: The head of D. Shape: 32 bytes.
        journal: The journal's file; None for a run in memory.
        turns, failed: Turns, and how many of them were not OK.
        frames: Ticks with those in which the run closed; ``show`` has them all.
    """

    run_id: str
    name: str
    status: str
    ticks: int
    head: bytes
    journal: Path | None
    turns: int
    failed: int
    frames: int = 0


class Verification(msgspec.Struct, frozen=True):
    """What a verification found.

    Attributes:
        run: How far it came.
        equal: Whether every record came out again byte for byte.
        divergence: The first record that did not.
        damage: Where the journal is damaged; nothing was executed then.
        signed_by: Key id of the signature over the head, empty when unsigned.
        reexecution: What asking the models again came to, where that was asked for.
    """

    run: Run
    equal: bool
    divergence: Divergence | None = None
    damage: Damage | None = None
    signed_by: str = ""
    reexecution: Reexecution | None = None


def _watch(fold: Fold, total: int, verb: str, options: Options) -> None:
    tick = fold.machine.state.tick
    if options.progress is not None and tick > fold.begins and (tick % options.progress_ticks == 0 or tick == total):
        options.progress(Progress(verb, tick, total, fold.turns, fold.failed))


def _summary(journal: JournalReader, environment: Environment, fold: Fold, path: Path | None, head: bytes) -> Run:
    return Run(
        environment.run_id,
        fold.machine.header.name,
        journal.status().text or status_name(fold.machine),
        fold.machine.ticks,
        head,
        path,
        fold.turns,
        fold.failed,
        fold.machine.state.tick,
    )


def _fold_checked(
    fold: Fold,
    journal: JournalReader,
    verb: str,
    options: Options,
    *,
    length: int | None = None,
    inbox: Inbox | None = None,
) -> tuple[bytes, bytes]:
    """Fold the first ``length`` frames, or all, checking the chains on the way; return the heads (D, F) after them.

    Frames before a fold that begins at a snapshot are checked and followed, not folded.
    """
    total = fold.machine.header.ticks if length is None else length
    heads = codec.start_chain(*journal.header())
    for frame in journal.frames() if length is None else journal.frames(0, length - 1):
        expected = codec.link(heads, frame.tick, frame.inputs, frame.turns, frame.derived, frame.hints)
        if expected.d != frame.d or expected.f != frame.f:
            raise JournalDamaged(
                "the chain does not hold", record=frame.tick, offset=None, why="a record is not what was written"
            )
        if frame.tick < fold.begins:
            closing = frame.tick > fold.machine.state.closing_since
            inputs = read_inputs(journal, frame) if inbox is not None else []
        else:
            closing = fold.machine.state.status != RunStatus.OPEN
            inputs = fold.feed(frame)
        if inbox is not None:
            inbox.follow(frame.tick, fold.machine.header.max_inputs, inputs, closing=closing)
        heads = (frame.d, frame.f)
        _watch(fold, total, verb, options)
    return heads


def replay(source: Path | str | JournalReader, *, options: Options | None = None) -> Run:
    """Fold a journal again without executing or performing anything; the head that comes out is recomputed.

    Raises:
        ReplayDivergence: TW4001, a record that the kernel derives differs from the recorded one.
        JournalDamaged: TW2004.
    """
    options = options or Options()
    with reading(source) as journal:
        _, environment = read_header(journal)
        _, machine = open_machine(journal.header()[0])
        fold = Fold(journal, machine, None)
        try:
            head = _fold_checked(fold, journal, "replay", options)[0]
        except Diverged as error:
            raise divergence_error(error.divergence) from error
        return _summary(journal, environment, fold, journal_path(source), head)


def divergence_error(divergence: Divergence) -> ReplayDivergence:
    """Return a divergence as the error to raise where no document can carry it."""
    return ReplayDivergence(
        divergence.sentence(),
        where=f"tick {divergence.tick}, {divergence.record}",
        why="the same header and inputs must give the same records",
        fix="see the page of TW4001; `tickwork doctor` checks this machine",
    )


def verify(
    source: Path | str | JournalReader, *, world: World | None = None, options: Options | None = None
) -> Verification:
    """Check the chains, execute every turn again and compare every byte. No performer is called.

    Args:
        world: Gives native agents that come from no file.

    Raises:
        AgentCodeMissing: TW4002, a native agent's source is absent or changed.
    """
    options = options or Options()
    path = journal_path(source)
    signed_by = ""
    report = examine(source)
    if report is not None:
        if report.damage is not None:
            return Verification(_damaged_run(path, report), equal=False, damage=report.damage)
        if report.signature_ok is False:
            forged = Damage("a signature does not hold, or is of another chain", record=report.signed_tick)
            return Verification(_damaged_run(path, report), equal=False, damage=forged)
        signed_by = report.key_id.hex()
    with reading(source) as journal, executing(journal, world, options) as (_, environment, fold):
        try:
            head = _fold_checked(fold, journal, "verify", options)[0]
        except Diverged as error:
            run_ = _summary(journal, environment, fold, path, journal.head().d)
            return Verification(run_, equal=False, divergence=error.divergence, signed_by=signed_by)
        except JournalDamaged as error:
            run_ = _summary(journal, environment, fold, path, journal.head().d)
            return Verification(run_, equal=False, damage=Damage(error.why or error.what, error.record, error.offset))
        run_ = _summary(journal, environment, fold, path, head)
        return Verification(run_, equal=True, signed_by=signed_by)


def examine(source: Path | str | JournalReader) -> ChainReport | None:
    """Return what the bytes and records of a journal say of themselves; None for one in memory."""
    if isinstance(source, MemoryJournal):
        return None
    # Loads SQLite, which a journal in memory does not need.
    from ..journal.check import check, check_shared
    from ..journal.shared import SharedJournal

    if isinstance(source, str | Path):
        return check(Path(source))
    return check_shared(source) if isinstance(source, SharedJournal) else None


def _damaged_run(path: Path | None, report: ChainReport) -> Run:
    head = report.head.d if report.head is not None else b""
    return Run("", "", "damaged", report.ticks, head, path, 0, 0, report.ticks)


def feed(fold: Fold, frame: Frame) -> None:
    """Fold one frame.

    Raises:
        ReplayDivergence: TW4001, a record does not come out again.
    """
    try:
        fold.feed(frame)
    except Diverged as error:
        raise divergence_error(error.divergence) from error


def fold_prefix(
    fold: Fold, journal: JournalReader, length: int, inbox: Inbox | None, verb: str, options: Options
) -> tuple[bytes, bytes]:
    """Fold the first ``length`` frames, with an inbox that follows them; return the heads after them.

    Raises:
        JournalDamaged: TW2004, a record is not what was written.
        ReplayDivergence: TW4001, a record does not come out again.
    """
    try:
        return _fold_checked(fold, journal, verb, options, length=length, inbox=inbox)
    except Diverged as error:
        raise divergence_error(error.divergence) from error
