import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.unit.infer.askers import FakeAsker, keep_model, of_tensors
from tickwork.clock import SteppedClock
from tickwork.errors import ModelHostLost, UsageFault
from tickwork.infer import http as face_http
from tickwork.infer.face import Face, Terms
from tickwork.infer.http import Door
from tickwork.infer.manifest import ModelConfig, Port
from tickwork.infer.store import ModelStore
from tickwork.tensors import BFLOAT16, BOOL, FLOAT16, FLOAT32, INT64, STRING, Tensor

pytestmark = pytest.mark.slow

TYPES = {"f": FLOAT32, "i": INT64, "b": BOOL, "s": STRING, "h": FLOAT16, "e": BFLOAT16}


class Stand:
    """A store with a model that gives its inputs back, behind a face that listens."""

    def __init__(self, folder: Path, **terms: Any) -> None:
        self.store = ModelStore(folder / "store")
        ports = tuple(Port(name, code, ("rows", "n")) for name, code in TYPES.items())
        outputs = tuple(Port(f"{name}.out", code, ("rows", "n")) for name, code in TYPES.items())
        config = ModelConfig(name="mirror", version="1", entry="m.onnx", inputs=ports, outputs=outputs)
        self.digest = keep_model(self.store, folder, config)
        self.asker = FakeAsker(self.store, {self.digest: of_tensors(self._mirror)})
        self.held = threading.Event()
        self.held.set()
        self.entered = threading.Semaphore(0)
        self.terms = Terms(**terms)
        self.door: Door | None = None

    def _mirror(self, tensors: Any) -> list[Tensor]:
        self.entered.release()
        assert self.held.wait(20)
        return [Tensor(f"{tensor.name}.out", tensor.dtype, tensor.shape, tensor.data) for tensor in tensors]

    def open(self, **options: Any) -> Door:
        self.door = Door(Face(self.store, self.asker, SteppedClock(), self.terms), **options)
        return self.door

    @property
    def place(self) -> str:
        assert self.door is not None
        return self.door.address.removeprefix("http://")

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.place, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    made.open()
    yield made
    assert made.door is not None
    made.door.close()


@pytest.fixture
def client(stand: Stand) -> Iterator[Any]:
    made = triton.InferenceServerClient(stand.place)
    yield made
    made.close()


def an_input(name: str, array: Any, datatype: str, *, binary: bool = True) -> Any:
    made = triton.InferInput(name, list(array.shape), datatype)
    return made.set_data_from_numpy(array, binary_data=binary)


ARRAYS: list[tuple[str, str, Any]] = [
    ("f", "FP32", np.array([[1.5, -0.0], [3e38, 1e-45]], np.float32)),
    ("f", "FP32", np.array([[np.nan, np.inf], [-np.inf, 1]], np.float32)),
    ("i", "INT64", np.array([[1, -(2**63)]], np.int64)),
    ("b", "BOOL", np.array([[True, False]])),
    ("s", "BYTES", np.array([["one", "zwölf", ""]], np.object_)),
    ("h", "FP16", np.array([[0.5, 65504]], np.float16)),
    ("f", "FP32", np.zeros((0, 3), np.float32)),
]


def same(one: Any, other: Any) -> bool:
    if one.dtype == np.object_:
        return [_text(x) for x in one.flat] == [_text(x) for x in other.flat]
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())


def _text(element: Any) -> str:
    return element.decode() if isinstance(element, bytes) else element


