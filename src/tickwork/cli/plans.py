"""What the commands about plans share: finding one, compiling it for somebody, and reading its inputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..driver.faults import choose
from ..errors import UsageFault
from ..plane.compiled import AgentPin, Compiled
from ..plane.compiling import FREE, Constraints, compile_plan
from ..plane.errors import PlanNotFound
from ..plane.json_text import read_json
from ..plane.plan_inputs import WORDS, how_to_give
from ..plane.plan_text import PlanFile, read_plan
from ..plane.planners.folder import ENDINGS, FOLDER, read_plans
from ..plane.profile import Profile
from ..plane.tables import InputTable
from .places import OWN

PLANS: Final = OWN / FOLDER


def find_plan(reference: str) -> PlanFile:
    """Return the plan in a file, or that of a name in ``.tickwork/plans``.

    Raises:
        PlanNotFound: TW7002. PlanInvalid: TW7001.
    """
    path = Path(reference)
    if path.suffix in ENDINGS or path.is_file():
        return read_plan(path)
    shelf = read_plans([PLANS])
    if reference not in shelf.files:
        beside = [name for ending in ENDINGS if Path(name := f"{reference}{ending}").is_file()]
        fix = (
            f"name its file: {beside[0]}" if beside else choose(reference, shelf.files, "name a file, or put it there")
        )
        raise PlanNotFound(f"there is no plan called {reference}", where=str(PLANS), fix=fix)
    return read_plan(shelf.files[reference])


def find_profile(name: str) -> Profile | None:
    """Return a profile; None where none is named.

    Raises:
        ProfileNotFound: TW7014.
    """
    if not name:
        return None
    from ..plane.profiles import Profiles  # Loads SQLAlchemy, which a plan for nobody needs nothing of.
    from .state import open_state

    with open_state() as store:
        return Profiles(store, store.clock).find(name)


def constraints_of(profile: Profile | None) -> Constraints:
    """Return what a profile allows; everything where there is none."""
    return FREE if profile is None else Constraints(profile.table.allows, profile.table.limits())


def pin_of(profile: Profile | None) -> AgentPin | None:
    """Return what a run would pin of a profile."""
    return None if profile is None else profile.table.pin(profile.version)


def compile_file(plan: PlanFile, profile: Profile | None) -> Compiled:
    """Return a plan compiled with the skills of this machine.

    Raises:
        PlanInvalid: TW7001; every fault is named with its line.
    """
    from .skills import open_registry

    with open_registry() as registry:
        return compile_plan(plan.table, registry, constraints_of(profile), file=plan.file, lines=plan.lines)


def read_settings(given: Sequence[str] | None, tables: Mapping[str, InputTable]) -> dict[str, Any]:
    """Return inputs as ``--input`` gives them: as they are for a text, and JSON for everything else.

    Raises:
        UsageFault: TW1001, no NAME=VALUE, or no JSON where the input is no text.
    """
    inputs: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageFault(f"{text!r} is no NAME=VALUE", fix="write --input NAME=VALUE")
        table = tables.get(name)
        if table is None or table.type == "string":
            inputs[name] = value
            continue
        try:
            inputs[name] = read_json(value)
        except ValueError as error:
            why = f"it is {WORDS[table.type]}, written as JSON"
            raise UsageFault(
                f"the input {name} does not fit: {value!r}",
                where=f"--input {name}",
                why=f"{why}: {error}" if table.type in ("array", "object") else why,
                fix=how_to_give(name, table),
            ) from error
    return inputs
