"""Virtual WASI: a C library finds a clock, chance and a terminal, all of them the turn's own, and nothing else."""

from pathlib import Path

import msgspec
import pytest

from tests.laws.corpus import options
from tests.laws.recorded import record
from tests.support import ROOT
from tests.unit.sandbox import wat
from tickwork import codec
from tickwork.driver.resolve import World, canonical_json, make_world, new_header
from tickwork.driver.verify import verify
from tickwork.errors import ModuleImportRefused
from tickwork.records import AgentSpec, FrameKind, Limits, Operation, Outcome, Status
from tickwork.sandbox import wasi
from tickwork.sandbox.admission import admit
from tickwork.sandbox.engine import TrapNumber
from tickwork.sandbox.gate import check_wasi
from tickwork.sandbox.instance import Instance, StartFault, load
from tickwork.sandbox.manifest import Manifest, append_manifest
from tickwork.sandbox.wasm import parse

LIBRARY = (ROOT / "tests" / "modules" / "libc" / "libc.wasm").read_bytes()
CPP_LIBRARY = (ROOT / "tests" / "modules" / "libcpp" / "libcpp.wasm").read_bytes()
PAIR = "(param i32 i32) (result i32)"
WRITE = "(param i32 i32 i32 i32) (result i32)"
NUMBERS = {"i": "i32", "I": "i64"}


def importing(name: str, types: str, step: str, **parts: str) -> bytes:
    """Return an agent that imports one function of WASI as ``$w``."""
    text = f'(import "{wasi.MODULE}" "{name}" (func $w {types}))'
    module = wat.agent(imports=text, step=step, **parts)
    return append_manifest(module, Manifest("w", "1.0.0", wasi="virtual"))


def outcomes(module: bytes, turns: int = 1, opt_level: str = "speed") -> list[Outcome]:
    agent = Instance(load(wat.compiled(module, opt_level)), Limits())
    found = [agent.run(wat.turn(3, tick)) for tick in range(turns)]
    agent.close()
    return found


def answer(name: str, types: str, call: str, **parts: str) -> int:
    (outcome,) = outcomes(importing(name, types, call, **parts))
    assert outcome.status == Status.OK, outcome.detail
    return outcome.code


def library_world(module: bytes, ticks: int = 8) -> World:
    agents = tuple(
        AgentSpec(f"a{index}", "wasm", "libc", codec.digest(module), config=canonical_json({}), publish=("words",))
        for index in range(3)
    )
    header = msgspec.structs.replace(
        new_header("library", ticks, agents), seed=5, allow_unsigned=True, topics=("words",), checkpoint_every=3
    )
    return make_world(header, modules=[module])


def printed(outbox: bytes) -> str:
    frames = list(codec.decode_frames(outbox))
    assert {frame.kind for frame in frames} <= {FrameKind.LOG, FrameKind.PUBLISH}
    return b"".join(bytes(frame.body) for frame in frames if frame.kind == FrameKind.LOG).decode()


def test_a_program_with_a_c_library_prints_computes_and_opens_nothing() -> None:
    agent = Instance(load(wat.compiled(LIBRARY)), Limits())
    config = wat.turn(3, 0, b"{}", operation=Operation.INIT)
    assert printed(agent.run(config).outbox) == "begun by nobody\n"
    lines = printed(agent.run(wat.turn(3, 1)).outbox).splitlines()
    assert lines[0].startswith("1 turns, 0.001000000 s, time 0, ")
    assert lines[0].endswith(", 0.333")
    assert lines[1:] == ["a file: none, No such file or directory", "written: no"]
    full = agent.run(wat.turn(3, 2))
    assert (full.status, len(full.outbox)) == (Status.OK, 65_536)
    told = int(printed(agent.run(wat.turn(3, 1500)).outbox).split()[0]) - 1
    assert told & 0xFF == wasi.EAGAIN
    assert told >> 8 == (65_536 - 96) // (32 + 504) + 1
    last = printed(agent.run(wat.turn(3, 2500)).outbox)
    assert "2.500000000 s, time 2" in last
    agent.close()


@pytest.mark.slow
@pytest.mark.parametrize("module", [LIBRARY, CPP_LIBRARY], ids=["c", "c++"])
def test_a_run_of_such_programs_verifies_and_is_the_same_with_any_number_of_workers(
    module: bytes, tmp_path: Path
) -> None:
    chosen = options(tmp_path)
    one = record(library_world(module), chosen)
    other = record(library_world(module), msgspec.structs.replace(chosen, workers=2))
    assert one.run.head == other.run.head
    assert verify(one.journal, world=one.world, options=chosen).equal
    statuses = {turn.outcome.status for frame in one.journal.frames() for turn in codec.decode_turns(frame.turns)}
    assert statuses == {Status.OK}


