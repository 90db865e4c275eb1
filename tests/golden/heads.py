"""Tells the heads that must be equal on every platform, interpreter and day.

python tests/golden/heads.py [FOLDER FOR COMPILED MODULES]

One line for each stored journal, replayed, and for each world of the laws' corpus, run: its name and its head.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parent.parent

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from tests.laws.corpus import CORPUS, options  # noqa: E402
from tickwork.driver.run import run  # noqa: E402
from tickwork.driver.verify import replay  # noqa: E402


def heads(cache: Path | None) -> Iterator[str]:
    """Yield the lines. Order: stored journals by name, then the corpus."""
    for path in sorted(GOLDEN.glob("*.twk")):
        yield f"{path.stem} {replay(path).head.hex()}"
    for name, make in CORPUS.items():
        yield f"{name} {run(make(), options=options(cache)).head.hex()}"


def main() -> int:
    """Print every head."""
    for line in heads(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
