"""Agents in Python: their sources in one bundle, for the base module that runs them.

Nothing is compiled, so nothing has to be installed but the base module. What would fail in the first turn and can be
seen in the text is said here, with its line: syntax, a class that is no agent's, an import that is not there inside.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ..errors import BuildFailed, ToolchainMissing
from ..packages.bundle import MANIFEST, pack_bundle
from ..sandbox.manifest import encode_manifest
from .inside import CHOSEN, MAIN, METHODS, OWN, STDLIB
from .project import Project
from .toolchain import Compiled, Environment, Found

SDK: Final = "tickwork-python 1.0.0"
CURRENT: Final = "current"
"""File of a folder of bases that names the one for new bundles."""

ENTRY: Final = f"{MAIN}.py"
TESTS: Final = "tests"
_KNOWN: Final = frozenset(name.partition(".")[0] for name in (*STDLIB, *OWN))


class PythonToolchain:
    """The way from Python sources to a source bundle."""

    language = "python"
    sdk = SDK

    def find(self, environment: Environment) -> Found:
        """Return the base module that new bundles are made for; its path is the command.

        Raises:
            ToolchainMissing: TW5001, no folder of bases names one.
        """
        for folder in environment.bases:
            try:
                digest = (folder / CURRENT).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                continue
            base = folder / f"{digest}.wasm"
            if base.is_file():
                return Found("python-base", digest[:12], (str(base),), environment)
        raise ToolchainMissing(
            "the base module of Python agents is not installed",
            where=", ".join(map(str, environment.bases)),
            why="it holds the interpreter that runs a source bundle, and a bundle names it by its digest",
            fix="in a checkout: ./ci toolchains; elsewhere: pip install tickwork-python-base",
        )

    def sources(self, project: Project) -> Sequence[Path]:
        """Return the project's modules: those beside ``agent.toml``, and its packages. Order: by path.

        Raises:
            ProjectInvalid: TW5004, there is no ``agent.py``.
        """
        project.entry(ENTRY)
        packages = [path.parent.name for path in project.files("*/__init__.py") if path.parent.name != TESTS]
        return project.files("*.py", *(f"{package}/**/*.py" for package in packages))

    def compile(self, project: Project, found: Found, out: Path) -> Compiled:
        """Return the bundle.

        Raises:
            BuildFailed: TW5002, a source is not Python, imports what is not there inside, or holds no agent's class.
        """
        del out
        sources = self.sources(project)
        digest = Path(found.command[0]).stem
        manifest = project.manifest(sdk=SDK, sources=sources, pages=0, base=digest)
        files = {path.relative_to(project.folder).as_posix(): path.read_bytes() for path in sources}
        files = {name: content.replace(b"\r\n", b"\n") for name, content in files.items()}
        _check(files)
        return Compiled(pack_bundle({**files, MANIFEST: encode_manifest(manifest)}), suffix=".bundle")


def _check(files: Mapping[str, bytes]) -> None:
    """Refuse sources that cannot become an agent; every flaw is named with its line."""
    trees: dict[str, ast.Module] = {}
    flaws = list[str]()
    for name, content in files.items():
        try:
            trees[name] = ast.parse(content, name)
        except SyntaxError as error:
            flaws.append(f"{name}:{error.lineno}: {error.msg}")
        except (ValueError, RecursionError, MemoryError) as error:
            # The parser gives up on what is nested too deep with one of the last two.
            flaws.append(f"{name}: {str(error) or 'it is nested too deep'}")
    own = {name.partition("/")[0].removesuffix(".py") for name in files}
    for name, tree in trees.items():
        flaws += [
            f"{name}:{line}: there is no module {module!r} inside the sandbox"
            for line, module in _imported(tree)
            if module.partition(".")[0] not in _KNOWN | own
        ]
    if ENTRY in trees:
        flaws += _class_flaws(trees[ENTRY])
    if flaws:
        raise BuildFailed(
            "the source cannot become an agent:\n" + "\n".join(flaws),
            where=flaws[0].rsplit(": ", 1)[0].split(": ")[0],
            why="what is named above would fail in the first turn",
            fix="mend the lines, and build again; docs/guides/agents-in-python.md lists what can be imported",
        )


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each import that always happens: one inside ``if`` or ``try`` is the author's to judge."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, item.name) for item in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module


def _class_flaws(tree: ast.Module) -> Iterator[str]:
    """Yield why the entry module does not say which class is the agent's."""
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    if any(isinstance(target, ast.Name) and target.id == CHOSEN for target in targets):
        return
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and _methods(node).issuperset(METHODS)]
    if not found:
        wanted = f"{', '.join(METHODS[:-1])} and {METHODS[-1]}"
        yield f"{ENTRY}:1: no class defines {wanted}; name one with {CHOSEN} = CLASS if it inherits them"
    for extra in found[1:]:
        yield f"{ENTRY}:{extra.lineno}: a second class is an agent's; say which one with {CHOSEN} = CLASS"


def _methods(node: ast.ClassDef) -> set[str]:
    return {item.name for item in node.body if isinstance(item, ast.FunctionDef)}


toolchain: Final = PythonToolchain()
