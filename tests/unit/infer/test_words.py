"""Words: published vocabularies are used as the model's card says, not as their file was last used."""

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from tickwork.errors import ModelInvalid, ModelsMissing
from tickwork.infer.words import Words


def vocabulary(folder: Path) -> Path:
    """A file with three words, which fills texts up to 8 tokens and cuts them after 3, as published files do."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    known = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "wind": 4, "snow": 5, "##y": 6}
    tokenizer = Tokenizer(models.WordPiece(known, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_text_becomes_the_numbers_of_its_tokens(tmp_path: Path) -> None:
    words = Words(vocabulary(tmp_path), most=256)
    assert words.tokens("Windy snow") == [2, 4, 6, 5, 3]
    assert words.tokens("") == [2, 3]
    assert words.tokens("hail") == [2, 1, 3]


def test_a_long_text_is_cut_off_and_keeps_its_end_mark(tmp_path: Path) -> None:
    words = Words(vocabulary(tmp_path), most=256)
    tokens = words.tokens("snow " * 1000)
    assert len(tokens) == 256
    assert tokens[-1] == 3


def test_half_of_a_surrogate_pair_is_an_unknown_word(tmp_path: Path) -> None:
    assert Words(vocabulary(tmp_path), most=256).tokens("\ud800 snow") == [2, 1, 5, 3]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", json.dumps({"model": {"type": "None"}}).encode()])
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ModelInvalid):
        Words(path, most=256)


def test_without_the_package_one_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, importing = vocabulary(tmp_path), builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return importing(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModelsMissing) as caught:
        Words(path, most=256)
    assert "tickwork[embeddings]" in caught.value.fix
