"""What a module's functions are called: by its exports, and by the ``name`` section that compilers write for people."""

from typing import Final

from ..sandbox import gate
from ..sandbox.wasm import KIND_FUNCTION, Malformed, Module, Reader

_NAME_SECTION: Final = "name"
_FUNCTION_NAMES: Final = 1


def function_names(module: Module, debug: Module | None = None) -> dict[int, str]:
    """Return functions' names by index: those of the exports, else those of a ``name`` section, its own or the debug
    companion's.
    """
    names: dict[int, str] = {}
    for holder in filter(None, (debug, module)):
        content = holder.custom(_NAME_SECTION)
        if content is not None:
            names |= _read_names(content)
    imported = [item for item in module.imports if item.kind == KIND_FUNCTION]
    names |= {index: f"{item.module}.{item.name}" for index, item in enumerate(imported)}
    names |= {export.target: export.name for export in module.exports if export.kind == KIND_FUNCTION}
    return {index: gate.escape(name) for index, name in names.items()}


def _read_names(content: bytes) -> dict[int, str]:
    reader, names = Reader(content, 0, len(content)), dict[int, str]()
    try:
        while reader.at < reader.end:
            kind, length = reader.byte(), reader.number()
            end = reader.at + length
            if kind == _FUNCTION_NAMES:
                for _ in range(reader.number()):
                    index = reader.number()
                    names[index] = reader.name()
            reader.at = end
    except Malformed:
        # Names are for people: a damaged section only means that there are fewer of them.
        return names
    return names