def test_tritons_client_finds_server_and_model(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mirror")
    assert client.is_model_ready("mirror", "1")
    assert not client.is_model_ready("absent")
    assert client.get_server_metadata()["name"] == "tickwork"
    metadata = client.get_model_metadata("mirror", "1")
    assert (metadata["name"], metadata["versions"]) == ("mirror", ["1"])
    assert metadata["inputs"][0] == {"name": "f", "datatype": "FP32", "shape": [-1, -1]}
    config = client.get_model_config("mirror")
    assert config["input"][3] == {"name": "s", "data_type": "TYPE_STRING", "dims": [-1, -1]}
    assert client.get_model_repository_index() == [{"name": "mirror", "version": "1", "state": "READY", "reason": ""}]


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("name", "datatype", "array"), ARRAYS)
def test_tritons_client_gets_back_what_it_sent(
    client: Any, name: str, datatype: str, array: Any, binary: bool, binary_out: bool
) -> None:
    wanted = triton.InferRequestedOutput(f"{name}.out", binary_data=binary_out)
    result = client.infer("mirror", [an_input(name, array, datatype, binary=binary)], outputs=[wanted])
    assert same(result.as_numpy(f"{name}.out"), array)


def test_brain_floats_go_as_bytes_both_ways(client: Any) -> None:
    import ml_dtypes

    array = np.array([[1.5, -2.25]], ml_dtypes.bfloat16)
    result = client.infer("mirror", [an_input("e", array, "BF16")])
    assert result.as_numpy("e.out").tobytes() == array.tobytes()


def test_several_inputs_give_several_outputs_some_binary_and_some_not(client: Any) -> None:
    inputs = [an_input(name, array, datatype) for name, datatype, array in (ARRAYS[0], ARRAYS[2], ARRAYS[4])]
    wanted = [triton.InferRequestedOutput(f"{name}.out", binary_data=name != "i") for name in "sif"]
    result = client.infer("mirror", inputs, outputs=wanted, request_id="seven")
    assert result.get_response()["id"] == "seven"
    assert [output["name"] for output in result.get_response()["outputs"]] == ["s.out", "i.out", "f.out"]
    for name, _, array in (ARRAYS[0], ARRAYS[2], ARRAYS[4]):
        assert same(result.as_numpy(f"{name}.out"), array)


