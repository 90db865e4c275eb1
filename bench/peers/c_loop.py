"""The limit of a turn: a loop in C over stores that are given, compiled where it runs."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..measure import PeerMissing

SOURCE = Path(__file__).with_name("loop.c")


def compiler() -> list[str]:
    """Return the command of a C compiler.

    Raises:
        PeerMissing: There is none.
    """
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    if found := shutil.which("cc"):
        return [found]
    raise PeerMissing("pip install ziglang")


class _Agent(ctypes.Structure):
    _fields_ = (
        ("context", ctypes.c_void_p),
        ("function", ctypes.c_void_p),
        ("turn_context", ctypes.c_void_p),
        ("inbox", ctypes.c_void_p),
        ("outbox", ctypes.c_void_p),
        ("argument", ctypes.c_uint64),
    )


class CLoop:
    """Runs turns of agents without leaving C.

    Args:
        engine: Path of the engine's library, as this process has loaded it.
        agents: Of each agent, the six addresses that ``loop.c`` lists.
        message: The frame each agent hears in each turn.
    """

    def __init__(self, folder: Path, engine: str, agents: Sequence[tuple[int, ...]], message: bytes, fuel: int) -> None:
        library = folder / f"loop.{'dll' if sys.platform == 'win32' else 'so'}"
        command = [*compiler(), "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True)
        run: Any = ctypes.CDLL(str(library)).run_turns
        run.restype = ctypes.c_int64
        run.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_char_p,
            ctypes.c_uint32,
        ]  # fmt: skip
        loaded = ctypes.CDLL(engine)
        names = "wasmtime_context_set_fuel", "wasmtime_context_get_fuel", "wasmtime_func_call_unchecked"
        self._engine = (ctypes.c_void_p * 3)(*(ctypes.cast(loaded[name], ctypes.c_void_p).value for name in names))
        self._agents = (_Agent * len(agents))(*(_Agent(*agent) for agent in agents))
        self._message, self._fuel, self._run = message, fuel, run

    def run(self, rounds: int) -> None:
        """Run a turn of every agent, so many times."""
        agents, message = self._agents, self._message
        used = self._run(self._engine, agents, len(agents), rounds, self._fuel, message, len(message))
        if used <= 0:
            raise RuntimeError("an agent failed in the loop in C")
