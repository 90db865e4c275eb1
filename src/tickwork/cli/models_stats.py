"""``tickwork models stats``."""

from typing import Final

import msgspec
from cyclopts import App

from .models import Address, reach_running
from .output import Output, write_document, write_facts

EXAMPLES: Final = """Examples:

    tickwork models stats
    tickwork models stats -o json"""

app = App(name="stats", help_epilogue=EXAMPLES)


@app.default
def stats(*, address: Address = None, output: Output = "text") -> int:
    """Show what the service has done, and what its memory holds."""
    with reach_running(address) as models:
        seen = models.stats()
    if output != "text":
        fields: dict[str, object] = {name: getattr(seen, name) for name in seen.__struct_fields__}
        write_document({**fields, "workers": [msgspec.to_builtins(one) for one in seen.workers]}, output)
        return 0
    write_facts(
        [
            ("process", seen.pid),
            ("version", seen.version),
            *((f"memory {name}", f"{seen.used[name]:,} of {seen.budgets[name]:,} bytes") for name in seen.budgets),
            ("in memory", len(seen.workers)),
            ("loaded", seen.loads),
            ("evicted", seen.evictions),
            ("crashed", seen.crashes),
            ("past deadline", seen.expired),
            ("asked", sum(one.asked for one in seen.workers)),
        ]
    )
    return 0
