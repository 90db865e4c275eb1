"""sdk/cpp/tickwork.hpp: what the tour of all calls does not reach."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, need
from tests.unit.authoring.projects import ENVIRONMENT
from tests.unit.sdk.seat import Seat, frame
from tickwork.authoring import c
from tickwork.errors import BuildFailed
from tickwork.records import RAW_AGENT, FrameKind, Refusal, Status

pytestmark = pytest.mark.slow

PROBE = Path(__file__).parent / "probe.cpp"
MODEL = 0x80000000


def compiled(source: Path, folder: Path) -> bytes:
    need("zig")
    request = c.Request([source], source.parent)
    return c.compile_units(c.CPP, request, c.cpp_toolchain.find(ENVIRONMENT), folder).module


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    folder = tmp_path_factory.mktemp("probe")
    path = folder / "probe.wasm"
    path.write_bytes(compiled(PROBE, folder))
    seat = Seat(path, b'{"name":"abc","start":7}')
    assert seat.began.status == Status.OK
    yield seat
    seat.close()


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (b"p-3.25", b"-32.5"),
        (b"p", b"-0.1"),
        (b"w12", b"1.2"),
        (b"w1.2", b"-0.1"),
        (b"fa;;bc", b"[a][][bc]"),
        (b"c", b"abcd"),
        (b"s", b"70.3"),
        (b"e", b"0.2"),
    ],
)
def test_numbers_texts_fields_and_configurations_are_read(probe: Seat, asked: bytes, answer: bytes) -> None:
    [reply] = probe.turn(frame(asked))
    assert (reply.kind, reply.destination, reply.body) == (FrameKind.SEND, RAW_AGENT | 3, answer)


def test_globals_are_constructed_once_and_not_before_every_turn(probe: Seat) -> None:
    assert [probe.turn(frame(b"g"))[0].body for _ in range(3)] == [b"4.1", b"4.2", b"4.3"]


def test_a_draft_that_was_not_sent_has_never_been(probe: Seat) -> None:
    [sent] = probe.turn(frame(b"dbody"))
    assert (sent.kind, sent.encoding, sent.destination, sent.body) == (0x8003, 1, RAW_AGENT | 3, b"body")


@pytest.mark.parametrize("asked", [b"o", b"n"])
def test_an_index_beyond_the_end_and_a_value_that_is_not_there_trap(probe: Seat, asked: bytes) -> None:
    assert probe.outcome(frame(asked)).status == Status.TRAP


def test_a_failing_code_rolls_the_turn_back(probe: Seat) -> None:
    for asked, code in ((b"?", Refusal.UNSUPPORTED), (b"b", Refusal.TOO_BIG)):
        outcome = probe.outcome(frame(asked))
        assert (outcome.status, outcome.code, outcome.outbox) == (Status.FAILED, code, b"")


def test_answers_of_skills_and_models_are_told_apart(probe: Seat) -> None:
    refused = struct.pack("<iI", Refusal.TIMEOUT, FrameKind.INFER)
    said = probe.turn(
        frame(b"", kind=FrameKind.RESULT, destination=1),
        frame(refused, kind=FrameKind.ERROR, destination=MODEL | 2),
        frame(b"", kind=FrameKind.RESULT, destination=2),
    )
    assert [message.body for message in said] == [b"work", b"brain=-11", b"nobody"]


def test_a_window_is_written_and_its_epoch_is_read(probe: Seat) -> None:
    [written] = probe.turn(frame(b"vcontent"))
    assert (written.kind, written.destination) == (FrameKind.WINDOW_WRITE, 0)
    assert struct.unpack("<QQ", written.body[:16]) == (0, 7)
    told = frame(struct.pack("<QQQQ", 3, 7, 0, 7), kind=FrameKind.WINDOW_EPOCH, destination=0)
    [said] = probe.turn(told)
    assert said.body == b"epoch 3 size 7 of cont"


def test_an_agent_can_end_itself_and_a_failed_code_ends_a_chain(probe: Seat) -> None:
    [left] = probe.turn(frame(b"x"))
    assert left.kind == FrameKind.EXIT
    assert probe.shutdown() == []


def test_everything_the_c_header_offers_is_offered_to_cpp() -> None:
    c_header, header = ((ROOT / "sdk" / path).read_text() for path in ("c/tickwork.h", "cpp/tickwork.hpp"))
    offered = set(re.findall(r"^TW_API [^(]*?\b(tw_\w+)\(", c_header, flags=re.MULTILINE))
    below = {"fill", "text_length", "next", "open_outbox", "run_turn", "log", "log_text", "send", "publish"}
    below |= {"publish_retained", "infer", "call", "spawn", "add_text", "add_whole"}
    below |= {f"{verb}{bits}" for verb in ("load", "store") for bits in (16, 32, 64)}
    below |= {"dtype_bits", "elements", "infer_tensor", "result_tensor"}
    below |= {"json_skip_text", "json_skip", "json_find"}
    assert len(offered) > 50
    assert {name for name in offered if not re.search(rf"\b{name}\b", header)} <= {f"tw_{name}" for name in below}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('void lost() { tickwork::Topic{0}.publish("x"); }', "nodiscard"),
        ("static tickwork::Window<1, 8> late; TICKWORK_WINDOWS(late)", "order of their handles"),
        (
            "struct S { S(const S &); }; tickwork::Bytes b(const S &s) { return tickwork::Bytes::of(s); }",
            "plain objects",
        ),
    ],
)
def test_a_slip_is_told_when_it_is_compiled(line: str, said: str, tmp_path: Path) -> None:
    source = tmp_path / "agent.cpp"
    source.write_text(f'#include "tickwork.hpp"\n{line}\n')
    with pytest.raises(BuildFailed, match=said):
        compiled(source, tmp_path)
