"""Brings the tables of an older store up to date. Loads Alembic, which an up-to-date store does not need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from .sql import Connection
from .tables import METADATA

FOLDER: Final = Path(__file__).parent / "migrations"


def versions() -> list[str]:
    """Return all versions of the tables. Order: as they follow each other."""
    return [script.revision for script in reversed(list(_scripts().walk_revisions()))]


def upgrade(connection: Connection, to: str = "head") -> None:
    """Run all migrations up to a version, in the transaction that is open."""
    scripts = _scripts()

    def steps(revision: Any, _context: object) -> Any:
        return scripts._upgrade_revs(to, revision)  # pyright: ignore[reportPrivateUsage] - Alembic's own way to it.

    run: Callable[..., Any] = steps
    with EnvironmentContext(Config(), scripts, fn=run, destination_rev=to) as context:
        context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
        context.run_migrations()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(FOLDER))
