"""A new project from a template: a copy of ``sdk/LANGUAGE/template`` with the project's name written in.

The word ``__NAME__`` becomes the project's name, in every file's text and in the names of files and folders. Nothing
else is replaced, so that a template is itself a project that editors and compilers can read.
"""

from pathlib import Path
from typing import Final

PLACEHOLDER: Final = "__NAME__"


def write_template(template: Path, folder: Path, name: str) -> list[Path]:
    """Write a template's files into ``folder``, which is made, and return them. Order: by path."""
    written: list[Path] = []
    for source in sorted(path for path in template.rglob("*") if path.is_file()):
        target = folder / source.relative_to(template).as_posix().replace(PLACEHOLDER, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes().replace(PLACEHOLDER.encode(), name.encode()))
        written.append(target)
    return written
