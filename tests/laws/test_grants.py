"""Laws of what an operator changes while a run goes on: grants and windows."""

from collections.abc import Callable

import msgspec
import pytest

from tests.laws.recorded import Recorded, empty_journal, prefix
from tickwork import codec
from tickwork.driver.diff import diff
from tickwork.driver.fork import Edit, fork
from tickwork.driver.run import resume_journal
from tickwork.driver.verify import replay, verify
from tickwork.journal.memory import MemoryJournal
from tickwork.records import Derived, DerivedKind, Input, InputKind, WindowSpec

Get = Callable[[str], Recorded]

every_world = pytest.mark.parametrize("name", ["panes", "panes-linear"])


def operator(kind: InputKind, target: str, body: bytes = b"") -> Input:
    return Input(kind, "operator", target, body=body, size=len(body))


RING = msgspec.msgpack.encode(WindowSpec("fourth", "ring", 3000, "last", ("reader",)))
EDITS: dict[str, tuple[Input, ...]] = {
    "revoked": (
        operator(InputKind.REVOKE, "writer", b"windows:first"),
        operator(InputKind.REVOKE, "reader", b"windows:second"),
        operator(InputKind.REVOKE, "glazier", b"models:brain"),
    ),
    "granted again": (
        operator(InputKind.REVOKE, "reader", b"windows:second"),
        operator(InputKind.GRANT, "reader", b"windows:second"),
        operator(InputKind.GRANT, "reader", b"windows:third"),
    ),
    "closed": (operator(InputKind.CLOSE_WINDOW, "second"), operator(InputKind.CLOSE_WINDOW, "third")),
    "opened anew": (
        operator(InputKind.CLOSE_WINDOW, "third"),
        operator(InputKind.OPEN_WINDOW, "third"),
        operator(InputKind.CLOSE_WINDOW, "fourth"),
        operator(InputKind.OPEN_WINDOW, "fourth", RING),
    ),
}


def changed(made: Recorded, edit: str, at: int, workers: int = 0) -> MemoryJournal:
    """Return the journal of a fork with a change."""
    copy = empty_journal(made.world, made.options)
    options = msgspec.structs.replace(made.options, workers=workers)
    fork(made.journal, at=at, to=copy, edit=Edit(EDITS[edit]), world=made.world, options=options)
    return copy


def derived(journal: MemoryJournal) -> list[Derived]:
    return [item for frame in journal.frames() for item in codec.decode_derived(frame.derived)]


@every_world
@pytest.mark.parametrize("edit", EDITS)
def test_a_changed_run_verifies_replays_and_resumes_to_one_head(recorded: Get, name: str, edit: str) -> None:
    made = recorded(name)
    copy = changed(made, edit, 9)
    head = copy.head().d
    assert head != made.run.head
    found = verify(copy, world=made.world, options=made.options)
    assert found.equal, found.divergence
    assert replay(copy).head == head
    for length in (12, 25):
        cut = prefix(msgspec.structs.replace(made, journal=copy), length)
        assert resume_journal(cut, None, world=made.world, decisions={}, options=made.options).head == head
        assert diff(copy, cut).equal


@every_world
@pytest.mark.parametrize("edit", EDITS)
def test_a_changed_run_is_the_same_with_workers(recorded: Get, name: str, edit: str) -> None:
    made = recorded(name)
    assert changed(made, edit, 9).head().d == changed(made, edit, 9, workers=2).head().d


@every_world
def test_a_changed_run_can_be_forked_again(recorded: Get, name: str) -> None:
    made = recorded(name)
    copy = changed(made, "revoked", 9)
    again = empty_journal(made.world, made.options)
    forked = fork(copy, at=20, to=again, world=made.world, options=made.options)
    assert forked.head == copy.head().d


def test_every_refusal_has_a_record(recorded: Get) -> None:
    made = recorded("panes")
    revoked = derived(changed(made, "revoked", 9))
    assert [item.note for item in revoked if item.kind == DerivedKind.REVOKED] == [
        "windows:first",
        "windows:second",
        "models:brain",
    ]
    denied = {item.note for item in revoked if item.kind == DerivedKind.DENIED}
    assert 'window "first" is not granted' in denied
    assert "infer to handle 0, \"brain\", is not granted to 'glazier'" in denied
    refused = derived(changed(made, "granted again", 9))
    assert "agent 'reader' declares no 'windows:third'" in {item.note for item in refused}
    closed = {item.note for item in derived(changed(made, "closed", 9)) if item.kind == DerivedKind.DENIED}
    assert 'window "second" is not open' in closed


def test_what_is_read_is_what_was_written(recorded: Get) -> None:
    """The reader's hash of each frame equals that of the bytes whose digest the record holds."""
    made = recorded("panes")
    flips = [item for item in derived(made.journal) if item.kind == DerivedKind.WINDOW_FLIPPED and item.note == "first"]
    wanted = {item.digest for item in flips}
    seen = set()
    for frame in made.journal.frames():
        for turn in codec.decode_turns(frame.turns):
            for item in codec.decode_frames(turn.outcome.outbox):
                if item.body.startswith(b"first"):
                    seen.add(item.body[5:])
    assert len(seen) > 5
    assert seen <= wanted
