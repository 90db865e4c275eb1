"""An image: all the state an instance has between two turns.

Memory and mutable globals are the whole of it: the call stack is empty between turns, and the gate refuses whatever
else a module could change. Globals are kept as raw bits, never as Python floats, which lose the payload of a NaN.
"""

import struct
from typing import Final, NamedTuple

from ..errors import InternalError

CHUNK: Final = 4096
GLOBAL_BYTES: Final = 16
_MAGIC: Final = b"TWI1"
_HEADER: Final = struct.Struct("<4sIQ")
_INDEX: Final = struct.Struct("<I")
_ZERO: Final = bytes(CHUNK)


class Image(NamedTuple):
    """Memory and mutable globals of an instance.

    Attributes:
        globals: 16 bytes each, little-endian, zero-padded. Order: ascending index in the module.
    """

    memory: bytes
    globals: bytes


def encode_image(image: Image) -> bytes:
    """Return the canonical bytes: header, globals, and each 4 KiB chunk that is not all zeros, with its index.

    Law: equal images give equal bytes, and ``decode_image(encode_image(x)) == x``.
    """
    memory = image.memory
    parts = [_HEADER.pack(_MAGIC, len(image.globals) // GLOBAL_BYTES, len(memory)), image.globals]
    for at in range(0, len(memory), CHUNK):
        if memory[at : at + CHUNK] != _ZERO:
            parts += (_INDEX.pack(at // CHUNK), memory[at : at + CHUNK])
    return b"".join(parts)


def memory_bytes(data: bytes) -> int:
    """Return the size of the memory in an encoded image."""
    _, _, size = _HEADER.unpack_from(data)
    assert isinstance(size, int)
    return size


def decode_image(data: bytes) -> Image:
    """Return the image encoded in ``data``.

    Raises:
        InternalError: No encoder of this version wrote it.
    """
    magic, count, size = _HEADER.unpack_from(data)
    at = _HEADER.size + count * GLOBAL_BYTES
    if magic != _MAGIC or (len(data) - at) % (CHUNK + _INDEX.size):
        raise InternalError("an image is damaged", why=f"{len(data)} bytes do not have its layout")
    variables, memory = data[_HEADER.size : at], bytearray(size)
    while at < len(data):
        (index,) = _INDEX.unpack_from(data, at)
        memory[index * CHUNK : (index + 1) * CHUNK] = data[at + _INDEX.size : at + _INDEX.size + CHUNK]
        at += _INDEX.size + CHUNK
    if len(memory) != size:
        raise InternalError("an image is damaged", why="a chunk lies outside its memory")
    return Image(bytes(memory), variables)
