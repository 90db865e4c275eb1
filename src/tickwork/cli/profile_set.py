"""``tickwork profile set``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..plane.profile import read_profile, with_changes
from .output import Output, talk, write_document, write_facts
from .profile_add import NOTHING, SUFFIXES
from .profile_options import ProfileOptions, profile_document, profile_facts

EXAMPLES: Final = """Examples:

    tickwork profile set analyst --owner ann --day-usd 3
    tickwork profile set analyst --allow sql_query --allow notify
    tickwork profile set analyst.toml
    tickwork profile set default --allow json_transform --allow http_call

A list is given whole: --allow replaces what was allowed. Runs that have begun
keep the version they have pinned."""

app = App(name="set", help_epilogue=EXAMPLES)


@app.default
def set_profile(
    profile: Annotated[str, Parameter(help="A profile, or a file of TOML or JSON that describes it anew.")],
    /,
    *,
    options: Annotated[ProfileOptions, Parameter(name="*")] = NOTHING,
    by: Annotated[str, Parameter(help="Who changes it, for its list of versions.")] = "",
    output: Output = "text",
) -> int:
    """Change a profile: its next version, for runs that begin from now on."""
    from ..plane.profiles import Profiles
    from .state import open_state

    changes = options.changes()
    with open_state() as store:
        profiles = Profiles(store, store.clock)
        table = read_profile(Path(profile)) if profile.endswith(SUFFIXES) else profiles.find(profile).table
        before = profiles.find(table.name)
        found = profiles.set(with_changes(table, changes) if changes else table, by)
    if found.version == before.version:
        talk(f"nothing changes; {found.name} stays at version {found.version}")
    if output == "text":
        write_facts(profile_facts(found))
    else:
        write_document(profile_document(found), output)
    return 0
