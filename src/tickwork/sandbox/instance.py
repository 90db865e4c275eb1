"""One instance of an agent's module, and the turn: the hot path.

Invariants:
    * Host and guest never touch a buffer at the same time: the host writes before a call and reads after it.
    * All addresses used per turn were checked once, against the initial memory, which never moves or shrinks.
    * An instance that failed is dirty and is closed, never stepped again.
"""

import ctypes
from typing import Final, NamedTuple

from ..codec import CONTEXT, CONTEXT_OUTPUT_OFFSET, DESCRIPTOR, FRAME
from ..errors import EngineUnsuitable, InternalError, ModuleAbiMismatch, ModuleRefused
from ..records import Limits, Operation, Outcome, Refusal, Status, Turn
from .compiled import (
    CONTEXT_BYTES,
    WHOLE_TURN,
    Compiled,
    Descriptor,
    decode_compiled,
    encode_descriptor,
    read_descriptor,
)
from .engine import (
    PAGE,
    READY_ARGUMENTS,
    READY_FUEL_LEFT,
    READY_ONE,
    READY_TRAP,
    WASMTIME_VERSION,
    Cell,
    Code,
    EngineError,
    Fault,
    SegmentTrap,
    TrapNumber,
    arguments,
    call_ready,
    fuel_left,
    get_fuel_ready,
    pointer,
    set_fuel_ready,
    take_fault,
    trap,
    unsigned,
)
from .gate import escape
from .image import GLOBAL_BYTES, Image
from .probes import ready_engine
from .rewriter import (
    ABORT,
    ABORT_ARGUMENTS,
    DEPTH,
    FLAG,
    FLAG_ABORT,
    FLAG_DEPTH,
    FLAG_EXIT,
    GLOBAL,
    WASI_CAPACITY,
    WASI_CONTEXT,
    WASI_EXIT,
    WASI_OUTBOX,
)
from .wasm import F32, F64, I32, I64
from .windows import REGION, Region, Regions, read_regions

START_FUEL: Final = 100_000_000
"""What ``_initialize`` and ``tw_desc`` may use, the same at admission and at run time. Units: wasmtime fuel."""

SOURCE_FUEL: Final = 2_000_000_000
"""What a base module may use to load the source it runs, about a second. Units: wasmtime fuel."""

ABORT_TEXT_BYTES: Final = 2048

_KINDS: Final = {I32: 0, I64: 1, F32: 2, F64: 3}
_WIDTHS: Final = {I32: 4, I64: 8, F32: 4, F64: 8}
_FRAME_BYTES: Final = FRAME.size
_OUTBOX_FULL: Final = int(Refusal.OUTBOX_FULL)
_STEP: Final = int(Operation.STEP)
_OK: Final = int(Status.OK)
_pack_context = CONTEXT.pack_into


class OutOfBounds(ValueError):
    """A guest address outside its memory."""


