"""Rewrites a checked module before it is compiled; version 1 of the rules below is named in a run's header.

    * Every mutable global is exported as ``__tw_g<i>`` and every table as ``__tw_t<i>``, so that an image can be
      taken and put back.
    * Call depth is counted: the body of a function that calls, or that has a large frame, moves to a new function,
      and its old index becomes a wrapper that takes the function's weight from the global ``__tw_depth`` and gives it
      back afterwards. Bodies need no change, since their calls still name the old indices. Below zero the wrapper
      sets ``__tw_flag`` and traps.
    * An import of ``env.abort`` becomes a function that keeps its arguments in ``__tw_abort<i>`` and traps.
    * Imports of virtual WASI become functions of ``wasi.py``.
    * Custom sections are left out.

A leaf with a small frame is left as it is: it adds at most one frame to a stack that the weights bound. What a weight
means in bytes of stack is checked against the compiled code, in ``frames.py``.
"""

from typing import Final, NamedTuple

from . import wasi, wasm
from .scan import Measure
from .wasm import I32, I64, Module, Reader, encode_name, encode_section, encode_vector, leb, signed_leb

DEPTH: Final = "__tw_depth"
FLAG: Final = "__tw_flag"
GLOBAL: Final = "__tw_g"
TABLE: Final = "__tw_t"
ABORT: Final = "__tw_abort"
ABORT_ARGUMENTS: Final = 4

WASI_CONTEXT: Final = "__tw_context"
WASI_OUTBOX: Final = "__tw_outbox"
WASI_CAPACITY: Final = "__tw_capacity"
WASI_EXIT: Final = "__tw_exit"

FLAG_DEPTH: Final = 1
FLAG_ABORT: Final = 2
FLAG_EXIT: Final = wasi.FLAG_EXIT

DEPTH_MOST: Final = 5_000
"""The greatest depth that an agent may be given."""

SLOTS_PER_WEIGHT: Final = 6
"""Parameters, locals and operands that weigh as much as one call; with it, what a weight takes of the stack was nearest
to constant over the modules of this repository and C++ programs with a library, and of CPython: at most 176 bytes."""

_WASI_GLOBALS: Final = (WASI_CONTEXT, WASI_OUTBOX, WASI_CAPACITY, WASI_EXIT)
_UNREACHABLE: Final = b"\x00"
_END: Final = b"\x0b"
_NO_LOCALS: Final = b"\x00"


class Wrapped(NamedTuple):
    """A function whose depth is counted: the wrapper at its old index, the function that has its body, its weight."""

    wrapper: int
    body: int
    weight: int


class Rewritten(NamedTuple):
    """A module ready to compile, and which of its globals are state.

    Attributes:
        globals: Indices of the mutable globals that are exported as ``__tw_g<i>``. Order: ascending.
        types: Their value types, one byte each.
        aborts: Whether ``env.abort`` was replaced.
        wrapped: The functions whose depth is counted. Order: ascending.
    """

    data: bytes
    globals: tuple[int, ...]
    types: bytes
    aborts: bool
    wrapped: tuple[Wrapped, ...]


class _Added(NamedTuple):
    """Where the globals lie that are added: their indices and names, and what is state besides the module's own."""

    depth: int
    flag: int
    aborts: int
    places: wasi.Places
    exports: tuple[tuple[str, int], ...]
    types: bytes
    state: tuple[int, ...]


def rewrite(module: Module, measures: list[Measure]) -> Rewritten:
    """Return the module with its state exported, its imports replaced and its depth counted.

    Law: on any call that neither exceeds the depth nor aborts, results, memory and globals are those of the original.
    """
    added = _added(module)
    wrapped = [i for i, measure in enumerate(measures) if measure.calls or measure.slots > LEAF_SLOTS]
    state = (*(i for i, item in enumerate(module.globals) if item.mutable), *added.state)
    replaced = {
        wasm.FUNCTION: _functions(module, wrapped),
        wasm.GLOBAL: _extended(module, wasm.GLOBAL, [_zero(kind) for kind in added.types]),
        wasm.EXPORT: _exports(module, state, added),
        wasm.CODE: _code(module, measures, wrapped, added),
    }
    pieces = [wasm.MAGIC]
    for kind in wasm.SECTION_ORDER:
        section = module.section(kind)
        if kind in replaced:
            pieces.append(encode_section(kind, replaced[kind]))
        elif section is not None and kind != wasm.IMPORT:
            pieces.append(encode_section(kind, module.data[section.start : section.end]))
    types = bytes(module.globals[i].type if i < len(module.globals) else I64 for i in state)
    imported, first = len(module.imports), len(module.imports) + len(module.functions)
    counted = tuple(Wrapped(imported + i, first + at, weight(measures[i])) for at, i in enumerate(wrapped))
    return Rewritten(b"".join(pieces), state, types, _aborts(module), counted)


