"""What the commands for memory share: what a profile remembers, and how items are shown."""

from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from ..errors import UsageFault
from ..infer.embeddings import Embedder, best_embedder
from ..infer.store import ModelStore
from ..packages.times import format_time
from ..plane.memory.items import Block, Item, Memory, Turn
from ..plane.profile import DEFAULT, Profile
from ..plane.profiles import Profiles
from .config import load_settings, models_folder
from .models import own_or_running
from .output import Document, Format, talk, write_rows
from .state import open_state


@contextmanager
def open_memory(profile: str = DEFAULT) -> Generator[tuple[Memory, Profile]]:
    """Yield what a profile remembers, and the profile. Vectors come from MiniLM where the store of models has it.

    Raises:
        ProfileNotFound: TW7014. StoreFailed: TW7018. StoreFormat: TW7019.
        ModelsMissing: TW6012, MiniLM is there and the package ``tokenizers`` is not.
    """
    with open_state() as store, choose_embedder() as embedder:
        found = Profiles(store, store.clock).find(profile)
        yield Memory(store, store.clock, embedder, profile=profile), found


@contextmanager
def choose_embedder() -> Generator[Embedder]:
    """Yield what makes vectors of texts on this machine: MiniLM, or hashed n-grams.

    Raises:
        ModelsMissing: TW6012.
    """
    with own_or_running(None, None) as models:
        yield best_embedder(ModelStore(models_folder(load_settings())), models)


def item_document(item: Item) -> Document:
    """Return an item as a document."""
    return {
        "id": item.id,
        "kind": item.kind,
        "text": item.text,
        "importance": item.importance,
        "labels": list(item.labels),
        "run_id": item.run_id,
        "created": format_time(item.created_us),
        "embedder": item.model,
        "superseded_by": item.superseded_by,
    }


def find_block(memory: Memory, label: str) -> Block:
    """Return the block of a name.

    Raises:
        UsageFault: TW1001.
    """
    for found in memory.blocks():
        if found.label == label:
            return found
    raise UsageFault(f"there is no block {label}", fix=f"write it: tickwork memory block {label} TEXT")


def block_size(found: Block) -> list[tuple[str, object]]:
    """Return how much of its bytes a block uses, for people."""
    return [("bytes", f"{len(found.value.encode()):,} of {found.limit:,}")]


def list_blocks(memory: Memory, output: Format) -> int:
    """Print the blocks of a memory, and return the exit status."""
    found = memory.blocks()
    if output != "text":
        write_rows([msgspec.to_builtins(one) for one in found], "blocks", {"profile": memory.profile}, output)
        return 0
    if not found:
        talk(f"{memory.profile} has no blocks; write one: tickwork memory block NAME TEXT")
        return 0
    from .screen import write_table  # Loads rich.

    rows = [(one.label, one.version, f"{len(one.value.encode()):,}", f"{one.limit:,}", one.value) for one in found]
    write_table(("block", "#version", "#bytes", "#of", "text"), rows)
    return 0


def write_history(memory: Memory, most: int, output: Format) -> int:
    """Print what was said, and return the exit status."""
    said = memory.turns(most=most)[::-1]
    if output != "text":
        write_rows([turn_document(turn) for turn in said], "turns", {"profile": memory.profile}, output)
        return 0
    if not said:
        talk(f"nothing was said to {memory.profile} yet")
        return 0
    from .screen import write_table  # Loads rich.

    rows = [(format_time(turn.created_us), turn.role, turn.text, turn.run_id) for turn in said]
    write_table(("said", "by", "text", "run"), rows)
    return 0


def turn_document(turn: Turn) -> Document:
    """Return something that was said as a document."""
    return {
        "id": turn.id,
        "role": turn.role,
        "text": turn.text,
        "labels": list(turn.labels),
        "run_id": turn.run_id,
        "created": format_time(turn.created_us),
    }
