"""Writes the head digests that must be equal on every platform and interpreter.

python tests/house/heads.py FILE
"""

import sys
import tempfile
from pathlib import Path

import tickwork

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    """Run each world in memory and write one line for it: its name and its head. Models run as they always do."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        options = tickwork.Options(store=Path(folder))
        for path in sorted((ROOT / "examples").glob("*/world.toml")):
            world = tickwork.load_world(path, ticks=500, allow_unsigned=True)
            done = tickwork.run(world, options=options)
            lines.append(f"{path.parent.name} {done.status} {done.head.hex()}\n")
    target = Path(sys.argv[1])
    target.parent.mkdir(exist_ok=True)
    target.write_text("".join(lines), encoding="utf-8", newline="\n")
    sys.stdout.write("".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
