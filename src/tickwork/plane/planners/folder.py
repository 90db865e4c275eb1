"""Plans that lie in folders, for the template planner to choose from."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from ..errors import PlanInvalid
from ..plan_text import read_plan
from ..tables import PlanTable

FOLDER: Final = "plans"
ENDINGS: Final = (".toml", ".json")


class Shelf(msgspec.Struct, frozen=True):
    """Plans by name.

    Attributes:
        plans: Order: by name.
        files: Where each lies.
    """

    plans: dict[str, PlanTable]
    files: dict[str, Path]


def read_plans(folders: Iterable[Path]) -> Shelf:
    """Return every plan of some folders; a folder that is not there has none.

    Raises:
        PlanInvalid: TW7001, a file is no plan, or two plans have one name: which of them is meant cannot be told.
    """
    plans, files = dict[str, PlanTable](), dict[str, Path]()
    for file in sorted(file for folder in folders if folder.is_dir() for file in folder.iterdir()):
        if file.suffix not in ENDINGS or file.name.startswith("."):
            continue
        table = read_plan(file).table
        if table.name in plans:
            raise PlanInvalid(
                f"two plans are called {table.name}",
                where=f"{files[table.name]} and {file}",
                why="a plan is found by its name",
                fix="give one of them another name",
            )
        plans[table.name], files[table.name] = table, file
    return Shelf(dict(sorted(plans.items())), files)
