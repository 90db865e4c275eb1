"""The demo's stations as they stand after each tick, read from the journal's records while the run goes on.

The layouts are those of ``weather.h`` beside the example's agents.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from .. import codec
from ..driver.opening import read_header, reading
from ..journal.store import JournalReader
from ..records import AgentSpec, FrameKind, Message
from .forecasts import Forecasts

READING: Final = struct.Struct("<IHH8i")
"""Topic sensor_data: hour, station, missing, values. The first value is the temperature."""
ANOMALY: Final = struct.Struct("<I4BiiI")
"""Topic anomaly: hour, station, variable, detector, reserved, value, expected, score."""

COLUMNS: Final = ("station", "#observations", "#hour", "#temperature °F", "#coldest", "#warmest", "#anomalies")


class Station(msgspec.Struct):
    """What one station has said so far. Units: thousandths of a degree Fahrenheit."""

    name: str
    observations: int = 0
    hour: int = 0
    latest: int | None = None
    coldest: int | None = None
    warmest: int | None = None
    anomalies: int = 0

    def observe(self, hour: int, value: int | None) -> None:
        """Take one observation in; ``value`` is None where none was made."""
        self.observations += 1
        self.hour = hour
        if value is not None:
            self.latest = value
            self.coldest = value if self.coldest is None else min(self.coldest, value)
            self.warmest = value if self.warmest is None else max(self.warmest, value)

    def row(self) -> tuple[object, ...]:
        """Return the station as a row of the table."""
        degrees = [_degrees(value) for value in (self.latest, self.coldest, self.warmest)]
        return (self.name.upper(), f"{self.observations:,}", self.hour, *degrees, self.anomalies)


def _degrees(milli: int | None) -> str:
    if milli is None:
        return "-"
    sign = "-" if milli < 0 else ""
    return f"{sign}{abs(milli) // 1000}.{abs(milli) % 1000 // 100}"


class Stations:
    """All stations of a journal, read as far as it is written.

    Attributes:
        forecasts: What was forecast for them.
    """

    def __init__(self, journal: Path) -> None:
        self.forecasts = Forecasts()
        self._journal = journal
        self._next = 0
        self._specs: tuple[AgentSpec, ...] = ()
        self._stations: dict[int, Station] = {}

    def rows(self) -> list[tuple[object, ...]]:
        """Return the table's rows. Order: the header's."""
        return [station.row() for station in self._stations.values()]

    def documents(self) -> list[dict[str, object]]:
        """Return the stations as documents."""
        return [
            {"name": s.name, "observations": s.observations, "temperature_milli_f": s.latest, "anomalies": s.anomalies}
            for s in self._stations.values()
        ]

    def read(self) -> None:
        """Take in what has been written since the last look."""
        with reading(self._journal) as journal:
            if not self._specs:
                self._specs = read_header(journal)[0].agents
            for agent, message in self._published(journal):
                spec = self._specs[agent]
                topic = spec.publish[message.destination] if message.destination < len(spec.publish) else ""
                if topic == ERRORS:
                    self.forecasts.take(message.body)
                elif topic in TOPICS:
                    _take(self._stations.setdefault(agent, Station(spec.name)), topic, message.body)

    def _published(self, journal: JournalReader) -> Iterator[tuple[int, Message]]:
        for frame in journal.frames(self._next):
            self._next = frame.tick + 1
            for turn in codec.decode_turns(frame.turns):
                if turn.agent < len(self._specs):
                    for message in codec.decode_frames(turn.outcome.outbox):
                        if message.kind == FrameKind.PUBLISH:
                            yield turn.agent, message


TOPICS: Final = {"sensor_data": READING, "anomaly": ANOMALY}
"""The topics of a station, with their layouts."""
ERRORS: Final = "forecast_error"


def _take(station: Station, topic: str, body: bytes) -> None:
    if len(body) != TOPICS[topic].size:
        return
    if topic == "anomaly":
        station.anomalies += 1
        return
    hour, _, missing, temperature, *_ = READING.unpack(body)
    station.observe(hour, None if missing & 1 else temperature)
