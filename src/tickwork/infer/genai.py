"""What the folder of a language model says about it, read without loading anything.

Shape: a folder of onnxruntime-genai: ``genai_config.json``, the decoder's graph with its weights, and a tokenizer.

The configuration could name libraries to load and files elsewhere, so only what is known to be harmless may stand in
it: settings of the graph's shape, of the tokens, and of the search.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, cast

import msgspec

from ..errors import ModelInvalid
from .manifest import LLM, ModelConfig
from .prompts import INPUTS, OUTPUTS

CONFIG: Final = "genai_config.json"
TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json")

CONFIG_BYTES: Final = 1 << 20
CONTEXT_MOST: Final = 1 << 24

_TOP: Final = {"model", "search"}
_MODEL: Final = {"type", "vocab_size", "context_length", "decoder", "bos_token_id", "eos_token_id", "pad_token_id"}
_DECODER: Final = {
    "filename", "head_size", "hidden_size", "inputs", "outputs", "num_attention_heads", "num_hidden_layers",
    "num_key_value_heads", "session_options", "sliding_window",
}  # fmt: skip
_SESSION: Final = {"log_id", "provider_options", "intra_op_num_threads", "inter_op_num_threads"}
"""Options of the session a folder may set. They are replaced when it is loaded, all but the name in the log."""


class Decoder(msgspec.Struct, frozen=True):
    """What is known of a language model before it is loaded.

    Attributes:
        graph: Path of the decoder in the folder.
        family: As the configuration says: ``llama``, ``phi``.
        context: Tokens of prompt and answer together, at most.
        words: Tokens it knows.
    """

    graph: str
    family: str
    context: int
    words: int


def is_language_model(files: Iterable[str]) -> bool:
    """Return whether files, by their paths in the folder, are those of a language model."""
    return CONFIG in files


def read_decoder(files: Mapping[str, Path]) -> Decoder:
    """Return what a folder says its decoder is.

    Args:
        files: Path in the folder, and where the file lies.

    Raises:
        ModelInvalid: TW6002, something is missing or nothing that may be loaded.
    """
    for name in (CONFIG, *TOKENIZER):
        if name not in files:
            raise _unfit(f"the folder has no {name}", "a language model is a folder of onnxruntime-genai")
    if files[CONFIG].stat().st_size > CONFIG_BYTES:
        raise _unfit(f"{CONFIG} is too long", f"{CONFIG_BYTES:,} bytes are the most")
    try:
        config: object = msgspec.json.decode(files[CONFIG].read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unfit(f"{CONFIG} cannot be read", str(error)) from error
    top = _table(config, "", _TOP, CONFIG)
    model = _table(top, "model", _MODEL, CONFIG)
    decoder = _table(model, "decoder", _DECODER, CONFIG)
    _table(decoder, "session_options", _SESSION, CONFIG)
    graph = decoder.get("filename")
    if not isinstance(graph, str) or graph not in files or PurePosixPath(graph).name != graph:
        raise _unfit(f"the decoder that {CONFIG} names is not in the folder", "it is one file beside it")
    context, words = model.get("context_length"), model.get("vocab_size")
    if not isinstance(context, int) or not isinstance(words, int) or not (0 < context <= CONTEXT_MOST and words > 0):
        raise _unfit(f"{CONFIG} does not say how much the model can read", "context_length and vocab_size are needed")
    return Decoder(graph, str(model.get("type", "")), context, words)


def describe_language(folder: Path, entry: str) -> ModelConfig:
    """Return what there is to know of a language model before it is loaded: what it takes, and its decoder's operators.

    Only ever called in a child process under limits, as ``graph.read_graph`` is.

    Args:
        entry: Path of its configuration in the folder.

    Raises:
        ModelInvalid: TW6002.
    """
    from .graph import read_graph
    from .screen import screen

    home = (folder / entry).parent
    graph = read_graph(home, read_decoder(files_of(home)).graph)
    return ModelConfig(
        name="",
        version="",
        kind=LLM,
        entry=entry,
        inputs=INPUTS,
        outputs=OUTPUTS,
        ir=graph.ir,
        opsets=graph.opsets,
        operators=graph.operators,
        screening=screen(graph),
    )


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files in a folder by their paths in it."""
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def _table(holder: object, name: str, known: set[str], where: str) -> dict[str, object]:
    """Return a table and refuse what is not known in it. An absent one is empty."""
    found = cast(dict[str, object], holder).get(name, {}) if name else holder
    if not isinstance(found, dict):
        raise _unfit(f"{name or where} is no table", f"as {where} is read")
    table = cast(dict[str, object], found)
    if strange := sorted(table.keys() - known):
        shown = ", ".join(f"{name}.{key}" if name else key for key in strange)
        raise _unfit(f"{where} says {shown}", "only settings of a decoder of text may stand there")
    return table


def _unfit(what: str, why: str) -> ModelInvalid:
    return ModelInvalid(what, why=why, fix="make the folder with the model builder of onnxruntime-genai")
