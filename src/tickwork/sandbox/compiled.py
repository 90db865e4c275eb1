"""What admission makes of a module: native code, and what an instance must know besides.

Only bytes from here are ever loaded as code, so they travel from the compile child, through an authenticated cache,
to the pools and never from a journal, a package or a network.
"""

from typing import Final

import msgspec

from ..codec import DESCRIPTOR
from ..errors import InternalError, ModuleAbiMismatch
from ..records import ABI_MAJOR, ABI_MINOR, Limits
from .engine import PAGE

LAYOUT: Final = 3
DESCRIPTOR_MAGIC: Final = b"TWA1"
CONTEXT_BYTES: Final = 64
LEAST_CAPACITY: Final = 4 << 10
GREATEST_CAPACITY: Final = 1 << 20

WHOLE_TURN: Final = 1
"""Flag of the descriptor: the module exports ``tw_turn``, which hands out the messages and steps in one call."""


class Descriptor(msgspec.Struct, frozen=True, array_like=True):
    """Where a module's buffers lie. Units: bytes; addresses are unsigned and fixed for the life of an instance."""

    major: int
    minor: int
    inbox_at: int
    inbox_bytes: int
    outbox_at: int
    outbox_bytes: int
    context_at: int
    flags: int


class Compiled(msgspec.Struct, frozen=True, array_like=True):
    """A module, rewritten and compiled.

    Attributes:
        engine: The wasmtime version whose code this is.
        globals: Indices of the mutable globals that belong to an image. Order: ascending.
        types: Their value types, one byte each.
        pages, maximum: Bounds of the memory. Units: 64 KiB.
        regions: Address and capacity of the region of each window. Order: the manifest's. Units: bytes.
    """

    layout: int
    engine: str
    opt_level: str
    globals: tuple[int, ...]
    types: bytes
    aborts: bool
    pages: int
    maximum: int
    descriptor: Descriptor
    code: bytes
    regions: tuple[tuple[int, int], ...] = ()


class Program(msgspec.Struct, frozen=True):
    """How an agent's instance is made.

    Attributes:
        compiled: What admission returned; many agents may share it.
        source: The source bundle that a base module runs; empty for an agent's own module.
    """

    agent: int
    compiled: bytes
    limits: Limits = Limits()
    source: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Compiled)


def encode_compiled(compiled: Compiled) -> bytes:
    """Return the bytes that pools load."""
    return _encoder.encode(compiled)


def decode_compiled(data: bytes) -> Compiled:
    """Return what ``encode_compiled`` encoded.

    Raises:
        InternalError: The bytes are of another making.
    """
    try:
        compiled = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise InternalError("compiled code is damaged", why=str(error)) from error
    if compiled.layout != LAYOUT:
        raise InternalError("compiled code has another layout", why=f"{compiled.layout} instead of {LAYOUT}")
    return compiled


def read_descriptor(raw: bytes, pages: int) -> Descriptor:
    """Return the checked descriptor.

    Args:
        raw: The 32 bytes that ``tw_desc`` points to.
        pages: The memory's initial size; every buffer lies inside it, so that no check is needed per turn.

    Raises:
        ModuleAbiMismatch: TW3003, magic, version, a capacity or an address does not fit.
    """
    magic, *fields = DESCRIPTOR.unpack(raw)
    descriptor = Descriptor(*fields)
    if magic != DESCRIPTOR_MAGIC:
        raise _mismatch(f"it begins with {magic!r}, not {DESCRIPTOR_MAGIC!r}")
    if descriptor.major != ABI_MAJOR or descriptor.minor > ABI_MINOR:
        raise _mismatch(f"it says ABI {descriptor.major}.{descriptor.minor}, this host has {ABI_MAJOR}.{ABI_MINOR}")
    regions = sorted((
        (descriptor.inbox_at, descriptor.inbox_bytes, "inbox"),
        (descriptor.outbox_at, descriptor.outbox_bytes, "outbox"),
        (descriptor.context_at, CONTEXT_BYTES, "context"),
    ))  # fmt: skip
    last = 0
    for start, length, region in regions:
        if region != "context" and (not LEAST_CAPACITY <= length <= GREATEST_CAPACITY or length % 8):
            raise _mismatch(f"its {region} has {length} bytes, not 4 KiB to 1 MiB in steps of 8")
        if start < last:
            raise _mismatch(f"its {region} overlaps the buffer before it")
        last = start + length
        if last > pages * PAGE:
            raise _mismatch(f"its {region} ends at byte {last}, the initial memory at {pages * PAGE}")
    return descriptor


def encode_descriptor(descriptor: Descriptor) -> bytes:
    """Return the 32 bytes of a descriptor. Law: ``read_descriptor`` gives it again."""
    return DESCRIPTOR.pack(DESCRIPTOR_MAGIC, *msgspec.structs.astuple(descriptor))


def _mismatch(why: str) -> ModuleAbiMismatch:
    return ModuleAbiMismatch(
        "a module's descriptor does not fit", why=why, fix="build the agent with the SDK of this version"
    )
