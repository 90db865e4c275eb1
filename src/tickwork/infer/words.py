"""Words of a model that reads text: a text as the numbers of its tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..errors import ModelInvalid, ModelsMissing

FILE: Final = "tokenizer.json"


class Words:
    """A vocabulary and the rules by which a text is cut into it. It can be shared by threads.

    Args:
        path: A file as the package ``tokenizers`` writes it.
        most: Tokens of one text, with those at its ends; what is longer is cut off behind.

    Raises:
        ModelsMissing: TW6012, the package ``tokenizers`` is not installed.
        ModelInvalid: TW6002, the file is no vocabulary.
    """

    def __init__(self, path: Path, *, most: int) -> None:
        tokenizer = _read(path)
        # The file of a published model may fill texts up and cut them elsewhere, as it was last used.
        tokenizer.no_padding()
        tokenizer.enable_truncation(most)
        self._encode: Callable[[str], Any] = tokenizer.encode

    def tokens(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens. Shape: at least the two that stand at its ends."""
        # Half of a surrogate pair is no text, and the tokenizer takes none.
        whole = text.encode("utf-8", "replace").decode("utf-8")
        numbers: list[int] = self._encode(whole).ids
        return numbers


def _read(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ModelsMissing(
            "the package tokenizers is not installed",
            why="it cuts a text into the words that a model knows",
            fix='pip install "tickwork[embeddings]"',
        ) from error
    try:
        text = path.read_text(encoding="utf-8")
        return Tokenizer.from_str(text)
    # The package raises Exception itself, and no class of its own, for whatever it cannot read.
    except Exception as error:
        raise ModelInvalid(
            f"{path.name} is no vocabulary", where=str(path), why=str(error), fix="add the model again"
        ) from error
