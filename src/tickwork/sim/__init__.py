"""The simulation kit: runs with everything going wrong, from one seed.

``simulate(seed)`` runs a drawn world undisturbed and then with crashes, faults of the disk and of performers, and
compares. Give ``world=`` to put your own agents through the same.
"""

from .draw import Draw
from .faults import Fault
from .run import Case, Report, simulate
from .shrink import shrink

__all__ = ["Case", "Draw", "Fault", "Report", "shrink", "simulate"]
