"""``tickwork cost``."""

from typing import Final

import msgspec
from cyclopts import App

from ..clock import SystemClock
from ..journal.shared import SharedJournal
from ..plane.costs import Costs
from ..plane.money import usd_text
from .output import Output, write_document, write_line
from .sources import Reference

EXAMPLES: Final = """Examples:

    tickwork cost RUN
    tickwork cost run.twk -o json

What is told follows from the run's journal: what was set aside before each call,
and what it has cost. Steps that cost nothing are left out."""

app = App(name="cost", help_epilogue=EXAMPLES)


@app.default
def cost(run: Reference, /, *, output: Output = "text") -> int:
    """Show what a run has cost: by step and model, set aside and settled."""
    from ..driver.opening import reading
    from ..plane.booked import booked
    from ..plane.costs import costs_of
    from ..plane.explain import explain
    from ..plane.store.store import Store
    from .places import STATE
    from .sources import open_source

    ledger = None
    with open_source(run) as source, reading(source) as journal:
        explained = explain(journal)
        if isinstance(source, SharedJournal):
            with Store.open(STATE, SystemClock(), write=False) as store:
                ledger = booked(store, source.run)
    costs = costs_of(explained)
    if output != "text":
        document = msgspec.to_builtins(costs)
        document["plan"], document["profile"], document["status"] = explained.plan, explained.profile, explained.status
        document["price_table"] = explained.prices
        document["ledger"] = None if ledger is None else msgspec.to_builtins(ledger)
        write_document(document, output)
        return 0
    if not costs.rows:
        write_line("no step of this run costs money or tokens")
        return 0
    _show(costs)
    if ledger is not None and ledger.entries:
        write_line(
            f"booked for profile {explained.profile}: {usd_text(ledger.settled_micros)} spent, "
            f"{usd_text(ledger.open_micros)} set aside"
        )
    return 0


def _show(costs: Costs) -> None:
    from .screen import write_table  # Loads rich.

    lines = [
        (
            row.step,
            row.skill,
            row.model,
            f"{row.calls:,}",
            f"{row.tokens_in:,}",
            f"{row.tokens_cached:,}" if row.tokens_cached else "",
            f"{row.tokens_out:,}",
            usd_text(row.reserved_micros),
            usd_text(row.settled_micros),
            row.prices,
        )
        for row in (*costs.rows, costs.total)
    ]
    columns = ("step", "skill", "model", "#calls", "#tokens in", "#cached", "#out", "#set aside", "#spent", "prices")
    write_table(columns, lines)
    write_line(f"\nUS dollars; prices of {', '.join(costs.prices) or 'no table'}")
    if costs.total.estimated_micros:
        write_line(f"{usd_text(costs.total.estimated_micros)} of it are estimated: nobody counted what was used")
    if costs.total.open_micros:
        write_line(f"{usd_text(costs.total.open_micros)} are set aside for calls that have not ended")
