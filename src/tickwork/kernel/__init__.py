"""The kernel: admit, plan, commit. Synchronous and pure: no clock, no entropy, no file, no thread, no engine."""

from .cast import Commit
from .machine import Machine, Sealed
from .state import AgentState, AgentStatus, RunStatus, State, decode_state, encode_state, initial_state
from .windows import Flip

__all__ = [
    "AgentState",
    "AgentStatus",
    "Commit",
    "Flip",
    "Machine",
    "RunStatus",
    "Sealed",
    "State",
    "decode_state",
    "encode_state",
    "initial_state",
]