def test_strings_vectors_and_maps_of_the_cpp_library_work() -> None:
    agent = Instance(load(wat.compiled(CPP_LIBRARY)), Limits())
    agent.run(wat.turn(3, 0, operation=Operation.INIT))
    assert printed(agent.run(wat.turn(3, 1, b"one two two", b"three two one")).outbox) == "two=3 one=2 three=1 \n"
    agent.close()


def test_leaving_is_a_trap_that_says_with_which_code() -> None:
    agent = Instance(load(wat.compiled(LIBRARY)), Limits())
    outcome = agent.run(wat.turn(3, 0, b'{"leave":true}', operation=Operation.INIT))
    assert (outcome.status, outcome.code, outcome.detail) == (Status.TRAP, TrapNumber.EXIT, "proc_exit(7)")
    agent.close()


def test_identity_is_the_digest_of_what_the_author_built(tmp_path: Path) -> None:
    assert admit(LIBRARY, name="libc.wasm", cache=tmp_path).digest == codec.digest(LIBRARY)


def test_the_clocks_show_the_tick() -> None:
    read = "(drop (call $w (i32.const {}) (i64.const 1) (i32.const 1024)))" + "(i32.load (i32.const 1024))"
    module = importing("clock_time_get", "(param i32 i64 i32) (result i32)", read.format(1))
    assert [outcome.code for outcome in outcomes(module, 3)] == [0, 1_000_000, 2_000_000]
    refuse = "(call $w (i32.const 4) (i64.const 1) (i32.const 1024))"
    assert answer("clock_time_get", "(param i32 i64 i32) (result i32)", refuse) == wasi.EINVAL
    resolution = "(drop (call $w (i32.const 0) (i32.const 1024))) (i32.load (i32.const 1024))"
    assert answer("clock_res_get", PAIR, resolution) == wasi.NANOSECONDS_PER_TICK


def test_chance_is_the_turns_own_whatever_the_size_of_the_pieces() -> None:
    draw = "(drop (call $w (i32.const {}) (i32.const {})))"
    emit = f"(call $emit (i32.const 13) (i32.const 0) (i32.const {wat.SCRATCH}) (i32.const 24)) (i32.const 0)"
    whole = outcomes(importing("random_get", PAIR, draw.format(wat.SCRATCH, 24) + emit), 2)
    eights = "".join(draw.format(wat.SCRATCH + at, 8) for at in (0, 8, 16))
    pieces = outcomes(importing("random_get", PAIR, eights + emit), 2)
    assert [found.outbox for found in whole] == [found.outbox for found in pieces]
    assert whole[0].outbox[32:] != whole[1].outbox[32:]
    assert len({whole[0].outbox[at : at + 8] for at in (32, 40, 48)}) == 3


def test_chance_goes_on_after_an_image_as_it_would_have_without(tmp_path: Path) -> None:
    draw = f"(drop (call $w (i32.const {wat.SCRATCH}) (i32.const 8)))"
    emit = f"(call $emit (i32.const 13) (i32.const 0) (i32.const {wat.SCRATCH}) (i32.const 8)) (i32.const 0)"
    loaded = load(wat.compiled(importing("random_get", PAIR, draw + emit)))
    one, same_seed = Instance(loaded, Limits()), wat.turn(3, 0)
    one.run(same_seed)
    other = Instance(loaded, Limits(), one.take_image())
    assert one.run(same_seed).outbox == other.run(same_seed).outbox
    one.close()
    other.close()


def vector(*pieces: tuple[int, int]) -> str:
    return "".join(
        f"(i32.store (i32.const {2048 + 8 * place}) (i32.const {at}))"
        f"(i32.store (i32.const {2052 + 8 * place}) (i32.const {size}))"
        for place, (at, size) in enumerate(pieces)
    )


