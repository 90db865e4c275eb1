"""``tickwork model embed``."""

import sys
from collections.abc import Sequence
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from ..infer.embeddings import Embedder, HashedNgrams, Vector, best_embedder, cosine, open_embedder
from ..infer.store import ModelStore
from .config import load_settings, models_folder
from .models import Address, own_or_running
from .output import Output, write_line, write_rows
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model embed "snow delays flights" "flights delayed by snow"
    tickwork model embed --model hashed "snow" "rain" -o json
    cat sentences.txt | tickwork model embed -o jsonl

Prints how alike the texts are, from -1 to 1; with json the vectors themselves.
MiniLM is taken where the store has it (tickwork model add minilm), and hashed
n-grams of characters where it does not: they know spellings and no meanings."""

HASHED: Final = "hashed"
MOST_COLUMNS: Final = 8
"""Texts of which all pairs are shown; of more, each is shown with the one most like it."""

app = App(name="embed", help_epilogue=EXAMPLES)


@app.default
def embed(
    *texts: Annotated[str, Parameter(help="Texts; without any, each line of standard input is one.")],
    model: Annotated[
        str, Parameter(help="hashed, or an embedding model of the store; by default minilm if it is there.")
    ] = "",
    store: Store = None,
    address: Address = None,
    output: Output = "text",
) -> int:
    """Turn texts into vectors, and show how alike they are."""
    given = list(texts) or sys.stdin.read().splitlines()
    if not given:
        raise UsageFault("there is no text", fix="give some, or one a line on standard input")
    with own_or_running(store, address) as models:
        shelf = ModelStore(store or models_folder(load_settings()))
        embedder: Embedder
        if model == HASHED:
            embedder = HashedNgrams()
        else:
            embedder = open_embedder(shelf, models, model) if model else best_embedder(shelf, models)
        vectors = embedder.embed(given)
    if output == "text":
        _show(embedder, given, vectors)
        return 0
    around = {"embedder": embedder.name, "dimensions": embedder.dimensions}
    rows = [
        {"text": text, "embedder": embedder.name, "vector": list(vector)}
        for text, vector in zip(given, vectors, strict=True)
    ]
    write_rows(rows, "vectors", around, output)
    return 0


def _show(embedder: Embedder, texts: Sequence[str], vectors: Sequence[Vector]) -> None:
    from .screen import write_table  # Loads rich.

    write_line(f"{embedder.name.partition(':')[0]}, {embedder.dimensions} dimensions\n")
    alike = [[cosine(one, other) for other in vectors] for one in vectors]
    numbers = [str(index + 1) for index in range(len(texts))]
    if len(texts) <= MOST_COLUMNS:
        rows = [(number, text, *_shown(line)) for number, text, line in zip(numbers, texts, alike, strict=True)]
        write_table(("#", "text", *(f"#{number}" for number in numbers)), rows)
        return
    nearest = list[tuple[str, ...]]()
    for index, (text, line) in enumerate(zip(texts, alike, strict=True)):
        other = max((place for place in range(len(texts)) if place != index), key=line.__getitem__)
        nearest.append((numbers[index], text, numbers[other], *_shown([line[other]])))
    write_table(("#", "text", "#most like", "#by"), nearest)


def _shown(numbers: Sequence[float]) -> list[str]:
    # What rounds to nothing has no sign.
    return [f"{round(number, 3) + 0.0:.3f}" for number in numbers]
