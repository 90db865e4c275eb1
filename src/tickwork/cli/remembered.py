"""What the commands for memory share: what a profile remembers, and how items are shown."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import Parameter

from ..infer.embeddings import Embedder, best_embedder
from ..infer.store import ModelStore
from ..packages.times import format_time
from ..plane.memory.items import Item, Memory
from ..plane.profile import DEFAULT
from ..plane.profiles import Profile, Profiles
from .config import load_settings, models_folder
from .models import own_or_running
from .output import Document
from .state import open_state

Whose = Annotated[str, Parameter(name="--profile", help="Whose memory: the name of a profile.")]


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
