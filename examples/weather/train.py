"""Trains the forecast of this example on its observations: a small network in integers, and a page on its figures.

    python examples/weather/train.py              (needs: pip install 'tickwork[models]')

The network forecasts how much warmer or colder a station is six hours later, from its last 24 hours. It learns from the
first 21 days of each month; the days after them are held out, and no hour of theirs is in what it learns from.

The same observations give the same bytes on every machine. Sums in another order give other bits where numbers are
rounded, so here nothing that is summed is: weights, activations and errors lie on grids of powers of two, every product
of matrices is one of whole numbers below 2^53, and the rest are single operations that IEEE 754 fixes to the bit.

The file computes in integers for the same reason. Activations and weights are unsigned bytes, sums are int32 below
2^24, and each is brought back to a byte by a power of two, which no processor rounds differently.
"""

import csv
import hashlib
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER: Final = Path(__file__).resolve().parent
STATIONS: Final = ("ewr", "jfk", "lga")
MODEL: Final = "forecast.onnx"
SEED: Final = 2013

HOURS: Final = 8760
WINDOW_HOURS: Final = 24
AHEAD_HOURS: Final = 6
OBSERVED_LEAST: Final = 18
"""Of the 24 hours, so many must have a temperature; the others repeat the hour before."""
LEARNT_DAYS: Final = 21
"""Of each month; the days after them are held out."""

TEMPERATURE, DEW_POINT, _, WIND_DIRECTION, WIND_SPEED, PRESSURE, RAIN, VISIBILITY = range(8)
BEFORE: Final = (50_000, 40_000, 0, 0, 0, 1_015_000, 0, 10_000)
"""What a variable counts as before it was first observed. Units: thousandths, as all observations here."""
HELD: Final = (TEMPERATURE, DEW_POINT, PRESSURE, VISIBILITY)
"""Variables that keep their last value where one is missing; the others count as 0 then."""
FASTEST_WIND: Final = 60_000

DEW_LAGS: Final = (1, 2, 3, 6, 12, 18, 23)
PRESSURE_LAGS: Final = (1, 2, 3, 6, 12, 23)
WIND_LAGS: Final = (0, 3, 6, 12)
FEATURES: Final = 78

HIDDEN: Final = (32, 16)
EPOCHS: Final = 30
ROUNDED_FROM: Final = 20
"""From this epoch on weights lie on the grid of the bytes they become."""
BATCH: Final = 512
RATE: Final = 0.003
DECAY: Final = 0.5
KEPT: Final = 0.75
"""Share of the hidden units that take part in a step."""
DEGREES: Final = 8.0
"""Units: degrees Fahrenheit in one unit of the network's output."""
INPUT_STEP: Final = 2.0**-6
HIDDEN_STEP: Final = 2.0**-5
"""What one step of a byte stands for."""

_QUARTER: Final = np.array([0, 174, 342, 500, 643, 766, 866, 940, 985, 1000])
"""The sine from 0 to 90 degrees in thousandths. Units: one place is 10 degrees."""

Whole = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


# --- what the network sees ---


class Series(NamedTuple):
    """A station's year by hour.

    Attributes:
        values: With gaps filled. Shape: (hour, variable).
        observed: Whether a temperature was. Shape: (hour,).
        first: The first hour with an observation.
    """

    values: Whole
    observed: npt.NDArray[np.bool_]
    first: int


class Examples(NamedTuple):
    """What can be asked, and what came.

    Attributes:
        hour: In which it is asked.
        inputs: Shape: (example, ``FEATURES``), bytes.
        change: The temperature six hours later less that of the hour. Units: thousandths of a degree.
        known: Whether the temperature six hours later was observed.
    """

    hour: Whole
    inputs: npt.NDArray[np.uint8]
    change: Whole
    known: npt.NDArray[np.bool_]


