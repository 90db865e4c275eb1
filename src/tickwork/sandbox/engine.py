"""The engine: profile ``tw-1`` and the raw call path. Nothing else in Tickwork knows wasmtime.

Invariants:
    * The library is loaded from the installed ``wasmtime`` distribution, through prototypes of our own. The binding's
      Python layer is not imported: it costs 130 ms, rebuilds type objects at every call, ignores misspelt settings
      and aborts on some valid types.
    * Every setting is a symbol of the library: one that is missing is an error, never silence.
    * Addresses are plain integers. Whoever holds an address holds the object that owns it.
    * One thread of a process uses an engine; calls release the interpreter lock, the cheap fuel functions keep it.

Struct layouts are those of the pinned wasmtime version; the probes at start-up exercise each of them. Source:
wasmtime's C API headers.
"""

import ctypes
import importlib.util
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ..errors import EngineUnsuitable
from ..records import ENGINE_PROFILE, Status

WASMTIME_VERSION: Final = "50.0.1"
"""The version whose layouts, prices and traps this file knows; pinned by the distribution."""

PAGE: Final = 65536
MAX_WASM_STACK: Final = 5 << 18
"""What a guest may use of the thread's stack; the smallest of a main thread, on Windows, has 2 MB. Units: bytes."""

MEMORY_RESERVATION: Final = 1 << 32
TABLE_ELEMENTS: Final = 100_000
TEXT_BYTES: Final = 4096


class EngineProfile(msgspec.Struct, frozen=True):
    """How the engine is set. Everything but the optimisation level is fixed by the profile's name."""

    opt_level: str = "speed"


_ON: Final = (
    "consume_fuel",
    "cranelift_nan_canonicalization",
    "wasm_bulk_memory",
    "wasm_multi_value",
    "wasm_reference_types",
    "wasm_simd",
)
_OFF: Final = (
    "concurrency_support",
    "cranelift_debug_verifier",
    "debug_info",
    "epoch_interruption",
    "gc_support",
    "memory_init_cow",
    "memory_may_move",
    "parallel_compilation",
    "shared_memory",
    "wasm_branch_hinting",
    "wasm_compact_imports",
    "wasm_component_model",
    "wasm_custom_page_sizes",
    "wasm_exceptions",
    "wasm_function_references",
    "wasm_gc",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_relaxed_simd",
    "wasm_stack_switching",
    "wasm_tail_call",
    "wasm_threads",
    "wasm_wide_arithmetic",
)
_OPT_LEVELS: Final = {"none": 0, "speed": 1}
_CRANELIFT: Final = 1

_Address = ctypes.c_void_p
_Number = ctypes.c_uint64


def _open_library() -> Path:
    package = importlib.util.find_spec("wasmtime")
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0])
        for pattern in ("*/_libwasmtime.so", "*/_libwasmtime.dylib", "*/_wasmtime.dll"):
            for found in folder.glob(pattern):
                return found
    raise EngineUnsuitable(
        "the WebAssembly engine is not installed",
        why=f"no wasmtime library for {sys.platform} is beside the Python package",
        fix=f"install wasmtime=={WASMTIME_VERSION} on a 64-bit x86 or ARM machine",
    )


_PATH: Final = str(_open_library())
_library: Final = ctypes.CDLL(_PATH)
_holding: Final = ctypes.PyDLL(_PATH)


def _bind(library: ctypes.CDLL, name: str, result: type | None, *arguments: type) -> Callable[..., int]:
    try:
        function = library[name]
    except AttributeError as error:
        raise EngineUnsuitable(
            f"the WebAssembly engine has no function {name}",
            why=f"profile {ENGINE_PROFILE} is written for wasmtime {WASMTIME_VERSION}",
            fix=f"install wasmtime=={WASMTIME_VERSION}",
        ) from error
    function.argtypes = arguments
    function.restype = result
    return function


