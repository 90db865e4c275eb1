"""Makes a language model small enough to carry anywhere: a decoder with random weights that knows 256 bytes.

What it says means nothing, and always the same nothing: every weight follows from a seed through SHAKE-256, so the
files are the same on every machine. Held to a JSON schema it writes documents that fit it, which is all that a program
needs to be tested end to end where no real model can be had.

    python examples/tiny-decoder/make.py [--seed N] [FOLDER]
"""

import argparse
import hashlib
import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import onnx
from onnx import TensorProto, helper

HIDDEN: Final = 64
HEADS: Final = 4
KV_HEADS: Final = 2
HEAD: Final = HIDDEN // HEADS
INNER: Final = 128
LAYERS: Final = 2
CONTEXT: Final = 2048
SPECIALS: Final = ("<|begin|>", "<|end|>", "<|pad|>", "<|turn|>")
BEGIN, END, PAD = 256, 257, 258
WORDS: Final = 256 + len(SPECIALS)
"""Every byte, and what stands between texts."""

ROTARY_STEPS: Final = 1 << 15
"""Angles are rounded to so many steps, so that no library of mathematics shows in the file."""

TEMPLATE: Final = "{% for message in messages %}<|turn|>{{ message.role }}\n{{ message.content }}\n{% endfor %}<|turn|>"


class Graph:
    """Nodes and weights, as they are put in."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.nodes = list[onnx.NodeProto]()
        self.weights = list[onnx.TensorProto]()

    def node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **options: Any) -> str:
        """Put an operator in and return the name of its first output."""
        self.nodes.append(helper.make_node(operator, list(inputs), list(outputs), name=f"/{outputs[0]}", **options))
        return outputs[0]

    def floats(self, name: str, shape: Sequence[int], values: Sequence[float]) -> str:
        """Put numbers in as they are and return their name."""
        raw = struct.pack(f"<{len(values)}f", *values)
        self.weights.append(helper.make_tensor(name, TensorProto.FLOAT, shape, raw, raw=True))
        return name

    def random(self, name: str, shape: Sequence[int], spread: float) -> str:
        """Put random numbers in, even between minus and plus ``spread``, and return their name."""
        count = math.prod(shape)
        drawn = hashlib.shake_256(f"{self.seed} {name}".encode()).digest(2 * count)
        return self.floats(name, shape, [n * spread / 32768 for n in struct.unpack(f"<{count}h", drawn)])

    def integers(self, name: str, values: Sequence[int], scalar: bool = False) -> str:
        """Put whole numbers in and return their name."""
        self.weights.append(helper.make_tensor(name, TensorProto.INT64, [] if scalar else [len(values)], values))
        return name


def _lengths(graph: Graph) -> None:
    """How long each text is and how long all of them are, from the attention mask."""
    axis = graph.integers("one", [1])
    graph.node("ReduceSum", ["attention_mask", axis], ["mask.sum"], keepdims=0)
    graph.node("Sub", ["mask.sum", axis], ["mask.last"])
    graph.node("Cast", ["mask.last"], ["seqlens_k"], to=TensorProto.INT32)
    graph.node("Shape", ["attention_mask"], ["mask.shape"])
    graph.node("Gather", ["mask.shape", graph.integers("index", [1], scalar=True)], ["mask.total"], axis=0)
    graph.node("Cast", ["mask.total"], ["total_length"], to=TensorProto.INT32)


def _rotary(graph: Graph) -> None:
    """Cosines and sines of every place's angles."""
    half = HEAD // 2
    angles = [place / 10000 ** (2 * i / HEAD) for place in range(CONTEXT) for i in range(half)]
    for name, function in (("cos", math.cos), ("sin", math.sin)):
        graph.floats(name, [CONTEXT, half], [round(function(angle) * ROTARY_STEPS) / ROTARY_STEPS for angle in angles])


def _normal(graph: Graph, source: str, name: str) -> str:
    scale = graph.floats(f"{name}.scale", [HIDDEN], [1.0] * HIDDEN)
    return graph.node("LayerNormalization", [source, scale], [name], axis=-1, epsilon=1e-5)


