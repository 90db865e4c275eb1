"""autogen-core: a runtime with 50 agents in this process, each subscribed to a topic of its own."""

import asyncio
import importlib
from dataclasses import dataclass
from typing import Any

from ..measure import PeerMissing


@dataclass
class Note:
    """What is published."""

    text: str


class AutogenBus:
    """Publishes to one agent after the other and waits until each message has been handled."""

    def __init__(self, agents: int, message_bytes: int) -> None:
        try:
            self._library: Any = importlib.import_module("autogen_core")
        except ImportError as error:
            raise PeerMissing("pip install autogen-core") from error
        self._agents, self._note = agents, Note("x" * message_bytes)
        self._heard = self._wanted = 0
        self._all_heard = asyncio.Event()
        self._asyncio = asyncio.new_event_loop()
        self._runtime: Any = self._asyncio.run_until_complete(self._open())

    async def _open(self) -> Any:
        library = self._library
        runtime = library.SingleThreadedAgentRuntime()

        async def on(listener: object, message: Note, ctx: Any) -> None:
            self._heard += 1
            if self._heard == self._wanted:
                self._all_heard.set()

        on.__annotations__["ctx"] = library.MessageContext
        listener: Any = type("Listener", (library.RoutedAgent,), {"on": library.message_handler(on)})
        for number in range(self._agents):
            await listener.register(runtime, f"agent{number}", lambda: listener("listener"))
            topic = library.TypeSubscription(topic_type=f"topic{number}", agent_type=f"agent{number}")
            await runtime.add_subscription(topic)
        runtime.start()
        return runtime

    def run(self, messages: int) -> None:
        """Publish so many messages."""
        self._asyncio.run_until_complete(self._publish(messages))

    async def _publish(self, messages: int) -> None:
        self._wanted = self._heard + messages
        self._all_heard.clear()
        for index in range(messages):
            topic = self._library.TopicId(f"topic{index % self._agents}", "default")
            await self._runtime.publish_message(self._note, topic)
        await self._all_heard.wait()

    def close(self) -> None:
        """Stop the runtime."""
        self._asyncio.run_until_complete(self._runtime.stop_when_idle())
        self._asyncio.close()
