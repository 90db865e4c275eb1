"""Which extra of the package brings what goals need, said where an import fails."""

from typing import Final

from .errors import GoalsMissing

EXTRAS: Final = {
    "jsonschema": "goals",
    "mcp": "mcp",
    "obstore": "objects",
    "playwright": "browser",
    "psycopg": "postgres",
    "trafilatura": "web",
}
"""By package; every other belongs to ``goals``."""


def missing_package(error: ImportError) -> GoalsMissing:
    """Return the error that says how to install what could not be imported."""
    package = (error.name or "a package").partition(".")[0]
    extra = EXTRAS.get(package, "goals")
    return GoalsMissing(
        f"the package {package} is not installed",
        why="goals need packages that running a world does not",
        fix=f"pip install 'tickwork[{extra}]'",
    )
