"""Links a component of componentize-py statically: one core module with the agent ABI that imports only ``env.abort``.

    1. Every import of every core module is renamed to the instance and name that define it; what passes through the
       table of trampolines is tied to its target at once, and clocks and files to the shim's.
    2. ``wasm-merge`` makes one module of them and the shim.
    3. Initial values of globals and places of elements are computed: those of a core module may not name its globals.
    4. All exports but the ABI's are dropped, and ``wasm-opt`` removes what nothing reaches.

Invariants:
    * The memory keeps its address and content: what the interpreter had when the component was made is what runs.
    * Mutable globals that nothing writes are constants afterwards, so an image of the module is its memory and a few.
"""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from component import Component, Place, imports, name, number, sections

from tickwork.sandbox.engine import assemble
from tickwork.sandbox.wasm import encode_name, encode_section, encode_vector, leb, signed_leb

PAGE = 65536
EXPORTS = (
    "memory", "tw_source", "tw_desc", "tw_windows", "agent_init", "agent_receive", "agent_step", "agent_shutdown",
    "tw_turn", "agent_save", "agent_load",
)  # fmt: skip
FEATURES = (
    "bulk-memory", "bulk-memory-opt", "reference-types", "sign-ext", "nontrapping-float-to-int", "mutable-globals",
    "multivalue", "simd",
)  # fmt: skip
BETWEEN = ("extended-const", "gc")
"""What only the merged module needs, before its constants are computed."""

ANSWERED = {
    ("wasi:clocks/monotonic-clock", "now"): "tw_monotonic_clock",
    ("wasi:clocks/wall-clock", "now"): "tw_wall_clock",
    ("wasi:filesystem/preopens", "get-directories"): "tw_no_directories",
}
"""What of WASI the shim answers, by interface without version and by function; the rest traps."""

SHIM = "shim"
ADDED_PAGES = 14
MAXIMUM_PAGES = 4096
OUTBOX_BYTES = 4 * PAGE

_CUSTOM, _IMPORT, _MEMORY, _GLOBAL, _EXPORT, _ELEMENT = 0, 2, 5, 6, 7, 9
_GET, _I32, _I64, _F32, _F64, _ADD, _SUB, _END = 0x23, 0x41, 0x42, 0x43, 0x44, 0x6A, 0x6B, 0x0B


def fuse(component: bytes, shim: str, binaryen: Path, work: Path) -> bytes:
    """Return the core module.

    Args:
        shim: Text of the shim, with ``@NAME`` for its imports and ``$NAME$`` for addresses.
        binaryen: Folder of ``wasm-merge`` and ``wasm-opt``.
        work: Empty folder for what lies between.
    """
    linked = _Linked(Component(component))
    arguments = list[str]()
    for index, module in linked.modules():
        path = work / f"i{index}.wasm"
        path.write_bytes(module)
        arguments += [str(path), f"i{index}"]
    (work / "shim.wasm").write_bytes(assemble(linked.shim(shim)))
    merged, kept, out = work / "merged.wasm", work / "kept.wasm", work / "out.wasm"
    rename = ["--rename-export-conflicts", "-n", "-q"]
    _run(binaryen / "wasm-merge", (*FEATURES, *BETWEEN), str(work / "shim.wasm"), SHIM, *arguments, *rename, out=merged)
    kept.write_bytes(_computed(merged.read_bytes()))
    _run(binaryen / "wasm-opt", FEATURES, str(kept), "--simplify-globals", "--remove-unused-module-elements", out=out)
    return out.read_bytes()


def _run(program: Path, features: tuple[str, ...], *arguments: str, out: Path) -> None:
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("binaryen needs Node.js: node is not on PATH")
    command = [node, str(program), *(f"--enable-{feature}" for feature in features), *arguments, "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program.name} ended with status {done.returncode}: {done.stderr[-2000:]}")


