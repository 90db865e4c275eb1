"""The plugin of pytest: a fixture that runs a world and says what its agents did.

Loading it costs an import of pytest alone; nothing of Tickwork is loaded before a test asks for the fixture.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Worlds:
    """Runs worlds for one test."""

    def __init__(self, request: pytest.FixtureRequest, prepare: Callable[..., Any]) -> None:
        self._start = request.path.parent
        self._prepare = prepare

    def __call__(
        self,
        name: str = "world.toml",
        *,
        seed: int | None = None,
        ticks: int | None = None,
        inputs: Any = (),
        performers: Any = None,
    ) -> Any:
        """Return a finished run of a world, in memory. A project in the world's folder is built first.

        Args:
            name: The world's file; one that is not absolute is looked up beside the test and in the folders above.
            seed, ticks: Replace the file's.
            inputs: What enters: each a tick, an agent or a topic by its name, and a body as bytes, text, or what
                becomes JSON; or a tick and a ``tickwork.Input``.
            performers: By skill, what carries effects out, each as soon as it is asked for.

        Raises:
            TickworkError: The project does not build, or the world cannot be run.
        """
        return self._prepare(self._start, name, seed, ticks, inputs, performers)


@pytest.fixture(scope="session")
def _tickwork_worlds() -> Callable[..., Any]:
    """Return what runs worlds, with the compilers and caches of this machine."""
    from ..authoring.worlds import Builder, find_world, run_world
    from ..driver.options import Options
    from ..packages.developer import sign
    from .config import base_folders, build_environment, load_settings, module_cache, trust_folder

    settings = load_settings()
    trust = trust_folder(settings)
    builder = Builder(build_environment(settings), lambda package, name: sign(package, trust, name=name))
    options = Options(cache=module_cache(settings))

    def play(start: Path, name: str, seed: int | None, ticks: int | None, inputs: Any, performers: Any) -> Any:
        path = find_world(name, start)
        builder.prepare(path.parent)
        bases = base_folders()
        return run_world(path, options, seed=seed, ticks=ticks, inputs=inputs, performers=performers, bases=bases)

    return play


@pytest.fixture
def world(request: pytest.FixtureRequest, _tickwork_worlds: Callable[..., Any]) -> Worlds:
    """Run a world in memory: ``world("world.toml", seed=7).check()``."""
    return Worlds(request, _tickwork_worlds)
