"""Runs in which agents are swapped: live, replayed, verified, resumed and forked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tickwork
from tests.unit.driver.successors import SAVE, carrying, counting, options, version
from tests.unit.driver.troupe import stop_after
from tests.unit.sandbox import wat
from tickwork import codec
from tickwork.driver.fold import read_inputs
from tickwork.driver.fork import Edit, fork
from tickwork.driver.look import frame_at, state_at
from tickwork.driver.plans import Swap
from tickwork.driver.resolve import with_swaps
from tickwork.driver.run import resume, run
from tickwork.driver.verify import Run, replay, verify
from tickwork.errors import AgentNotFound, JournalIncomplete, SwapRefused
from tickwork.journal.memory import MemoryJournal
from tickwork.journal.sqlite import SqliteJournal
from tickwork.kernel.swap import read_order
from tickwork.records import DerivedKind, Input, InputKind, Refusal
from tickwork.sim.audit import Audit

pytestmark = pytest.mark.slow

TWO = version("2.0.0", by=10, subscribe=("counts",))


def made(path: Path, *swaps: Swap, **fields: Any) -> Run:
    return run(with_swaps(counting(), swaps), journal=path, options=options(**fields))


def swaps_of(path: Path, tick: int) -> list[Input]:
    with SqliteJournal.open(path) as journal:
        frame = journal.frame(tick)
        assert frame is not None
        return [item for item in read_inputs(journal, frame) if item.kind == InputKind.SWAP_AGENT]


def counts(path: Path, tick: int) -> list[int]:
    return [int.from_bytes(bytes.fromhex(item.body), "little") for item in frame_at(path, tick).messages]


def test_a_migrated_agent_goes_on_with_its_count(tmp_path: Path) -> None:
    plain, swapped = tmp_path / "plain.twk", tmp_path / "swapped.twk"
    made(plain)
    made(swapped, Swap("c0", TWO, 8))
    (item,) = swaps_of(swapped, 8)
    assert (item.source, item.target, item.code) == ("operator", "c0", 0)
    assert counts(swapped, 7) == counts(plain, 7)
    assert counts(swapped, 8)[0] == counts(plain, 8)[0] + 9
    assert counts(swapped, 8)[1] == counts(plain, 8)[1]


def test_a_restarted_agent_counts_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    made(path, Swap("c0", TWO, 8, "restart"))
    assert [turn.operation for turn in frame_at(path, 8).turns] == ["init", "step"]
    assert counts(path, 9)[0] % 1000 == 10


def test_kept_memory_goes_on_under_new_code(tmp_path: Path) -> None:
    kept, moved = tmp_path / "kept.twk", tmp_path / "moved.twk"
    made(kept, Swap("c0", TWO, 8, "keep_image"))
    made(moved, Swap("c0", TWO, 8))
    assert [counts(kept, tick) for tick in range(8, 16)] == [counts(moved, tick) for tick in range(8, 16)]


@pytest.mark.parametrize("at", [0, 1, 19])
def test_a_swap_may_happen_in_any_tick(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a.twk"
    made(path, Swap("c0", TWO, at))
    assert any(text.startswith("swapped c0") for text in frame_at(path, at).derived)
    assert verify(path, options=options()).equal


def test_show_tells_the_version_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    made(path, Swap("c0", TWO, 8))
    versions = [[agent.version for agent in state_at(path, tick).agents] for tick in (7, 8)]
    assert versions == [["1.0.0", "1.0.0"], ["2.0.0", "1.0.0"]]
    (shown,) = [item for item in frame_at(path, 8).inputs if item.kind == "swap_agent"]
    assert shown.body == f"migrate to 2.0.0 ({codec.digest(TWO).hex()[:8]})"


FAILING: dict[str, tuple[dict[str, Any], dict[str, Any], int, str]] = {
    "save refuses": ({"save": "(i32.const -9)"}, {}, Refusal.BAD_STATE, "agent_save returned -9, bad_state"),
    "save traps": ({"save": "(unreachable)"}, {}, Refusal.FAILED, "agent_save came to trap"),
    "load refuses": ({}, {"load": "(i32.const -2)"}, Refusal.BAD_MESSAGE, "agent_load returned -2, bad_message"),
    "load traps": ({}, {"load": "(unreachable)"}, Refusal.FAILED, "agent_load came to trap"),
    "load says a number": ({}, {"load": "(i32.const 5)"}, Refusal.FAILED, "agent_load returned 5"),
    "load spins": ({}, {"load": wat.SPIN}, Refusal.FAILED, "agent_load came to out_of_fuel"),
}


@pytest.mark.parametrize("case", list(FAILING))
def test_a_failed_swap_is_final_and_leaves_the_old_version_as_it_was(tmp_path: Path, case: str) -> None:
    first, second, code, reason = FAILING[case]
    plain, tried = tmp_path / "plain.twk", tmp_path / "tried.twk"
    old = version(subscribe=("counts",), **first)
    world = counting(one=old, ticks=12)
    run(world, journal=plain, options=options())
    new = version("2.0.0", subscribe=("counts",), **second)
    done = run(with_swaps(world, [Swap("c0", new, 5)]), journal=tried, options=options())
    (item,) = swaps_of(tried, 5)
    order = read_order(item)
    assert order is not None
    assert (item.code, order.reason.startswith(reason)) == (code, True)
    assert frame_at(tried, 5).derived[0].startswith("swap_failed c0 migrate to 2.0.0")
    assert [counts(tried, tick) for tick in range(12)] == [counts(plain, tick) for tick in range(12)]
    assert [agent.version for agent in state_at(tried).agents] == ["1.0.0", "1.0.0"]
    assert replay(tried).head == done.head
    assert verify(tried, options=options()).equal


def test_the_modules_lie_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    made(path, Swap("c0", TWO, 8))
    with SqliteJournal.open(path) as journal:
        assert journal.content(codec.digest(TWO)) == TWO


@pytest.mark.parametrize("stopped", [0, 3, 8, 9])
def test_a_run_killed_before_or_after_its_swap_resumes_to_the_same_head(tmp_path: Path, stopped: int) -> None:
    head = made(tmp_path / "whole.twk", Swap("c0", TWO, 8), Swap("c1", TWO, 12, "restart")).head
    path = tmp_path / "a.twk"
    cut = made(path, Swap("c0", TWO, 8), Swap("c1", TWO, 12, "restart"), stop=stop_after(stopped))
    assert cut.status == "interrupted"
    assert resume(path, options=options()).head == head
    assert verify(path, options=options()).equal


def test_a_swap_may_be_given_when_resuming(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    head = made(tmp_path / "whole.twk", Swap("c0", TWO, 8)).head
    made(path, stop=stop_after(4))
    with pytest.raises(SwapRefused, match="tick 2 is past"):
        resume(path, swaps=[Swap("c0", TWO, 2)], options=options())
    assert resume(path, swaps=[Swap("c0", TWO, 8)], options=options()).head == head


@pytest.mark.parametrize("at", [0, 3, 8, 9, 20])
def test_a_fork_that_changes_nothing_swaps_as_the_original(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a.twk"
    head = made(path, Swap("c0", TWO, 8)).head
    copy = tmp_path / "copy.twk"
    assert fork(path, at=at, to=copy, options=options()).head == head
    assert verify(copy, options=options()).equal


def test_a_fork_swaps_at_its_tick_or_later(tmp_path: Path) -> None:
    path, copy, later = tmp_path / "a.twk", tmp_path / "copy.twk", tmp_path / "later.twk"
    made(path)
    fork(path, at=6, to=copy, edit=Edit(swaps=(Swap("c0", TWO),)), options=options())
    assert [item.target for item in swaps_of(copy, 6)] == ["c0"]
    assert verify(copy, options=options()).equal
    fork(path, at=6, to=later, edit=Edit(swaps=(Swap("c0", TWO, 9),)), options=options())
    assert (swaps_of(later, 6), [item.target for item in swaps_of(later, 9)]) == ([], ["c0"])
    again = tmp_path / "again.twk"
    assert fork(copy, at=10, to=again, options=options()).head == replay(copy).head


def test_a_fork_whose_swap_is_refused_writes_nothing(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.twk", tmp_path / "copy.twk"
    made(path)
    stopped = tmp_path / "stopped.twk"
    stop = Edit((Input(InputKind.STOP_AGENT, "operator", "c0"),))
    fork(path, at=4, to=stopped, edit=stop, options=options())
    for source, swap, kind in (
        (path, Swap("nobody", TWO), AgentNotFound),
        (path, Swap("c0", TWO, 2), SwapRefused),
        (path, Swap("c0", version("2", publish=("totals",))), SwapRefused),
        (stopped, Swap("c0", TWO), SwapRefused),
    ):
        with pytest.raises(kind):
            fork(source, at=6, to=copy, edit=Edit(swaps=(swap,)), options=options())
        assert not copy.exists()


def test_a_run_whose_swap_is_refused_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    with pytest.raises(SwapRefused):
        made(path, Swap("c0", version("2", publish=("totals",)), 4))
    assert not path.exists()


def test_an_agent_that_has_stopped_by_then_is_a_recorded_failure(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.twk", tmp_path / "copy.twk"
    made(path, Swap("c0", TWO, 8))
    stop = Edit((Input(InputKind.STOP_AGENT, "operator", "c0"),))
    fork(path, at=4, to=copy, edit=stop, options=options())
    assert "has stopped" in frame_at(copy, 8).derived[0]
    assert verify(copy, options=options()).equal


def test_an_agent_that_was_never_spawned_is_a_recorded_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    first = version(subscribe=("counts",))
    world = counting(one=first)
    child = msgspec.structs.replace(world.header.agents[0], name="child")
    header = msgspec.structs.replace(world.header, templates=(child,))
    world = with_swaps(msgspec.structs.replace(world, header=header), [Swap("child-9", TWO, 4)])
    run(world, journal=path, options=options())
    (item,) = swaps_of(path, 4)
    assert item.code == Refusal.NOT_FOUND
    assert frame_at(path, 4).derived[0].startswith("swap_failed migrate to")
    assert verify(path, options=options()).equal


def test_a_fork_lacks_only_what_a_failed_swap_lacked(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    first = version(subscribe=("counts",))
    world = counting(one=first)
    child = msgspec.structs.replace(world.header.agents[0], name="child")
    header = msgspec.structs.replace(world.header, templates=(child,))
    world = with_swaps(msgspec.structs.replace(world, header=header), [Swap("child-9", TWO, 4)])
    head = run(world, journal=path, options=options()).head
    with SqliteJournal.open(path) as journal:
        copy = MemoryJournal(*journal.header(), [first])
        for frame in journal.frames():
            copy.append(frame, [])
    assert fork(copy, at=8, options=options()).head == head


def test_the_second_of_two_versions_is_judged_by_what_became_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    broken = version("2.0.0", load="(i32.const -1)", publish=("counts",), subscribe=("counts",))
    third = version("3.0.0", by=5, subscribe=("counts",))
    made(path, Swap("c0", broken, 4), Swap("c0", third, 8))
    assert frame_at(path, 4).derived[0].startswith("swap_failed c0")
    assert " 1.0.0 (" in frame_at(path, 8).derived[0]
    assert verify(path, options=options()).equal


def test_of_two_versions_in_one_tick_the_first_runs(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.twk", tmp_path / "copy.twk"
    made(path, Swap("c0", TWO, 8))
    third = version("3.0.0", by=50, subscribe=("counts",))
    fork(path, at=6, to=copy, edit=Edit(swaps=(Swap("c0", third, 8),)), options=options())
    assert [text.split()[0] for text in frame_at(copy, 8).derived[:2]] == ["swapped", "swap_failed"]
    assert [counts(copy, tick) for tick in range(8, 16)] == [counts(path, tick) for tick in range(8, 16)]


def rewritten(path: Path, tick: int, change: Callable[[Input], Input]) -> MemoryJournal:
    """Return a journal in which the swap of a tick is told otherwise, with chains that hold."""
    with SqliteJournal.open(path) as journal:
        copy = MemoryJournal(*journal.header(), ())
        heads = codec.start_chain(*copy.header())
        kept = [spec.digest for spec in codec.decode_header(journal.header()[0]).agents]
        for frame in journal.frames():
            inputs = frame.inputs
            if frame.tick == tick:
                inputs = codec.encode_inputs([change(item) for item in codec.decode_inputs(inputs)])
            again = codec.link(heads, frame.tick, inputs, frame.turns, frame.derived, frame.hints)
            heads = (again.d, again.f)
            copy.append(again, [journal.content(digest) for digest in [*kept, codec.digest(TWO)]])
        return copy


def test_verification_tries_the_swap_again(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    old = version(save="(i32.const -9)", subscribe=("counts",))
    world = with_swaps(counting(one=old), [Swap("c0", TWO, 5)])
    run(world, journal=path, options=options())

    def lie(item: Input) -> Input:
        order = read_order(item)
        assert order is not None
        body = codec.encode(msgspec.structs.replace(order, number=-8))
        return msgspec.structs.replace(item, body=body, size=len(body))

    found = verify(rewritten(path, 5, lie), options=options())
    assert found.divergence is not None
    assert (found.divergence.tick, found.divergence.record) == (5, "inputs[0]")
    assert (found.divergence.field, found.divergence.expected, found.divergence.actual) == ("number", -8, -9)


def test_a_journal_without_the_module_cannot_be_verified(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    made(path, Swap("c0", TWO, 5))
    with SqliteJournal.open(path) as journal:
        copy = MemoryJournal(*journal.header(), [counting().contents[0]])
        for frame in journal.frames():
            copy.append(frame, [])
    assert replay(copy).head == replay(path).head
    with pytest.raises(JournalIncomplete):
        verify(copy, options=options())


def test_a_swap_as_an_operators_input_is_tried_like_any_other(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.twk", tmp_path / "copy.twk"
    made(path, Swap("c0", TWO, 8))
    (item,) = swaps_of(path, 8)
    fork(path, at=9, to=copy, edit=Edit((msgspec.structs.replace(item, target="c0"),)), options=options())
    assert frame_at(copy, 9).derived[0].startswith("swap_failed c0"), "it was prepared for version 1"
    assert verify(copy, options=options()).equal


def test_a_save_cannot_change_the_agent_that_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    meddling = version(subscribe=("counts",), save=f"(global.set $count (i32.const 0)) {SAVE}")
    refusing = version("2", subscribe=("counts",), load="(i32.const -1)")
    run(with_swaps(counting(one=meddling), [Swap("c0", refusing, 8)]), journal=path, options=options())
    assert counts(path, 8)[0] > 1000
    assert carrying(save="", load="") == ""


def test_derived_records_name_the_new_module(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    made(path, Swap("c0", TWO, 8))
    with SqliteJournal.open(path) as journal:
        frame = journal.frame(8)
        assert frame is not None
        found = [item for item in codec.decode_derived(frame.derived) if item.kind == DerivedKind.SWAPPED]
    assert [(item.agent, item.digest) for item in found] == [(0, codec.digest(TWO))]


def test_an_audit_follows_what_a_new_version_hears(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    old = version(subscribe=("counts",))
    deaf = version("2.0.0", publish=("counts",), subscribe=())
    keen = version("3.0.0", subscribe=("totals", "counts"))
    grants = ("subscribe:totals", "subscribe:counts")
    plans = [
        Swap("c0", deaf, 5, "restart"),
        Swap("c0", keen, 9, grants=grants),
        Swap("c1", keen, 11, grants=grants[:1]),
    ]
    run(with_swaps(counting(one=old, agents=3), plans), journal=path, options=options())
    assert [len(topic.subscribers) for topic in state_at(path, 6).topics] == [2, 0]
    assert [len(topic.subscribers) for topic in state_at(path, 12).topics] == [3, 2]
    with SqliteJournal.open(path) as journal:
        assert Audit(journal).run() == []


def test_the_package_offers_swaps(tmp_path: Path) -> None:
    path = tmp_path / "a.twk"
    swap = tickwork.Swap("c0", TWO, at=8)
    made_ = tickwork.run(counting(), journal=path, swaps=[swap], options=options())
    assert made_.head == made(tmp_path / "b.twk", Swap("c0", TWO, 8)).head
    with pytest.raises(SwapRefused, match="names no tick"):
        tickwork.run(counting(), swaps=[tickwork.Swap("c0", TWO)], options=options())
    forked = tickwork.fork(path, at=4, edit=tickwork.Edit(swaps=(tickwork.Swap("c1", TWO),)), options=options())
    assert forked.head != made_.head
