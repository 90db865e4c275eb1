"""Tickwork: teams of sandboxed agents on one logical clock, journaled so that a run replays bit for bit.

A few nouns and the verbs; each is loaded when it is first used, so that importing the package costs next to nothing.
The types of all names stand in ``__init__.pyi``.
"""

from importlib import import_module

__version__ = "0.1.0"

if not __debug__:
    # Assertions guard what is written into a journal; without them a defect would be recorded as a fact.
    raise RuntimeError(
        "tickwork does not run under `python -O`: its assertions are part of it; start Python without -O"
    )

_HOMES = {
    "Agent": "native",
    "AgentSpec": "records",
    "Context": "native",
    "Difference": "driver.diff",
    "Divergence": "driver.compare",
    "Edit": "driver.fork",
    "Effect": "records",
    "Encoding": "records",
    "FrameKind": "records",
    "Header": "records",
    "Input": "records",
    "InputKind": "records",
    "Message": "records",
    "ModelSwap": "driver.plans",
    "Models": "infer.client",
    "Options": "driver.options",
    "Outbox": "native",
    "Performer": "driver.performers",
    "Progress": "driver.options",
    "Refusal": "records",
    "Result": "records",
    "Run": "driver.verify",
    "Swap": "driver.plans",
    "TickworkError": "errors",
    "Verification": "driver.verify",
    "World": "driver.resolve",
    "diff": "driver.verbs",
    "fork": "driver.verbs",
    "load_world": "driver.resolve",
    "make_world": "driver.resolve",
    "register_telemetry_hook": "driver.telemetry",
    "replay": "driver.verbs",
    "resume": "driver.verbs",
    "run": "driver.verbs",
    "verify": "driver.verbs",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll] - keys are text


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tickwork' has no attribute {name!r}")
    found: object = getattr(import_module(f"tickwork.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
