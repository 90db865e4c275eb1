"""Sections of a module: what is left without the custom ones, and whether two modules are the same code."""

from ..errors import BuildFailed
from ..sandbox import wasm
from ..sandbox.wasm import CUSTOM, KIND_FUNCTION, MAGIC, FunctionType, Malformed, Module


def without_custom_sections(data: bytes) -> bytes:
    """Return a module without names, debugging information and other custom sections.

    Law: the result has the same code at the same offsets of its code section.

    Raises:
        BuildFailed: TW5002, a compiler wrote what is no module.
    """
    module = parsed(data)
    pieces, at = [MAGIC], len(MAGIC)
    for section in module.sections:
        if section.kind != CUSTOM:
            pieces.append(data[at : section.end])
        at = section.end
    stripped = b"".join(pieces)
    assert same_code(parsed(stripped), module), "stripping must not touch what runs"
    return stripped


def same_code(left: Module, right: Module) -> bool:
    """Return whether two modules are equal but for custom sections, so that the debugging of one fits the other."""
    return _running(left) == _running(right)


def parsed(data: bytes) -> Module:
    """Return a compiler's output, parsed.

    Raises:
        BuildFailed: TW5002, it is no module.
    """
    try:
        return wasm.parse(data)
    except Malformed as error:
        raise BuildFailed(
            "the compiler wrote what is no module", why=str(error), fix="build for wasm32 with the SDK's flags"
        ) from error


def function_types(module: Module) -> list[FunctionType | None]:
    """Return the signature of every function, imports first; None where a module points outside its types."""
    indices = [*(item.detail for item in module.imports if item.kind == KIND_FUNCTION), *module.functions]
    return [module.types[index] if index < len(module.types) else None for index in indices]


def _running(module: Module) -> list[tuple[int, bytes]]:
    return [
        (section.kind, module.data[section.start : section.end])
        for section in module.sections
        if section.kind != CUSTOM
    ]