LEAF_SLOTS: Final = 16
"""Parameters and locals up to which a function that calls nothing is not counted."""


def weight(measure: Measure) -> int:
    """Return how much of the depth limit one call of a function takes."""
    return 1 + (measure.slots + measure.operands) // SLOTS_PER_WEIGHT


def _aborts(module: Module) -> bool:
    return any(item.module != wasi.MODULE for item in module.imports)


def _added(module: Module) -> _Added:
    """Lay out the added globals: depth and flag, then abort's arguments, then those of virtual WASI."""
    depth = len(module.globals)
    names = [DEPTH, FLAG]
    if _aborts(module):
        names += [f"{ABORT}{i}" for i in range(ABORT_ARGUMENTS)]
    at = depth + len(names)
    places = wasi.Places(at, at + 1, at + 2, at + 3, at + 4, at + 5, depth + 1)
    types, state = bytes((I32,)) * len(names), tuple[int, ...]()
    if any(item.module == wasi.MODULE for item in module.imports):
        names += _WASI_GLOBALS
        types += bytes((I32,)) * len(_WASI_GLOBALS) + bytes((I64, I64))
        state = (places.seed, places.state)
    exports = tuple((name, depth + place) for place, name in enumerate(names))
    return _Added(depth, depth + 1, depth + 2, places, exports, types, state)


def _functions(module: Module, wrapped: list[int]) -> bytes:
    kept = [item.detail for item in module.imports] + list(module.functions)
    moved = [module.functions[i] for i in wrapped]
    return encode_vector([leb(index) for index in kept + moved])


def _extended(module: Module, kind: int, added: list[bytes]) -> bytes:
    """Return a vector section's payload with items added at its end."""
    section = module.section(kind)
    if section is None:
        return encode_vector(added)
    reader = Reader(module.data, section.start, section.end)
    count = reader.number()
    return leb(count + len(added)) + module.data[reader.at : section.end] + b"".join(added)


def _zero(kind: int) -> bytes:
    """Return a mutable global that begins at 0."""
    return bytes((kind, 1, 0x41 if kind == I32 else 0x42, 0)) + _END


def _exports(module: Module, state: tuple[int, ...], added: _Added) -> bytes:
    def export(name: str, kind: int, index: int) -> bytes:
        return encode_name(name) + bytes((kind,)) + leb(index)

    named = [export(f"{GLOBAL}{i}", wasm.KIND_GLOBAL, i) for i in state]
    named += [export(f"{TABLE}{i}", wasm.KIND_TABLE, i) for i in range(module.table_count)]
    named += [export(name, wasm.KIND_GLOBAL, index) for name, index in added.exports]
    return _extended(module, wasm.EXPORT, named)


def _code(module: Module, measures: list[Measure], wrapped: list[int], added: _Added) -> bytes:
    bodies = [module.data[start:end] for start, end in module.bodies]
    moved = [bodies[i] for i in wrapped]
    target = len(module.imports) + len(bodies)
    for i in wrapped:
        parameters = len(module.types[module.functions[i]].parameters)
        bodies[i] = _wrapper(parameters, weight(measures[i]), target, added.depth, added.flag)
        target += 1
    first = [
        wasi.body(item.name, added.places) if item.module == wasi.MODULE else _abort_body(added)
        for item in module.imports
    ]
    return encode_vector([leb(len(body)) + body for body in first + bodies + moved])


def _wrapper(parameters: int, taken: int, target: int, depth: int, flag: int) -> bytes:
    get, put = b"\x23" + leb(depth), b"\x24" + leb(depth)
    amount = b"\x41" + signed_leb(taken)
    take = get + amount + b"\x6b" + put  # depth -= weight
    give = get + amount + b"\x6a" + put  # depth += weight
    test = get + b"\x41\x00\x48"  # depth < 0, signed
    refuse = b"\x04\x40" + _set_flag(flag, FLAG_DEPTH) + _UNREACHABLE + _END
    arguments = b"".join(b"\x20" + leb(i) for i in range(parameters))
    return _NO_LOCALS + take + test + refuse + arguments + b"\x10" + leb(target) + give + _END


def _abort_body(added: _Added) -> bytes:
    kept = b"".join(b"\x20" + leb(i) + b"\x24" + leb(added.aborts + i) for i in range(ABORT_ARGUMENTS))
    return _NO_LOCALS + kept + _set_flag(added.flag, FLAG_ABORT) + _UNREACHABLE + _END


def _set_flag(flag: int, value: int) -> bytes:
    return b"\x41" + signed_leb(value) + b"\x24" + leb(flag)