def read_series(name: str) -> Series:
    """Return a station's observations with gaps filled as ``forecaster.c`` fills them."""
    values = np.zeros((HOURS, 8), np.int64)
    observed = np.zeros(HOURS, np.bool_)
    with (FOLDER / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row[0]): row[1:] for row in list(csv.reader(file))[1:]}
    last = list(BEFORE)
    for hour in range(HOURS):
        fields = [int(Decimal(text) * 1000) if text else None for text in rows.get(hour, [""] * 8)]
        for variable, value in enumerate(fields):
            known = value if value is not None else last[variable] if variable in HELD else 0
            values[hour, variable] = last[variable] = known
        if fields[WIND_DIRECTION] is None:
            values[hour, WIND_SPEED] = 0
        observed[hour] = fields[TEMPERATURE] is not None
    return Series(values, observed, min(rows))


def sine(degrees: Whole) -> Whole:
    """Return a thousand times the sine, between its table's places in a straight line."""
    turned = degrees % 360
    half = turned % 180
    angle = np.where(half > 90, 180 - half, half)
    place = np.minimum(angle // 10, 8)
    height = _QUARTER[place] + (_QUARTER[place + 1] - _QUARTER[place]) * (angle - 10 * place) // 10
    signed: Whole = np.where(turned >= 180, -height, height)
    return signed


def byte(value: Whole, unit: int, zero: int = 128) -> Whole:
    """Return a value in bytes of ``unit`` each, ``zero`` of them for 0, as far as a byte goes."""
    return np.clip((value + zero * unit) // unit, 0, 255).astype(np.int64)


def examples(station: int) -> Examples:
    """Return all that can be asked about a station. Order: hours."""
    series = read_series(STATIONS[station])
    count = np.concatenate([[0], np.cumsum(series.observed)])
    hours = np.arange(series.first + WINDOW_HOURS - 1, HOURS)
    enough = count[hours + 1] - count[hours + 1 - WINDOW_HOURS] >= OBSERVED_LEAST
    hour = hours[enough & series.observed[hours]]
    later = np.minimum(hour + AHEAD_HOURS, HOURS - 1)
    temperature = series.values[:, TEMPERATURE]
    known = series.observed[later] & (hour + AHEAD_HOURS < HOURS)
    return Examples(hour, inputs_of(series, station, hour), temperature[later] - temperature[hour], known)


def inputs_of(series: Series, station: int, t: Whole) -> npt.NDArray[np.uint8]:
    """Return the network's inputs at hours ``t``. Order: as in ``fill`` of ``forecaster.c``."""
    warm, dew, pressure = (series.values[:, variable] for variable in (TEMPERATURE, DEW_POINT, PRESSURE))
    rain = series.values[:, RAIN]
    speed, direction = np.minimum(series.values[:, WIND_SPEED], FASTEST_WIND), series.values[:, WIND_DIRECTION] // 1000
    columns = [byte(warm[t], 500, 40)]
    columns += [byte(warm[t - lag] - warm[t], 250) for lag in range(1, WINDOW_HOURS)]
    columns += [byte(warm[t] - dew[t], 250, 0)]
    columns += [byte(dew[t - lag] - dew[t], 250) for lag in DEW_LAGS]
    columns += [byte(pressure[t] - 1_012_000, 250)]
    columns += [byte(pressure[t - lag] - pressure[t], 200) for lag in PRESSURE_LAGS]
    for lag in WIND_LAGS:
        at = t - lag
        columns += [byte(speed[at] * sine(direction[at] + turn), 200_000) for turn in (0, 90)]
    columns += [byte(series.values[t, VISIBILITY], 40, 0), byte(rain[t] + rain[t - 1] + rain[t - 2], 4, 0)]
    columns += [np.where(t % 24 == hour, 255, 128) for hour in range(24)]
    columns += [byte(sine(t // 24 * 360 // 365 + turn), 8) for turn in (0, 90)]
    columns += [np.full(len(t), 255 if number == station else 128) for number in range(len(STATIONS))]
    return np.stack(columns, 1).astype(np.uint8)


def month_and_day(hour: Whole) -> tuple[Whole, Whole]:
    """Return the months, from 0, and the days in them, from 1."""
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    starts = np.concatenate([[0], np.cumsum(days)[:-1]])
    month = np.searchsorted(starts, hour // 24, side="right") - 1
    return month, hour // 24 - starts[month] + 1


def split(hour: Whole) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which examples are learnt from and which are held out.

    Law: no hour, whether input or answer, is in one of each. What reaches from days of one sort into the other is
    neither.
    """
    month, day = month_and_day(hour - WINDOW_HOURS + 1)
    end_month, end_day = month_and_day(np.minimum(hour + AHEAD_HOURS, HOURS - 1))
    within = month == end_month
    return within & (end_day <= LEARNT_DAYS), within & (day > LEARNT_DAYS)


# --- learning ---


def grid(values: Reals, bits: int) -> Reals:
    """Return the nearest multiples of 2^-bits."""
    return np.rint(values * 2.0**bits) / 2.0**bits


class Network:
    """Weights while they are learnt. Shape: per layer, (inputs, outputs) and (outputs,).

    Attributes:
        steps: What one step of a weight's byte stands for, per column; empty until weights are rounded.
    """

    def __init__(self, random: np.random.RandomState) -> None:
        sizes = (FEATURES, *HIDDEN, 1)
        self.weights: list[Reals] = []
        for rows, columns in pairwise(sizes):
            drawn = random.randint(0, 1 << 20, (rows, columns)) / (1 << 20) - 0.5
            self.weights.append(drawn * 2 * np.sqrt(6 / (rows + columns)))
        self.biases = [np.zeros(columns) for columns in sizes[1:]]
        self.steps: list[Reals] = []

    def parameters(self) -> list[Reals]:
        """Return all that is learnt; changed in place."""
        return [*self.weights, *self.biases]

    def fix_steps(self) -> None:
        """Choose, for each column, a power of two by which its weights fit into a byte."""
        for weights in self.weights:
            most = np.maximum(np.abs(weights).max(axis=0), 2.0**-10)
            self.steps.append(np.ldexp(1.0, np.frexp(most / 127)[1]))

    def rounded(self, layer: int) -> tuple[Reals, Reals]:
        """Return a layer's weights and biases as they are computed with."""
        weights, bias = self.weights[layer], self.biases[layer]
        if not self.steps:
            return grid(weights, 14), grid(bias, 14)
        step = self.steps[layer]
        unit = step * (HIDDEN_STEP if layer else INPUT_STEP)
        return np.clip(np.rint(weights / step), -128, 127) * step, np.rint(bias / unit) * unit


def activate(sums: Reals) -> Reals:
    """Return what a hidden unit gives: nothing below 0, bytes above."""
    return np.clip(np.rint(sums / HIDDEN_STEP), 0, 255) * HIDDEN_STEP


def descend(network: Network, inputs: Reals, answers: Reals, random: np.random.RandomState) -> list[Reals]:
    """Return the gradient over a batch: of an absolute error that is smooth near 0, with units left out by lot."""
    (first, first_bias), (second, second_bias), (last, last_bias) = (network.rounded(layer) for layer in range(3))
    keep = [random.randint(0, 4, (len(inputs), width)) < 4 * KEPT for width in HIDDEN]
    sums = inputs @ first + first_bias
    hidden = grid(activate(sums) * keep[0] / KEPT, 10)
    deeper = hidden @ second + second_bias
    features = grid(activate(deeper) * keep[1] / KEPT, 10)
    error = grid(np.clip(features @ last + last_bias - answers, -0.25, 0.25), 20)
    back = grid(error @ last.T * (_open(deeper) & keep[1]) / KEPT, 20)
    further = grid(back @ second.T * (_open(sums) & keep[0]) / KEPT, 20)
    sides = [(inputs, further), (hidden, back), (features, error)]
    return [left.T @ right for left, right in sides] + [right.sum(axis=0) for _, right in sides]


def _open(sums: Reals) -> npt.NDArray[np.bool_]:
    return (sums > 0) & (sums < 255 * HIDDEN_STEP)


def train(inputs: Reals, answers: Reals) -> Network:
    """Return a network that has learnt. Source of the steps: Kingma and Ba, "Adam", 2015, with decoupled decay."""
    random = np.random.RandomState(SEED)
    network = Network(random)
    known = network.parameters()
    means, squares = [np.zeros_like(one) for one in known], [np.zeros_like(one) for one in known]
    mean_left = square_left = 1.0
    for epoch in range(EPOCHS):
        if epoch == ROUNDED_FROM:
            network.fix_steps()
        rate = RATE * min(1.0, 2 * (1 - epoch / EPOCHS)) * (0.3 if epoch >= EPOCHS - 3 else 1.0)
        order = random.permutation(len(inputs))
        for start in range(0, len(inputs) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            gradients = descend(network, inputs[chosen], answers[chosen], random)
            mean_left, square_left = mean_left * 0.9, square_left * 0.999
            for index, (value, gradient) in enumerate(zip(known, gradients, strict=True)):
                slope = gradient / BATCH
                means[index] += 0.1 * (slope - means[index])
                squares[index] += 0.001 * (slope * slope - squares[index])
                value -= rate * (means[index] / (1 - mean_left)) / (np.sqrt(squares[index] / (1 - square_left)) + 1e-8)
                if value.ndim == 2:
                    value -= rate * DECAY * value
    return network


# --- the network in integers ---


class Layer(NamedTuple):
    """A layer as the file has it: ``(bytes - zero) @ (weights - 128) + bias``, times ``scale``.

    Attributes:
        weights: Bytes. Shape: (inputs, outputs).
        bias: int32. Shape: (outputs,).
        scale: Powers of two as float32. Shape: (outputs,).
        zero: The byte that stands for 0 in what comes in.
    """

    weights: npt.NDArray[np.uint8]
    bias: npt.NDArray[np.int32]
    scale: npt.NDArray[np.float32]
    zero: int


def layers_of(network: Network) -> list[Layer]:
    """Return a learnt network in integers."""
    layers: list[Layer] = []
    for index in range(3):
        weights, bias = network.rounded(index)
        step = network.steps[index]
        comes, goes = (HIDDEN_STEP if index else INPUT_STEP), (HIDDEN_STEP if index < 2 else 1 / DEGREES)
        whole = np.rint(bias / (step * comes)).astype(np.int32)
        scale = (step * comes / goes).astype(np.float32)
        layers.append(Layer((weights / step + 128).astype(np.uint8), whole, scale, 0 if index else 128))
        sums = 255 * 128 * weights.shape[0] + int(np.abs(whole).max())
        assert sums < 1 << 24, "float32 holds every whole number up to 2^24"
        assert all(np.frexp(scale)[0] == 0.5), "a power of two multiplies without rounding"
    return layers


def forecast(layers: list[Layer], inputs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the forecast change, computed here as the file computes it. Units: degrees Fahrenheit."""
    values = inputs.astype(np.int64)
    for index, layer in enumerate(layers):
        sums = (values - layer.zero) @ (layer.weights.astype(np.int64) - 128) + layer.bias
        scaled = sums.astype(np.float32) * layer.scale
        if index == 2:
            return scaled[:, 0]
        values = np.clip(np.rint(scaled), 0, 255).astype(np.int64)
    raise AssertionError("the last layer returns")


def exported(layers: list[Layer]) -> bytes:
    """Return the ONNX file: input ``hours``, uint8 [batch, 78]; output ``change``, float32 [batch, 1]."""
    nodes, kept = [], [numpy_helper.from_array(np.array(128, np.uint8), "weight_zero")]
    kept += [
        numpy_helper.from_array(np.array(1, np.float32), "one"),
        numpy_helper.from_array(np.array(0, np.uint8), "none"),
    ]
    name = "hours"
    for index, layer in enumerate(layers):
        kept += [
            numpy_helper.from_array(layer.weights, f"weights{index}"),
            numpy_helper.from_array(layer.bias, f"bias{index}"),
            numpy_helper.from_array(layer.scale, f"scale{index}"),
            numpy_helper.from_array(np.array(layer.zero, np.uint8), f"zero{index}"),
        ]
        last = index == len(layers) - 1
        product = [name, f"weights{index}", f"zero{index}", "weight_zero"]
        nodes += [
            helper.make_node("MatMulInteger", product, [f"product{index}"]),
            helper.make_node("Add", [f"product{index}", f"bias{index}"], [f"sum{index}"]),
            helper.make_node("Cast", [f"sum{index}"], [f"real{index}"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"real{index}", f"scale{index}"], ["change" if last else f"scaled{index}"]),
        ]
        if not last:
            name = f"bytes{index}"
            nodes.append(helper.make_node("QuantizeLinear", [f"scaled{index}", "one", "none"], [name]))
    graph = helper.make_graph(
        nodes,
        "forecast",
        [helper.make_tensor_value_info("hours", TensorProto.UINT8, ["batch", FEATURES])],
        [helper.make_tensor_value_info("change", TensorProto.FLOAT, ["batch", 1])],
        kept,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="tickwork weather")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


# --- what it is worth ---


def learnt() -> tuple[list[Layer], list[Examples]]:
    """Return the network in integers and the examples of the stations. Order: ``STATIONS``."""
    asked = [examples(station) for station in range(len(STATIONS))]
    inputs, answers = [], []
    for one in asked:
        chosen = split(one.hour)[0] & one.known
        inputs.append((one.inputs[chosen].astype(np.float64) - 128) * INPUT_STEP)
        answers.append(one.change[chosen, None] / 1000 / DEGREES)
    network = train(np.concatenate(inputs), grid(np.concatenate(answers), 20))
    return layers_of(network), asked


class Figures(NamedTuple):
    """Mean absolute errors over some forecasts. Units: degrees Fahrenheit."""

    forecasts: int
    model: float
    persistence: float


def figures(layers: list[Layer], asked: Examples, chosen: npt.NDArray[np.bool_]) -> Figures:
    """Return how far the chosen forecasts lay off, and how far "as now" did."""
    inputs, change = asked.inputs[chosen], asked.change[chosen] / 1000
    error = np.abs(forecast(layers, inputs).astype(np.float64) - change)
    return Figures(len(change), float(error.mean()), float(np.abs(change).mean()))


def main() -> None:
    """Write the model and the page of its provenance."""
    layers, asked = learnt()
    content = exported(layers)
    (FOLDER / "models").mkdir(exist_ok=True)
    (FOLDER / "models" / MODEL).write_bytes(content)
    sorts = [(split(one.hour)[1] & one.known, split(one.hour)[0] & one.known) for one in asked]
    table = []
    for label, sort in (("held out", 0), ("learnt from", 1)):
        for station, one in enumerate(asked):
            found = figures(layers, one, sorts[station][sort])
            share = 100 * (1 - found.model / found.persistence)
            row = f"| {STATIONS[station].upper()}, {label} | {found.forecasts:,} | {found.model:.2f} °F"
            table.append(f"{row} | {found.persistence:.2f} °F | {share:.0f} % |")
    sha256 = hashlib.sha256(content).hexdigest()
    page = PAGE.format(size=len(content), sha256=sha256, table="\n".join(table), seed=SEED)
    (FOLDER / "models" / "PROVENANCE.md").write_text(page, encoding="utf-8", newline="\n")


PAGE: Final = """# Where this model comes from

`forecast.onnx` says how much warmer or colder a station is six hours later, from its last 24 hours. `train.py` beside
this folder made it from the observations beside it and from nothing else, with the seed {seed}; run again, on any
machine, it makes the same bytes.

| | |
|---|---|
| File | `forecast.onnx`, {size} bytes |
| SHA-256 | `{sha256}` |
| Input | `hours`, uint8 [batch, 78]: temperatures, dew points, pressures and winds of 24 hours, hour and season |
| Output | `change`, float32 [batch, 1]: degrees Fahrenheit from now to six hours later |
| Network | 78 inputs, 32 and 16 hidden units, one output; weights and activations are unsigned bytes, sums are int32 |
| Licence | Apache-2.0 as Tickwork itself; the observations are CC0 1.0 |

## What it is worth

Mean absolute errors, beside those of persistence, the forecast that nothing changes. It learnt from the first 21 days
of each month. The days after them are held out: no hour of theirs, whether input or answer, was in what it learnt from.

| Forecasts | Count | Model | Persistence | Less error |
|---|---|---|---|---|
{table}

It is a small network that knows one station's past and no weather map: a national weather service does far better.
"""


if __name__ == "__main__":
    main()