def test_writing_gathers_its_pieces_into_one_frame() -> None:
    text = '(data (i32.const 3000) "hello, world")'
    call = vector((3000, 5), (3000, 0), (3005, 7)) + (
        "(drop (call $w (i32.const 2) (i32.const 2048) (i32.const 3) (i32.const 2040)))"
        "(drop (call $w (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2040))) (i32.load (i32.const 2040))"
    )
    (outcome,) = outcomes(importing("fd_write", WRITE, call, extra=text))
    frames = list(codec.decode_frames(outcome.outbox))
    assert outcome.code == 5
    assert [bytes(frame.body) for frame in frames] == [b"hello, world", b"hello"]
    assert [(frame.kind, frame.encoding, frame.source, frame.destination) for frame in frames] == [(13, 0, 3, 0)] * 2
    assert outcome.outbox[44:48] == bytes(4)


def test_nothing_is_written_where_nothing_is_asked_for_and_no_other_descriptor_is_open() -> None:
    def write(stream: int) -> str:
        return f"(call $w (i32.const {stream}) (i32.const 2048) (i32.const 0) (i32.const 2040))"

    (outcome,) = outcomes(importing("fd_write", WRITE, write(1)))
    assert (outcome.code, outcome.outbox) == (wasi.SUCCESS, b"")
    for stream in (0, 3, -1):
        assert answer("fd_write", WRITE, write(stream)) == wasi.EBADF


def test_what_is_written_before_the_first_turn_is_refused() -> None:
    start = """(global $code (mut i32) (i32.const 0)) (func (export "_initialize") (global.set $code
      (call $w (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2040))))"""
    assert answer("fd_write", WRITE, "(global.get $code)", extra=start) == wasi.EAGAIN


def test_a_standard_stream_is_a_terminal_and_nothing_else_is_open() -> None:
    stat = "(drop (call $w (i32.const {}) (i32.const 2048))) (i32.load8_u (i32.const 2048))"
    assert [answer("fd_fdstat_get", PAIR, stat.format(number)) for number in range(3)] == [2, 2, 2]
    assert answer("fd_fdstat_get", PAIR, "(call $w (i32.const 3) (i32.const 2048))") == wasi.EBADF


@pytest.mark.parametrize("name", [name for name in wasi.NAMES if name not in wasi.IMPLEMENTED])
def test_everything_else_says_that_it_is_not_there(name: str) -> None:
    kinds = ["i64" if kind == 0x7E else "i32" for kind in wasi.signature(name).parameters]
    call = f"(call $w {' '.join(f'({kind}.const 3)' for kind in kinds)})"
    assert answer(name, f"(param {' '.join(kinds)}) (result i32)", call) == wasi.ENOSYS


def test_functions_that_only_say_yes_do() -> None:
    assert answer("sched_yield", "(result i32)", "(call $w)") == wasi.SUCCESS
    assert answer("environ_get", PAIR, "(call $w (i32.const 0) (i32.const 0))") == wasi.SUCCESS
    sizes = "(drop (call $w (i32.const 2048) (i32.const 2052))) (i32.load (i32.const 2048))"
    full = '(data (i32.const 2048) "\\ff\\ff\\ff\\ff")'
    assert answer("args_sizes_get", PAIR, sizes, extra=full) == 0
    assert answer("fd_prestat_get", PAIR, "(call $w (i32.const 3) (i32.const 0))") == wasi.EBADF


def test_an_unknown_function_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(ModuleImportRefused, match="fd_writ'") as caught:
        admit(importing("fd_writ", WRITE, "(i32.const 0)"), name="m.wasm")
    assert "'wasi_snapshot_preview1.fd_write'" in caught.value.why


def test_wasi_is_refused_to_a_module_that_does_not_ask_for_it() -> None:
    module = parse(importing("sched_yield", "(result i32)", "(call $w)"))
    with pytest.raises(ModuleImportRefused, match="sched_yield"):
        check_wasi(module, "m.wasm", declared=False)
    check_wasi(module, "m.wasm", declared=True)


def least_depth(opt_level: str) -> int:
    """Return the least depth at which the program begins and prints."""
    loaded = load(wat.compiled(LIBRARY, opt_level))
    for depth in range(1, 1000):
        try:
            agent = Instance(loaded, Limits(depth=depth))
        except StartFault:
            continue
        outcome = agent.run(wat.turn(3, 0, b"{}", operation=Operation.INIT))
        agent.close()
        if outcome.status == Status.OK:
            return depth
        assert outcome.status == Status.DEPTH_LIMIT
    raise AssertionError("it never began")


def test_depth_is_counted_alike_at_every_level_of_optimisation() -> None:
    assert 10 < least_depth("speed") == least_depth("none") < 100
