"""Makes a database of the observations of ``examples/weather``: what was measured, and what its model is asked with.

    python examples/goals/weather_analyst/convert.py weather.db       (needs: pip install 'tickwork[models]')

``observation`` holds the rows of the three files as they are. ``window`` holds, for every hour that can be asked about,
the 78 bytes that the model takes, made by the code that it was trained with.
"""

import csv
import importlib.util
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

WEATHER = Path(__file__).resolve().parents[2] / "weather"
START = datetime(2013, 1, 1)
TABLES = """
CREATE TABLE observation(
    station TEXT, hour INTEGER, at TEXT, month TEXT, day INTEGER, temp REAL, dewp REAL, humid REAL, wind_dir REAL,
    wind_speed REAL, pressure REAL, precip REAL, visib REAL, PRIMARY KEY (station, hour)) WITHOUT ROWID;
CREATE TABLE window(station TEXT, hour INTEGER, inputs TEXT, PRIMARY KEY (station, hour)) WITHOUT ROWID;
"""


def observations(station: str) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a station. What was not measured is null."""
    with (WEATHER / "data" / f"{station}.csv").open(encoding="utf-8", newline="") as file:
        for row in list(csv.reader(file))[1:]:
            at = START + timedelta(hours=int(row[0]))
            values = [float(text) if text else None for text in row[1:]]
            yield station.upper(), int(row[0]), f"{at:%Y-%m-%d %H:%M}", f"{at:%B}", at.day, *values


def windows(train: ModuleType) -> Iterator[tuple[str, int, str]]:
    """Yield what the model is asked with."""
    for number, station in enumerate(train.STATIONS):
        asked = train.examples(number)
        for hour, inputs in zip(asked.hour.tolist(), asked.inputs.tolist(), strict=True):
            yield station.upper(), hour, ",".join(map(str, inputs))


def convert(to: Path) -> None:
    """Write the database, whole or not at all; one that is there stays."""
    if to.exists():
        return
    spec = importlib.util.spec_from_file_location("weather_train", WEATHER / "train.py")
    assert spec is not None
    assert spec.loader is not None
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    part = to.with_suffix(".part")
    part.unlink(missing_ok=True)
    with sqlite3.connect(part) as connection:
        connection.executescript(TABLES)
        for station in train.STATIONS:
            connection.executemany(f"INSERT INTO observation VALUES ({', '.join('?' * 13)})", observations(station))
        connection.executemany("INSERT INTO window VALUES (?, ?, ?)", windows(train))
    connection.close()
    part.replace(to)


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
