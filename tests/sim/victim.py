"""A process that runs the world it is told, to be killed: python victim.py FOLDER

It reads a name from each line of its input, starts a process of its own for the run FOLDER/NAME.twk, and prints that
process's number; then, when it has ended, its exit status. So a whole process is killed, and none costs the start of an
interpreter.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import msgspec

import tickwork.journal.sqlite  # noqa: F401  # Loaded before the fork, like everything else a run needs.
from tests.laws import corpus
from tickwork.driver.options import Options
from tickwork.driver.performers import ArtifactWriter
from tickwork.driver.resolve import World
from tickwork.driver.run import run

TICKS = 700


def world() -> World:
    """Return the world that is killed: modules that talk, and a native agent that writes an artifact now and then."""
    made = corpus.gossip()
    return msgspec.structs.replace(made, header=msgspec.structs.replace(made.header, ticks=TICKS))


def options(folder: Path, name: str) -> Options:
    """Return how it runs: frames are flushed often, artifacts go to a folder of the run's own."""
    return Options(
        cache=folder / "compiled",
        performers={"artifact.write": ArtifactWriter(folder / name)},
        flush_ticks=5,
        snapshot_ticks=20,
    )


def main() -> int:
    """Start runs until there is no more input."""
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        name = line.strip()
        child = os.fork()
        if not child:
            os.setsid()
            run(world(), journal=folder / f"{name}.twk", options=options(folder, name))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
