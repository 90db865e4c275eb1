"""Skills that a project brings as a file of Python: ``kind = "FILE.py:CLASS"`` in ``.tickwork/skills.toml``.

Whoever writes that file decides what code of this machine runs, as with the commands of servers: nothing is loaded that
it does not name, and no profile, plan or planner can name a file.
"""

import importlib.util
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from ... import codec
from ..errors import SkillInvalid
from .skill import Skill, SkillMaker

MARK: Final = ".py:"


def names_file(kind: str) -> bool:
    """Return whether a kind is a class of a file."""
    return MARK in kind


class FileMaker:
    """A maker in a file, which is read and executed when a skill is made.

    Args:
        kind: ``FILE.py:CLASS``; the file counts from the folder of the project.
        name: What the skill is to be called.
    """

    def __init__(self, kind: str, name: str) -> None:
        file, _, self._class = kind.partition(MARK)
        self._file = f"{file}.py"
        self._where = f"skills.{name}.kind"

    def from_config(self, config: Mapping[str, Any]) -> Skill:
        """Return what the class of the file makes of a table.

        Raises:
            SkillInvalid: TW7004, no such file or class, one that raises, or the configuration is not what it must be.
        """
        module = self._load(Path(str(config.get("project", "."))) / self._file)
        maker = getattr(module, self._class, None)
        if not callable(getattr(maker, "from_config", None)):
            what = f"{self._file} has no class {self._class} with a method from_config"
            raise SkillInvalid(what, where=self._where, fix="name the class as in `FILE.py:CLASS`")
        return cast("SkillMaker", maker).from_config(config)

    def _load(self, path: Path) -> ModuleType:
        try:
            source = path.read_bytes()
        except OSError as error:
            what = f"{self._file} cannot be read: {error.strerror}"
            raise SkillInvalid(what, where=self._where, fix="paths count from the project's folder") from error
        # Equal sources of one project are one module, so that their classes are the same ones.
        name = f"tickwork_skill_{codec.digest(str(path).encode() + b':' + source).hex()[:16]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None, "a .py file always has a loader"
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            exec(compile(source, str(path), "exec"), module.__dict__)
        except Exception as error:
            del sys.modules[name]
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
            raise SkillInvalid(
                f"{self._file} cannot be loaded",
                where=f"{path}:{lines[-1]}" if lines else str(path),
                why=f"{type(error).__name__}: {error}",
                fix="install what it imports, or correct the file",
            ) from error
        return module
