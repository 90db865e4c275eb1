"""Windows in a module: regions, what is copied in and out, digests."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.unit.sandbox import wat
from tickwork.codec import encode_frame
from tickwork.errors import ModuleAbiMismatch
from tickwork.records import DIRECT, OUTSIDE, FrameKind, Limits, Operation, Outcome, Status, Turn, View, Written
from tickwork.sandbox import windows
from tickwork.sandbox.compile_child import Request, describe, prepare, translate
from tickwork.sandbox.compiled import Descriptor, decode_compiled
from tickwork.sandbox.inline import InlinePool
from tickwork.sandbox.manifest import Capabilities, Manifest, append_manifest
from tickwork.sandbox.pool import Pool, Program, open_pool
from tickwork.sandbox.windows import REGION, WRITE, Hashing, read_regions

PANE = (Path(__file__).parents[2] / "modules" / "pane.wasm").read_bytes()
DESCRIPTOR = Descriptor(1, 0, 0x1000, 0x1000, 0x2000, 0x1000, 0x800, 1)
REGION_AT = 0x38000
REGION_BYTES = 4096


def writing(step: str, *, listed: int = 1, exported: bool = True) -> bytes:
    """Return an agent with one region, whose step is given."""
    table = "".join(f"\\{byte:02x}" for byte in REGION.pack(REGION_AT, REGION_BYTES) * listed)
    extra = f'(data (i32.const 512) "{table}")'
    if exported:
        extra += '(func (export "tw_windows") (result i32) (i32.const 512))'
    manifest = Manifest("w", "1", capabilities=Capabilities(windows=tuple(f"w{n}" for n in range(listed))))
    return append_manifest(wat.agent(step=step, extra=extra), manifest)


def write(offset: int, length: int, handle: int = 0) -> str:
    """Return WAT that leaves a WINDOW_WRITE frame."""
    return f"""(i64.store (i32.const 1024) (i64.const {offset})) (i64.store (i32.const 1032) (i64.const {length}))
      (call $emit (i32.const 12) (i32.const {handle}) (i32.const 1024) (i32.const 48))"""


FILL = f"""(i32.store8 (i32.const {REGION_AT}) (i32.add (i32.load8_u (i32.const {REGION_AT})) (i32.const 1)))
  {write(0, 300)} (i32.const 0)"""


def compiled(wasm: bytes) -> bytes:
    request = Request("test", "speed", wasm)
    module, rewritten = prepare(request)
    return describe(request, module, rewritten, translate(request, rewritten))


def pane_turn(tick: int, *, config: bytes = b"", views: tuple[View, ...] = (), agent: int = 0) -> Turn:
    """Return the first turn of a pane, with its configuration, or a later one that is shown something."""
    if config:
        inbox = encode_frame(FrameKind.CONFIG, 1, OUTSIDE, DIRECT, 0, tick, config)
        return Turn(agent, Operation.INIT, tick, 1, 10_000_000, 0, 1, inbox)
    return Turn(agent, Operation.STEP, tick, tick + 5, 10_000_000, 0, 0, b"", views)


def one_write(outcome: Outcome) -> tuple[bytes, bytes]:
    """Return what an outcome wrote, and the digest in its outbox."""
    (written,) = outcome.written
    _, _, digest = WRITE.unpack_from(outcome.outbox, written.place + 32)
    return bytes(written.content), digest


def test_regions_are_read_in_the_order_of_the_handles() -> None:
    raw = REGION.pack(0x5000, 64) + REGION.pack(0x4000, 32)
    assert read_regions(raw, DESCRIPTOR, 1) == ((0x5000, 64), (0x4000, 32))


@pytest.mark.parametrize(
    ("regions", "why"),
    [
        (((0xFFF0, 32),), "region of window 0 ends at byte 65552"),
        (((0x1800, 16),), "region of window 0 overlaps the inbox"),
        (((0x4000, 64), (0x4020, 64)), "region of window 1 overlaps the region of window 0"),
        (((0x840, 16), (0x7F0, 17)), "the context overlaps the region of window 1"),
        (((0xFFFFFFFF, 0xFFFFFFFF),), "ends at byte 8589934590"),
    ],
)
def test_a_region_lies_in_the_memory_and_on_nothing_else(regions: tuple[tuple[int, int], ...], why: str) -> None:
    with pytest.raises(ModuleAbiMismatch) as caught:
        read_regions(b"".join(REGION.pack(*region) for region in regions), DESCRIPTOR, 1)
    assert why in caught.value.why


def test_admission_finds_the_regions_of_the_manifests_windows() -> None:
    assert decode_compiled(compiled(writing(wat.QUIET))).regions == ((REGION_AT, REGION_BYTES),)
    assert decode_compiled(compiled(PANE)).regions[0][1] == 4096
    assert decode_compiled(wat.compiled(wat.agent())).regions == ()


def test_windows_without_regions_are_refused() -> None:
    with pytest.raises(ModuleAbiMismatch) as caught:
        compiled(writing(wat.QUIET, exported=False))
    assert "lists 1 windows" in caught.value.what
    with pytest.raises(ModuleAbiMismatch):
        compiled(writing(wat.QUIET, listed=2))  # The table's second region is the first one again.


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_what_is_written_is_hashed_in_the_outbox_and_comes_beside(workers: int) -> None:
    pool = open_pool(workers)
    try:
        pool.place(Program(0, compiled(writing(FILL))))
        for count in (1, 2, 2):
            (outcome,) = pool.compute([wat.turn(0, count)])
            content, digest = one_write(outcome)
            assert content == bytes([count]) + bytes(299)
            assert digest == hashlib.sha256(content).digest()
            if count == 2:
                pool.rollback([0])
    finally:
        pool.close()


def test_a_large_write_is_hashed_on_a_thread_and_comes_out_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "THREAD_BYTES", 100)
    pool = InlinePool()
    for agent in range(3):
        pool.place(Program(agent, compiled(writing(FILL))))
    outcomes = pool.compute([wat.turn(agent) for agent in range(3)])
    for outcome in outcomes:
        content, digest = one_write(outcome)
        assert digest == hashlib.sha256(content).digest()
    pool.close()


def test_a_batch_that_has_not_happened_leaves_no_digest_behind() -> None:
    hashing = Hashing()
    content = memoryview(bytes(1 << 20))
    outcome = Outcome(Status.OK, 0, 0, bytes(80), written=(Written(0, 0, content),))
    assert hashing.begin(0, outcome) is outcome
    hashing.drop()
    found: list[Outcome] = []
    hashing.finish(found)
    assert found == []
    hashing.close()


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (f"{write(0, 4097)} (i32.const 0)", "4097 bytes at 0 lie outside the region of window 0"),
        (f"{write(4096, 1)} (i32.const 0)", "1 bytes at 4096 lie outside"),
        (f"{write(-1, 2)} (i32.const 0)", "lie outside the region"),
    ],
)
def test_a_write_outside_the_region_fails_the_turn(step: str, why: str) -> None:
    pool = InlinePool()
    pool.place(Program(0, compiled(writing(step))))
    (outcome,) = pool.compute([wat.turn()])
    assert (outcome.status, outcome.written, outcome.outbox) == (Status.ABI_VIOLATION, (), b"")
    assert why in outcome.detail
    pool.close()


def test_what_the_kernel_refuses_anyway_is_not_copied() -> None:
    step = f"""(call $emit (i32.const 12) (i32.const 0) (i32.const 1024) (i32.const 8))
      {write(0, 9, handle=4)} {write(0, 10)} {write(0, 20)} (i32.const 0)"""
    pool = InlinePool()
    pool.place(Program(0, compiled(writing(step))))
    (outcome,) = pool.compute([wat.turn()])
    assert [len(written.content) for written in outcome.written] == [10]
    assert outcome.outbox.count(bytes(32)) >= 2
    pool.close()


def _shown(pool: Pool, views: tuple[View, ...], tick: int) -> bytes:
    (outcome,) = pool.compute([pane_turn(tick, views=views)])
    assert outcome.status == Status.OK
    return outcome.outbox


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_what_is_shown_lies_in_the_region_and_survives_going_back(workers: int) -> None:
    pool = open_pool(workers)
    try:
        pool.place(Program(0, compiled(PANE), Limits(memory_pages=2)))
        pool.compute([pane_turn(0, config=b"{}")])
        views = tuple(View(0, 0, 1, 6, at, 3, memoryview(b"abcdef")[at : at + 3]) for at in (0, 3))
        _shown(pool, views, 1)
        image = pool.images([0])[0].memory
        assert image.count(b"abcdef") == 1
        pool.rollback([0])
        assert b"abcdef" not in pool.images([0])[0].memory
        _shown(pool, views, 1)
        assert pool.images([0])[0].memory == image
    finally:
        pool.close()


def test_a_ledger_takes_an_image_before_it_holds_much() -> None:
    pool = InlinePool()
    pool.place(Program(0, compiled(PANE), Limits(memory_pages=2)))
    pool.compute([pane_turn(0, config=b"{}")])
    held = []
    for tick in range(1, 700):
        _shown(pool, (View(1, 1, tick, 4096, 0, 4096, bytes(4096)),), tick)
        held.append(sum(len(view.content) for turn in pool.slot(0).ledger.turns for view in turn.views))
    assert 8 * 65536 <= max(held) <= 9 * 2 * 65536
    pool.close()


def test_buffers_are_lent_again_when_nobody_looks_at_them_any_more() -> None:
    buffers = windows._Buffers()
    one = buffers.lend(1000)
    address = one.obj
    other = buffers.lend(1000)
    assert other.obj is not address
    del one
    assert buffers.lend(900).obj is address


class Shifting(list[bytearray]):
    """Spare buffers that another thread takes from just before this one does."""

    def pop(self, place: object = -1) -> bytearray:
        return super().pop(0) if len(self) > 1 else super().pop(9)


def test_a_buffer_that_another_took_meanwhile_is_made_anew() -> None:
    buffers = windows._Buffers()
    buffers._spare = Shifting([bytearray(10), bytearray(1000)])
    assert [len(buffers.lend(1000)) for _ in range(2)] == [1000, 1000]


def test_spare_buffers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SPARE_BYTES", 2500)
    buffers = windows._Buffers()
    views = [buffers.lend(1000) for _ in range(5)]
    views.clear()
    assert len(buffers._spare) == 2


@pytest.mark.parametrize("fields", [{}, {"views": (View(0, 1, 2, 3, 4, 2, b"xy"), View(1, 2, 3, 4, 0, 0, b""))}])
def test_turns_with_views_cross_the_wire(fields: dict[str, tuple[View, ...]]) -> None:
    from tickwork.sandbox.wire import decode_turns, encode_turns

    turns = [msgspec.structs.replace(wat.turn(n, 1, b"a" * n), **fields) for n in range(3)]
    assert [turn for turn, _ in decode_turns(encode_turns((turn, False) for turn in turns))] == turns


def test_an_interrupt_between_copy_and_digest_undoes_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = InlinePool()
    pool.place(Program(0, compiled(writing(FILL))))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Hashing, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.compute([wat.turn()])
    (outcome,) = pool.compute([wat.turn()])
    assert one_write(outcome)[0][:1] == b"\x01"
    pool.close()


def test_a_module_that_fails_to_say_its_regions_is_refused() -> None:
    make: Callable[[str], bytes] = lambda body: append_manifest(  # noqa: E731
        wat.agent(extra=f'(func (export "tw_windows") (result i32) {body})'),
        Manifest("w", "1", capabilities=Capabilities(windows=("w",))),
    )
    for body in ("(unreachable)", "(i32.const -4)", "(i32.const 262140)"):
        with pytest.raises(ModuleAbiMismatch):
            compiled(make(body))
