"""Random streams: one counter-mode hash stream per (run seed, agent), so that adding an agent shifts no other's."""

import hashlib
import struct
from typing import Final

BLOCK_TICKS: Final = 64
"""Seeds drawn from the stream at once; one SHAKE-256 call serves so many ticks."""

_SEEDS: Final = struct.Struct(f"<{BLOCK_TICKS}Q")
_KEY: Final = struct.Struct("<QI")
_COUNTER: Final = struct.Struct("<Q")


def stream_key(seed: int, agent: int) -> bytes:
    """Return the key of an agent's stream. Shape: 32 bytes.

    Args:
        seed: The run's seed. Bounds: 0 <= seed < 2**64.
    """
    return hashlib.sha256(b"TWR1" + _KEY.pack(seed, agent)).digest()


def seed_block(key: bytes, block: int) -> tuple[int, ...]:
    """Return the turn seeds of ticks ``block * BLOCK_TICKS`` and on. Shape: BLOCK_TICKS integers below 2**64.

    Law: the seed of a tick depends on the key and the tick alone.
    """
    return _SEEDS.unpack(hashlib.shake_256(key + _COUNTER.pack(block)).digest(_SEEDS.size))
