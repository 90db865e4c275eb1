"""Virtual WASI: functions of ``wasi_snapshot_preview1`` made of WebAssembly, which the rewriter puts into a module.

A module whose manifest says ``wasi = "virtual"`` may import them. None of them reaches the host: they read the turn's
context and write the outbox, both of which lie in the module's own memory. Time is the tick, chance is the turn's
seed, what is written to descriptors 1 and 2 becomes LOG frames, and everything else is ENOSYS.

Source: WASI preview 1, witx; the layouts of context and frame are those of the agent ABI.
"""

from typing import Final, NamedTuple

from .wasm import I32, I64, FunctionType, leb, signed_leb

MODULE: Final = "wasi_snapshot_preview1"

NANOSECONDS_PER_TICK: Final = 1_000_000
"""What a tick is worth on the clocks: a millisecond."""

SUCCESS, EAGAIN, EBADF, EINVAL, ENOSYS = 0, 6, 8, 28, 52

_LAST_CLOCK: Final = 3
_LAST_STREAM: Final = 2
_CHARACTER_DEVICE: Final = 2
_RIGHT_READ: Final = 1 << 1
_RIGHT_WRITE: Final = 1 << 6
_FDSTAT_BYTES: Final = 24
_FRAME_BYTES: Final = 32
_LOG: Final = 13
_TICK, _SEED, _AGENT, _OUT_LENGTH, _OUT_COUNT = 0, 8, 32, 44, 48
_GAMMA: Final = 0x9E3779B97F4A7C15
_STREAM: Final = 0x57415349
"""Keeps the stream of ``random_get`` apart from the one that the SDKs draw from the same seed."""

_PARAMETERS: Final = {
    "args_get": "ii", "args_sizes_get": "ii", "clock_res_get": "ii", "clock_time_get": "iIi", "environ_get": "ii",
    "environ_sizes_get": "ii", "fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i",
    "fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_dir_name": "iii",
    "fd_prestat_get": "ii", "fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi", "fd_renumber": "ii",
    "fd_seek": "iIii", "fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii", "path_create_directory": "iii",
    "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi", "path_link": "iiiiiii",
    "path_open": "iiiiiIIii", "path_readlink": "iiiiii", "path_remove_directory": "iii", "path_rename": "iiiiii",
    "path_symlink": "iiiii", "path_unlink_file": "iii", "poll_oneoff": "iiii", "proc_exit": "i", "proc_raise": "i",
    "random_get": "ii", "sched_yield": "", "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii",
    "sock_shutdown": "ii",
}  # fmt: skip
_TYPES: Final = {"i": I32, "I": I64}


def signature(name: str) -> FunctionType:
    """Return the type of a function of preview 1."""
    parameters = bytes(_TYPES[letter] for letter in _PARAMETERS[name])
    return FunctionType(parameters, b"" if name == "proc_exit" else bytes((I32,)))


NAMES: Final = tuple(_PARAMETERS)
"""Every function of preview 1. Order: alphabetical."""


class Places(NamedTuple):
    """Indices of the globals that the functions use; the first three are set by the host before the first turn.

    Attributes:
        context, outbox, capacity: The descriptor's.
        code: What ``proc_exit`` was given.
        seed, state: Of the stream of ``random_get``; they belong to an image.
        flag: Why the module trapped.
    """

    context: int
    outbox: int
    capacity: int
    code: int
    seed: int
    state: int
    flag: int


# ---- instructions, each with its operands before it ------------------------------------------------------------------


def _get(local: int) -> bytes:
    return b"\x20" + leb(local)


def _set(local: int, value: bytes) -> bytes:
    return value + b"\x21" + leb(local)


def _global(index: int) -> bytes:
    return b"\x23" + leb(index)


def _put(index: int, value: bytes) -> bytes:
    return value + b"\x24" + leb(index)


def _number(value: int) -> bytes:
    return b"\x41" + signed_leb(value)


def _long(value: int) -> bytes:
    return b"\x42" + signed_leb(value - (1 << 64) if value >> 63 else value)


def _load(address: bytes, offset: int = 0) -> bytes:
    return address + b"\x28\x00" + leb(offset)


def _load_long(address: bytes, offset: int = 0) -> bytes:
    return address + b"\x29\x00" + leb(offset)


