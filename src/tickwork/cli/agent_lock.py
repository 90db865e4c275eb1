"""``tickwork agent lock``."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..driver.opening import describe_engine
from ..driver.pinning import pin_models
from ..driver.resolve import load_world
from ..errors import UsageFault
from ..packages.lock import KINDS, LOCK_FILE, Lock, check_lock, make_lock, read_lock, write_lock
from .config import base_folders
from .output import Output, write_document, write_facts
from .session import ModelChoice, Store, options_for

EXAMPLES: Final = """Examples:

    tickwork agent lock
    tickwork agent lock world.toml --model brain=models/brain.gguf
    tickwork agent lock --check

Writes tickwork.lock beside the world file. From then on `tickwork run` refuses
the world when a module, a bundle, a base, a native agent's source, a model or
the engine is another one. --check ends with status 4 then, too. Models of the
store, and of files that the world names, are pinned by themselves."""

app = App(name="lock", help_epilogue=EXAMPLES)


@app.default
def lock_world(
    world: Annotated[Path, Parameter(help="A world.toml.")] = Path("world.toml"),
    /,
    *,
    model: Annotated[
        list[str] | None, Parameter(negative="", help="NAME=FILE for a model that lies in a file; may be repeated.")
    ] = None,
    store: Store = None,
    check: Annotated[bool, Parameter(negative="", help="Compare and write nothing.")] = False,
    output: Output = "text",
) -> int:
    """Pin the digests of all that a world runs, or check that they are the pinned ones."""
    path = world.parent / LOCK_FILE
    with options_for("lock", models=ModelChoice(store)) as options:
        # A lock says what is there; whether it is believed is asked when it runs.
        options = msgspec.structs.replace(options, trust=None)
        header = pin_models(load_world(world, allow_unsigned=True, bases=base_folders()), options).header
    if check:
        if model:
            raise UsageFault("--check takes no --model", why="the lock file names the files", fix="leave it out")
        if not path.exists():
            raise UsageFault(f"there is no {LOCK_FILE} to check", where=str(path), fix=f"tickwork agent lock {world}")
        lock = check_lock(path, header, describe_engine())
    else:
        files = _files(model or [], path)
        lock = make_lock(header, describe_engine(), world.parent, files)
        write_lock(path, lock)
    if output == "text":
        write_facts([("lock", path), *_facts(lock)])
    else:
        write_document({"lock": str(path), **msgspec.to_builtins(lock)}, output)
    return 0


def _files(words: list[str], path: Path) -> dict[str, str]:
    """Return the files of models: those in the lock that is there, and those named now."""
    files = {one.name: one.file for one in read_lock(path).models if one.file} if path.exists() else {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or not name or not file:
            raise UsageFault(f"--model {word} is not understood", fix="write NAME=FILE")
        files[name] = file
    return files


def _facts(lock: Lock) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [("engine", lock.engine)]
    for kind in KINDS:
        facts += [
            (kind[:-1], " ".join(filter(None, (one.name, one.version, one.digest)))) for one in getattr(lock, kind)
        ]
    return facts