class _Linked:
    """A component's instances with every import tied to where it comes from."""

    def __init__(self, component: Component) -> None:
        self.component = component
        # The module that imports from a namespace without a name fills the table of trampolines of the one before it.
        filling = next(
            index for index, module in enumerate(component.modules)
            if any(kind == _IMPORT and {wanted for wanted, _, _ in imports(module, start)} == {""}
                   for kind, start, _ in sections(module))
        )  # fmt: skip
        self.left_out = (filling, filling - 1)
        made = next(index for index, item in enumerate(component.instances) if item.module == filling)
        self.targets = component.instances[made].arguments[""]
        self.pages = 0

    def place(self, arguments: dict[str, int], wanted: str, item: str) -> tuple[str, str]:
        """Return the module and name of an import in the merged module."""
        answered = ANSWERED.get((wanted.partition("@")[0], item))
        if answered:
            return SHIM, answered
        found = self.component.resolve(arguments[wanted], item)
        if self.component.instances[found.instance].module == self.left_out[1] and found.name.isdigit():
            found = self.component.resolve(self.targets, found.name)
        return f"i{found.instance}", found.name

    def modules(self) -> list[tuple[int, bytes]]:
        """Return the core module of each instance, its imports renamed."""
        memory = self.component.memory.instance
        return [
            (index, self._renamed(self.component.modules[item.module], item.arguments, index == memory))
            for index, item in enumerate(self.component.instances)
            if item.module >= 0 and item.module not in self.left_out
        ]

    def _renamed(self, module: bytes, arguments: dict[str, int], has_memory: bool) -> bytes:
        pieces = [module[:8]]
        for kind, start, end in sections(module):
            payload = module[start:end]
            if kind == _CUSTOM:
                continue
            if kind == _IMPORT:
                payload = encode_vector([
                    b"".join(map(encode_name, self.place(arguments, wanted, item))) + described
                    for wanted, item, described in imports(module, start)
                ])  # fmt: skip
            elif kind == _MEMORY and has_memory:
                self.pages, _ = number(module, start + 2)
                payload = b"\x01\x01" + leb(self.pages + ADDED_PAGES) + leb(MAXIMUM_PAGES)
            pieces.append(encode_section(kind, payload))
        return b"".join(pieces)

    def shim(self, text: str) -> str:
        """Return the shim's text with imports and addresses put in. ``modules`` has been asked before."""
        load, turn = self.component.lifted["load"], self.component.lifted["turn"]
        for mark, place in (
            ("@LOAD", load.function), ("@REALLOC", load.realloc), ("@POSTLOAD", load.post_return),
            ("@TURN", turn.function), ("@POSTTURN", turn.post_return),
        ):  # fmt: skip
            text = text.replace(f"{mark} ", f"{_import(place)} ")
        text = text.replace("@MEM", f"{_import(self.component.memory)} (memory 1))")
        start = self.pages * PAGE
        context = start + 192
        addresses = {
            "DESC": start, "DESC8": start + 8, "TABLE": start + 64, "CONTEXT": context, "WALL": context + 24,
            "INBOX": start + 256, "OUTBOX": start + 256 + PAGE, "OUTBYTES": OUTBOX_BYTES, "WINDOWS": start + 6 * PAGE,
        }  # fmt: skip
        for mark, address in addresses.items():
            text = text.replace(f"${mark}$", str(address))
        return text


def _import(place: Place) -> str:
    return f'(import "i{place.instance}" "{place.name}"'


class _Variable(NamedTuple):
    """A global: its type, mutability and initial value as instructions and as bytes."""

    head: bytes
    code: list[tuple[int, int]]
    raw: bytes


def _computed(module: bytes) -> bytes:
    """Return the module with constants for computed initial values and places, and only the exports of the ABI."""
    variables = list[_Variable]()
    pieces = [module[:8]]
    for kind, start, end in sections(module):
        payload = module[start:end]
        if kind == _GLOBAL:
            variables = _variables(module, start)
            payload = encode_vector([item.head + _constant(item, variables) for item in variables])
        elif kind == _EXPORT:
            payload = encode_vector(_abi_exports(module, start))
        elif kind == _ELEMENT:
            payload = encode_vector(_elements(module, start, variables))
        pieces.append(encode_section(kind, payload))
    return b"".join(pieces)


def _variables(module: bytes, at: int) -> list[_Variable]:
    count, at = number(module, at)
    found = list[_Variable]()
    for _ in range(count):
        code, end = _expression(module, at + 2)
        found.append(_Variable(module[at : at + 2], code, module[at + 2 : end]))
        at = end
    return found


def _constant(item: _Variable, variables: list[_Variable]) -> bytes:
    if all(opcode != _GET for opcode, _ in item.code):
        return item.raw
    return bytes((_I32,)) + signed_leb(_value(item.code, variables)) + bytes((_END,))


def _value(code: list[tuple[int, int]], variables: list[_Variable]) -> int:
    stack = list[int]()
    for opcode, operand in code:
        if opcode == _GET:
            stack.append(_value(variables[operand].code, variables))
        elif opcode in (_I32, _I64):
            stack.append(operand)
        else:
            right, left = stack.pop(), stack.pop()
            summed = left + right if opcode == _ADD else left - right
            stack.append((summed + (1 << 31)) % (1 << 32) - (1 << 31))
    (value,) = stack
    return value


def _expression(module: bytes, at: int) -> tuple[list[tuple[int, int]], int]:
    """Return the instructions of a constant expression and where it ends."""
    code = list[tuple[int, int]]()
    while (opcode := module[at]) != _END:
        operand, at = 0, at + 1
        if opcode == _GET:
            operand, at = number(module, at)
        elif opcode in (_I32, _I64):
            operand, at = _signed(module, at)
        elif opcode in (_F32, _F64):
            at += 4 if opcode == _F32 else 8
        elif opcode not in (_ADD, _SUB):
            raise ValueError(f"constant expression with opcode {opcode:#x}")
        code.append((opcode, operand))
    return code, at + 1


def _signed(module: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        piece = module[at]
        at += 1
        value |= (piece & 0x7F) << shift
        shift += 7
        if piece < 0x80:
            return value - (1 << shift) * (piece >> 6 & 1), at


def _abi_exports(module: bytes, at: int) -> list[bytes]:
    count, at = number(module, at)
    kept = list[bytes]()
    for _ in range(count):
        first = at
        exported, at = name(module, at)
        _, at = number(module, at + 1)
        if exported in EXPORTS:
            kept.append(module[first:at])
    return kept


def _elements(module: bytes, at: int, variables: list[_Variable]) -> list[bytes]:
    count, at = number(module, at)
    found = list[bytes]()
    for _ in range(count):
        flags, at = number(module, at)
        if flags:
            raise ValueError(f"element segment with flags {flags}")
        code, first = _expression(module, at)
        listed, at = number(module, first)
        for _ in range(listed):
            _, at = number(module, at)
        place = bytes((_I32,)) + signed_leb(_value(code, variables)) + bytes((_END,))
        found.append(b"\0" + place + module[first:at])
    return found
