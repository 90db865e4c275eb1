"""``tickwork profile show``."""

from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..plane.money import usd_text
from .output import Output, write_document, write_facts, write_line
from .profile_options import profile_document, profile_facts

EXAMPLES: Final = """Examples:

    tickwork profile show default
    tickwork profile show analyst --version 2
    tickwork profile show analyst -o json"""

app = App(name="show", help_epilogue=EXAMPLES)


@app.default
def show(
    name: str,
    /,
    *,
    version: Annotated[int, Parameter(help="An earlier version; 0 for the one that new runs get.")] = 0,
    output: Output = "text",
) -> int:
    """Show a profile, any of its versions, and what its runs have spent."""
    from ..plane.budgets import Ledger
    from ..plane.profiles import Profiles
    from .state import open_state

    with open_state() as store:
        found = Profiles(store, store.clock).find(name, version)
        spent = Ledger(store, store.clock).spent(f"profile:{name}")
    if output != "text":
        write_document({**profile_document(found), "spent": [msgspec.to_builtins(one) for one in spent]}, output)
        return 0
    write_facts(profile_facts(found))
    if spent:
        from .screen import write_table  # Loads rich.

        rows = [
            (
                one.period or "in all",
                usd_text(one.spent_micros),
                usd_text(one.reserved_micros),
                usd_text(one.hard_micros) if one.hard_micros >= 0 else "",
                f"{one.tokens:,}",
                f"{one.calls:,}",
            )
            for one in spent
        ]
        write_line("")
        write_table(("period", "#spent USD", "#set aside", "#of", "#tokens", "#calls"), rows)
    return 0
