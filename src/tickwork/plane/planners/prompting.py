"""Prompts as they lie in files: what a model is told is what stands there, with names in double braces filled in.

Invariants:
    * A value is filled in once and never read again: what looks like a name inside of it stays as it is.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "prompts"

_NAME: Final = re.compile(r"\{\{([a-z_]+)\}\}")


@cache
def prompt(name: str) -> str:
    """Return a prompt as it stands in its file."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def filled(name: str, values: Mapping[str, str]) -> str:
    """Return a prompt with its names replaced.

    Raises:
        KeyError: A name has no value; that is our own fault.
    """
    return _NAME.sub(lambda found: values[found[1]], prompt(name))


def prompts_digest() -> str:
    """Return what tells these prompts from every other version. Shape: 16 hexadecimal digits."""
    parts = [prompt(path.stem) for path in sorted(FOLDER.glob("*.md"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
