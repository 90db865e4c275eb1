"""Reads a WebAssembly component as far as linking its core modules statically needs it.

A component lists core modules, instances of them, and aliases of what instances export. ``Component.resolve`` follows
these to the one instance and name that an import comes from in the end.

Source: the component model's ``design/mvp/Binary.md``.
"""

from collections.abc import Iterator
from typing import NamedTuple

MAGIC = b"\0asm\x0d\0\x01\0"
CORE_MODULE, CORE_INSTANCE, ALIAS, CANON = 1, 2, 6, 8
IMPORT = 2
FUNCTION, TABLE, MEMORY, GLOBAL = range(4)
LIFT, LOWER = 0, 1
OPTION_MEMORY, OPTION_REALLOC, OPTION_POST_RETURN = 3, 4, 5


class Place(NamedTuple):
    """What a core instance exports under a name."""

    instance: int
    name: str


class Instance(NamedTuple):
    """A core instance: of a module with arguments by name, or of module -1 a bundle of exports."""

    module: int
    arguments: dict[str, int]
    exports: dict[str, tuple[int, int]]


class Lifted(NamedTuple):
    """A function of the component: its core function, and what passes its arguments."""

    function: Place
    realloc: Place
    post_return: Place


def number(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned LEB128 number and where it ends."""
    value = shift = 0
    while True:
        piece = data[at]
        at += 1
        value |= (piece & 0x7F) << shift
        shift += 7
        if piece < 0x80:
            return value, at


def name(data: bytes, at: int) -> tuple[str, int]:
    """Return a name and where it ends."""
    length, at = number(data, at)
    return data[at : at + length].decode(), at + length


def sections(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield kind, start and end of each section."""
    at = 8
    while at < len(data):
        kind = data[at]
        length, at = number(data, at + 1)
        yield kind, at, at + length
        at += length


def imports(module: bytes, start: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield module, name and encoded type of each import of an import section."""
    count, at = number(module, start)
    for _ in range(count):
        wanted, at = name(module, at)
        item, at = name(module, at)
        first, kind = at, module[at]
        at += 1
        if kind == FUNCTION:
            _, at = number(module, at)
        elif kind == GLOBAL:
            at += 2
        else:
            at += kind == TABLE
            flags = module[at]
            _, at = number(module, at + 1)
            if flags & 1:
                _, at = number(module, at)
        yield wanted, item, module[first:at]


class Component:
    """A component's core modules and how they are linked.

    Attributes:
        modules: Bytes of the core modules.
        instances: Core instances. Order: as they are made.
        lifted: Functions the component exports, by the name of their core function.
    """

    def __init__(self, data: bytes) -> None:
        if data[:8] != MAGIC:
            raise ValueError("this is no component")
        self.data = data
        self.modules = list[bytes]()
        self.instances = list[Instance]()
        self._spaces: dict[int, list[Place]] = {kind: [] for kind in range(4)}
        lifts = list[tuple[int, dict[int, int]]]()
        for kind, start, end in sections(data):
            if kind == CORE_MODULE:
                self.modules.append(data[start:end])
            elif kind == CORE_INSTANCE:
                self._read_instances(start)
            elif kind == ALIAS:
                self._read_aliases(start)
            elif kind == CANON:
                lifts += self._read_canon(start)
        functions = self._spaces[FUNCTION]
        self.lifted = {
            functions[function].name: Lifted(
                self.resolve(*functions[function]),
                self.resolve(*functions[options[OPTION_REALLOC]]),
                self.resolve(*functions[options[OPTION_POST_RETURN]]),
            )
            for function, options in lifts
        }

    @property
    def memory(self) -> Place:
        """Where the memory comes from."""
        return self.resolve(*self._spaces[MEMORY][0])

    def resolve(self, instance: int, item: str) -> Place:
        """Return the module's instance that defines what ``instance`` exports as ``item``."""
        found = self.instances[instance]
        while found.module < 0:
            kind, index = found.exports[item]
            instance, item = self._spaces[kind][index]
            found = self.instances[instance]
        return Place(instance, item)

    def _read_instances(self, at: int) -> None:
        data = self.data
        count, at = number(data, at)
        for _ in range(count):
            made_of = data[at]
            at += 1
            module, arguments, exports = -1, dict[str, int](), dict[str, tuple[int, int]]()
            if made_of == 0:
                module, at = number(data, at)
            items, at = number(data, at)
            for _ in range(items):
                item, at = name(data, at)
                kind = data[at]
                index, at = number(data, at + 1)
                if made_of == 0:
                    arguments[item] = index
                else:
                    exports[item] = (kind, index)
            self.instances.append(Instance(module, arguments, exports))

    def _read_aliases(self, at: int) -> None:
        data = self.data
        count, at = number(data, at)
        for _ in range(count):
            sort = data[at]
            at += 1
            kind = data[at] if sort == 0 else -1
            at += sort == 0
            target = data[at]
            first, at = number(data, at + 1)
            if target == 2:
                _, at = number(data, at)
                continue
            item, at = name(data, at)
            if target == 1:
                self._spaces[kind].append(Place(first, item))

    def _read_canon(self, at: int) -> Iterator[tuple[int, dict[int, int]]]:
        data = self.data
        count, at = number(data, at)
        for _ in range(count):
            what = data[at]
            if what not in (LIFT, LOWER):
                raise ValueError(f"canonical function {what} is not known here")
            function, at = number(data, at + 2)
            listed, at = number(data, at)
            options: dict[int, int] = {}
            for _ in range(listed):
                option = data[at]
                at += 1
                if option >= OPTION_MEMORY:
                    options[option], at = number(data, at)
            if what == LIFT:
                _, at = number(data, at)
                yield function, options
            else:
                raise ValueError("the component imports something: it was not built with --stub-wasi")
