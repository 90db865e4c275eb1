"""The package as an agent inside the base module sees it: what an agent's source imports of it."""

from .native import Agent, Context, Movable, Outbox, Random, Write, read_config
from .records import AgentSpec, Encoding, FrameKind, Message, Refusal

__all__ = [
    "Agent", "AgentSpec", "Context", "Encoding", "FrameKind", "Message", "Movable", "Outbox", "Random", "Refusal",
    "Write",
    "read_config",
]  # fmt: skip
