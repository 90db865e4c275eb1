"""The weather analyst: asks a year of observations, forecasts, draws a chart, writes a report once somebody agrees.

python examples/goals/weather_analyst
python examples/goals/weather_analyst --yes
python examples/goals/weather_analyst "Report on the weather at LGA in November"
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from examples.goals.trial import Desk, Example, main  # noqa: E402  # Found wherever the program is called.
from examples.goals.weather_analyst.convert import WEATHER, convert  # noqa: E402

GOAL = "Report on the weather at JFK in July"


def prepare(desk: Desk) -> None:
    """Make the database, and add the model to a store of the work folder's own."""
    convert(desk.folder / "weather.db")
    desk.copy(HERE / "chart.wasm", "chart.wasm")
    if not (desk.folder / "models").is_dir():
        desk.must("model", "add", str(WEATHER / "models" / "forecast.onnx"), "--unsigned", "--licence", "Apache-2.0")


if __name__ == "__main__":
    sys.exit(main(Example(HERE, GOAL, prepare, "reports")))