_A, _N, _Z = _Address, _Number, ctypes.c_size_t
_config_new = _bind(_library, "wasm_config_new", _A)
_engine_new = _bind(_library, "wasm_engine_new_with_config", _A, _A)
_engine_delete = _bind(_library, "wasm_engine_delete", None, _A)
_vector_delete = _bind(_library, "wasm_byte_vec_delete", None, _A)
_error_message = _bind(_library, "wasmtime_error_message", None, _A, _A)
_error_delete = _bind(_library, "wasmtime_error_delete", None, _A)
_trap_message = _bind(_library, "wasm_trap_message", None, _A, _A)
_trap_code = _bind(_library, "wasmtime_trap_code", ctypes.c_bool, _A, _A)
_trap_delete = _bind(_library, "wasm_trap_delete", None, _A)
_wat2wasm = _bind(_library, "wasmtime_wat2wasm", _A, ctypes.c_char_p, _Z, _A)
_module_new = _bind(_library, "wasmtime_module_new", _A, _A, ctypes.c_char_p, _Z, _A)
_module_validate = _bind(_library, "wasmtime_module_validate", _A, _A, ctypes.c_char_p, _Z)
_module_serialize = _bind(_library, "wasmtime_module_serialize", _A, _A, _A)
_module_deserialize = _bind(_library, "wasmtime_module_deserialize", _A, _A, ctypes.c_char_p, _Z, _A)
_module_delete = _bind(_library, "wasmtime_module_delete", None, _A)
_store_new = _bind(_library, "wasmtime_store_new", _A, _A, _A, _A)
_store_context = _bind(_library, "wasmtime_store_context", _A, _A)
_store_limiter = _bind(_library, "wasmtime_store_limiter", None, _A, *[ctypes.c_int64] * 5)
_store_delete = _bind(_library, "wasmtime_store_delete", None, _A)
_instance_new = _bind(_library, "wasmtime_instance_new", _A, _A, _A, _A, _Z, _A, _A)
_export_get = _bind(_library, "wasmtime_instance_export_get", ctypes.c_bool, _A, _A, ctypes.c_char_p, _Z, _A)
_global_get = _bind(_library, "wasmtime_global_get", None, _A, _A, _A)
_global_set = _bind(_library, "wasmtime_global_set", _A, _A, _A, _A)
_memory_data = _bind(_library, "wasmtime_memory_data", _A, _A, _A)
_memory_data_size = _bind(_library, "wasmtime_memory_data_size", _Z, _A, _A)
_memory_grow = _bind(_library, "wasmtime_memory_grow", _A, _A, _A, _N, _A)
set_fuel = _bind(_holding, "wasmtime_context_set_fuel", _A, _A, _N)
get_fuel = _bind(_holding, "wasmtime_context_get_fuel", _A, _A, _A)
call_unchecked = _bind(_library, "wasmtime_func_call_unchecked", _A, _A, _A, _A, _Z, _A)

# The same for turns, without argument types: of what ``pointer`` and ``unsigned`` make, ctypes converts nothing, and a
# call costs half. Nothing else may be passed to them: a plain integer would be cut to 32 bits.
set_fuel_ready = _bind(_holding, "wasmtime_context_set_fuel", _A)
get_fuel_ready = _bind(_holding, "wasmtime_context_get_fuel", _A)
call_ready = _bind(_library, "wasmtime_func_call_unchecked", _A)


def pointer(address: int) -> object:
    """Return an address, ready to be passed. Valid as long as what lies there."""
    return ctypes.byref(ctypes.c_char.from_address(address))


def unsigned(number: int) -> object:
    """Return a number of 64 bits, ready to be passed."""
    return _N.from_param(number)


class _Vector(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("address", ctypes.c_void_p))


class _Value(ctypes.Structure):
    """``wasmtime_val_t``: a kind and 24 bytes of union, of which a number takes the first 4 or 8."""

    _fields_ = (("kind", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 7), ("raw", ctypes.c_uint8 * 24))


