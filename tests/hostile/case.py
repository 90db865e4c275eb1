"""What a hostile module is, and how one is made: from text, from bytes, or from an agent with sections changed."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from tests.unit.sandbox import wat
from tickwork.sandbox import wasm
from tickwork.sandbox.manifest import Manifest, append_manifest
from tickwork.sandbox.wasm import MAGIC, SECTION_ORDER, Reader, encode_section, encode_vector, leb

CAPACITY: Final = wat.CAPACITY


class Case(msgspec.Struct, frozen=True):
    """A hostile module and what becomes of it.

    Attributes:
        make: Gives its bytes.
        expects: An error's code if it is refused, else the names of the statuses of its turns that are not OK.
        fuel: Of each turn.
        pages: Quota of its memory. Units: 64 KiB.
    """

    kind: str
    name: str
    make: Callable[[], bytes]
    expects: str
    fuel: int = 3_000_000
    pages: int = 64

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def behaves(kind: str, expects: str, **parts: str) -> list[Case]:
    """Return cases of agents whose step is the text given, one for each name."""
    return [Case(kind, name.replace("_", " "), partial(wat.agent, step=text), expects) for name, text in parts.items()]


def extended(base: bytes, items: Mapping[int, list[bytes]]) -> bytes:
    """Return a module with items added to its sections of that kind; a section that is not there is made."""
    module = wasm.parse(base)
    pieces = [MAGIC]
    for kind in SECTION_ORDER:
        section, added = module.section(kind), items.get(kind, [])
        if section is None:
            pieces += [encode_section(kind, encode_vector(added))] if added else []
            continue
        reader = Reader(base, section.start, section.end)
        if not added:
            pieces.append(encode_section(kind, base[section.start : section.end]))
            continue
        count = reader.number()
        payload = leb(count + len(added)) + base[reader.at : section.end] + b"".join(added)
        pieces.append(encode_section(kind, payload))
    return b"".join(pieces)


def replaced(base: bytes, kind: int, payload: bytes) -> bytes:
    """Return a module with a section's payload replaced, or with that section added."""
    module, pieces = wasm.parse(base), [MAGIC]
    for known in SECTION_ORDER:
        section = module.section(known)
        if known == kind:
            pieces.append(encode_section(kind, payload))
        elif section is not None:
            pieces.append(encode_section(known, base[section.start : section.end]))
    return b"".join(pieces)


def code(body: bytes, locals_: bytes = b"\0") -> bytes:
    """Return an entry of the code section; ``body`` is without its end."""
    return leb(len(locals_) + len(body) + 1) + locals_ + body + b"\x0b"


def with_functions(*entries: bytes, kind: bytes = b"\x60\0\0") -> bytes:
    """Return an agent with functions added, of one type."""
    base = wat.agent()
    index = leb(len(wasm.parse(base).types))
    return extended(base, {wasm.TYPE: [kind], wasm.FUNCTION: [index] * len(entries), wasm.CODE: list(entries)})


def with_manifest(base: bytes, **fields: object) -> bytes:
    """Return a module with a manifest."""
    return append_manifest(base, msgspec.convert({"name": "hostile", "version": "1.0.0", **fields}, Manifest))


def with_custom(name: str, content: bytes, base: bytes = b"") -> bytes:
    """Return an agent with a custom section."""
    return (base or wat.agent()) + encode_section(wasm.CUSTOM, wasm.encode_name(name) + content)