class StartFault(Exception):
    """The module failed before its first turn.

    Args:
        fault: What happened, ready to be shown.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


class Loaded(NamedTuple):
    """Compiled code loaded into this process."""

    compiled: Compiled
    code: Code


def load(data: bytes) -> Loaded:
    """Return compiled code, loaded.

    Raises:
        EngineUnsuitable: TW3101, another engine or processor made it.
    """
    compiled = decode_compiled(data)
    try:
        return Loaded(compiled, ready_engine(compiled.opt_level).load(compiled.code))
    except EngineError as error:
        raise EngineUnsuitable(
            "compiled code cannot be loaded here",
            why=escape(str(error)),
            fix=f"empty the module cache; this engine is wasmtime {WASMTIME_VERSION}",
        ) from error


def guest_slice(memory: memoryview, pointer: int, length: int) -> memoryview:
    """Return ``length`` bytes of a guest's memory at ``pointer``; the only way to follow an address a guest gave.

    Args:
        pointer: As an i32 arrives: its sign is dropped.

    Raises:
        OutOfBounds: It does not lie inside the memory.
    """
    start, length = pointer & 0xFFFFFFFF, length & 0xFFFFFFFF
    if start + length > len(memory):
        raise OutOfBounds(f"{length} bytes at {start} lie outside a memory of {len(memory)}")
    return memory[start : start + length]


class Instance:
    """An agent's module with memory of its own."""

    __slots__ = (
        "_argument", "_cell", "_compiled", "_context", "_context_at", "_fuel", "_functions", "_inbox", "_limits",
        "_memory", "_outbox", "_outbox_bytes", "_output", "_ready_fuel", "_receive", "_variables", "_words",
        "descriptor", "regions",
    )  # fmt: skip

    def __init__(self, loaded: Loaded, limits: Limits, image: Image | None = None, source: bytes = b"") -> None:
        """Make an instance: as new, or with the state of ``image``.

        Args:
            source: The bundle that a base module runs; an image holds it already.

        Raises:
            StartFault: Its segments do not fit, or its ``_initialize``, ``tw_source`` or ``tw_desc`` failed.
            ModuleRefused: TW3001, its memory begins larger than the agent's quota.
        """
        compiled = loaded.compiled
        check_memory(compiled, limits)
        self._compiled, self._limits = compiled, limits
        self._cell = self._make_cell(loaded)
        self._memory = self._view(compiled.pages * PAGE)
        self._variables = [self._cell.variable(f"{GLOBAL}{index}") for index in compiled.globals]
        self._cell.write_raw(self._cell.variable(DEPTH), 0, limits.depth.to_bytes(4, "little"))
        if image is None:
            self.descriptor = self._start(source)
        else:
            self._restore(image)
            self.descriptor = compiled.descriptor
        self._bind(self.descriptor)
        self.regions = Regions(self._memory, compiled.regions) if compiled.regions else None

    def _make_cell(self, loaded: Loaded) -> Cell:
        try:
            return Cell(loaded.code, memory_bytes=self._limits.memory_pages * PAGE, fuel=START_FUEL)
        except SegmentTrap as error:
            raise StartFault(Fault(error.fault.status, int(error.fault.number), escape(error.fault.detail))) from error
        except EngineError as error:
            raise EngineUnsuitable(
                "this machine cannot hold one more instance",
                why=escape(str(error)) or "address space or memory mappings are used up",
                fix="raise vm.max_map_count, or use more workers",
            ) from error

    def _start(self, source: bytes) -> Descriptor:
        """Run what a module runs before its first turn; return its descriptor."""
        self._prepare("_initialize")
        if source:
            at = self._prepare("tw_source", len(source))
            try:
                if not at:
                    raise OutOfBounds(f"there is no room for a source of {len(source):,} bytes")
                guest_slice(self._view(self._cell.memory_bytes()), at, len(source))[:] = source
            except OutOfBounds as error:
                raise StartFault(Fault(Status.ABI_VIOLATION, 0, f"tw_source: {error}")) from error
            self._cell.refuel(SOURCE_FUEL)
        at = self._prepare("tw_desc")
        try:
            raw = bytes(guest_slice(self._memory, at, DESCRIPTOR.size))
        except OutOfBounds as error:
            raise StartFault(Fault(Status.ABI_VIOLATION, 0, f"tw_desc: {error}")) from error
        known = self._compiled.descriptor
        if not known.major:
            return read_descriptor(raw, self._compiled.pages)
        # Hosts and images go by what admission saw, before the module had a source that it could go by instead.
        if raw != encode_descriptor(known):
            raise StartFault(Fault(Status.ABI_VIOLATION, 0, "tw_desc: it says something else than at admission"))
        return known

    def _prepare(self, name: str, *given: int) -> int:
        """Return what a function that runs before the first turn returned, 0 where there is none."""
        function = self._cell.function(name)
        result = self._cell.call(function, *given) if function else 0
        if isinstance(result, Fault):
            raise StartFault(self._explain(result))
        return result

    def _bind(self, descriptor: Descriptor) -> None:
        """Take the views and handles that turns use."""
        memory = self._memory
        self._context = pointer(self._cell.context)
        self._fuel, self._ready_fuel = 0, unsigned(0)
        self._context_at = self._argument = descriptor.context_at
        self._inbox = guest_slice(memory, descriptor.inbox_at, descriptor.inbox_bytes)
        self._outbox = guest_slice(memory, descriptor.outbox_at, descriptor.outbox_bytes)
        self._outbox_bytes = descriptor.outbox_bytes
        self._words = self._outbox.cast("I")
        context = guest_slice(memory, descriptor.context_at, CONTEXT_BYTES)
        self._output = context[CONTEXT_OUTPUT_OFFSET : CONTEXT_OUTPUT_OFFSET + 8].cast("I")
        self._place_wasi(descriptor)
        function = self._cell.function
        whole = function("tw_turn") if descriptor.flags & WHOLE_TURN else 0
        self._receive = None if whole else pointer(function("agent_receive"))
        calls = function("agent_init"), whole or function("agent_step"), function("agent_shutdown")
        self._functions = tuple(pointer(call) for call in calls)

    def _place_wasi(self, descriptor: Descriptor) -> None:
        """Tell the functions of virtual WASI, if the module has any, where its buffers lie."""
        if self._cell.variable(WASI_CONTEXT):
            places = (WASI_CONTEXT, descriptor.context_at), (WASI_OUTBOX, descriptor.outbox_at)
            for name, value in (*places, (WASI_CAPACITY, descriptor.outbox_bytes)):
                self._cell.write_raw(self._cell.variable(name), 0, value.to_bytes(4, "little"))

    def run(self, turn: Turn) -> Outcome:
        """Return what the turn came to. After anything but OK the instance is dirty."""
        context, fuel, inbox = self._context, turn.fuel, turn.inbox
        size = len(inbox)
        if size:
            self._inbox[:size] = inbox
        if turn.views:
            assert self.regions is not None, "a reader's module has regions"
            self.regions.show(turn.views)
        _pack_context(
            self._memory, self._context_at, turn.tick, turn.seed, fuel, turn.wall_us, turn.agent, size, turn.count, 0, 0
        )
        if fuel != self._fuel:
            self._fuel, self._ready_fuel = fuel, unsigned(fuel)
        set_fuel_ready(context, self._ready_fuel)
        operation = turn.operation
        if self._receive is not None and operation == _STEP:
            full = self._deliver(turn)
            if isinstance(full, Outcome):
                return full
        else:
            full = False
        arguments[0] = self._argument
        error = call_ready(context, self._functions[operation], READY_ARGUMENTS, READY_ONE, READY_TRAP)
        if error or trap.value:
            return self._failed(turn, take_fault(error))
        code = arguments[0]
        get_fuel_ready(context, READY_FUEL_LEFT)
        used = fuel - fuel_left.value
        if full and code >= 0:
            code = _OUTBOX_FULL
        if code < 0 and code != _OUTBOX_FULL:
            return Outcome(Status.FAILED, code, used, b"")
        length, count = self._output
        if not length and not count:
            return Outcome(_OK, code, used, b"")
        size = self._words[0]
        # A single frame is judged here, since most outboxes hold no more.
        if count != 1 or size < _FRAME_BYTES or (size + 7) & ~7 != length or length > self._outbox_bytes:
            flaw = self._flaw(length, count)
            if flaw:
                return Outcome(Status.ABI_VIOLATION, 0, used, b"", flaw)
        return Outcome(_OK, code, used, self._outbox[:length].tobytes())

    def find_regions(self, count: int) -> tuple[Region, ...]:
        """Return where the module's ``tw_windows`` says that the regions of its windows lie.

        Raises:
            ModuleAbiMismatch: TW3003, it is absent or fails, or what it says does not fit.
        """
        if not count:
            return ()
        function = self._cell.function("tw_windows")
        result = self._cell.call(function) if function else Fault(Status.ABI_VIOLATION, 0, "there is no such export")
        try:
            if isinstance(result, Fault):
                raise OutOfBounds(self._explain(result).detail)
            raw = bytes(guest_slice(self._memory, result, REGION.size * count))
        except OutOfBounds as error:
            raise ModuleAbiMismatch(
                f"a module's manifest lists {count} windows and its tw_windows gives no regions for them",
                why=str(error),
                fix="declare the regions with the SDK of this version, or remove the windows from the manifest",
            ) from error
        return read_regions(raw, self.descriptor, self._compiled.pages)

    def collect(self, outcome: Outcome) -> Outcome:
        """Return a good outcome with what the turn wrote to windows, still without digests."""
        if self.regions is None or not outcome.outbox:
            return outcome
        found = self.regions.collect(outcome)
        return Outcome(Status.ABI_VIOLATION, 0, outcome.fuel, b"", found) if isinstance(found, str) else found

    def save(self, turn: Turn) -> tuple[Outcome, bytes]:
        """Return what ``agent_save`` came to, and the state it wrote. The instance is dirty afterwards.

        Args:
            turn: Its tick, agent and fuel hold.
        """
        outcome = self._call_region("agent_save", turn, len(self._inbox))
        size = outcome.code
        if outcome.status == _OK and size > len(self._inbox):
            flaw = f"it returned {size}, its region has {len(self._inbox)} bytes"
            return Outcome(Status.ABI_VIOLATION, 0, outcome.fuel, b"", flaw), b""
        return outcome, bytes(self._inbox[:size]) if outcome.status == _OK else b""

    def load(self, turn: Turn) -> Outcome:
        """Return what ``agent_load`` came to when it was given the turn's inbox as a state; only 0 is good."""
        size = len(turn.inbox)
        if size > len(self._inbox):
            return Outcome(Status.FAILED, Refusal.TOO_BIG, 0, b"", f"its region has {len(self._inbox)} bytes")
        self._inbox[:size] = turn.inbox
        outcome = self._call_region("agent_load", turn, size)
        return (
            Outcome(Status.FAILED, outcome.code, outcome.fuel, b"") if outcome.code and not outcome.status else outcome
        )

    def _call_region(self, export: str, turn: Turn, size: int) -> Outcome:
        """Call one of the two functions that take the inbox region as a buffer."""
        function = self._cell.function(export)
        if not function:
            return Outcome(Status.ABI_VIOLATION, 0, 0, b"", "the module does not export it")
        _pack_context(self._memory, self._context_at, turn.tick, turn.seed, turn.fuel, 0, turn.agent, 0, 0, 0, 0)
        self._cell.refuel(turn.fuel)
        result = self._cell.call(function, self.descriptor.inbox_at, size)
        if isinstance(result, Fault):
            return self._failed(turn, result)
        return Outcome(Status.FAILED if result < 0 else _OK, result, turn.fuel - self._cell.fuel(), b"")

    def _flaw(self, length: int, count: int) -> str:
        """Return what is wrong with the outbox; frames must fill ``length`` exactly and be ``count``."""
        if length > self._outbox_bytes:
            return f"out_len is {length}, the outbox has {self._outbox_bytes} bytes"
        at, frames, words = 0, 0, self._words
        while at < length:
            size = words[at >> 2]
            if size < _FRAME_BYTES:
                return f"the frame at byte {at} of the outbox has size {size}"
            at += (size + 7) & ~7
            frames += 1
        if at != length:
            return f"the outbox's last frame ends at byte {at}, out_len is {length}"
        return "" if frames == count else f"the outbox holds {frames} frames, out_count is {count}"

    def _deliver(self, turn: Turn) -> Outcome | bool:
        """Hand out the messages one by one, as a module's ``tw_turn`` does.

        Returns:
            The turn's outcome if a message ended it, else whether the outbox was full for one of them.
        """
        at, base, full = 0, self.descriptor.inbox_at, False
        for _ in range(turn.count):
            (size, *_) = FRAME.unpack_from(turn.inbox, at)
            arguments[0] = ctypes.c_int32(base + at).value
            error = call_ready(self._context, self._receive, READY_ARGUMENTS, READY_ONE, READY_TRAP)
            if error or trap.value:
                return self._failed(turn, take_fault(error))
            code = arguments[0]
            if code == _OUTBOX_FULL:
                full = True
            elif code < 0:
                return Outcome(Status.FAILED, code, turn.fuel - self._cell.fuel(), b"")
            at += (size + 7) & ~7
        return full

    def _failed(self, turn: Turn, fault: Fault) -> Outcome:
        fault = self._explain(fault)
        return Outcome(fault.status, fault.number, turn.fuel - self._cell.fuel(), b"", fault.detail)

    def _explain(self, fault: Fault) -> Fault:
        """Tell our own traps from the guest's, and make the text safe to show."""
        if fault.number == TrapNumber.UNREACHABLE:
            flag = self._i32(FLAG)
            if flag == FLAG_DEPTH:
                return Fault(Status.DEPTH_LIMIT, 0, f"calls nest deeper than {self._limits.depth}")
            if flag == FLAG_ABORT:
                return Fault(Status.TRAP, TrapNumber.ABORT, self._abort_text())
            if flag == FLAG_EXIT:
                return Fault(Status.TRAP, TrapNumber.EXIT, f"proc_exit({self._i32(WASI_EXIT)})")
        return Fault(fault.status, int(fault.number), escape(fault.detail))

    def _abort_text(self) -> str:
        """Return what an AssemblyScript module said with abort: its message, file, line and column."""
        message, file, line, column = (self._i32(f"{ABORT}{index}") for index in range(ABORT_ARGUMENTS))
        memory = self._view(self._cell.memory_bytes())
        return escape(f"abort: {_script_text(memory, message)} ({_script_text(memory, file)}:{line}:{column})")

    def _i32(self, name: str) -> int:
        return int.from_bytes(self._cell.read_raw(self._cell.variable(name))[:4], "little")

    def _view(self, size: int) -> memoryview:
        """Return the first ``size`` bytes of the memory. It must be gone before the cell is closed."""
        return memoryview((ctypes.c_ubyte * size).from_address(self._cell.memory_address())).cast("B")

    def take_image(self) -> Image:
        """Return the state between turns."""
        variables = list[bytes]()
        for variable, kind in zip(self._variables, self._compiled.types, strict=True):
            variables.append(self._cell.read_raw(variable)[: _WIDTHS[kind]].ljust(GLOBAL_BYTES, b"\0"))
        return Image(self._view(self._cell.memory_bytes()).tobytes(), b"".join(variables))

    def _restore(self, image: Image) -> None:
        whole, rest = divmod(len(image.memory), PAGE)
        missing = whole - self._compiled.pages
        # A byte beyond the last whole page would be written beside the memory, which ends the process.
        if rest or missing < 0 or len(image.globals) != GLOBAL_BYTES * len(self._variables):
            raise InternalError("an image belongs to another module", why="its memory or globals do not fit")
        if missing:
            try:
                self._cell.grow(missing)
            except EngineError as error:
                raise EngineUnsuitable("this machine has no memory for an agent's image", why=str(error)) from error
        self._view(len(image.memory))[:] = image.memory
        for index, (variable, kind) in enumerate(zip(self._variables, self._compiled.types, strict=True)):
            at = index * GLOBAL_BYTES
            self._cell.write_raw(variable, _KINDS[kind], image.globals[at : at + _WIDTHS[kind]])

    def close(self) -> None:
        """Free the memory."""
        del self._memory, self._inbox, self._outbox, self._words, self._output, self.regions
        self._cell.close()


def check_memory(compiled: Compiled, limits: Limits) -> None:
    """Refuse a quota that the module's memory exceeds from the start.

    Raises:
        ModuleRefused: TW3001.
    """
    if compiled.pages > limits.memory_pages:
        raise ModuleRefused(
            f"a module's memory begins with {compiled.pages} pages",
            why=f"the agent's quota is {limits.memory_pages} pages of 64 KiB",
            fix="raise memory_pages, or build the agent with a smaller stack and memory",
        )


def _script_text(memory: memoryview, pointer: int) -> str:
    """Return an AssemblyScript string: UTF-16 at ``pointer``, its length in bytes in the 4 bytes before."""
    try:
        length = int.from_bytes(guest_slice(memory, pointer - 4, 4), "little")
        return bytes(guest_slice(memory, pointer, min(length, ABORT_TEXT_BYTES))).decode("utf-16-le", "replace")
    except OutOfBounds:
        return ""
