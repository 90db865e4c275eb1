"""Numerics: all that the bits of an answer follow from besides the model's input.

Law: equal fingerprints of an exact profile give equal bits for equal inputs.
"""

from typing import cast

import msgspec

from .. import codec


class Fingerprint(msgspec.Struct, frozen=True, array_like=True):
    """What a session computes with.

    Attributes:
        model: Digest of the model's manifest.
        runtime: Name, version and commit of what runs the model.
        library: SHA-256 of the library that runs it. Shape: 32 bytes.
        provider: The execution provider that took the graph: ``cpu``, ``cuda``, ``directml``, ``coreml``.
        options: The session's options in canonical form, ``name=value`` each. Order: by name.
        system: Operating system and architecture.
        processor: Class of instruction sets: ``sse``, ``avx``, ``avx2``, ``avx512``, ``vnni``, ``amx``, ``neon``,
            ``dot``, ``i8mm``, ``sve`` or ``sme``.
        probe: SHA-256 of what the warmed-up session gives for the model's probe. Shape: 32 bytes, empty where the
            model cannot be probed.
    """

    model: bytes
    profile: str
    runtime: str
    library: bytes
    provider: str
    options: tuple[str, ...]
    system: str
    processor: str
    probe: bytes

    def encode(self) -> bytes:
        """Return the canonical bytes; their SHA-256 names the session."""
        return codec.encode(self)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the encoded fingerprint. Shape: 32 bytes."""
        return codec.digest(self.encode())


def decode_fingerprint(data: bytes) -> Fingerprint:
    """Return the fingerprint encoded in ``data``.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return msgspec.msgpack.decode(data, type=Fingerprint)


def differences(recorded: Fingerprint, here: Fingerprint) -> list[str]:
    """Return what differs, as a person would say it. Order: as the fields."""
    found = list[str]()
    for name in Fingerprint.__struct_fields__:
        one, other = getattr(recorded, name), getattr(here, name)
        if one != other:
            found.append(f"{name} {_shown(other)}, recorded is {_shown(one)}")
    return found


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()[:16] or "none"
    if isinstance(value, tuple):
        return " ".join(map(str, cast("tuple[object, ...]", value)))
    return str(value) or "none"
