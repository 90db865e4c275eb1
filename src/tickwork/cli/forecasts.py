"""The demo's forecasts: how far they lay off, added up from the journal's records, and who answers where nobody can.

The layout is that of ``weather.h`` beside the example's agents.
"""

import struct
from importlib.util import find_spec
from typing import Final

import msgspec

from ..records import INFER_PREFIX, Effect, Encoding, Refusal, Result

FORECAST_ERROR: Final = struct.Struct("<HBxIIIIIIIi")
"""Topic forecast_error, one station's day: day, station; count and sums of errors of held-out hours, the model's and
persistence's; the same of the other hours; requests unanswered, and why the last of them was."""

MODEL: Final = INFER_PREFIX + "forecast"
NEEDED: Final = ("numpy", "onnx", "onnxruntime")
"""What runs a model; its worker alone loads them."""

INSTALL: Final = "pip install 'tickwork[models]'"


class Misses(msgspec.Struct):
    """How far forecasts lay off in sum. Units: thousandths of a degree Fahrenheit.

    Attributes:
        model, persistence: Of the model, and of the forecast that nothing changes.
    """

    forecasts: int = 0
    model: int = 0
    persistence: int = 0

    def add(self, forecasts: int, model: int, persistence: int) -> None:
        """Take more forecasts in."""
        self.forecasts += forecasts
        self.model += model
        self.persistence += persistence

    def means(self) -> tuple[float, float]:
        """Return both mean errors. Units: degrees Fahrenheit."""
        return self.model / 1000 / self.forecasts, self.persistence / 1000 / self.forecasts

    def document(self) -> dict[str, object]:
        """Return count and mean errors as a document; errors of no forecasts are None."""
        names = ("error_milli_f", "persistence_error_milli_f")
        means = [total // self.forecasts if self.forecasts else None for total in (self.model, self.persistence)]
        return {"forecasts": self.forecasts, **dict(zip(names, means, strict=True))}


class Forecasts(msgspec.Struct):
    """All forecasts of a run.

    Attributes:
        held_out, others: Of hours that the model has not learnt from, and of the rest.
        unanswered: Requests the model did not answer.
        refusal: Why the last of them was not: a ``Refusal``, or 0.
    """

    held_out: Misses = msgspec.field(default_factory=Misses)
    others: Misses = msgspec.field(default_factory=Misses)
    unanswered: int = 0
    refusal: int = 0

    def take(self, body: bytes) -> None:
        """Take in a message of the topic; one of another layout is passed over."""
        if len(body) % FORECAST_ERROR.size:
            return
        for _, _, *sums, unanswered, refusal in FORECAST_ERROR.iter_unpack(body):
            self.held_out.add(*sums[:3])
            self.others.add(*sums[3:])
            self.unanswered += unanswered
            self.refusal = refusal or self.refusal

    def sentence(self) -> str:
        """Return how good they were, beside the forecast that nothing changes."""
        if self.unanswered and not self.held_out.forecasts and not self.others.forecasts:
            if self.refusal == Refusal.UNSUPPORTED:
                return f"none: nothing here runs models; {INSTALL} brings it"
            return f"none: the model answered none of {self.unanswered:,} requests (code {self.refusal})"
        chosen = self.held_out if self.held_out.forecasts else self.others
        if not chosen.forecasts:
            return "none came due"
        model, persistence = chosen.means()
        where = "it has not learnt from" if chosen is self.held_out else "it has learnt from"
        more = f"; {self.unanswered:,} requests were not answered" if self.unanswered else ""
        return (
            f"{model:.2f} °F off in the mean, six hours ahead; persistence {persistence:.2f} °F "
            f"({chosen.forecasts:,} hours {where}{more})"
        )

    def document(self) -> dict[str, object]:
        """Return them as a document."""
        return {
            "held_out": self.held_out.document(),
            "others": self.others.document(),
            "unanswered": self.unanswered,
            "refusal": self.refusal,
        }


class Absent:
    """Answers in place of a model where nothing can run one."""

    def perform(self, effect: Effect) -> Result:
        """Refuse the request."""
        return Result(effect.number, Refusal.UNSUPPORTED, Encoding.BYTES, b"nothing here runs models")


def can_run_models() -> bool:
    """Return whether what runs models is installed. Nothing of it is loaded."""
    return all(find_spec(name) is not None for name in NEEDED)