def _store(address: bytes, value: bytes, offset: int = 0) -> bytes:
    return address + value + b"\x36\x00" + leb(offset)


def _store_long(address: bytes, value: bytes, offset: int = 0) -> bytes:
    return address + value + b"\x37\x00" + leb(offset)


def _add(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x6a"


def _subtract(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x6b"


def _and(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x71"


def _above(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x4b"


def _when(condition: bytes, *then: bytes) -> bytes:
    return condition + b"\x04\x40" + b"".join(then) + b"\x0b"


def _while(condition: bytes, *body: bytes) -> bytes:
    return b"\x03\x40" + _when(condition, *body, b"\x0c\x01") + b"\x0b"


def _return(code: int) -> bytes:
    return _number(code) + b"\x0f"


def _padding(length: bytes) -> bytes:
    """How many zeros follow a body of that length."""
    return _and(_subtract(_number(0), length), _number(7))


# ---- functions -------------------------------------------------------------------------------------------------------


def body(name: str, places: Places) -> bytes:
    """Return the code of a function of preview 1, its locals before it."""
    made = _MADE.get(name)
    if made is not None:
        longs, numbers, code = made(places)
        kinds = [leb(count) + bytes((kind,)) for count, kind in ((numbers, I32), (longs, I64)) if count]
        return leb(len(kinds)) + b"".join(kinds) + code + b"\x0b"
    return b"\x00" + _number(_ANSWERS.get(name, ENOSYS)) + b"\x0b"


_Made = tuple[int, int, bytes]
"""How many i64 locals and how many i32 locals, which come first, a function has, and its code."""


def _sizes(_: Places) -> _Made:
    return 0, 0, _store(_get(0), _number(0)) + _store(_get(1), _number(0)) + _number(SUCCESS)


def _resolution(_: Places) -> _Made:
    refuse = _when(_above(_get(0), _number(_LAST_CLOCK)), _return(EINVAL))
    return 0, 0, refuse + _store_long(_get(1), _long(NANOSECONDS_PER_TICK)) + _number(SUCCESS)


def _clock(places: Places) -> _Made:
    refuse = _when(_above(_get(0), _number(_LAST_CLOCK)), _return(EINVAL))
    tick = _context_long(places, _TICK)
    return 0, 0, refuse + _store_long(_get(2), tick + _long(NANOSECONDS_PER_TICK) + b"\x7e") + _number(SUCCESS)


def _context_long(places: Places, offset: int) -> bytes:
    """Return a field of the context, or 0 before there is one: while the module starts."""
    there = _load_long(_global(places.context), offset)
    return _global(places.context) + b"\x04\x7e" + there + b"\x05" + _long(0) + b"\x0b"


def _stat(_: Places) -> _Made:
    rights = _long(_RIGHT_WRITE) + _long(_RIGHT_READ) + _get(0) + b"\x1b"
    return 0, 0, b"".join((
        _when(_above(_get(0), _number(_LAST_STREAM)), _return(EBADF)),
        _get(1) + _number(0) + _number(_FDSTAT_BYTES) + b"\xfc\x0b\x00",
        _get(1) + _number(_CHARACTER_DEVICE) + b"\x3a\x00\x00",
        _store_long(_get(1), rights, 8),
        _number(SUCCESS),
    ))  # fmt: skip


def _exit(places: Places) -> _Made:
    return 0, 0, _put(places.code, _get(0)) + _put(places.flag, _number(FLAG_EXIT)) + b"\x00"


FLAG_EXIT: Final = 3
"""Why a module trapped that called ``proc_exit``."""


def _random(places: Places) -> _Made:
    """Fill bytes from splitmix64. Source: Steele, Lea and Flood, 2014."""
    to, left, turn = _get(0), _get(1), _get(2)
    seed, state, word = 3, places.state, 4

    def mixed(shift: int, factor: int) -> bytes:
        shifted = _get(word) + _get(word) + _long(shift) + b"\x88\x85"
        return _set(word, shifted + (_long(factor) + b"\x7e" if factor else b""))

    draw = _put(state, _global(state) + _long(_GAMMA) + b"\x7c") + _set(word, _global(state))
    draw += mixed(30, 0xBF58476D1CE4E5B9) + mixed(27, 0x94D049BB133111EB) + mixed(31, 0)
    fresh = _put(places.seed, _get(seed)) + _put(state, _get(seed) + _long(_STREAM) + b"\x85")
    return 2, 1, b"".join((
        _set(seed, _context_long(places, _SEED)),
        _when(_get(seed) + _global(places.seed) + b"\x52", fresh),
        _while(
            left,
            _when(_and(turn, _number(7)) + b"\x45", draw),
            to + _get(word) + b"\x3c\x00\x00",
            _set(word, _get(word) + _long(8) + b"\x88"),
            _set(0, _add(to, _number(1))),
            _set(1, _subtract(left, _number(1))),
            _set(2, _add(turn, _number(1))),
        ),
        _number(SUCCESS),
    ))  # fmt: skip


def _write(places: Places) -> _Made:
    """Append one LOG frame with as much of the bytes as the outbox still holds; EAGAIN if that is nothing."""
    stream, vector, count, written = range(4)
    frame, end, at, piece, length = range(4, 9)
    context, used = _global(places.context), _load(_global(places.context), _OUT_LENGTH)
    start = _add(_get(frame), _number(_FRAME_BYTES))
    full = _get(at) + _get(end) + b"\x4f"
    room = _subtract(_get(end), _get(at))
    return 0, 5, b"".join((
        _when(_subtract(_get(stream), _number(1)) + _number(1) + b"\x4b", _return(EBADF)),
        _when(context + b"\x45", _return(EAGAIN)),
        _set(frame, _add(_global(places.outbox), used)),
        _set(end, _add(_global(places.outbox), _global(places.capacity))),
        _set(at, start),
        _when(_above(_get(at), _get(end)), _return(EAGAIN)),
        _while(
            _get(count),
            _set(piece, _load(_get(vector), 4)),
            _when(_get(piece) + b"\x45\x45" + full + b"\x71" + _get(at) + start + b"\x46\x71", _return(EAGAIN)),
            _when(_above(_get(piece), room), _set(piece, room)),
            _get(at) + _load(_get(vector)) + _get(piece) + b"\xfc\x0a\x00\x00",
            _set(at, _add(_get(at), _get(piece))),
            _set(vector, _add(_get(vector), _number(8))),
            _set(count, _subtract(_get(count), _number(1))),
        ),
        _set(length, _subtract(_get(at), start)),
        _store(_get(written), _get(length)),
        _when(_get(length), _head(places, frame, length)),
        _number(SUCCESS),
    ))  # fmt: skip


def _head(places: Places, frame: int, length: int) -> bytes:
    """Write a frame's header and count it in the context."""
    context, size = _global(places.context), _get(length)
    padding = _padding(size)
    whole = _add(_add(size, _number(_FRAME_BYTES)), padding)
    return b"".join((
        _add(_add(_get(frame), _number(_FRAME_BYTES)), size) + _number(0) + padding + b"\xfc\x0b\x00",
        _store(_get(frame), _add(size, _number(_FRAME_BYTES))),
        _store(_get(frame), _number(_LOG), 4),
        _store(_get(frame), _load(context, _AGENT), 8),
        _store(_get(frame), _number(0), 12),
        _store_long(_get(frame), _load(context, _OUT_COUNT) + b"\xad", 16),
        _store_long(_get(frame), _load_long(context, _TICK), 24),
        _store(context, _add(_load(context, _OUT_LENGTH), whole), _OUT_LENGTH),
        _store(context, _add(_load(context, _OUT_COUNT), _number(1)), _OUT_COUNT),
    ))  # fmt: skip


_MADE: Final = {
    "args_sizes_get": _sizes,
    "clock_res_get": _resolution,
    "clock_time_get": _clock,
    "environ_sizes_get": _sizes,
    "fd_fdstat_get": _stat,
    "fd_write": _write,
    "proc_exit": _exit,
    "random_get": _random,
}
_ANSWERS: Final = {
    "args_get": SUCCESS,
    "environ_get": SUCCESS,
    # A library that asks for opened folders takes this for the end of their list, and anything else for a defect.
    "fd_prestat_dir_name": EBADF,
    "fd_prestat_get": EBADF,
    "sched_yield": SUCCESS,
}
IMPLEMENTED: Final = tuple(sorted({*_MADE, *_ANSWERS}))
"""The functions that do something; the others of preview 1 are ENOSYS."""
