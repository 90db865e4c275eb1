"""A small stand-in for msgspec inside the base module: ``Struct``, JSON and msgpack of plain values.

It carries what an agent's source uses of msgspec, so that the same file runs natively and sandboxed. Structs are
dataclasses underneath; encoders know plain values, structs and dataclasses.
"""

import dataclasses
import json as _json
import struct as _struct
from collections.abc import Callable, Mapping
from typing import Any

_TYPE = type


class MsgspecError(Exception):
    """Whatever goes wrong here."""


class DecodeError(MsgspecError):
    """Bytes that are not what was asked for."""


class ValidationError(DecodeError):
    """A value of another shape."""


def field(*, default: Any = dataclasses.MISSING, default_factory: Any = dataclasses.MISSING, name: str = "") -> Any:
    """Return a field's default, as ``msgspec.field`` does."""
    del name
    return dataclasses.field(default=default, default_factory=default_factory)


class _StructMeta(type):
    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *,
        frozen: bool = False, kw_only: bool = False, eq: bool = True, order: bool = False, **ignored: Any,
    ) -> Any:  # fmt: skip
        for key, value in list(namespace.items()):
            if isinstance(value, (list, dict, set, bytearray)):
                namespace[key] = dataclasses.field(default_factory=value.copy)
        made = super().__new__(mcs, name, bases, namespace)
        if not bases:
            return made
        return dataclasses.dataclass(frozen=frozen, kw_only=kw_only, eq=eq, order=order)(made)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **ignored: Any) -> None:
        super().__init__(name, bases, namespace)


class Struct(metaclass=_StructMeta):
    """A class of typed fields."""


class structs:
    """What msgspec has in ``msgspec.structs``."""

    replace: Callable[..., Any] = staticmethod(dataclasses.replace)

    @staticmethod
    def asdict(value: Any) -> dict[str, Any]:
        """Return the fields by name; values stay as they are."""
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}

    @staticmethod
    def astuple(value: Any) -> tuple[Any, ...]:
        """Return the fields in order; values stay as they are."""
        return tuple(getattr(value, item.name) for item in dataclasses.fields(value))


