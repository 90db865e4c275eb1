"""Rewrites a checked module before it is compiled; version 1 of the rules below is named in a run's header.

    * Every mutable global is exported as ``__tw_g<i>`` and every table as ``__tw_t<i>``, so that an image can be
      taken and put back.
    * Call depth is counted: the body of a function that calls, or that has a large frame, moves to a new function,
      and its old index becomes a wrapper that takes the function's weight from the global ``__tw_depth`` and gives it
      back afterwards. Bodies need no change, since their calls still name the old indices. Below zero the wrapper
      sets ``__tw_flag`` and traps.
    * An import of ``env.abort`` becomes a function that keeps its arguments in ``__tw_abort<i>`` and traps.
    * Custom sections are left out.

A leaf with a small frame is left as it is: it adds at most one frame to a stack that the weights bound.
"""

from typing import Final, NamedTuple

from . import wasm
from .scan import Measure
from .wasm import I32, Module, Reader, encode_name, encode_section, encode_vector, leb, signed_leb

DEPTH: Final = "__tw_depth"
FLAG: Final = "__tw_flag"
GLOBAL: Final = "__tw_g"
TABLE: Final = "__tw_t"
ABORT: Final = "__tw_abort"
ABORT_ARGUMENTS: Final = 4

FLAG_DEPTH: Final = 1
FLAG_ABORT: Final = 2

SLOTS_PER_WEIGHT: Final = 16
"""Parameters and locals that weigh as much as one call: 128 bytes, the least frame of a wrapper and its body."""

_WASM_I32: Final = bytes((I32,))
_UNREACHABLE: Final = b"\x00"
_END: Final = b"\x0b"
_NO_LOCALS: Final = b"\x00"


class Rewritten(NamedTuple):
    """A module ready to compile, and which of its globals are state.

    Attributes:
        globals: Indices of the module's own mutable globals, exported as ``__tw_g<i>``. Order: ascending.
        types: Their value types, one byte each.
        aborts: Whether ``env.abort`` was replaced.
    """

    data: bytes
    globals: tuple[int, ...]
    types: bytes
    aborts: bool


def rewrite(module: Module, measures: list[Measure]) -> Rewritten:
    """Return the module with its state exported and its depth counted.

    Law: on any call that neither exceeds the depth nor aborts, results, memory and globals are those of the original.
    """
    aborts = bool(module.imports)
    depth = len(module.globals)
    flag = depth + 1
    wrapped = _wrapped(measures)
    state = tuple(i for i, item in enumerate(module.globals) if item.mutable)
    replaced = {
        wasm.FUNCTION: _functions(module, wrapped),
        wasm.GLOBAL: _globals(module, aborts),
        wasm.EXPORT: _exports(module, state, aborts),
        wasm.CODE: _code(module, measures, wrapped, depth, flag),
    }
    pieces = [wasm.MAGIC]
    for kind in wasm.SECTION_ORDER:
        section = module.section(kind)
        if kind in replaced:
            pieces.append(encode_section(kind, replaced[kind]))
        elif section is not None and kind != wasm.IMPORT:
            pieces.append(encode_section(kind, module.data[section.start : section.end]))
    types = bytes(module.globals[i].type for i in state)
    return Rewritten(b"".join(pieces), state, types, aborts)


def origins(module: Module, measures: list[Measure]) -> list[int]:
    """Return, for each function of the rewritten module, whose body it has.

    Returns:
        Indices in the original module, imports first; -1 for wrappers and for what takes the place of an import.
    """
    wrapped = _wrapped(measures)
    imported, moved = len(module.imports), frozenset(wrapped)
    kept = [-1 if index in moved else imported + index for index in range(len(module.bodies))]
    return [-1] * imported + kept + [imported + index for index in wrapped]


def _wrapped(measures: list[Measure]) -> list[int]:
    """Return the functions, imports not counted, whose bodies move behind a wrapper that counts depth."""
    return [i for i, measure in enumerate(measures) if measure.calls or measure.slots > SLOTS_PER_WEIGHT]


def weight(measure: Measure) -> int:
    """Return how much of the depth limit one call of a function takes."""
    return 1 + measure.slots // SLOTS_PER_WEIGHT


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


def _globals(module: Module, aborts: bool) -> bytes:
    zero = _WASM_I32 + b"\x01" + b"\x41\x00" + _END  # Mutable i32, initially 0.
    return _extended(module, wasm.GLOBAL, [zero] * (2 + ABORT_ARGUMENTS * aborts))


def _exports(module: Module, state: tuple[int, ...], aborts: bool) -> bytes:
    def export(name: str, kind: int, index: int) -> bytes:
        return encode_name(name) + bytes((kind,)) + leb(index)

    first = len(module.globals)
    added = [export(f"{GLOBAL}{i}", wasm.KIND_GLOBAL, i) for i in state]
    added += [export(f"{TABLE}{i}", wasm.KIND_TABLE, i) for i in range(module.table_count)]
    added += [export(DEPTH, wasm.KIND_GLOBAL, first), export(FLAG, wasm.KIND_GLOBAL, first + 1)]
    added += [export(f"{ABORT}{i}", wasm.KIND_GLOBAL, first + 2 + i) for i in range(ABORT_ARGUMENTS * aborts)]
    return _extended(module, wasm.EXPORT, added)


def _code(module: Module, measures: list[Measure], wrapped: list[int], depth: int, flag: int) -> bytes:
    bodies = [module.data[start:end] for start, end in module.bodies]
    moved = [bodies[i] for i in wrapped]
    imported = len(module.imports)
    target = imported + len(bodies)
    for i in wrapped:
        parameters = len(module.types[module.functions[i]].parameters)
        bodies[i] = _wrapper(parameters, weight(measures[i]), target, depth, flag)
        target += 1
    first = [_abort_body(flag)] if imported else []
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


def _abort_body(flag: int) -> bytes:
    kept = b"".join(b"\x20" + leb(i) + b"\x24" + leb(flag + 1 + i) for i in range(ABORT_ARGUMENTS))
    return _NO_LOCALS + kept + _set_flag(flag, FLAG_ABORT) + _UNREACHABLE + _END


def _set_flag(flag: int, value: int) -> bytes:
    return b"\x41" + signed_leb(value) + b"\x24" + leb(flag)
