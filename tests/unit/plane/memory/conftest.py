"""Memory of a profile in an empty store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.plane.stores import open_store
from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.memory.items import Memory


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """Return the memory of a profile that remembers nothing."""
    store, clock = open_store(tmp_path)
    with store:
        yield Memory(store, clock, HashedNgrams())
