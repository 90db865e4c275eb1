"""What commands about goals share: the store of this folder, and its artifacts."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..clock import SystemClock
from ..packages.times import format_time
from ..plane.artifacts import Artifact, ArtifactShelf, Bytes, Folder
from ..plane.store.store import Store
from .config import Settings, load_settings
from .consent import check_state, note_state
from .output import Document
from .places import OWN, STATE, writing

ARTIFACTS: Final = OWN / "artifacts"


@contextmanager
def open_state() -> Generator[Store]:
    """Yield the store of this folder, made where there is none; git is told to leave it alone.

    Raises:
        StoreFailed: TW7018. StoreFormat: TW7019. FolderRefused: TW7032, this user's commands have not made it.
    """
    note = OWN / ".gitignore"
    with writing(OWN):
        check_state()
        OWN.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not note.exists():
            note.write_text("*\n", encoding="utf-8")
    with Store.open(STATE, SystemClock()) as store:
        note_state()
        yield store


def open_artifacts(store: Store) -> ArtifactShelf:
    """Return the artifacts of a store: in this folder, or where the settings say.

    Raises:
        GoalsMissing: TW7020, they lie in a store of objects and the package for it is not installed.
        StoreFailed: TW7018, there is no such store of objects.
    """
    return ArtifactShelf(store, _bytes(load_settings()), store.clock)


def _bytes(settings: Settings) -> Bytes:
    if not settings.artifacts:
        return Folder(ARTIFACTS)
    if "://" in settings.artifacts:
        from ..plane.objects import open_objects  # Loads obstore.

        return open_objects(settings.artifacts)
    return Folder(Path(settings.artifacts).expanduser())


def artifact_document(found: Artifact) -> Document:
    """Return an artifact as a document."""
    return {
        "id": found.id,
        "name": found.name,
        "type": found.type,
        "mime": found.mime,
        "bytes": found.size,
        "digest": found.digest.hex(),
        "tags": list(found.tags),
        "labels": list(found.labels),
        "run_id": found.run_id,
        "step": found.step,
        "created": format_time(found.created_us),
    }
