"""Stand-ins for what the processes of models border on: a store, a session, and processes that are threads."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tickwork.clock import Clock
from tickwork.errors import ModelNotFound
from tickwork.infer import wire
from tickwork.infer.asking import Incident, Wanted
from tickwork.infer.channel import Channel, ChannelClosed, make_pair
from tickwork.infer.fingerprint import Fingerprint
from tickwork.infer.launch import Child
from tickwork.infer.manifest import Descriptor, Manifest, ModelConfig
from tickwork.infer.ran import Ran
from tickwork.infer.worker import load_and_answer

MIB = 1 << 20


def wanted(name: str, profile: str = "exact-1") -> Wanted:
    return Wanted(hashlib.sha256(name.encode()).digest(), profile)


class Shelf:
    """A store of models that have names and sizes and nothing else."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.configs = {
            wanted(name).model: ModelConfig(name=name, version="1", entry="model.onnx", memory=size)
            for name, size in sizes.items()
        }

    def config(self, digest: bytes) -> ModelConfig:
        if digest not in self.configs:
            raise ModelNotFound("there is no such model")
        return self.configs[digest]

    def manifest(self, digest: bytes) -> Manifest:
        blob = Descriptor("application/octet-stream", f"sha256:{digest.hex()}", MIB)
        return Manifest(config=blob, layers=(blob,))

    def files(self, digest: bytes) -> dict[str, Path]:
        self.config(digest)
        return {}

    def unpacked(self, digest: bytes) -> Path:
        return Path("/nowhere", digest.hex())


class Echo:
    """A session that gives back what it is given.

    Args:
        gate: Called with each request before it is answered.
    """

    def __init__(self, model: bytes, gate: Callable[[bytes], None] | None = None) -> None:
        self.fingerprint = Fingerprint(model, "exact-1", "echo 1", b"", "cpu", (), "here", "any", b"")
        self.incidents: tuple[Incident, ...] = ()
        self.bytes = MIB
        self._gate = gate

    def take_incidents(self) -> tuple[Incident, ...]:
        taken, self.incidents = self.incidents, ()
        return taken

    def run(self, body: bytes | memoryview, encoding: int) -> Ran:
        if self._gate is not None:
            self._gate(bytes(body))
        return Ran(0, encoding, bytes(body))

    def run_batch(self, bodies: Sequence[bytes | memoryview], encodings: Sequence[int]) -> list[Ran]:
        return [
            msgspec.structs.replace(self.run(body, encoding), rows=len(bodies))
            for body, encoding in zip(bodies, encodings, strict=True)
        ]

    def memory(self) -> int:
        return self.bytes


MakeEcho = Callable[[Wanted, ModelConfig, Path, Clock, tuple[str, ...]], Echo]


def make_echo(wanted: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
    del config, folder, clock, extras
    return Echo(wanted.model)


class Threads:
    """A launcher whose processes are threads of this one."""

    def __init__(self, make: MakeEcho = make_echo) -> None:
        self.started = list[_Thread]()
        self._make = make

    def prepare(self) -> None:
        return

    def start(self, role: str) -> Child:
        assert role == "worker"
        self.started.append(_Thread(self._make))
        return self.started[-1]

    def close(self) -> None:
        for one in self.started:
            one.kill()
        for one in self.started:
            one.wait()


class _Thread:
    def __init__(self, make: MakeEcho) -> None:
        self.channel, self._theirs = make_pair()
        self.pid = 0
        self.status = 0
        self._ended = threading.Event()
        threading.Thread(target=self._run, args=(make,), daemon=True).start()

    def _run(self, make: MakeEcho) -> None:
        theirs: Channel = self._theirs
        try:
            frame = theirs.receive()
            assert frame is not None
            load_and_answer(theirs, frame, make, confined=False)
        except ChannelClosed:
            pass
        finally:
            theirs.close()
            self._ended.set()

    def say(self, head: bytes, body: bytes) -> None:
        """Say something to the host."""
        self._theirs.send(head, body)

    def hear_nothing(self) -> None:
        """Read and do nothing until the host is gone. Raises: ChannelClosed, it is."""
        while True:
            self._theirs.receive()

    def crash(self) -> None:
        """End as by SIGFPE. What runs in the thread must not go on: it raises ``ChannelClosed``."""
        self.status = -8
        self.channel.hang_up()

    def kill(self) -> None:
        self.status = self.status or -9
        self.channel.hang_up()

    def wait(self, timeout_s: float = 10) -> int | None:
        return self.status if self._ended.wait(timeout_s) else None


def setup(**changes: object) -> wire.Setup:
    return msgspec.structs.replace(wire.Setup("/nowhere", budgets={"cpu": 100 * MIB}, warm=False), **changes)
