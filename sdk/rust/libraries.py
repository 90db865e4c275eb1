"""Makes the libraries that agents in Rust are linked with, inside the checkout, so that no test has to wait for them.

    python sdk/rust/libraries.py

Does nothing where the compiler brings them (rustup target add wasm32v1-none) or where they were made before.
"""

import os
import sys
from pathlib import Path
from typing import Final

from tickwork.authoring.rust import prepared
from tickwork.authoring.toolchain import Environment
from tickwork.errors import TickworkError

CACHE: Final = Path(__file__).resolve().parent.parent.parent / ".cache" / "toolchains"


def main() -> int:
    """Return 0 where agents in Rust can be built now."""
    variables = dict(os.environ)  # noqa: TID251  # A compiler needs PATH and the like, and a build is no run.
    try:
        prepared(Environment(variables, CACHE))
    except TickworkError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
