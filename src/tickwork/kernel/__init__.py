"""The kernel: admit, plan, commit. Synchronous and pure: no clock, no entropy, no file, no thread, no engine."""

from .cast import Commit
from .grants import CLOCK, GRANT_LISTS, declared
from .machine import Machine, Sealed
from .state import AgentState, AgentStatus, RunStatus, State, decode_state, encode_state, initial_state
from .windows import MAX_WINDOW_BYTES, Flip

__all__ = [
    "CLOCK",
    "GRANT_LISTS",
    "MAX_WINDOW_BYTES",
    "AgentState",
    "AgentStatus",
    "Commit",
    "Flip",
    "Machine",
    "RunStatus",
    "Sealed",
    "State",
    "declared",
    "decode_state",
    "encode_state",
    "initial_state",
]
