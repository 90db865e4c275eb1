"""``tickwork doctor``."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec
from cyclopts import App

from ..authoring.languages import LANGUAGES, toolchain_of
from ..errors import EngineUnsuitable, TickworkError
from ..journal.sqlite import sqlite_version
from ..records import ENGINE_PROFILE
from ..sandbox.probes import ready_engine
from .config import build_environment, load_settings, models_folder, module_cache, signing_key, user_folder
from .output import Output, write_line, write_rows

EXAMPLES: Final = """Examples:

    tickwork doctor
    tickwork doctor -o jsonl

Ends with status 69 if something is missing that every run needs."""

OLDEST_PYTHON: Final = (3, 11)
ENOUGH_BYTES: Final = 1 << 30
TESTED: Final = ("Linux", "Windows", "Darwin")

EXTRAS: Final = (
    ("models", "models", ("onnxruntime", "onnx", "numpy")),
    ("embeddings", "embeddings", ("tokenizers",)),
    ("language models", "llm", ("onnxruntime_genai",)),
    ("models over HTTP", "serve", ("starlette", "uvicorn")),
    (
        "goals",
        "goals",
        ("pydantic", "jsonschema", "cel_expr_python", "jmespath", "sqlalchemy", "alembic", "httpx2", "genai_prices"),
    ),
    ("servers of MCP", "mcp", ("mcp",)),
    ("pages of the web", "web", ("trafilatura",)),
    ("pages made by scripts", "browser", ("playwright", "trafilatura")),
    ("PostgreSQL", "postgres", ("psycopg",)),
    ("object stores", "objects", ("obstore",)),
)
"""What work with models, and with goals, needs: its name, the extra that brings it, and the modules of that."""

_NAME_WIDTH: Final = 25

app = App(name="doctor", help_epilogue=EXAMPLES)


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        state: ``missing`` is what no run can do without, ``advice`` what some work needs.
    """

    name: str
    state: Literal["ok", "advice", "missing"]
    found: str
    fix: str = ""


@app.default
def doctor(*, output: Output = "text") -> int:
    """Look whether this machine has what Tickwork needs, with a fix for each finding."""
    findings = list(examine())
    bad = [found for found in findings if found.state == "missing"]
    if output == "text":
        for found in findings:
            write_line(f"{found.state:<8}{found.name:<{_NAME_WIDTH}}{found.found}")
            if found.fix:
                write_line(f"{'':<8}{'':<{_NAME_WIDTH}}fix: {found.fix}")
    else:
        write_rows(findings, "findings", {"healthy": not bad}, output)
    return EngineUnsuitable.exit_status if bad else 0


def examine() -> Iterator[Finding]:
    """Yield what there is to say of this machine."""
    yield _python()
    yield _platform()
    yield _engine()
    yield _sqlite()
    yield _settings()
    yield from _folders()
    yield from _compilers()
    yield from _extras()


def _python() -> Finding:
    found = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", "missing", found, "install Python 3.11 or newer")
    return Finding("python", "ok", found)


def _platform() -> Finding:
    found = f"{platform.system()} {platform.machine()}, {os.cpu_count() or 1} processors"
    if platform.system() not in TESTED:
        return Finding("platform", "advice", found, "tested are Linux, Windows and macOS")
    return Finding("platform", "ok", found)


def _engine() -> Finding:
    version = importlib.metadata.version("wasmtime")
    try:
        ready_engine("speed")
    except TickworkError as error:
        return Finding("engine", "missing", f"wasmtime {version}: {error.what}", error.fix)
    return Finding("engine", "ok", f"wasmtime {version}, every probe of profile {ENGINE_PROFILE} holds")


def _sqlite() -> Finding:
    version, trusted = sqlite_version()
    found = f"SQLite {version} by apsw {importlib.metadata.version('apsw')}"
    if not trusted:
        return Finding("journal", "missing", f"{found} can lose what was committed", "pip install --upgrade apsw")
    return Finding("journal", "ok", found)


def _settings() -> Finding:
    try:
        settings = load_settings()
        signed = "heads are signed" if signing_key(settings) else "heads are not signed"
    except TickworkError as error:
        why = f" ({error.why})" if error.why else ""
        return Finding("settings", "missing", f"{error.where}: {error.what}{why}", error.fix)
    return Finding("settings", "ok", f"{settings.workers} workers, {signed}, yours in {user_folder()}")


def _folders() -> Iterator[Finding]:
    """Yield whether journals, compiled modules and models can be written."""
    try:
        settings = load_settings()
        cache, store = module_cache(settings), models_folder(settings)
    except TickworkError:
        return  # The settings have their own finding.
    for name, folder, fix in (
        ("journals", Path(), "work in a folder you may write to"),
        ("cache", cache, "set TICKWORK_CACHE to a folder you may write to; without it modules are compiled every time"),
        ("store of models", store, "set TICKWORK_MODELS to a folder you may write to, or name one with --store"),
    ):
        there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(there).free
        said = f"{folder.absolute()}, {free / (1 << 30):.1f} GiB free"
        if not os.access(there, os.W_OK):
            yield Finding(name, "advice", f"{folder.absolute()} cannot be written", fix)
        elif free < ENOUGH_BYTES:
            yield Finding(name, "advice", said, "make room: a full disk stops a run, which can then be resumed")
        else:
            yield Finding(name, "ok", said)


def _compilers() -> Iterator[Finding]:
    """Yield for each language whether agents in it can be built here."""
    try:
        environment = build_environment(load_settings())
    except TickworkError:
        return  # The settings have their own finding.
    for language in LANGUAGES:
        try:
            found = toolchain_of(language).find(environment)
        except TickworkError as error:
            yield Finding(f"agents in {language}", "advice", error.what, error.fix)
        else:
            yield Finding(f"agents in {language}", "ok", f"{found.tool} {found.version}")


def _extras() -> Iterator[Finding]:
    """Yield what of the extras for models and goals is installed. Nothing of them is loaded."""
    for name, extra, modules in EXTRAS:
        absent = [module for module in modules if importlib.util.find_spec(module) is None]
        if absent:
            yield Finding(name, "advice", f"{', '.join(absent)} not installed", f"pip install 'tickwork[{extra}]'")
        else:
            yield Finding(name, "ok", ", ".join(f"{module} {_version(module)}".rstrip() for module in modules))


def _version(module: str) -> str:
    """Return the version of an installed module, empty where another package than its namesake brought it."""
    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return ""
