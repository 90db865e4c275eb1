"""Runs of the corpus, each made once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.laws.corpus import CORPUS, options
from tests.laws.recorded import Recorded, record


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of compiled modules that all laws share."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="session")
def recorded(cache: Path) -> Callable[[str], Recorded]:
    """Return what gives the undisturbed run of a world of the corpus."""
    known: dict[str, Recorded] = {}

    def get(name: str) -> Recorded:
        if name not in known:
            known[name] = record(CORPUS[name](), options(cache))
        return known[name]

    return get
