"""A tick as one writes it first: the same modules, through the objects of wasmtime-py."""

import hashlib
from typing import Any

import wasmtime

from tickwork.codec import CONTEXT, CONTEXT_OUTPUT, CONTEXT_OUTPUT_OFFSET, DESCRIPTOR, FRAME

FUEL = 50_000_000
NOBODY = 0xFFFFFFFF
CONFIG, MESSAGE, JSON = 38, 32, 1


class Guest:
    """One agent in a store of its own."""

    def __init__(self, engine: wasmtime.Engine, code: wasmtime.Module, number: int, config: bytes) -> None:
        self.number = number
        self.store = wasmtime.Store(engine)
        self.store.set_limits(memory_size=1 << 24)
        self.store.set_fuel(FUEL)
        exports: Any = wasmtime.Instance(self.store, code, []).exports(self.store)
        self.memory: wasmtime.Memory = exports["memory"]
        self._whole_turn, init = exports["tw_turn"], exports["agent_init"]
        if (start := exports.get("_initialize")) is not None:
            start(self.store)
        at = exports["tw_desc"](self.store)
        described = DESCRIPTOR.unpack(self.memory.read(self.store, at, at + DESCRIPTOR.size))
        self.inbox_at, self.outbox_at, self.context_at = described[3], described[5], described[7]
        self._call(lambda store, _: init(store), 0, [frame(CONFIG, JSON, NOBODY, NOBODY, 0, 0, config)])

    def turn(self, tick: int, inbox: list[bytes]) -> bytes:
        """Return the outbox of one turn."""
        return self._call(self._whole_turn, tick, inbox)

    def _call(self, function: Any, tick: int, inbox: list[bytes]) -> bytes:
        store, memory, at = self.store, self.memory, self.context_at
        frames = b"".join(inbox)
        if frames:
            memory.write(store, frames, self.inbox_at)
        head = CONTEXT.pack(tick, self.number, FUEL, 0, self.number, len(frames), len(inbox), 0, 0)
        memory.write(store, head, at)
        store.set_fuel(FUEL)
        if function(store, at) < 0:
            raise RuntimeError("the agent failed")
        store.get_fuel()
        output = memory.read(store, at + CONTEXT_OUTPUT_OFFSET, at + CONTEXT_OUTPUT_OFFSET + CONTEXT_OUTPUT.size)
        length, _ = CONTEXT_OUTPUT.unpack(output)
        return bytes(memory.read(store, self.outbox_at, self.outbox_at + length))


def frame(kind: int, encoding: int, source: int, destination: int, seq: int, tick: int, body: bytes) -> bytes:
    """Return one message frame."""
    size = FRAME.size + len(body)
    return FRAME.pack(size, kind, encoding, source, destination, seq, tick) + body + bytes(-size & 7)


def open_engine() -> wasmtime.Engine:
    """Return an engine that meters and makes not-a-numbers alike, as Tickwork's does."""
    settings = wasmtime.Config()
    settings.consume_fuel = True
    settings.cranelift_nan_canonicalization = True
    return wasmtime.Engine(settings)


class ObjectTicks:
    """Agents that talk: deliver, run, take outboxes, route in agent order, hash what happened."""

    def __init__(self, wasm: bytes, agents: int, config: bytes) -> None:
        engine = open_engine()
        code = wasmtime.Module(engine, wasm)
        self._guests = [Guest(engine, code, number, config) for number in range(agents)]
        self._boxes: list[list[bytes]] = [[] for _ in range(agents)]
        self._tick, self._seq = 1, 0
        self._chain = hashlib.sha256()
        self.tick(2)

    def tick(self, times: int) -> None:
        """Run ticks."""
        for _ in range(times):
            outboxes = [guest.turn(self._tick, box) for guest, box in zip(self._guests, self._boxes, strict=True)]
            self._route(outboxes)
            self._chain.update(b"".join(outboxes))
            self._tick += 1

    def _route(self, outboxes: list[bytes]) -> None:
        boxes: list[list[bytes]] = [[] for _ in self._guests]
        for source, outbox in enumerate(outboxes):
            at = 0
            while at < len(outbox):
                size, _, encoding, _, destination, _, _ = FRAME.unpack_from(outbox, at)
                self._seq += 1
                body = outbox[at + FRAME.size : at + size]
                boxes[destination].append(frame(MESSAGE, encoding, source, NOBODY, self._seq, self._tick, body))
                at += (size + 7) & ~7
        self._boxes = boxes