def _layer(graph: Graph, source: str, layer: int) -> str:
    """One block: attention over what came before, then two products with a gate between."""
    at = f"layer.{layer}"
    normal = _normal(graph, source, f"{at}.before")
    for part, width in (("query", HIDDEN), ("key", KV_HEADS * HEAD), ("value", KV_HEADS * HEAD)):
        weight = graph.random(f"{at}.{part}.weight", [HIDDEN, width], 0.4)
        graph.node("MatMul", [normal, weight], [f"{at}.{part}"])
    past = [f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"]
    present = [f"present.{layer}.key", f"present.{layer}.value"]
    graph.node(
        "GroupQueryAttention",
        [f"{at}.query", f"{at}.key", f"{at}.value", *past, "seqlens_k", "total_length", "cos", "sin"],
        [f"{at}.attention", *present],
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=KV_HEADS,
        do_rotary=1,
        rotary_interleaved=0,
        scale=1 / math.sqrt(HEAD),
    )
    graph.node("MatMul", [f"{at}.attention", graph.random(f"{at}.out.weight", [HIDDEN, HIDDEN], 1.2)], [f"{at}.mixed"])
    middle = graph.node("Add", [source, f"{at}.mixed"], [f"{at}.middle"])
    normal = _normal(graph, middle, f"{at}.after")
    graph.node("MatMul", [normal, graph.random(f"{at}.up.weight", [HIDDEN, INNER], 0.4)], [f"{at}.up"])
    graph.node("Sigmoid", [f"{at}.up"], [f"{at}.gate"])
    graph.node("Mul", [f"{at}.up", f"{at}.gate"], [f"{at}.inner"])
    graph.node("MatMul", [f"{at}.inner", graph.random(f"{at}.down.weight", [INNER, HIDDEN], 0.4)], [f"{at}.down"])
    return graph.node("Add", [middle, f"{at}.down"], [f"{at}.after_all"])


def make_model(seed: int) -> onnx.ModelProto:
    """Return the decoder. Law: equal seeds give equal bytes."""
    graph = Graph(seed)
    _lengths(graph)
    _rotary(graph)
    graph.node("Gather", [graph.random("words", [WORDS, HIDDEN], 0.1), "input_ids"], ["embedded"])
    state = "embedded"
    for layer in range(LAYERS):
        state = _layer(graph, state, layer)
    final = _normal(graph, state, "final")
    graph.node("MatMul", [final, graph.random("head", [HIDDEN, WORDS], 0.4)], ["logits"])
    past: list[str | int | None] = ["batch", KV_HEADS, "past", HEAD]
    total: list[str | int | None] = ["batch", KV_HEADS, "total", HEAD]
    caches = [(layer, part) for layer in range(LAYERS) for part in ("key", "value")]
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "total"]),
        *(helper.make_tensor_value_info(f"past_key_values.{n}.{p}", TensorProto.FLOAT, past) for n, p in caches),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", WORDS]),
        *(helper.make_tensor_value_info(f"present.{n}.{p}", TensorProto.FLOAT, total) for n, p in caches),
    ]
    body = helper.make_graph(graph.nodes, "tiny-decoder", inputs, outputs, graph.weights)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=10, producer_name="tiny-decoder")


def make_config() -> dict[str, Any]:
    """Return the settings that onnxruntime-genai reads the folder by."""
    return {
        "model": {
            "type": "llama",
            "bos_token_id": BEGIN,
            "eos_token_id": END,
            "pad_token_id": PAD,
            "context_length": CONTEXT,
            "vocab_size": WORDS,
            "decoder": {
                "filename": "model.onnx",
                "hidden_size": HIDDEN,
                "head_size": HEAD,
                "num_attention_heads": HEADS,
                "num_key_value_heads": KV_HEADS,
                "num_hidden_layers": LAYERS,
                "session_options": {"provider_options": []},
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
            },
        },
        "search": {"do_sample": False, "max_length": CONTEXT, "num_beams": 1},
    }


def byte_letters() -> list[str]:
    """Return the letter that stands for each byte in a byte-level vocabulary. Source: GPT-2's table of bytes."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    rest = (chr(256 + place) for place in range(256))
    return [chr(byte) if byte in printable else next(rest) for byte in range(256)]


def make_tokenizer() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tokenizer of bytes, and its settings with the template of a conversation."""
    specials = [
        {
            "id": 256 + place,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for place, text in enumerate(SPECIALS)
    ]
    vocabulary = {letter: byte for byte, letter in enumerate(byte_letters())}
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": specials,
        "normalizer": None,
        "pre_tokenizer": bytewise,
        "post_processor": None,
        "decoder": bytewise,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocabulary | {text: 256 + place for place, text in enumerate(SPECIALS)},
            "merges": [],
        },
    }
    settings = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "bos_token": SPECIALS[0],
        "eos_token": SPECIALS[1],
        "pad_token": SPECIALS[2],
        "unk_token": SPECIALS[1],
        "model_max_length": CONTEXT,
        "chat_template": TEMPLATE,
        "added_tokens_decoder": {
            str(special["id"]): {key: value for key, value in special.items() if key != "id"} for special in specials
        },
    }
    return tokenizer, settings


def write(folder: Path, seed: int = 0) -> None:
    """Write the model's four files. Law: equal seeds give equal bytes, on every machine."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(make_model(seed).SerializeToString(deterministic=True))
    tokenizer, settings = make_tokenizer()
    documents = {"genai_config": make_config(), "tokenizer": tokenizer, "tokenizer_config": settings}
    for name, document in documents.items():
        text = json.dumps(document, indent=1, ensure_ascii=True) + "\n"
        (folder / f"{name}.json").write_bytes(text.encode())


def main() -> None:
    """Write the files where the command line says."""
    arguments = argparse.ArgumentParser(description="Make a tiny decoder with random weights.")
    arguments.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "out")
    arguments.add_argument("--seed", type=int, default=0, help="the weights follow from it")
    given = arguments.parse_args()
    write(given.folder, given.seed)
    size = sum(path.stat().st_size for path in given.folder.iterdir())
    print(f"{given.folder}: {size:,} bytes")


if __name__ == "__main__":
    main()
