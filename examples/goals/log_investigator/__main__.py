"""The log investigator: mines patterns of log lines, compares the grave ones with known causes, sums the incident up.

python examples/goals/log_investigator
python examples/goals/log_investigator --yes
python examples/goals/log_investigator "Investigate logs/server.log" --input least=0.6
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from examples.goals.trial import Desk, Example, main  # noqa: E402  # Found wherever the program is called.

GOAL = "Find out what went wrong in logs/server.log"


def prepare(desk: Desk) -> None:
    """Copy the log, what is known of causes, and the code of both skills."""
    desk.copy(HERE / "logs", "logs")
    desk.copy(HERE / "causes.json", "knowledge/causes.json")
    for name in ("miner.wasm", "nearest.py"):
        desk.copy(HERE / name, name)


if __name__ == "__main__":
    sys.exit(main(Example(HERE, GOAL, prepare, "incidents")))
