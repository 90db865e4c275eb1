"""``tickwork profile list``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .output import Output, write_rows
from .profile_options import budget_text, profile_document, spending_text

EXAMPLES: Final = """Examples:

    tickwork profile list
    tickwork profile list --disabled -o json"""

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_profiles(
    *,
    disabled: Annotated[bool, Parameter(negative="", help="Also those that are disabled.")] = False,
    output: Output = "text",
) -> int:
    """List the profiles: what each may use and spend."""
    from ..plane.profiles import Profiles
    from .places import STATE
    from .state import open_state

    with open_state() as store:
        found = Profiles(store, store.clock).list(disabled=disabled)
    if output != "text":
        write_rows([profile_document(one) for one in found], "profiles", {"store": str(STATE)}, output)
        return 0
    from .screen import write_table  # Loads rich.

    rows = [
        (
            one.name,
            one.version,
            one.status,
            ", ".join(one.table.skills.allow) or "no skill",
            "; ".join(part for part in (budget_text(one.table.limits()), spending_text(one.table)) if part),
            one.table.owner,
        )
        for one in found
    ]
    write_table(("name", "#version", "status", "may use", "limits", "owner"), rows)
    return 0
