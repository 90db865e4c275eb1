"""``tickwork profile versions``."""

from typing import Final

from cyclopts import App

from ..packages.times import format_time
from .output import Output, write_rows
from .profile_options import profile_document

EXAMPLES: Final = """Examples:

    tickwork profile versions analyst
    tickwork profile versions analyst -o jsonl"""

app = App(name="versions", help_epilogue=EXAMPLES)


@app.default
def versions(name: str, /, *, output: Output = "text") -> int:
    """List the versions of a profile."""
    from ..plane.profiles import Profiles
    from .state import open_state

    with open_state() as store:
        found = Profiles(store, store.clock).versions(name)
    if output != "text":
        write_rows([profile_document(one) for one in found], "versions", {"name": name}, output)
        return 0
    from .screen import write_table  # Loads rich.

    rows = [
        (
            one.version,
            one.table.digest().hex()[:12],
            format_time(one.created_us) if one.kept else "",
            one.by,
            ", ".join(one.table.skills.allow),
        )
        for one in found
    ]
    write_table(("#version", "digest", "since", "by", "may use"), rows)
    return 0
