"""``tickwork goal``."""

from importlib.metadata import entry_points
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..driver.faults import choose
from ..errors import UsageFault
from ..plane.profile import DEFAULT
from .output import Output
from .wishes import Inputs, Key, NoWork, ProfileName, Tags

EXAMPLES: Final = """Examples:

    tickwork goal "Summarise the weather of JFK in July"
    tickwork goal "Summarise the weather" --input city=JFK --profile analyst
    tickwork goal "Find out why checkout fails" --planner llm --profile analyst
    tickwork goal "..." --key ticket-4711

The planner of the profile makes a plan: template takes the nearest plan of
.tickwork/plans, llm asks a language model of .tickwork/providers.toml. The plan
is checked, and then runs like any other. Status 6: the run waits for people."""

app = App(name="goal", help_epilogue=EXAMPLES)


@app.default
def goal(
    text: Annotated[str, Parameter(help="What is to be achieved.")],
    /,
    *,
    input: Inputs = None,
    profile: ProfileName = DEFAULT,
    planner: Annotated[str, Parameter(help="template, llm or an installed one, instead of the profile's.")] = "",
    key: Key = "",
    tag: Tags = None,
    priority: Annotated[int, Parameter(help="Runs of a higher one are gone on with first.")] = 0,
    seed: Annotated[int, Parameter(help="Of random numbers, such as waits before another attempt.")] = 0,
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Achieve a goal: plan it, check the plan, run it, and ask people where it must."""
    from ..plane.goals import Wish  # Loads the engine, which --help needs nothing of.
    from .plans import read_settings
    from .underway import carry_on, open_engine

    if planner:
        _check_planner(planner)
    with open_engine(quiet=output != "text") as under:
        wish = Wish(read_settings(input, {}), profile, key, tuple(tag or ()), priority, seed, not no_work)
        row, made = under.goals.run_goal(text, wish, planner=planner)
        return carry_on(under, row, made=made, no_work=no_work, output=output)


def _check_planner(name: str) -> None:
    """Refuse a planner that there is not, before a run is made for it.

    Raises:
        UsageFault: TW1001.
    """
    from ..plane.planners import llm, proposing, template  # Loads what planners are made of.

    known = [llm.NAME, template.NAME, *(point.name for point in entry_points(group=proposing.GROUP))]
    if name not in known:
        raise UsageFault(f"there is no planner called {name}", where="--planner", fix=choose(name, known, ""))
