"""The class of this machine's processor: which instructions numbers are computed with.

ONNX Runtime picks its kernels by what the processor can do, and its results differ between the classes: rounding on
some, saturation of 8-bit products on others. Within a class they have been the same wherever we looked.

Source: the order of the x86 classes is that of mlas/lib/platform.cpp of ONNX Runtime.
"""

import ctypes
import functools
import platform
import sys
from collections.abc import Set
from pathlib import Path
from typing import Any, Final

UNKNOWN: Final = "unknown"

_X86: Final = (
    ("amx", ({"amx_int8", "amx_tile"},)),
    ("vnni", ({"avx512_vnni"}, {"avx_vnni"})),
    ("avx512", ({"avx512f", "avx512bw", "avx512dq", "avx512vl"},)),
    ("avx2", ({"avx2", "fma"},)),
    ("avx", ({"avx"},)),
    ("sse", (set[str](),)),
)
_ARM: Final = (
    ("sme", ({"sme"},)),
    ("sve", ({"sve"},)),
    ("i8mm", ({"i8mm"},)),
    ("dot", ({"asimddp"},)),
    ("neon", (set[str](),)),
)
"""Classes from the most able down, each with the sets of flags that make one, as Linux spells them."""

_X86_MACHINES: Final = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})
_ARM_MACHINES: Final = frozenset({"aarch64", "arm64"})

# Names of the same flags on other systems. Source: macOS sysctl, Windows winnt.h PF_*.
_MACOS_ARM: Final = {"sme": "FEAT_SME", "i8mm": "FEAT_I8MM", "asimddp": "FEAT_DotProd"}
_WINDOWS_X86: Final = {"avx512f": 41, "avx2": 40, "avx": 39}
_WINDOWS_ARM: Final = {"asimddp": 43, "sve": 46, "i8mm": 66, "sme": 70}


def classify(machine: str, flags: Set[str]) -> str:
    """Return the class of a processor.

    Args:
        machine: As ``platform.machine`` says it.
        flags: As Linux spells them in ``/proc/cpuinfo``.
    """
    name = machine.lower()
    classes = _X86 if name in _X86_MACHINES else _ARM if name in _ARM_MACHINES else ()
    for label, ways in classes:
        if any(way <= flags for way in ways):
            return label
    return UNKNOWN


def read_flags(text: str) -> frozenset[str]:
    """Return the flags of the first processor in the text of ``/proc/cpuinfo``."""
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        if colon and name.strip() in {"flags", "Features"}:
            return frozenset(rest.split())
    return frozenset()


@functools.cache
def processor_class() -> str:
    """Return the class of this machine's processor; ``unknown`` where the system does not tell."""
    machine = platform.machine()
    if platform.system() == "Linux":
        try:
            return classify(machine, read_flags(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")))
        except OSError:
            return UNKNOWN
    return classify(machine, _other_flags(machine.lower()))


def system_name() -> str:
    """Return the operating system and architecture, spelt alike everywhere: ``linux-x86_64``."""
    machine = platform.machine().lower()
    architecture = "x86_64" if machine == "amd64" else "aarch64" if machine == "arm64" else machine
    return f"{platform.system().lower()}-{architecture}"


def _other_flags(machine: str) -> frozenset[str]:
    arm = machine in _ARM_MACHINES
    if platform.system() == "Darwin":
        return _macos_flags() if arm else _macos_x86_flags()
    if platform.system() == "Windows":
        present: Any = getattr(ctypes, "windll").kernel32.IsProcessorFeaturePresent  # noqa: B009 - exists there only
        found = {flag for flag, number in (_WINDOWS_ARM if arm else _WINDOWS_X86).items() if present(number)}
        # The system has no words for these; each machine with the one has the others.
        if "avx2" in found:
            found.add("fma")
        if "avx512f" in found:
            found |= {"avx512bw", "avx512dq", "avx512vl"}
        return frozenset(found)
    return frozenset()


def _macos_flags() -> frozenset[str]:
    found = set[str]()
    for flag, name in _MACOS_ARM.items():
        told = _sysctl(f"hw.optional.arm.{name}")
        if int.from_bytes(told, sys.byteorder):
            found.add(flag)
    return frozenset(found)


def _macos_x86_flags() -> frozenset[str]:
    words = (_sysctl("machdep.cpu.features") + b" " + _sysctl("machdep.cpu.leaf7_features")).replace(b"\0", b" ")
    spelt = {"avx1.0": "avx"}
    return frozenset(spelt.get(word, word) for word in words.decode("ascii", "replace").lower().split())


def _sysctl(name: str) -> bytes:
    call = ctypes.CDLL(None).sysctlbyname
    size = ctypes.c_size_t(0)
    if call(name.encode(), None, ctypes.byref(size), None, ctypes.c_size_t(0)) or not size.value:
        return b""
    room = ctypes.create_string_buffer(size.value)
    failed = call(name.encode(), room, ctypes.byref(size), None, ctypes.c_size_t(0))
    return b"" if failed else room.raw[: size.value]
