"""``tickwork models list``."""

from typing import Final

import msgspec
from cyclopts import App

from .models import Address, reach_running
from .output import Output, write_line, write_rows

EXAMPLES: Final = """Examples:

    tickwork models list
    tickwork models list -o jsonl

Shows each model that is in memory: on what it runs, what it takes, how often
it was asked, and whether it may be unloaded."""

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_models(*, address: Address = None, output: Output = "text") -> int:
    """List the models that the service has in memory."""
    with reach_running(address) as models:
        workers = models.list()
    if output != "text":
        write_rows([msgspec.to_builtins(one) for one in workers], "models", {}, output)
        return 0
    if not workers:
        write_line("no model is in memory")
    for one in workers:
        mean_us = one.run_us // one.asked if one.asked else 0
        state = "pinned" if one.pinned else one.state
        write_line(
            f"{one.name + ':' + one.version:<24}  {one.profile:<14}  {one.provider:<5}  {state:<7}  "
            f"{max(one.cost, one.memory) >> 20:>6,} MiB  {one.asked:>9,} asked  {mean_us:>8,} us each"
        )
    return 0