def to_builtins(value: Any) -> Any:
    """Return plain values for structs and dataclasses."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: to_builtins(inner) for key, inner in structs.asdict(value).items()}
    if isinstance(value, Mapping):
        return {key: to_builtins(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_builtins(inner) for inner in value]
    return value


def convert(value: Any, type: Any = Any) -> Any:
    """Return a value as an instance of a struct or dataclass; other types are believed."""
    if isinstance(type, _TYPE) and dataclasses.is_dataclass(type):
        return type(**value) if isinstance(value, Mapping) else type(*value)
    if type in (tuple, list) and isinstance(value, (tuple, list)):
        return type(value)
    return value


class json:
    """What msgspec has in ``msgspec.json``, of plain values."""

    @staticmethod
    def encode(value: Any, *, order: str | None = None) -> bytes:
        """Return JSON without spaces."""
        plain = to_builtins(value)
        return _json.dumps(plain, separators=(",", ":"), ensure_ascii=False, sort_keys=order is not None).encode()

    @staticmethod
    def decode(data: bytes | str, *, type: Any = Any) -> Any:
        """Return the value of a JSON text."""
        try:
            return convert(_json.loads(data), type)
        except ValueError as error:
            raise DecodeError(str(error)) from error


def _pack(value: Any, out: bytearray, order: bool) -> None:
    if value is None or value is True or value is False:
        out.append({None: 0xC0, False: 0xC2, True: 0xC3}[value])
    elif isinstance(value, int):
        _pack_whole(value, out)
    elif isinstance(value, float):
        out += b"\xcb" + _struct.pack(">d", value)
    elif isinstance(value, str):
        encoded = value.encode()
        _pack_head(len(encoded), out, 0xA0, 31, (0xD9, 0xDA, 0xDB))
        out += encoded
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _pack_head(len(value), out, 0, -1, (0xC4, 0xC5, 0xC6))
        out += value
    elif isinstance(value, (list, tuple)):
        _pack_head(len(value), out, 0x90, 15, (None, 0xDC, 0xDD))
        for inner in value:
            _pack(inner, out, order)
    elif isinstance(value, Mapping):
        _pack_head(len(value), out, 0x80, 15, (None, 0xDE, 0xDF))
        for key in sorted(value) if order else value:
            _pack(key, out, order)
            _pack(value[key], out, order)
    elif dataclasses.is_dataclass(value):
        _pack(structs.asdict(value), out, False)
    else:
        raise TypeError(f"msgpack has no {type(value).__name__}")


def _pack_whole(value: int, out: bytearray) -> None:
    if -32 <= value < 128:
        out.append(value & 0xFF)
        return
    for code, form, least, most in (
        (0xCC, ">B", 0, 1 << 8), (0xCD, ">H", 0, 1 << 16), (0xCE, ">I", 0, 1 << 32), (0xCF, ">Q", 0, 1 << 64),
        (0xD0, ">b", -(1 << 7), 0), (0xD1, ">h", -(1 << 15), 0), (0xD2, ">i", -(1 << 31), 0),
        (0xD3, ">q", -(1 << 63), 0),
    ):  # fmt: skip
        if least <= value < most:
            out.append(code)
            out += _struct.pack(form, value)
            return
    raise OverflowError("msgpack has no number of this size")


def _pack_head(size: int, out: bytearray, fixed: int, most: int, codes: tuple[int | None, ...]) -> None:
    if size <= most:
        out.append(fixed | size)
        return
    for code, form, bound in zip(codes, (">B", ">H", ">I"), (1 << 8, 1 << 16, 1 << 32), strict=True):
        if code is not None and size < bound:
            out.append(code)
            out += _struct.pack(form, size)
            return


_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_SIZED = {
    0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"), 0xD9: ("str", ">B"), 0xDA: ("str", ">H"),
    0xDB: ("str", ">I"), 0xDC: ("array", ">H"), 0xDD: ("array", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip


class _Unpacker:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, form: str) -> Any:
        (value,) = _struct.unpack_from(form, self.data, self.at)
        self.at += _struct.calcsize(form)
        return value

    def value(self) -> Any:
        code = self.number(">B")
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 256
        if code in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[code]
        if code in _NUMBERS:
            return self.number(_NUMBERS[code])
        if code in _SIZED:
            kind, form = _SIZED[code]
            return self.sized(kind, self.number(form))
        if code < 0xC0:
            kind = "map" if code < 0x90 else "array" if code < 0xA0 else "str"
            return self.sized(kind, code & (0x1F if kind == "str" else 0x0F))
        raise DecodeError(f"msgpack code {code:#x} is not known here")

    def sized(self, kind: str, size: int) -> Any:
        if kind == "array":
            return [self.value() for _ in range(size)]
        if kind == "map":
            return {self.value(): self.value() for _ in range(size)}
        if size > len(self.data) - self.at:
            raise DecodeError("the input ends too early")
        piece = bytes(self.data[self.at : self.at + size])
        self.at += size
        return piece.decode() if kind == "str" else piece


class msgpack:
    """What msgspec has in ``msgspec.msgpack``, of plain values."""

    @staticmethod
    def encode(value: Any, *, order: str | None = None) -> bytes:
        """Return msgpack; a struct is a map of its fields."""
        out = bytearray()
        _pack(value, out, order is not None)
        return bytes(out)

    @staticmethod
    def decode(data: bytes, *, type: Any = Any) -> Any:
        """Return the value of msgpack bytes."""
        unpacker = _Unpacker(data)
        try:
            value = unpacker.value()
        except (_struct.error, UnicodeDecodeError) as error:
            raise DecodeError(str(error)) from error
        if unpacker.at != len(data):
            raise DecodeError("bytes are left over")
        return convert(value, type)

    class Encoder:
        """Encodes as ``msgpack.encode`` does."""

        def __init__(self, *, order: str | None = None) -> None:
            self._order = order

        def encode(self, value: Any) -> bytes:
            """Return msgpack."""
            return msgpack.encode(value, order=self._order)

    class Decoder:
        """Decodes as ``msgpack.decode`` does."""

        def __init__(self, type: Any = Any) -> None:
            self._type = type

        def decode(self, data: bytes) -> Any:
            """Return the value."""
            return msgpack.decode(data, type=self._type)
