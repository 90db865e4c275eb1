"""Every committed module answers alike with and without the rewriter: results, outboxes and every byte of memory."""

import ctypes
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import ROOT
from tickwork.codec import CONTEXT, CONTEXT_OUTPUT_OFFSET, encode_frame
from tickwork.records import DIRECT, FrameKind, Limits
from tickwork.sandbox.compiled import Descriptor, read_descriptor
from tickwork.sandbox.engine import PAGE, Cell, Fault
from tickwork.sandbox.probes import ready_engine
from tickwork.sandbox.rewriter import DEPTH, WASI_CAPACITY, WASI_CONTEXT, WASI_OUTBOX, rewrite
from tickwork.sandbox.scan import Measure, scan
from tickwork.sandbox.wasm import parse

PATTERNS = ("tests/modules/**/*.wasm", "tests/tour/*/*.wasm", "examples/**/*.wasm")
MODULES = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern) if ".debug" not in path.name)
CONFIG = b'{"peers":2,"fanout":1,"count":3,"every":2,"period":2,"iterations":50,"plan":1,"children":1,"life":2}'
TICKS = 12
MEMORY_BYTES = 4096 * PAGE


class Turned(NamedTuple):
    """What a call came to: its result or what stopped it, the outbox, the size and the bytes of the memory."""

    result: int | Fault
    outbox: bytes
    memory: bytes


class Bare:
    """An instance with nothing of the host's around it but what the ABI asks for."""

    def __init__(self, wasm: bytes) -> None:
        self.cell = Cell(ready_engine("speed").compile(wasm), memory_bytes=MEMORY_BYTES, fuel=1 << 40)
        self._set(DEPTH, Limits().depth)
        start = self.cell.function("_initialize")
        assert not start or not isinstance(self.cell.call(start), Fault)
        at = self.cell.call(self.cell.function("tw_desc"))
        assert isinstance(at, int)
        self.descriptor: Descriptor = read_descriptor(self.memory()[at : at + 32], self.cell.memory_bytes() // PAGE)
        self._set(WASI_CONTEXT, self.descriptor.context_at)
        self._set(WASI_OUTBOX, self.descriptor.outbox_at)
        self._set(WASI_CAPACITY, self.descriptor.outbox_bytes)

    def _set(self, name: str, value: int) -> None:
        if variable := self.cell.variable(name):
            self.cell.write_raw(variable, 0, value.to_bytes(4, "little"))

    def memory(self) -> bytes:
        return ctypes.string_at(self.cell.memory_address(), self.cell.memory_bytes())

    def turn(self, export: str, tick: int, *frames: bytes) -> Turned:
        inbox, described = b"".join(frames), self.descriptor
        context = bytearray(64)
        CONTEXT.pack_into(context, 0, tick, 99 + tick, 1 << 30, 0, 1, len(inbox), len(frames), 0, 0)
        base = self.cell.memory_address()
        ctypes.memmove(base + described.inbox_at, inbox, len(inbox))
        ctypes.memmove(base + described.context_at, bytes(context), 64)
        result = self.cell.call(self.cell.function(export), described.context_at)
        memory = self.memory()
        length = int.from_bytes(memory[described.context_at + CONTEXT_OUTPUT_OFFSET :][:4], "little")
        return Turned(result, memory[described.outbox_at : described.outbox_at + length], memory)


def frame(kind: int, tick: int, seq: int, body: bytes) -> bytes:
    return encode_frame(kind, 0, 2, DIRECT, seq, tick, body)


def lived(agent: Bare) -> list[Turned]:
    """Return what a life of an agent came to."""
    turns = [agent.turn("agent_init", 0, frame(FrameKind.CONFIG, 0, 0, CONFIG))]
    for tick in range(1, TICKS):
        messages = [frame(FrameKind.MESSAGE, tick, seq, bytes(range(8 * (1 + tick % 4)))) for seq in range(tick % 3)]
        messages.append(frame(FrameKind.TIMER_FIRED, tick, 9, b""))
        turns.append(agent.turn("tw_turn", tick, *messages))
    turns.append(agent.turn("agent_shutdown", TICKS))
    agent.cell.close()
    return turns


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_committed_module_answers_alike_rewritten_and_plain(path: Path) -> None:
    data = path.read_bytes()
    module = parse(data)
    if "tw_turn" not in {export.name for export in module.exports}:
        pytest.fail(f"{path} has no tw_turn; teach this test to call what it has")
    uncounted = [Measure(0, False, 0, 0)] * len(module.functions)
    # A module that imports can only be made once its imports are replaced; its depth is not counted then.
    plain = rewrite(module, uncounted).data if module.imports else data
    rewritten = rewrite(module, scan(module)).data
    expected, found = lived(Bare(plain)), lived(Bare(rewritten))
    assert found == expected
    assert any(isinstance(turn.result, int) and turn.result >= 0 for turn in expected)


def test_the_committed_modules_are_found() -> None:
    assert len(MODULES) >= 15
