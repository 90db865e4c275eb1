"""Extism: one plugin for each agent, called with a message of 64 bytes."""

import importlib
from typing import Any

import wasmtime

from ..measure import PeerMissing

# It only counts: what its own messages would cost on top is left out, in the peer's favour.
TEXT = """(module (memory (export "memory") 1)
  (func (export "turn") (result i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))) (i32.const 0)))"""


class ExtismTurns:
    """Plugins without metering, which is how Extism comes."""

    def __init__(self, agents: int, message_bytes: int) -> None:
        try:
            extism: Any = importlib.import_module("extism")
        except ImportError as error:
            raise PeerMissing("pip install extism") from error
        wasm = bytes(wasmtime.wat2wasm(TEXT))
        self._plugins = [extism.Plugin({"wasm": [{"data": wasm}]}, wasi=False) for _ in range(agents)]
        self._message = bytes(message_bytes)

    def run(self, times: int) -> None:
        """Call every plugin, so many times."""
        for _ in range(times):
            for plugin in self._plugins:
                plugin.call("turn", self._message)
