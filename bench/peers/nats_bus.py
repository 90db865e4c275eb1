"""NATS core: a server of our own on the loopback, one client that publishes and subscribes."""

import asyncio
import importlib
import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from ..measure import PeerMissing

START_SECONDS = 10.0


class NatsServer:
    """A server that lives as long as this object."""

    def __init__(self) -> None:
        program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise PeerMissing("apt install nats-server")
        self._folder = TemporaryDirectory()
        # Port -1 lets the server choose a free one and write it down.
        command = [program, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", self._folder.name]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def url(self) -> str:
        """Return where the server listens, once it does."""
        end = monotonic() + START_SECONDS
        while monotonic() < end and self._process.poll() is None:
            for file in Path(self._folder.name).glob("*.ports"):
                try:
                    return str(json.loads(file.read_text())["nats"][0])
                except (ValueError, KeyError):
                    break
            sleep(0.02)
        self.close()
        raise PeerMissing("run nats-server by hand and see why it does not start")

    def close(self) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


class NatsBus:
    """Publishes to one subject after the other and waits until each message has come back."""

    def __init__(self, agents: int, message_bytes: int) -> None:
        try:
            library: Any = importlib.import_module("nats")
        except ImportError as error:
            raise PeerMissing("pip install nats-py") from error
        self._agents, self._body = agents, bytes(message_bytes)
        self._heard = self._wanted = 0
        self._server = NatsServer()
        self._asyncio = asyncio.new_event_loop()
        self._all_heard = asyncio.Event()
        self._client: Any = self._asyncio.run_until_complete(self._open(library, self._server.url()))

    async def _open(self, library: Any, url: str) -> Any:
        client = await library.connect(url)
        await client.subscribe("agent.*", cb=self._hear)
        await client.flush()
        return client

    async def _hear(self, message: object) -> None:
        self._heard += 1
        if self._heard == self._wanted:
            self._all_heard.set()

    def run(self, messages: int) -> None:
        """Publish so many messages."""
        self._asyncio.run_until_complete(self._publish(messages))

    async def _publish(self, messages: int) -> None:
        self._wanted = self._heard + messages
        self._all_heard.clear()
        for index in range(messages):
            await self._client.publish(f"agent.{index % self._agents}", self._body)
        await self._client.flush()
        await self._all_heard.wait()

    def close(self) -> None:
        """Stop client and server."""
        self._asyncio.run_until_complete(self._client.close())
        self._asyncio.close()
        self._server.close()