class _Extern(ctypes.Structure):
    """``wasmtime_extern_t``: a kind and the 24 bytes that name a function, global, table or memory of a store."""

    _fields_ = (("kind", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 7), ("item", ctypes.c_uint64 * 3))


_EXTERN_ITEM: Final = 8
_EXTERN_FUNCTION, _EXTERN_GLOBAL, _EXTERN_MEMORY = 0, 1, 3
_VALUE_RAW: Final = 8

# Cells that every call of the process shares: one thread uses the engine, and each value is read before the next call.
arguments: Final = (ctypes.c_int32 * 8)()
"""Raw arguments and results of a call: 16 bytes each, an i32 in the first 4."""
ARGUMENTS: Final = ctypes.addressof(arguments)
WORDS_PER_VALUE: Final = 4
trap: Final = ctypes.c_void_p()
TRAP: Final = ctypes.addressof(trap)
fuel_left: Final = ctypes.c_uint64()
FUEL_LEFT: Final = ctypes.addressof(fuel_left)

READY_ARGUMENTS: Final = pointer(ARGUMENTS)
READY_TRAP: Final = pointer(TRAP)
READY_FUEL_LEFT: Final = pointer(FUEL_LEFT)
READY_ONE: Final = ctypes.c_size_t.from_param(1)


class TrapNumber(IntEnum):
    """Why a turn trapped: our own numbers, which outlive those of an engine."""

    OTHER = 0
    UNREACHABLE = 1
    MEMORY_OUT_OF_BOUNDS = 2
    TABLE_OUT_OF_BOUNDS = 3
    INDIRECT_CALL_TO_NULL = 4
    BAD_SIGNATURE = 5
    INTEGER_OVERFLOW = 6
    INTEGER_DIVISION_BY_ZERO = 7
    BAD_CONVERSION_TO_INTEGER = 8
    ABORT = 9
    EXIT = 10


# Source: wasmtime/trap.h.
_CODE_STACK_OVERFLOW: Final = 0
_CODE_OUT_OF_FUEL: Final = 11
_TRAP_NUMBERS: Final = {
    1: TrapNumber.MEMORY_OUT_OF_BOUNDS,
    3: TrapNumber.TABLE_OUT_OF_BOUNDS,
    4: TrapNumber.INDIRECT_CALL_TO_NULL,
    5: TrapNumber.BAD_SIGNATURE,
    6: TrapNumber.INTEGER_OVERFLOW,
    7: TrapNumber.INTEGER_DIVISION_BY_ZERO,
    8: TrapNumber.BAD_CONVERSION_TO_INTEGER,
    9: TrapNumber.UNREACHABLE,
}


class Fault(NamedTuple):
    """A call that did not return: a ``Status``, the trap's number where it is a trap, and the engine's text."""

    status: Status
    number: int
    detail: str


class EngineError(Exception):
    """The engine refused something: text of the engine, not yet escaped."""


