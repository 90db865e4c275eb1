"""What a journal refuses and how it says so: each error worded once."""

from pathlib import Path

from ..errors import (
    InternalError,
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalExists,
    JournalIncomplete,
    JournalNotFound,
    JournalWriteFailed,
)
from .seal import Damage
from .store import RunStatus


def run_finished(status: RunStatus) -> JournalClosed:
    """Return the error of a write to a finished run."""
    return JournalClosed(f"the run is finished ({status.text})", fix="fork it to go on from one of its ticks")


def not_found(path: Path) -> JournalNotFound:
    """Return the error of a name without a file."""
    return JournalNotFound(
        "there is no readable journal here", where=str(path), fix="name a journal; runs write theirs to .tickwork/runs"
    )


def not_readable_here(path: Path) -> JournalNotFound:
    """Return the error of an open run in a folder where its log cannot be used."""
    return JournalNotFound(
        "the journal cannot be opened here",
        where=str(path),
        why="its run is not finished, and reading its write-ahead log needs a folder that can be written",
        fix=f"copy {path.name} and {path.name}-wal to such a folder",
    )


def name_taken(path: Path) -> JournalExists:
    """Return the error of a new run under the name of a file that exists."""
    fix = "choose another name, or go on with --resume"
    return JournalExists("there is a file of this name already", where=str(path), fix=fix)


def written_by_another(path: Path) -> JournalBusy:
    """Return the error of a second writer."""
    fix = "wait for it to end, or choose another --journal"
    return JournalBusy("another process writes this journal", where=str(path), fix=fix)


def store_busy(path: Path) -> JournalBusy:
    """Return the error of a transaction that another process does not let begin."""
    return JournalBusy(
        "another process has been writing the store for too long",
        where=str(path),
        fix="try again; if it stays so, look for a stopped process that holds the file",
    )


def run_taken_over(run: str, path: Path) -> JournalBusy:
    """Return the error of a writer whose run another one goes on with."""
    return JournalBusy(
        f"another process goes on with run {run}",
        where=str(path),
        why="this one was silent for so long that its claim expired, or the run was claimed twice",
        fix="nothing of the run is lost: look at it with `tickwork runs`",
    )


def run_exists(run: str, path: Path) -> JournalExists:
    """Return the error of a second journal of the same run."""
    return JournalExists(
        f"the store has a journal of run {run}", where=str(path), fix="go on with it, or take a new id"
    )


def run_unknown(run: str, path: Path) -> JournalNotFound:
    """Return the error of a run that a store has no journal of."""
    return JournalNotFound(
        f"the store has no journal of run {run!r}", where=str(path), fix="see its runs with `tickwork runs`"
    )


def write_failed(path: Path, reason: str) -> JournalWriteFailed:
    """Return the error of a write that the disk refused."""
    return JournalWriteFailed(
        "the journal could not be written",
        where=str(path),
        why=reason,
        fix="make room or repair the disk, then go on with `tickwork run --resume`; nothing acknowledged is lost",
    )


def unreadable(path: Path, reason: str) -> JournalDamaged:
    """Return the error of a read that stopped at a damaged structure."""
    return JournalDamaged(
        f"{path.name} cannot be read: {reason}",
        record=None,
        offset=None,
        why="SQLite found its structure damaged",
        fix=f"see the place with `tickwork verify {path}`, and restore the file from a copy",
    )


def cut_refused(path: Path, record: int, damage: Damage) -> JournalDamaged:
    """Return the error of going on where whole records would be lost."""
    return JournalDamaged(
        f"{path.name} cannot go on: {damage.what}",
        record=record,
        offset=damage.offset,
        why="durable records follow the damage and would be lost",
        fix="restore the file and its -wal from a copy, or fork at a tick before the damage",
    )


def content_missing(digest: bytes) -> JournalIncomplete:
    """Return the error of a digest without bytes."""
    return JournalIncomplete(f"the journal has no content {digest.hex()}", fix="restore the file from a copy")


def content_damaged(digest: bytes) -> JournalDamaged:
    """Return the error of bytes that are no longer the ones their name was made from."""
    return JournalDamaged(
        f"content {digest.hex()} is not what its digest says",
        record=None,
        offset=None,
        why="bytes of the file have changed since they were written",
        fix="restore the file from a copy",
    )


def out_of_turn(tick: int, expected: int) -> InternalError:
    """Return the error of a frame that is not the next."""
    return InternalError(f"a frame of tick {tick} was appended where tick {expected} comes next")
