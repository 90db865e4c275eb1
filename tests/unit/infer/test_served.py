"""Real clients, a real network, real processes: Triton's client and OpenAI's protocol over models that run."""

import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import onnxruntime as ort
import pytest
import tritonclient.http as triton
from onnx import helper
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.unit.infer import nets
from tests.unit.infer.decoder import PLAN, make_decoder
from tickwork.clock import SystemClock
from tickwork.infer.client import Models
from tickwork.infer.face import Face, Terms
from tickwork.infer.genai import CONFIG
from tickwork.infer.http import Door
from tickwork.infer.manifest import LLM, ModelConfig, Port
from tickwork.infer.prompts import INPUTS, OUTPUTS
from tickwork.infer.store import ModelStore
from tickwork.tensors import BFLOAT16, BOOL, FLOAT16, FLOAT32, INT64, STRING

pytestmark = pytest.mark.slow

SAME = (("f", FLOAT32), ("i", INT64), ("b", BOOL), ("h", FLOAT16), ("e", BFLOAT16))
"""Inputs of a model that gives them back, each of another type."""


WORDS = (("s", STRING),)
"""The same with text, which goes no way with numbers that no array holds."""


def mirror(ports: Sequence[tuple[str, int]]) -> bytes:
    return nets.model(
        [helper.make_node("Identity", [name], [f"{name}.out"]) for name, _ in ports],
        [(name, code, ["rows", "n"]) for name, code in ports],
        [(f"{name}.out", code, ["rows", "n"]) for name, code in ports],
    )


class Stand:
    """A store with models, the service, and a face that listens."""

    def __init__(self, home: Path) -> None:
        self.store = ModelStore(home / "store")
        self.mlp = nets.mlp()
        self._add(home, "mlp", self.mlp, [("x", FLOAT32, ("rows", 16))], [("y", FLOAT32, ("rows", 4))])
        shape = ("rows", "n")
        for name, ports in (("mirror", SAME), ("words", WORDS)):
            outputs = [(f"{port}.out", code, shape) for port, code in ports]
            self._add(home, name, mirror(ports), [(port, code, shape) for port, code in ports], outputs)
        self._add(home, "divide", nets.divide(), [("a", 6, ("n",)), ("b", 6, ("n",))], [("y", 6, ("n",))])
        tiny = ModelConfig(name="tiny", version="1", kind=LLM, entry=CONFIG, inputs=INPUTS, outputs=OUTPUTS)
        self.store.add(make_decoder(home / "tiny"), tiny)
        self.models = Models(home / "store")
        self.models.stats()
        self.door = Door(Face(self.store, self.models, SystemClock(), Terms(deadline_ms=20_000)))
        self.place = self.door.address.removeprefix("http://")

    def _add(
        self,
        home: Path,
        name: str,
        graph: bytes,
        inputs: Sequence[tuple[str, int, tuple[int | str, ...]]],
        outputs: Sequence[tuple[str, int, tuple[int | str, ...]]],
    ) -> None:
        (home / f"{name}.onnx").write_bytes(graph)
        config = ModelConfig(
            name=name,
            version="1",
            entry=f"{name}.onnx",
            inputs=tuple(Port(*one) for one in inputs),
            outputs=tuple(Port(*one) for one in outputs),
        )
        self.store.add(home / f"{name}.onnx", config)

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.place, timeout=60)
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def close(self) -> None:
        self.door.close()
        self.models.close()


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    made = Stand(tmp_path_factory.mktemp("served"))
    yield made
    made.close()


@pytest.fixture
def client(stand: Stand) -> Iterator[Any]:
    made = triton.InferenceServerClient(stand.place, network_timeout=60, connection_timeout=60)
    yield made
    made.close()


def an_input(name: str, array: Any, datatype: str, *, binary: bool = True) -> Any:
    return triton.InferInput(name, list(array.shape), datatype).set_data_from_numpy(array, binary_data=binary)


def test_tritons_client_gets_the_bits_that_onnx_runtime_gives(stand: Stand, client: Any) -> None:
    client.load_model("mlp")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    raw = ort.InferenceSession(stand.mlp, options, providers=["CPUExecutionProvider"])
    draw = np.random.default_rng(3)
    for rows in (1, 2, 7):
        x = draw.standard_normal((rows, 16)).astype(np.float32)
        (wanted,) = raw.run(None, {"x": x})
        for binary in (True, False):
            outputs = [triton.InferRequestedOutput("y", binary_data=binary)]
            y = client.infer("mlp", [an_input("x", x, "FP32", binary=binary)], "1", outputs=outputs).as_numpy("y")
            assert (y.dtype, y.shape, y.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())


