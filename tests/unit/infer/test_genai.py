import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tickwork.errors import ModelInvalid
from tickwork.infer.genai import CONFIG, is_language_model, read_decoder


def folder_of(home: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> dict[str, Path]:
    config: dict[str, Any] = {
        "model": {
            "type": "llama",
            "vocab_size": 260,
            "context_length": 2048,
            "decoder": {"filename": "model.onnx", "session_options": {"provider_options": []}},
        },
        "search": {"do_sample": False},
    }
    change(config)
    texts = {CONFIG: json.dumps(config), "tokenizer.json": "{}", "tokenizer_config.json": "{}", "model.onnx": "x"}
    for name, text in texts.items():
        (home / name).write_text(text)
    return {name: home / name for name in texts}


def test_a_folder_says_what_its_decoder_can_read(tmp_path: Path) -> None:
    decoder = read_decoder(folder_of(tmp_path))
    assert (decoder.graph, decoder.family, decoder.context, decoder.words) == ("model.onnx", "llama", 2048, 260)


def test_a_language_model_is_known_by_its_configuration() -> None:
    assert is_language_model(["model.onnx", CONFIG])
    assert not is_language_model(["model.onnx"])


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["model"]["decoder"]["session_options"].update(custom_ops_library="evil.so"),
        lambda config: config["model"]["decoder"]["session_options"].update(enable_profiling="there"),
        lambda config: config["model"]["decoder"].update(filename="../model.onnx"),
        lambda config: config["model"]["decoder"].update(filename="other.onnx"),
        lambda config: config["model"]["decoder"].update(pipeline=[]),
        lambda config: config["model"].update(vision={"filename": "model.onnx"}),
        lambda config: config["model"].update(context_length=0),
        lambda config: config["model"].pop("vocab_size"),
        lambda config: config.update(model=[]),
        lambda config: config.update(engine={}),
    ],
)
def test_a_folder_that_names_more_than_a_decoder_of_text_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    files = folder_of(tmp_path, change)
    with pytest.raises(ModelInvalid):
        read_decoder(files)


def test_a_file_that_is_missing_or_unreadable_is_said(tmp_path: Path) -> None:
    files = folder_of(tmp_path)
    for name in files:
        with pytest.raises(ModelInvalid):
            read_decoder({other: path for other, path in files.items() if other != name})
    files[CONFIG].write_bytes(b"\xff{")
    with pytest.raises(ModelInvalid):
        read_decoder(files)
