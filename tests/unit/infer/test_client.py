"""Models through real processes: answers, faults, and that nothing is lost by them."""

import hashlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.unit.infer import nets
from tests.unit.infer.kept import MIB, keep
from tickwork.errors import ModelCrashed, ModelHostLost, ModelInputInvalid, ModelInvalid, ModelNotFound, ModelTimeout
from tickwork.infer.asking import Inference, Reply, Wanted
from tickwork.infer.client import Models
from tickwork.infer.store import ModelStore
from tickwork.records import Encoding, NoteKind, Refusal
from tickwork.tensors import FLOAT32, INT32, INT64, Tensor, encode_tensors

pytestmark = pytest.mark.slow

LEAST = -(1 << 31)


def whole(*numbers: int) -> bytes:
    return np.array(numbers, dtype=np.int32).tobytes()


def division(a: int, b: int) -> bytes:
    return encode_tensors([Tensor("a", INT32, (1,), whole(a)), Tensor("b", INT32, (1,), whole(b))])


def rows(count: int, seed: int = 0) -> bytes:
    drawn = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    return encode_tensors([Tensor("x", FLOAT32, drawn.shape, drawn.tobytes())])


def turns(count: int) -> bytes:
    """A request to the endless loop."""
    return encode_tensors(
        [Tensor("x", FLOAT32, (1,), bytes(4)), Tensor("count", INT64, (), count.to_bytes(8, "little"))]
    )