def test_every_type_goes_through_a_model_and_back(client: Any) -> None:
    import ml_dtypes

    arrays: dict[str, Any] = {
        "f": np.array([[1.5, -0.0]], np.float32),
        "i": np.array([[1, -(2**63)]], np.int64),
        "b": np.array([[True, False]]),
        "h": np.array([[0.5, 65504]], np.float16),
        "e": np.array([[1.5, -2.25]], ml_dtypes.bfloat16),
    }
    types = {"f": "FP32", "i": "INT64", "b": "BOOL", "h": "FP16", "e": "BF16"}
    result = client.infer("mirror", [an_input(name, array, types[name]) for name, array in arrays.items()])
    for name, array in arrays.items():
        back = result.as_numpy(f"{name}.out")
        assert (back.dtype, back.tobytes()) == (array.dtype, array.tobytes())


@pytest.mark.parametrize("binary", [True, False])
def test_texts_go_through_a_model_and_back(client: Any, binary: bool) -> None:
    texts = np.array([["one", "zwölf", ""]], np.object_)
    result = client.infer("words", [an_input("s", texts, "BYTES", binary=binary)])
    assert [text.decode() for text in result.as_numpy("s.out").flat] == list(texts.flat)


def test_a_wrong_tensor_is_the_clients_fault_and_a_crash_the_models(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"\[400\] TW6004"):
        client.infer("mlp", [an_input("x", np.zeros((1, 15), np.float32), "FP32")])
    with pytest.raises(InferenceServerException, match=r"\[400\] TW6004"):
        client.infer("mlp", [an_input("z", np.zeros((1, 16), np.float32), "FP32")])
    least, minus = np.array([-(2**31)], np.int32), np.array([-1], np.int32)
    with pytest.raises(InferenceServerException, match=r"\[500\] TW6007"):
        client.infer("divide", [an_input("a", least, "INT32"), an_input("b", minus, "INT32")])
    good = client.infer("divide", [an_input("a", least, "INT32"), an_input("b", -2 * minus, "INT32")])
    assert good.as_numpy("y").tolist() == [-(2**30)]


def test_an_answer_that_takes_too_long_is_given_up_and_the_next_is_good(stand: Stand, client: Any) -> None:
    client.load_model("tiny")
    for asked, timeout, fails in (("a{2000}", 20_000, True), ("a{20}", 10_000_000, False)):
        request = np.array([json.dumps({"prompt": "x", "max_tokens": 2000, "regex": asked})], np.object_)
        given = [an_input("request", request, "BYTES")]
        if fails:
            with pytest.raises(InferenceServerException, match=r"\[504\] TW6006"):
                client.infer("tiny", given, timeout=timeout)
        else:
            answer = client.infer("tiny", given, timeout=timeout).as_numpy("answer")[0]
            assert json.loads(answer)["text"] == "a" * 20


def test_many_at_once_get_each_their_own_answer(stand: Stand) -> None:
    def ask(number: int) -> float:
        client = triton.InferenceServerClient(stand.place, network_timeout=60, connection_timeout=60)
        try:
            sent = np.full((1, 2), number, np.int64)
            zero = {"f": "FP32", "b": "BOOL", "h": "FP16"}
            rest = [an_input(name, np.zeros((1, 2), triton_to_np_dtype(kind)), kind) for name, kind in zero.items()]
            brain = an_input("e", np.zeros((1, 2), triton_to_np_dtype("BF16")), "BF16")
            return float(client.infer("mirror", [an_input("i", sent, "INT64"), *rest, brain]).as_numpy("i.out")[0, 1])
        finally:
            client.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(64))) == list(range(64))


def test_what_the_service_did_stands_beside_what_was_asked(stand: Stand, client: Any) -> None:
    client.load_model("mlp")
    connection = http.client.HTTPConnection(stand.place, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    assert 'tickwork_service_model_asked{model="mlp:1",profile="exact-1",provider="cpu"}' in text
    assert "tickwork_model_inferences_total" in text


def test_unloading_ends_the_models_process(stand: Stand, client: Any) -> None:
    client.load_model("mlp")
    assert "mlp" in {worker.name for worker in stand.models.list()}
    client.unload_model("mlp")
    assert "mlp" not in {worker.name for worker in stand.models.list() if worker.state == "ready"}
    assert not client.is_model_ready("mlp")
    client.load_model("mlp")
    assert client.is_model_ready("mlp")


def test_a_plan_that_is_asked_for_over_http_fits_its_schema_and_is_always_the_same(stand: Stand) -> None:
    asked = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "fetch the news"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "plan", "schema": PLAN, "strict": True}},
    }
    texts = list[str]()
    for _ in range(3):
        status, body = stand.post("/v1/chat/completions", asked)
        assert status == 200
        texts.append(json.loads(body)["choices"][0]["message"]["content"])
    jsonschema.validate(json.loads(texts[0]), PLAN)
    assert texts == [texts[0]] * 3
    status, body = stand.post("/v1/chat/completions", {**asked, "stream": True})
    events = [json.loads(line.removeprefix("data: ")) for line in body.split("\n\n")[:-2]]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == texts[0]


def test_a_schema_that_cannot_be_held_to_is_the_clients_fault(stand: Stand) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "banana"}}}
    status, body = stand.post("/v1/completions", {"model": "tiny", "prompt": "x", "response_format": form})
    assert (status, json.loads(body)["error"]["code"]) == (400, "TW6004")