class SegmentTrap(EngineError):
    """A module's own segments do not fit its memory or tables, so that no instance of it can be made.

    Args:
        fault: What the engine said.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


def _take_text(vector: _Vector) -> str:
    text = ctypes.string_at(vector.address, min(vector.size, TEXT_BYTES)) if vector.size else b""
    _vector_delete(ctypes.addressof(vector))
    return text.decode("utf-8", "replace")


def _take_error(error: int) -> str:
    vector = _Vector()
    _error_message(error, ctypes.addressof(vector))
    _error_delete(error)
    return _take_text(vector)


def _raise(error: int | None) -> None:
    if error:
        raise EngineError(_take_error(error))


def take_fault(error: int | None) -> Fault:
    """Return why the last call failed, and free what the engine left.

    Args:
        error: What the call returned; the trap is in the shared cell.

    Raises:
        EngineError: It failed for a reason that is not the guest's.
    """
    pointer = trap.value
    trap.value = None
    if error:
        text = _take_error(error)
        if pointer:
            _trap_delete(pointer)
        raise EngineError(text)
    assert pointer, "a failed call leaves an error or a trap"
    code, vector = ctypes.c_uint8(), _Vector()
    known = _trap_code(pointer, ctypes.addressof(code))
    _trap_message(pointer, ctypes.addressof(vector))
    _trap_delete(pointer)
    text = _take_text(vector).rstrip("\0")
    if known and code.value == _CODE_OUT_OF_FUEL:
        return Fault(Status.OUT_OF_FUEL, 0, text)
    if known and code.value == _CODE_STACK_OVERFLOW:
        return Fault(Status.DEPTH_LIMIT, 0, text)
    return Fault(Status.TRAP, _TRAP_NUMBERS.get(code.value, TrapNumber.OTHER) if known else TrapNumber.OTHER, text)


def discard_trap() -> None:
    """Free what a call left whose caller was interrupted before it looked."""
    if trap.value:
        _trap_delete(trap.value)
        trap.value = None


def assemble(text: str) -> bytes:
    """Return the binary form of a module in the text format; for the probes."""
    encoded, vector = text.encode(), _Vector()
    _raise(_wat2wasm(encoded, len(encoded), ctypes.addressof(vector)))
    binary = ctypes.string_at(vector.address, vector.size)
    _vector_delete(ctypes.addressof(vector))
    return binary


class Code:
    """A compiled module, loaded into this process. Freed with the object."""

    def __init__(self, engine: "Engine", address: int) -> None:
        self.engine = engine
        self.address = address

    def serialize(self) -> bytes:
        """Return the native code. Only bytes from here may ever be loaded again: loading does not check them."""
        vector = _Vector()
        _raise(_module_serialize(self.address, ctypes.addressof(vector)))
        code = ctypes.string_at(vector.address, vector.size)
        _vector_delete(ctypes.addressof(vector))
        return code

    def __del__(self, delete: Callable[..., int] = _module_delete) -> None:
        delete(self.address)


class Engine:
    """A wasmtime engine of profile ``tw-1``."""

    address = 0

    def __init__(self, profile: EngineProfile) -> None:
        level = _OPT_LEVELS.get(profile.opt_level)
        if level is None:
            raise ValueError(f"opt_level {profile.opt_level!r} is none of {', '.join(_OPT_LEVELS)}")
        config = _config_new()
        settings: list[tuple[str, type, int]] = [(name, ctypes.c_bool, 1) for name in _ON]
        settings += [(name, ctypes.c_bool, 0) for name in _OFF]
        settings += [
            ("strategy", ctypes.c_uint8, _CRANELIFT),
            ("cranelift_opt_level", ctypes.c_uint8, level),
            ("max_wasm_stack", ctypes.c_size_t, MAX_WASM_STACK),
            ("memory_reservation", ctypes.c_uint64, MEMORY_RESERVATION),
        ]
        for name, kind, value in settings:
            _bind(_library, f"wasmtime_config_{name}_set", None, _A, kind)(config, value)
        self.profile = profile
        self.address = _engine_new(config)

    def validates(self, wasm: bytes) -> bool:
        """Return whether this profile accepts the module."""
        error = _module_validate(self.address, wasm, len(wasm))
        if error:
            _error_delete(error)
        return not error

    def compile(self, wasm: bytes) -> Code:
        """Return the module compiled. Only the compile child calls this on bytes of a user.

        Raises:
            EngineError: The engine refused it.
        """
        address = ctypes.c_void_p()
        _raise(_module_new(self.address, wasm, len(wasm), ctypes.addressof(address)))
        assert address.value
        return Code(self, address.value)

    def load(self, code: bytes) -> Code:
        """Return native code of our own making, loaded.

        Raises:
            EngineError: Another version, setting or processor made it.
        """
        address = ctypes.c_void_p()
        _raise(_module_deserialize(self.address, code, len(code), ctypes.addressof(address)))
        assert address.value
        return Code(self, address.value)

    def __del__(self, delete: Callable[..., int] = _engine_delete) -> None:
        if self.address:
            delete(self.address)


class Cell:
    """A store with one instance of a module that imports nothing.

    Attributes:
        context: Address of the store's context, for the raw calls.
    """

    __slots__ = ("_code", "_instance", "_kept", "_memory", "_store", "context")

    def __init__(self, code: Code, *, memory_bytes: int, fuel: int) -> None:
        self._code = code
        self._store = _store_new(code.engine.address, None, None)
        self.context = _store_context(self._store)
        self._kept = list[_Extern]()
        self._instance = (ctypes.c_uint64 * 2)()
        _store_limiter(self._store, memory_bytes, TABLE_ELEMENTS, 1, 4, 1)
        _raise(set_fuel(self.context, fuel))
        error = _instance_new(self.context, code.address, None, 0, ctypes.addressof(self._instance), TRAP)
        if error or trap.value:
            raise SegmentTrap(take_fault(error))
        self._memory = self._export("memory", _EXTERN_MEMORY)

    def close(self, delete: Callable[..., int] = _store_delete) -> None:
        """Free the store and all its memory; views of it must be gone."""
        if self._store:
            delete(self._store)
            self._store = self.context = 0

    def __del__(self) -> None:
        self.close()

    def _export(self, name: str, kind: int) -> int:
        found, encoded = _Extern(), name.encode()
        address = ctypes.addressof(found)
        if not _export_get(self.context, ctypes.addressof(self._instance), encoded, len(encoded), address):
            return 0
        if found.kind != kind:
            return 0
        self._kept.append(found)
        return address + _EXTERN_ITEM

    def function(self, name: str) -> int:
        """Return the address of an exported function's handle, 0 if there is none. Valid as long as the cell."""
        return self._export(name, _EXTERN_FUNCTION)

    def variable(self, name: str) -> int:
        """Return the address of an exported global's handle, 0 if there is none. Valid as long as the cell."""
        return self._export(name, _EXTERN_GLOBAL)

    def memory_address(self) -> int:
        """Return where the memory begins; it stays there, since the profile reserves the maximum."""
        return _memory_data(self.context, self._memory)

    def memory_bytes(self) -> int:
        """Return the memory's present size."""
        return _memory_data_size(self.context, self._memory)

    def grow(self, pages: int) -> None:
        """Add pages to the memory.

        Raises:
            EngineError: The limit or the machine does not allow it.
        """
        before = ctypes.c_uint64()
        _raise(_memory_grow(self.context, self._memory, pages, ctypes.addressof(before)))

    def read_raw(self, variable: int) -> bytes:
        """Return the 8 raw bytes of a global; of a 32-bit one the upper 4 mean nothing."""
        value = _Value()
        _global_get(self.context, variable, ctypes.addressof(value))
        return bytes(value.raw[:8])

    def write_raw(self, variable: int, kind: int, raw: bytes) -> None:
        """Set a mutable global from raw bits.

        Args:
            kind: 0 i32, 1 i64, 2 f32, 3 f64.
        """
        value = _Value(kind=kind)
        ctypes.memmove(ctypes.addressof(value) + _VALUE_RAW, raw, len(raw))
        _raise(_global_set(self.context, variable, ctypes.addressof(value)))

    def refuel(self, fuel: int) -> None:
        """Set what following calls may use."""
        _raise(set_fuel(self.context, fuel))

    def fuel(self) -> int:
        """Return what is left."""
        _raise(get_fuel(self.context, FUEL_LEFT))
        return fuel_left.value

    def call(self, function: int, first: int = 0, second: int = 0) -> int | Fault:
        """Call a function of at most two i32 parameters and one i32 result."""
        arguments[0], arguments[WORDS_PER_VALUE] = first, second
        error = call_unchecked(self.context, function, ARGUMENTS, 2, TRAP)
        if error or trap.value:
            return take_fault(error)
        return arguments[0]
