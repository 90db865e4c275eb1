"""``tickwork profile add``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..plane.profile import ProfileTable, check_profile, read_profile, with_changes
from .output import Output, write_document, write_facts
from .profile_options import ProfileOptions, profile_document, profile_facts

EXAMPLES: Final = """Examples:

    tickwork profile add analyst.toml
    tickwork profile add analyst --allow sql_query --database weather.db
    tickwork profile add clerk --allow notify --host hooks.example.com --approver ann
    tickwork profile add writer --allow llm_invoke --budget-usd 0.50 --day-usd 5

What no option and no file says stays shut: no skill, no host, no folder, no
secret. --approver and --tainted say what people and policy decide."""

NOTHING: Final = ProfileOptions()
SUFFIXES: Final = (".toml", ".json")

app = App(name="add", help_epilogue=EXAMPLES)


@app.default
def add(
    profile: Annotated[str, Parameter(help="A name for it, or a file of TOML or JSON.")],
    /,
    *,
    options: Annotated[ProfileOptions, Parameter(name="*")] = NOTHING,
    by: Annotated[str, Parameter(help="Who adds it, for its list of versions.")] = "",
    output: Output = "text",
) -> int:
    """Add a profile, from a file or from options."""
    from ..plane.profiles import Profiles
    from .state import open_state

    table = table_of(profile, options)
    with open_state() as store:
        found = Profiles(store, store.clock).add(table, by)
    if output == "text":
        write_facts(profile_facts(found))
    else:
        write_document(profile_document(found), output)
    return 0


def table_of(profile: str, options: ProfileOptions) -> ProfileTable:
    """Return the table that a file says, with the options put in, or that of a name and options.

    Raises:
        ProfileInvalid: TW7015. UsageFault: TW1001.
    """
    changes = options.changes()
    if profile.endswith(SUFFIXES):
        table = read_profile(Path(profile))
    else:
        table = check_profile({"name": profile}, Path("profile"), {})
    return with_changes(table, changes) if changes else table
