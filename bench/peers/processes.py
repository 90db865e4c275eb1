"""What a second process gives on this machine: plain processes that run the same module and talk to nobody.

As a program (``python -m bench.peers.processes MODULE CONFIG``) this is one of those processes: it reads numbers from
its input and answers each when so many turns are done.
"""

import subprocess
import sys
from pathlib import Path

import wasmtime

from .wasmtime_objects import Guest, open_engine

ROOT = Path(__file__).resolve().parent.parent.parent


class PlainProcesses:
    """Processes among which turns are split evenly.

    Args:
        module: Path of an agent's module.
    """

    def __init__(self, count: int, module: Path, config: bytes) -> None:
        command = [sys.executable, "-m", "bench.peers.processes", str(module), config.decode()]
        self._processes = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        self.run(count)

    def run(self, turns: int) -> None:
        """Run so many turns, and wait for them."""
        share, rest = divmod(turns, len(self._processes))
        for number, process in enumerate(self._processes):
            assert process.stdin is not None
            process.stdin.write(f"{share + (number < rest)}\n")
            process.stdin.flush()
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != "done\n":
                raise RuntimeError("a plain process ended")

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.communicate()


def _serve(module: Path, config: bytes) -> None:
    engine = open_engine()
    guest = Guest(engine, wasmtime.Module(engine, module.read_bytes()), 0, config)
    tick = 0
    for line in sys.stdin:
        for _ in range(int(line)):
            tick += 1
            guest.turn(tick, [])
        print("done", flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2].encode())
