"""``tickwork model verify``."""

from typing import Final

from cyclopts import App

from ..errors import ModelDamaged, TickworkError
from ..infer.adding import OF_A_FILE
from ..infer.kept import Checked, Kept
from ..infer.store import ModelStore
from .kept import References, judge_here, open_store, reading
from .output import Output, write_line, write_rows
from .parcels import Allowed
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model verify
    tickwork model verify wind:1.1.0
    tickwork model verify wind --allow-unsigned -o json

Without a name every model of the store is verified; those that worlds took
from files may then go unsigned. Ends with status 3 if a byte of a model is
another than it was, and with 4 if this machine would not use a model: unsigned,
signed by a key it does not trust, or revoked."""

DAMAGED: Final = ModelDamaged.exit_status

app = App(name="verify", help_epilogue=EXAMPLES)


@app.default
def verify(*models: References, allow_unsigned: Allowed = False, store: Store = None, output: Output = "text") -> int:
    """Read every byte of models again, compare it, and say whether this machine would use them."""
    shelf = open_store(store)
    chosen = [shelf.show(shelf.find(name)) for name in models] or shelf.list()
    status, rows = 0, list[object]()
    with reading("reading", sum(kept.size for kept in chosen)) as told:
        for kept in chosen:
            found = shelf.verify(kept.digest, told)
            of_a_file = not models and kept.version.startswith(OF_A_FILE)
            refusal = _refusal(shelf, kept, allow_unsigned=allow_unsigned or of_a_file)
            damage = [one for one in found if one.why]
            status = DAMAGED if damage or status == DAMAGED else max(status, refusal.exit_status if refusal else 0)
            rows.append(_document(kept, found, refusal))
            if output == "text":
                _tell(kept, found, refusal)
    if output != "text":
        write_rows(rows, "models", {"whole": status == 0}, output)
    return status


def _refusal(store: ModelStore, kept: Kept, *, allow_unsigned: bool) -> TickworkError | None:
    try:
        judge_here(store, kept.digest, allow_unsigned=allow_unsigned, update=False)
    except TickworkError as error:
        return error
    return None


def _document(kept: Kept, found: tuple[Checked, ...], refusal: TickworkError | None) -> dict[str, object]:
    return {
        "name": kept.name,
        "version": kept.version,
        "digest": kept.digest.hex(),
        "files": len(found),
        "bytes": kept.size,
        "damage": [{"path": one.path, "sha256": one.digest, "why": one.why} for one in found if one.why],
        "refusal": refusal.problem() if refusal is not None else None,
    }


def _tell(kept: Kept, found: tuple[Checked, ...], refusal: TickworkError | None) -> None:
    damage = [one for one in found if one.why]
    word = "damaged" if damage else "refused" if refusal is not None else "whole"
    write_line(f"{kept.name}:{kept.version}  {word}  {len(found)} files  {kept.size:,} bytes  {kept.digest.hex()[:16]}")
    for one in damage:
        write_line(f"  {one.path}: {one.why}")
    if refusal is not None and not damage:
        write_line(f"  {refusal.code}: {refusal.what}" + (f"\n  {refusal.fix}" if refusal.fix else ""))
