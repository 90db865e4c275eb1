"""Which folders this user has looked at: the settings, runs and profiles of any other folder are not acted upon.

Settings in ``.tickwork`` name programs that are started, files of Python that are executed, hosts that keys are sent to
and rules that no longer ask anybody; a store holds profiles with grants, and runs that go on. A folder that was cloned
or unpacked can hold all of that. So this user's own folder keeps a note of each folder: the digest of the settings that
were allowed, and which store this user's commands have made there.

Invariants:
    * A changed byte of what was allowed is not allowed. That is the settings, and each file of the project that they
      name as a skill or as a word of a program.
    * A folder in which nothing stands yet needs no consent, and what commands make in it needs none later.
"""

import hashlib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from ..driver.shape import is_array, is_table
from ..plane.errors import FolderRefused
from .config import user_folder
from .places import OWN, STATE

SETTINGS: Final = ("skills.toml", "providers.toml")
"""Files of ``.tickwork`` that hold for whatever is done in its folder. Order: as they are shown."""

NOTES: Final = "folders"
MOST_BYTES: Final = 64 << 20
"""Of a file that is told by its digest; of a larger one its size alone is."""


class Note(msgspec.Struct, frozen=True):
    """What this user has said of a folder.

    Attributes:
        folder: ``.tickwork``, absolute.
        settings: Digest of what was allowed; empty for nothing.
        made: Which folder ``.tickwork`` is on the disk; 0 for none.
        state: Which file the store is on the disk; 0 for none yet.
    """

    folder: str
    settings: str = ""
    made: int = 0
    state: int = 0


def check_settings() -> None:
    """Refuse the settings of this folder unless this user has allowed them as they are.

    Raises:
        FolderRefused: TW7032.
    """
    found = [name for name in SETTINGS if os.path.lexists(OWN / name)]
    if found and _read().settings != settings_digest():
        stand = "they stand" if len(found) > 1 else "it stands"
        raise _refused(f"you have not allowed {' and '.join(found)} of this folder as {stand}")


def check_state() -> None:
    """Refuse a store that this user's commands have not made, and note this folder if there is none yet.

    Raises:
        FolderRefused: TW7032.
    """
    note = _read()
    if note.made and note.made == _identity(OWN) and note.state in (0, _identity(STATE)):
        return
    if OWN.is_symlink() or os.path.lexists(STATE) or os.path.lexists(OWN / "artifacts"):
        raise _refused("the store of this folder was not made by you")
    OWN.mkdir(mode=0o700, parents=True, exist_ok=True)
    # It is noted before the store is made: whoever finds the store finds the note.
    _write(msgspec.structs.replace(note, made=_identity(OWN), state=0))


def note_state() -> None:
    """Note which file the store of this folder is."""
    note, state = _read(), _identity(STATE)
    if note.state != state:
        _write(msgspec.structs.replace(note, made=_identity(OWN), state=state))


def allow() -> None:
    """Note that this user has looked at this folder as it is.

    Raises:
        FolderRefused: TW7032, the note cannot be kept.
    """
    _write(Note(_place(), settings_digest(), _identity(OWN), _identity(STATE)))


def forget() -> None:
    """Take the consent back."""
    _path().unlink(missing_ok=True)


def settings_digest() -> str:
    """Return what tells the settings of this folder, and what they name, from all others; empty for none."""
    files = {OWN / name for name in SETTINGS if os.path.lexists(OWN / name)}
    if not files:
        return ""
    files |= set(named_files())
    told = hashlib.sha256()
    for path in sorted(files):
        told.update(f"{path.as_posix()}\n{_file_digest(path)}\n".encode(errors="surrogateescape"))
    return told.hexdigest()


def named_files() -> Iterator[Path]:
    """Yield the files of the project that its settings name: a skill's, and words of a server's program."""
    for key, name, table in _tables():
        words: list[Any] = [str(table.get("kind", "")).rpartition(":")[0]] if key == "skills" else []
        command = table.get("command")
        words += command if is_array(command) else []
        words.append(table.get("program", ""))
        for word in words:
            path = Path(str(word))
            if name and str(word) and "\0" not in str(word) and len(str(word)) < 1024 and path.is_file():
                yield path


def wishes() -> list[tuple[str, str]]:
    """Return what the settings of this folder ask for, for people: each a kind and a text. Order: that of the files."""
    found = list[tuple[str, str]]()
    for key, name, table in _tables():
        if is_array(command := table.get("command")):
            found.append((f"{key}.{name} starts", " ".join(str(word) for word in command)))
        if table.get("program"):
            found.append((f"{key}.{name} starts", str(table["program"])))
        if ".py:" in str(table.get("kind", "")):
            found.append((f"{key}.{name} executes", str(table["kind"])))
        for word in ("url", "base_url"):
            if table.get(word):
                found.append((f"{key}.{name} speaks to", str(table[word])))
        if policy := table.get("policy"):
            found.append((f"{key}.{name} has the rules", str(policy)))
        named = sorted({text for text in _texts(table) if "secret:" in text})
        found += [(f"{key}.{name} uses", text) for text in named]
    return found


def _tables() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the tables of the settings: the group, the name, and what stands in it."""
    for name in SETTINGS:
        try:
            document: dict[str, Any] = tomllib.loads((OWN / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # Whoever uses it says what is wrong with it.
        for key, group in document.items():
            for inner, table in group.items() if is_table(group) else ():
                if is_table(table):
                    yield key, str(inner), dict(table)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_table(value) or is_array(value):
        for inner in value.values() if is_table(value) else value:
            yield from _texts(inner)


def _file_digest(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            return f"{path.stat().st_size} bytes"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"


def _identity(path: Path) -> int:
    """Return which file of the disk a path is; 0 for none."""
    try:
        return path.lstat().st_ino
    except OSError:
        return 0


def _place() -> str:
    return str(OWN.absolute())


def _path() -> Path:
    name = hashlib.sha256(_place().encode(errors="surrogateescape")).hexdigest()[:32]
    return user_folder() / NOTES / f"{name}.json"


def _read() -> Note:
    try:
        note = msgspec.json.decode(_path().read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError):
        return Note(_place())
    return note if note.folder == _place() else Note(_place())


def _write(note: Note) -> None:
    path = _path()
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(note))
        partial.replace(path)
    except OSError as error:
        raise FolderRefused(
            "it cannot be noted that this folder is yours",
            where=str(path),
            why=error.strerror or str(error),
            fix="make the folder of your settings writable",
        ) from error


def _refused(what: str) -> FolderRefused:
    return FolderRefused(
        what,
        where=_place(),
        why="settings start programs and use your secrets, and a store has profiles and runs: yours to look at first",
        fix="see what they ask for with `tickwork allow --look`; if it is as you want it: tickwork allow",
    )
