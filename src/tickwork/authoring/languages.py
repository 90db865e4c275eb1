"""The languages agents are written in, each with the module that knows its toolchain."""

import importlib
from collections.abc import Mapping
from typing import Final, cast

from .toolchain import Toolchain

LANGUAGES: Final[Mapping[str, str]] = {
    "c": "tickwork.authoring.c:toolchain",
    "cpp": "tickwork.authoring.c:cpp_toolchain",
    "rust": "tickwork.authoring.rust:toolchain",
    "assemblyscript": "tickwork.authoring.assemblyscript:toolchain",
    "python": "tickwork.authoring.python:toolchain",
}
"""Language to ``module:name`` of its toolchain, imported when first used. Order: as help shows them."""


def toolchain_of(language: str) -> Toolchain:
    """Return the toolchain of a language that ``LANGUAGES`` lists."""
    module, _, name = LANGUAGES[language].partition(":")
    return cast(Toolchain, getattr(importlib.import_module(module), name))
