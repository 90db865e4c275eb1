"""The kernel: admit, plan, commit. Synchronous and pure: no clock, no entropy, no file, no thread, no engine."""

from .cast import Commit
from .machine import Machine, Sealed
from .state import AgentState, RunStatus, State, initial_state

__all__ = ["AgentState", "Commit", "Machine", "RunStatus", "Sealed", "State", "initial_state"]
