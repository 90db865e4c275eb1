"""The forecast of the weather example as tests see it: its training as a module, and its model in this process."""

import functools
import importlib.util
import sys
from types import ModuleType
from typing import Any

from tests.support import ROOT
from tickwork import Effect, Encoding, Result
from tickwork.tensors import FLOAT32, UINT8, Tensor, decode_tensors, encode_tensors

FOLDER = ROOT / "examples" / "weather"
MODEL = FOLDER / "models" / "forecast.onnx"
FEATURES = 78


@functools.cache
def training() -> ModuleType:
    """Return ``train.py`` as a module."""
    spec = importlib.util.spec_from_file_location("weather_training", FOLDER / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["weather_training"] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def learnt() -> Any:
    """Return what training comes to: the layers, and the examples of each station."""
    return training().learnt()


def session(*, level: str = "ORT_ENABLE_ALL", threads: int = 1) -> Any:
    """Return a session with the committed model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])


class Forecaster:
    """Performs the requests of agents with the committed model."""

    def __init__(self) -> None:
        self.session = session()

    def answer(self, body: bytes) -> bytes:
        """Return the model's answer to a request."""
        import numpy as np

        [asked] = decode_tensors(body)
        assert (asked.dtype, asked.shape) == (UINT8, (1, FEATURES))
        [change] = self.session.run(None, {"hours": np.frombuffer(asked.data, np.uint8).reshape(asked.shape)})
        return encode_tensors([Tensor("change", FLOAT32, (1, 1), change.tobytes())])

    def perform(self, effect: Effect) -> Result:
        return Result(effect.number, 0, Encoding.TENSOR, self.answer(effect.body))
