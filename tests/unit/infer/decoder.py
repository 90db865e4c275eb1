"""The tiny decoder of the examples, made for a test."""

import importlib.util
from pathlib import Path

from tests.support import ROOT, missing

SCRIPT = ROOT / "examples" / "tiny-decoder" / "make.py"

PLAN = {
    "type": "object",
    "properties": {
        "planner": {"const": "tiny"},
        "goal": {"enum": ["fetch", "store", "measure"]},
        "steps": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {
                    "step_id": {"type": "string", "pattern": "^s[0-9]$"},
                    "skill": {"enum": ["http_call", "sum"]},
                    "on_error": {"enum": ["stop", "continue"]},
                },
                "required": ["step_id", "skill", "on_error"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["planner", "goal", "steps"],
    "additionalProperties": False,
}
"""What a plan of a planner looks like."""


def make_decoder(folder: Path, seed: int = 0) -> Path:
    """Write the model's files and return their folder, or skip the test where onnx is not installed."""
    if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("onnxruntime_genai") is None:
        missing("onnx or onnxruntime-genai is not installed: make setup")
    found = importlib.util.spec_from_file_location("tiny_decoder", SCRIPT)
    assert found is not None
    assert found.loader is not None
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    script.write(folder, seed)
    return folder
