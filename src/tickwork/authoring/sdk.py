"""Where the SDK's files lie: headers, crates, packages and templates of every language."""

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def sdk_folder(language: str) -> Path:
    """Return the folder of a language's SDK: inside an installed package, or at the root of a checkout."""
    installed = _PACKAGE / "sdk"
    folder = installed if installed.is_dir() else _PACKAGE.parent.parent / "sdk"
    return folder / language


def template_folder(language: str) -> Path:
    """Return the folder that ``tickwork agent new`` copies for a language."""
    return sdk_folder(language) / "template"
