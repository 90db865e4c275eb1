"""The contents of windows, kept by the shell."""

import hashlib

import pytest

from tickwork.driver.windows import PIECE_BYTES, WindowStore
from tickwork.kernel import Flip
from tickwork.records import AgentSpec, Operation, Outcome, Status, Turn, View, Written


def turn(agent: int = 0, *views: View) -> Turn:
    return Turn(agent, Operation.STEP, 1, 0, 0, 0, 0, b"", views)


def wrote(content: bytes) -> Outcome:
    return Outcome(Status.OK, 0, 0, b"", written=(Written(0, 0, content),))


def put(store: WindowStore, kind: str, content: bytes, offset: int, capacity: int = 10) -> None:
    """Write as a commit does."""
    store.note([turn()], [wrote(content)])
    store.flip([Flip(3, kind, capacity, 0, 0, offset, len(content))])


def seen(store: WindowStore, offset: int, length: int) -> bytes:
    (found,) = store.attach([turn(1, View(0, 3, 1, 0, offset, length))])
    return bytes(found.views[0].content)


def test_a_frame_is_what_was_written_last() -> None:
    store = WindowStore()
    put(store, "frame", b"before", 0)
    put(store, "frame", b"now", 0)
    assert seen(store, 0, 3) == b"now"


def test_a_ring_goes_on_at_its_start() -> None:
    store = WindowStore()
    put(store, "ring", b"abcdefgh", 0)
    put(store, "ring", b"ijklm", 8)
    assert (seen(store, 8, 2), seen(store, 0, 3), seen(store, 3, 5)) == (b"ij", b"klm", b"defgh")
    put(store, "ring", b"0123456789", 3)
    assert seen(store, 3, 7) + seen(store, 0, 3) == b"0123456789"


def test_a_log_keeps_everything() -> None:
    store = WindowStore()
    put(store, "log", b"abc", 0)
    put(store, "log", b"def", 3)
    assert (seen(store, 0, 6), seen(store, 3, 3)) == (b"abcdef", b"def")


def test_what_was_shown_is_not_changed_by_later_writes() -> None:
    store = WindowStore()
    put(store, "log", b"abc", 0)
    put(store, "log", b"def", 3)
    (early,) = store.attach([turn(1, View(0, 3, 2, 6, 0, 6))])
    put(store, "ring", b"XXXXXX", 0)
    assert early.views[0].content == b"abcdef"


def test_what_the_kernel_refused_never_becomes_content() -> None:
    store = WindowStore()
    put(store, "frame", b"old", 0)
    store.note([turn()], [wrote(b"new")])
    store.flip([])
    assert seen(store, 0, 3) == b"old"


def test_turns_that_are_shown_nothing_stay_as_they_are() -> None:
    turns = [turn(0), turn(1)]
    assert WindowStore().attach(turns) is turns


@pytest.mark.parametrize("kind", ["frame", "ring", "log"])
def test_a_snapshot_brings_everything_back(kind: str) -> None:
    store, again = WindowStore(), WindowStore()
    size = 2 * PIECE_BYTES + 5
    content = bytes(range(251)) * (size // 251)
    put(store, kind, content, 0, size)
    pieces, bodies = store.split()
    again.restore(pieces, {hashlib.sha256(body).digest(): body for body in bodies}.__getitem__)
    assert seen(again, 0, len(content)) == content
    put(again, kind, b"x", 0 if kind == "frame" else len(content), size)
    assert seen(again, 0, 1) == (b"x" if kind == "frame" else content[:1])


def test_nothing_is_looked_at_where_no_agent_declares_a_window() -> None:
    store = WindowStore()
    store.expect(AgentSpec("a", "native", "a:A", b""))
    assert not store.used
    store.expect(AgentSpec("a", "native", "a:A", b"", windows=("w",)))
    assert store.used