def test_all_outputs_are_binary_where_none_is_named(client: Any) -> None:
    response = client.infer("mirror", [an_input("f", ARRAYS[0][2], "FP32")]).get_response()
    assert response["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert len(response["parameters"]["fingerprint"]) == 16


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_packed_request_is_unpacked(client: Any, packing: str) -> None:
    array = np.ones((4, 4), np.float32)
    result = client.infer("mirror", [an_input("f", array, "FP32")], request_compression_algorithm=packing)
    assert same(result.as_numpy("f.out"), array)


def test_an_unloaded_model_is_gone_until_it_is_loaded(stand: Stand, client: Any) -> None:
    client.load_model("mirror")
    assert client.is_model_ready("mirror")
    client.unload_model("mirror")
    assert not client.is_model_ready("mirror")
    assert client.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
    with pytest.raises(InferenceServerException, match=r"\[404\].*unloaded"):
        client.infer("mirror", [an_input("f", ARRAYS[0][2], "FP32")])
    client.load_model("mirror")
    client.infer("mirror", [an_input("f", ARRAYS[0][2], "FP32")])
    assert (stand.asker.loaded, stand.asker.unloaded) == ([stand.digest] * 2, [stand.digest])


def test_statistics_count_answers(client: Any) -> None:
    client.infer("mirror", [an_input("f", ARRAYS[0][2], "FP32")])
    (statistics,) = client.get_inference_statistics()["model_stats"]
    assert statistics["inference_count"] == 1
    assert statistics["inference_stats"]["success"] == {"count": 1, "ns": 400_000}
    assert client.get_inference_statistics("mirror", "1")["model_stats"] == [statistics]


def test_what_is_not_offered_says_so(client: Any) -> None:
    for ask in (
        lambda: client.register_system_shared_memory("region", "/x", 8),
        client.get_cuda_shared_memory_status,
        client.get_trace_settings,
        client.get_log_settings,
    ):
        with pytest.raises(InferenceServerException, match=r"\[501\].*unsupported"):
            ask()
    asked = an_input("f", ARRAYS[0][2], "FP32").set_shared_memory("region", 16)
    with pytest.raises(InferenceServerException, match=r"\[400\].*shared_memory_region"):
        client.infer("mirror", [asked])
    with pytest.raises(InferenceServerException, match=r"\[400\].*as it is in the store"):
        client.load_model("mirror", config="{}")


def test_a_wrong_request_is_an_error_the_client_understands(client: Any) -> None:
    asked = an_input("f", ARRAYS[0][2], "FP32")
    with pytest.raises(InferenceServerException, match=r"\[404\].*TW6001"):
        client.infer("absent", [asked])
    with pytest.raises(InferenceServerException, match=r"\[404\].*TW6001"):
        client.get_model_metadata("mirror", "9")
    with pytest.raises(InferenceServerException, match=r"\[400\].*no output 'x'"):
        client.infer("mirror", [asked], outputs=[triton.InferRequestedOutput("x")])


def test_a_client_may_wait_less_and_not_longer(stand: Stand, client: Any) -> None:
    asked = [an_input("f", ARRAYS[0][2], "FP32")]
    for timeout in (2_000_000, 10**12, 1):
        client.infer("mirror", asked, timeout=timeout)
    assert [deadline for _, _, _, deadline, _ in stand.asker.asked] == [2000, 30_000, 1]
    assert [tick for *_, tick in stand.asker.asked] == [1, 2, 3]


def test_a_request_may_say_how_the_model_is_to_be_run(stand: Stand, client: Any) -> None:
    asked = [an_input("f", ARRAYS[0][2], "FP32")]
    client.infer("mirror", asked)
    client.infer("mirror", asked, parameters={"profile": "fast"})
    ways = [(wanted.profile, wanted.fallback) for wanted, *_ in stand.asker.asked]
    assert ways == [("exact-1", "strict"), ("fast", "on_run")]
    for wrong in ("slow", 1):
        with pytest.raises(InferenceServerException, match=r"\[400\]"):
            client.infer("mirror", asked, parameters={"profile": wrong})


def test_a_request_that_is_no_json_is_refused(stand: Stand) -> None:
    for body in (b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"inputs": 1}'):
        status, _, text = stand.ask("POST", "/v2/models/mirror/infer", body)
        assert (status, list(json.loads(text))) == (400, ["error"])


def test_paths_and_methods_that_are_not_there_are_json_errors(stand: Stand) -> None:
    assert [stand.ask("GET", path)[0] for path in ("/", "/v2/nothing", "/v1/nothing")] == [404, 501, 404]
    status, _, text = stand.ask("DELETE", "/v2/models/mirror")
    assert (status, list(json.loads(text))) == (405, ["error"])


def test_a_request_that_is_too_long_is_turned_away(tmp_path: Path) -> None:
    stand = Stand(tmp_path, body_bytes=1000)
    with_door = stand.open()
    try:
        assert stand.ask("POST", "/v2/models/mirror/infer", bytes(1001))[0] == 413
        chunked = {"transfer-encoding": "chunked"}
        assert (
            stand.ask("POST", "/v2/models/mirror/infer", b"3e9\r\n" + bytes(1001) + b"\r\n0\r\n\r\n", chunked)[0] == 413
        )
        status, _, text = stand.ask(
            "POST", "/v2/models/mirror/infer", _bomb(), {"content-encoding": "gzip", "content-type": "application/json"}
        )
        assert (status, b"larger" in text) == (400, True)
    finally:
        with_door.close()


def _bomb() -> bytes:
    import gzip

    return gzip.compress(bytes(100_000))


def test_a_request_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    stand = Stand(tmp_path, read_ms=50)
    door = stand.open()
    try:
        connection = http.client.HTTPConnection(stand.place, timeout=20)
        connection.putrequest("POST", "/v2/models/mirror/infer")
        connection.putheader("content-length", "10")
        connection.endheaders()
        assert connection.getresponse().status == 408
        connection.close()
    finally:
        door.close()


@pytest.mark.parametrize("path", ["/v2", "/v1/models"])
@pytest.mark.parametrize("wrong", [b"no http at all\r\n\r\n", b"GET %s HTTP/1.1\r\n\r\n", b"GET %s HTTP/1.1\r\nx: "])
def test_what_is_no_http_is_told_so_in_words_of_ours(stand: Stand, path: str, wrong: bytes) -> None:
    said = wrong.replace(b"%s", path.encode())
    if said.endswith(b"x: "):
        said += b"a" * (face_http.HEAD_BYTES + 1)
    host, _, port = stand.place.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(said)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        document = json.loads(answer.read())
    assert (answer.status, answer.getheader("content-type")) == (400, "application/json")
    assert document["error"] == "the request is no HTTP/1.1, or its head has more than 65,536 bytes"


@pytest.mark.parametrize("said", [b"", b"GET /v2 HTT"])
def test_a_connection_that_sends_no_whole_head_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(face_http, "QUIET_S", 0.05)
    stand = Stand(tmp_path)
    door = stand.open()
    try:
        host, _, port = stand.place.partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(said)
            assert connection.recv(4096) == b""
    finally:
        door.close()


def test_more_requests_than_are_answered_at_a_time_are_told_to_come_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path, requests=1)
    door = stand.open()
    body = json.dumps({"inputs": [{"name": "f", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}).encode()
    answers = list[int]()
    stand.held.clear()
    waiting = threading.Thread(target=lambda: answers.append(stand.ask("POST", "/v2/models/mirror/infer", body)[0]))
    try:
        waiting.start()
        assert stand.entered.acquire(timeout=20)
        status, headers, text = stand.ask("POST", "/v2/models/mirror/infer", body)
        assert (status, headers["retry-after"], b"too many" in text) == (503, "1", True)
        stand.held.set()
        waiting.join()
        assert answers == [200]
        assert stand.ask("POST", "/v2/models/mirror/infer", body)[0] == 200
    finally:
        stand.held.set()
        door.close()


def test_a_token_is_asked_of_everybody_but_who_looks_whether_it_lives(tmp_path: Path) -> None:
    token = "0123456789abcdef"
    stand = Stand(tmp_path)
    door = stand.open(token=token)
    try:
        assert stand.ask("GET", "/v2/health/live")[0] == 200
        for path in ("/v2/models/mirror", "/v1/models", "/metrics"):
            assert stand.ask("GET", path)[0] == 401
            assert stand.ask("GET", path, headers={"authorization": "Bearer x"})[0] == 401
            assert stand.ask("GET", path, headers={"authorization": f"Bearer {token}"})[0] == 200
        client = triton.InferenceServerClient(stand.place)
        assert client.is_model_ready("mirror", headers={"Authorization": f"Bearer {token}"})
        client.close()
    finally:
        door.close()


def test_without_a_token_only_this_machine_is_served_by_its_own_name(stand: Stand) -> None:
    for headers in ({"host": "evil.example"}, {"host": stand.place, "origin": "https://evil.example"}, {"host": ""}):
        assert stand.ask("GET", "/v2", headers=headers)[0] == 403
    for name in ("localhost", "127.0.0.1:80", "[::1]:8000"):
        assert stand.ask("GET", "/v2", headers={"host": name})[0] == 200


def test_others_are_not_let_in_without_a_token(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with pytest.raises(UsageFault):
        stand.open(host="0.0.0.0")
    with pytest.raises(UsageFault):
        stand.open(token="short")


def test_a_port_that_is_taken_is_said(stand: Stand, tmp_path: Path) -> None:
    other = Stand(tmp_path / "other")
    with pytest.raises(ModelHostLost):
        other.open(port=int(stand.place.partition(":")[2]))


def test_what_was_counted_reads_as_prometheus_reads_it(stand: Stand, client: Any) -> None:
    client.infer("mirror", [an_input("f", ARRAYS[0][2], "FP32")])
    status, headers, text = stand.ask("GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = text.decode().splitlines()
    assert 'tickwork_model_inference_duration_seconds_count{model="mirror:1",provider="cpu"} 1' in lines
    assert 'tickwork_model_inferences_total{model="mirror:1",code="0"} 1' in lines
    assert "tickwork_http_requests_in_flight 1" in lines