class Kept:
    """A store with models, and how to ask for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = ModelStore(folder)
        self.mlp = self.keep("mlp", nets.mlp())
        self.divide = self.keep("divide", nets.divide())

    def keep(self, name: str, data: bytes, memory: int = 64 * MIB) -> Wanted:
        return keep(self._store, name, data, memory)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("models"))


@pytest.fixture
def models(kept: Kept) -> Iterator[Models]:
    with Models(kept.folder) as made:
        yield made


def worker_pid(models: Models, wanted: Wanted) -> int:
    return next(one.pid for one in models.list() if one.model == wanted.model.hex())


def good(reply: Reply) -> bytes:
    assert reply.code == 0, reply.error
    return reply.body


def test_a_python_program_asks_with_lists_and_arrays_by_name_and_version(models: Models) -> None:
    x = np.ones((2, 16), dtype=np.float32)
    from_array = np.asarray(models.infer("mlp", {"x": x})["y"])
    assert from_array.shape == (2, 4)
    from_list = np.asarray(models.infer("mlp", {"x": x.tolist()}, "1.0.0")["y"])
    assert from_list.tobytes() == from_array.tobytes()
    one, other = models.batch_infer("mlp", [{"x": x}, {"x": x[:1]}])
    assert np.asarray(one["y"]).tobytes() == from_array.tobytes()
    assert other["y"].shape == (1, 4)
    assert models.request_inference("mlp", "latest", {"x": x}).result(30)["y"].shape == (2, 4)


def test_errors_are_raised_where_no_agent_asks(models: Models) -> None:
    with pytest.raises(ModelNotFound):
        models.infer("nobody", {"x": [1.0]})
    with pytest.raises(ModelInputInvalid):
        models.infer("mlp", {"x": np.ones((1, 17), dtype=np.float32)})
    with pytest.raises(ModelInputInvalid):
        models.infer("mlp", {})
    for wrong in (5, None, "x"):
        with pytest.raises(ModelInputInvalid):
            models.infer("mlp", wrong)  # type: ignore[arg-type]
        with pytest.raises(ModelInputInvalid):
            models.batch_infer("mlp", wrong)  # type: ignore[arg-type]
    with pytest.raises(ModelNotFound):
        models.infer(5, {})  # type: ignore[arg-type]
    with pytest.raises(ModelNotFound):
        models.infer("", {})


def test_a_question_after_close_is_told_so(kept: Kept) -> None:
    models = Models(kept.folder)
    models.close()
    with pytest.raises(ModelHostLost, match="after close"):
        models.infer("mlp", {"x": [[0.0] * 16]})


def test_json_is_answered_by_json(models: Models, kept: Kept) -> None:
    reply = models.ask(kept.mlp, b'{"x": [[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]]}', encoding=Encoding.JSON)
    assert reply.encoding == Encoding.JSON
    assert good(reply).startswith(b'{"y":[[')


def test_what_an_inference_took_is_told(kept: Kept) -> None:
    told = list[Inference]()
    with Models(kept.folder, told=told.append) as models:
        good(models.ask(kept.mlp, rows(1)))
        models.ask(kept.mlp, b"nonsense")
    first, second = told
    assert (first.model, first.provider, first.rows, first.code) == ("mlp:1.0.0", "cpu", 1, 0)
    assert first.total_us >= first.run_us > 0
    assert first.memory > MIB
    assert second.code == Refusal.BAD_MESSAGE


def test_a_model_can_be_pinned_listed_and_unloaded(models: Models, kept: Kept) -> None:
    assert models.load("mlp") == models.load(kept.mlp)
    assert models.pin("mlp") == 1
    [worker] = models.list()
    assert (worker.name, worker.version, worker.pinned, worker.state) == ("mlp", "1.0.0", True, "ready")
    assert models.unload("mlp") == 1
    assert models.list() == []
    assert models.unload(kept.mlp.model) == 0


def test_a_request_that_kills_its_process_is_refused_and_the_next_is_answered(models: Models, kept: Kept) -> None:
    reply = models.ask(kept.divide, division(LEAST, -1))
    assert (reply.code, type(reply.error)) == (Refusal.FAILED, ModelCrashed)
    assert reply.body == b"the request ends the model's worker process"
    assert [one.text for one in reply.incidents] == ["the worker ended by signal SIGFPE"] * 2
    assert whole(3) in good(models.ask(kept.divide, division(6, 2)))
    assert models.ask(kept.divide, division(LEAST, -1)).incidents == (), "it is known, and no process is spent on it"


@pytest.mark.parametrize("moment", ["idle", "run"])
def test_a_killed_worker_costs_no_request(models: Models, kept: Kept, moment: str) -> None:
    slow = kept.keep("square", nets.square(768, times=4))
    body = encode_tensors([Tensor("x", FLOAT32, (768, 768), np.eye(768, dtype=np.float32).tobytes())])
    expected = good(models.ask(slow, body))
    pid = worker_pid(models, slow)
    if moment == "idle":
        os.kill(pid, signal.SIGKILL)
        reply = models.ask(slow, body)
    else:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(models.ask, slow, body)
            while not any(one.pid == pid and one.asked + one.queued >= 1 for one in models.list()):
                threading.Event().wait(0.001)
            os.kill(pid, signal.SIGKILL)
            reply = future.result(60)
    assert good(reply) == expected
    assert {one.kind for one in reply.incidents} <= {NoteKind.CRASH}


def test_a_host_killed_again_and_again_costs_no_request(models: Models, kept: Kept) -> None:
    expected = good(models.ask(kept.mlp, rows(3)))
    done = threading.Event()
    killed = list[int]()

    def kill() -> None:
        while len(killed) < 3:
            pid = models.host_pid
            if pid and pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            if done.wait(0.3):
                return

    killer = threading.Thread(target=kill)
    killer.start()
    answers = set[bytes]()
    while killer.is_alive():
        answers.add(good(models.ask(kept.mlp, rows(3))))
    done.set()
    killer.join()
    answers.add(good(models.ask(kept.mlp, rows(3))))
    assert len(killed) == 3
    assert answers == {expected}


def test_nothing_of_a_service_outlives_it(kept: Kept) -> None:
    with Models(kept.folder) as models:
        good(models.ask(kept.mlp, rows(1)))
        pids = [models.host_pid, worker_pid(models, kept.mlp)]
    for pid in pids:
        while _lives(pid):
            threading.Event().wait(0.01)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended and waits for its parent is no process any more.
    return sys.platform != "linux" or ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")


def test_an_endless_loop_is_ended_at_its_deadline_and_the_next_request_is_answered(models: Models, kept: Kept) -> None:
    loop = kept.keep("loop", nets.loop())
    models.load(loop)
    reply = models.ask(loop, turns((1 << 63) - 1), deadline_ms=300)
    assert (reply.code, type(reply.error)) == (Refusal.TIMEOUT, ModelTimeout)
    assert good(models.ask(loop, turns(3)))
    assert models.stats().expired == 1


def long_product() -> bytes:
    """One kernel that takes as long as its input says: ones of shape ``n`` [2] times themselves, summed up."""
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["ones"]),
        helper.make_node("MatMul", ["ones", "ones"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["y"], keepdims=0),
    ]
    return nets.model(nodes, [("n", nets.INT64, [2])], [("y", nets.FLOAT, [])])


def test_a_long_kernel_is_ended_at_its_deadline(models: Models, kept: Kept) -> None:
    slow = kept.keep("long", long_product(), 256 * MIB)
    models.load(slow)
    body = encode_tensors([Tensor("n", INT64, (2,), np.array([6000, 6000]).tobytes())])
    assert models.ask(slow, body, deadline_ms=200).code == Refusal.TIMEOUT


def test_a_model_that_grows_beyond_all_limits_when_it_is_loaded_is_refused(models: Models, kept: Kept) -> None:
    bomb = kept.keep("bomb", nets.folding_bomb())
    reply = models.ask(bomb, encode_tensors([]))
    assert reply.code in {Refusal.FAILED, Refusal.NO_MEMORY, Refusal.BAD_MESSAGE}
    assert good(models.ask(kept.mlp, rows(1)))


def test_a_damaged_file_is_refused_when_it_is_loaded(kept: Kept, tmp_path: Path) -> None:
    own = Kept(tmp_path / "own")
    [blob] = [path for path in (own.folder / "blobs" / "sha256").iterdir() if path.read_bytes() == nets.mlp()]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(data)
    with Models(own.folder) as models:
        reply = models.ask(own.mlp, rows(1))
        assert reply.code == Refusal.FAILED
        assert reply.error is not None
        assert reply.error.code == "TW6003"
        assert whole(3) in good(models.ask(own.divide, division(6, 2)))


def test_sixteen_threads_evictions_and_restarts_change_no_bit(kept: Kept) -> None:
    """The 10,000 calls of the bench, fewer of them."""
    others = [kept.keep(f"mlp{seed}", nets.mlp(seed=seed)) for seed in (8, 9)]
    asked = [(wanted, rows(1 + seed % 3, seed)) for seed in range(6) for wanted in (kept.mlp, *others)]
    with Models(kept.folder) as calm:
        expected = {(one.model, body): digest(good(calm.ask(one, body))) for one, body in asked}
    with Models(kept.folder, budget_bytes=130 * MIB) as models:
        different = list[str]()

        def work(number: int) -> None:
            for at in range(12):
                wanted, body = asked[(number * 7 + at) % len(asked)]
                if digest(good(models.ask(wanted, body, tick=at))) != expected[wanted.model, body]:
                    different.append(wanted.model.hex())

        with ThreadPoolExecutor(16) as pool:
            futures = [pool.submit(work, number) for number in range(16)]
            for wanted in (kept.mlp, others[0]):
                for one in models.list():
                    if one.model == wanted.model.hex() and one.pid:
                        os.kill(one.pid, signal.SIGKILL)
            for future in futures:
                future.result(120)
        seen = models.stats()
        assert different == []
        assert seen.evictions > 0
        assert seen.used["cpu"] <= seen.budgets["cpu"]


def digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def test_a_request_that_is_too_large_is_refused_and_large_ones_at_once_are_not(models: Models, kept: Kept) -> None:
    wide = kept.keep("wide", nets.echo())
    assert models.ask(wide, rows_of(256 << 20)).code == Refusal.NO_MEMORY
    body, replies = rows_of(32 << 20), list[Reply]()
    threads = [threading.Thread(target=lambda: replies.append(models.ask(wide, body))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(one.code, len(one.body)) for one in replies] == [(0, len(body))] * 8
    assert models.stats().crashes == 0


def rows_of(size: int) -> bytes:
    return encode_tensors([Tensor("x", FLOAT32, (size // 16, 4), bytes(size))])


def test_a_service_that_nobody_runs_cannot_be_reached(kept: Kept, tmp_path: Path) -> None:
    with Models(kept.folder, address=tmp_path / "nobody") as models:
        with pytest.raises(ModelHostLost):
            models.stats()
        assert models.ask(kept.mlp, rows(1)).code == Refusal.FAILED


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_a_worker_is_confined(models: Models, kept: Kept) -> None:
    models.load(kept.mlp)
    status = Path(f"/proc/{worker_pid(models, kept.mlp)}/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")


def test_a_file_that_is_no_model_is_refused_when_it_is_loaded(models: Models, kept: Kept) -> None:
    wrong = kept.keep("nodes", nets.huge())
    try:
        models.load(wrong)
    except ModelInvalid:
        return
    assert models.ask(wrong, encode_tensors([])).code != 0
