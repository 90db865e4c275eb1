"""Windows of native agents."""

import hashlib
from collections.abc import Callable

import pytest

from tickwork.codec import encode_frame
from tickwork.driver.native_windows import NativeRegions, with_writes
from tickwork.native import Outbox, Write
from tickwork.records import AgentSpec, FrameKind, Operation, Outcome, Status, Turn, View

SPEC = AgentSpec("a", "native", "a:A", b"", windows=("one", "two"))


def shown(regions: NativeRegions, *views: View) -> dict[str, bytes]:
    found = regions.show(SPEC, Turn(0, Operation.STEP, 1, 0, 0, 0, 0, b"", views))
    regions.restore(0, found)
    return dict(found)


def test_a_shorter_frame_takes_the_place_of_a_longer_one() -> None:
    regions = NativeRegions()
    assert shown(regions, View(0, 0, 1, 5, 0, 5, b"hello")) == {"one": b"hello"}
    assert shown(regions, View(0, 0, 2, 2, 0, 2, b"ho")) == {"one": b"ho"}


def test_a_log_grows() -> None:
    regions = NativeRegions()
    shown(regions, View(1, 0, 1, 3, 0, 3, b"abc"))
    assert shown(regions, View(1, 0, 2, 5, 3, 2, b"de")) == {"two": b"abcde"}


def test_a_ring_keeps_what_is_not_new() -> None:
    regions = NativeRegions()
    shown(regions, View(1, 0, 1, 6, 0, 6, b"abcdef"))
    views = (View(1, 0, 2, 10, 6, 2, b"gh"), View(1, 0, 2, 10, 0, 2, b"ij"))
    assert shown(regions, *views) == {"two": b"ijcdefgh"}
    assert shown(regions, View(1, 0, 3, 12, 2, 2, b"kl")) == {"two": b"ijklefgh"}


def test_a_ring_that_begins_anew_at_its_start_keeps_its_rest() -> None:
    regions = NativeRegions()
    shown(regions, View(1, 0, 1, 8, 0, 8, b"abcdefgh"))
    assert shown(regions, View(1, 0, 2, 10, 0, 2, b"ij")) == {"two": b"ijcdefgh"}


def test_what_was_shown_is_forgotten_and_brought_back() -> None:
    regions = NativeRegions()
    shown(regions, View(0, 0, 1, 5, 0, 5, b"hello"))
    regions.forget([0])
    assert regions.contents(0) == {}
    regions.restore(0, {"one": b"again"})
    assert regions.contents(0) == {"one": b"again"}


def test_the_first_write_to_a_window_counts_and_gets_its_digest() -> None:
    outbox = Outbox(SPEC)
    outbox.log("before")
    outbox.write("two", b"first")
    outbox.write("two", b"second")
    outcome = with_writes(Outcome(Status.OK, 0, 0, outbox.encode()), outbox.writes)
    (written,) = outcome.written
    assert (written.handle, written.content) == (1, b"first")
    assert outcome.outbox.count(hashlib.sha256(b"first").digest()) == 1
    assert len(outcome.outbox) == len(outbox.encode())


@pytest.mark.parametrize("spoilt", [lambda outbox: outbox[:-8], lambda outbox: bytes(32) + outbox])
def test_a_spoilt_outbox_is_left_for_the_kernel_to_refuse(spoilt: Callable[[bytes], bytes]) -> None:
    outbox = Outbox(SPEC)
    outbox.write("two", b"first")
    outcome = Outcome(Status.OK, 0, 0, spoilt(outbox.encode()))
    assert with_writes(outcome, outbox.writes) == outcome


def test_a_write_whose_frame_is_not_there_is_nothing() -> None:
    outcome = Outcome(Status.OK, 0, 0, encode_frame(FrameKind.LOG, 0, 0, 0, 0, 0, b"x"))
    assert with_writes(outcome, [Write(0, 0, b"x")]).written == ()
