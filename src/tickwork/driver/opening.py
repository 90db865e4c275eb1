"""Opening a journal: which versions it needs, where its agents' sources and performers come from."""

import platform
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from .. import codec
from ..errors import JournalDamaged, JournalFormat, WorldReferenceError
from ..journal.store import JournalReader
from ..native import Agent
from ..records import (
    ENGINE_PROFILE,
    FORMAT_VERSION,
    KERNEL_SEMANTICS,
    REWRITER_VERSION,
    Environment,
    Header,
    ModelPlan,
    SwapPlan,
)
from .crew import Crew, open_versions
from .fold import Fold, open_machine
from .judging import Judge
from .options import Options
from .performers import ArtifactWriter, Performer
from .resolve import World
from .snapshots import last_snapshot, restore_agents, restore_machine

ARTIFACT_SKILL = "artifact.write"


@cache
def _describe_machine() -> tuple[str, str, str, str]:
    """Return this process's Python, platform, engine and version, for the environment record."""
    from .. import __version__

    python = ".".join(map(str, sys.version_info[:3]))
    return python, f"{platform.system()} {platform.machine()}".lower(), describe_engine(), __version__


@cache
def describe_engine() -> str:
    """Return the engine and its version, for the environment record; the engine itself is not loaded for it."""
    from importlib.metadata import version  # Brings a mail parser along, which nothing else needs.

    return f"wasmtime {version('wasmtime')}"


def new_environment(
    options: Options,
    *,
    world: str = "",
    parent: str = "",
    swaps: tuple[SwapPlan, ...] = (),
    owed: bytes = b"",
    model_swaps: tuple[ModelPlan, ...] = (),
) -> Environment:
    """Return where and with what a run is made."""
    python, platform_name, engine, product = _describe_machine()
    return Environment(
        run_id=f"r_{options.clock.unique()}",
        started_us=options.clock.now_us(),
        python=python,
        platform=platform_name,
        engine=engine,
        product=product,
        world=world,
        parent=parent,
        swaps=swaps,
        owed=owed,
        model_swaps=model_swaps,
    )


def open_journal(source: Path | str | JournalReader) -> JournalReader:
    """Return a journal to read: the given one, or the one in a file."""
    if isinstance(source, str | Path):
        from ..journal.sqlite import SqliteJournal

        return SqliteJournal.open(Path(source))
    return source


def journal_path(source: Path | str | JournalReader) -> Path | None:
    """Return the file of a journal that has one."""
    return Path(source) if isinstance(source, str | Path) else None


@contextmanager
def reading(source: Path | str | JournalReader) -> Generator[JournalReader]:
    """Open a journal for the time of a ``with`` block."""
    if isinstance(source, str | Path):
        with closing(open_journal(source)) as journal:
            yield journal
    else:
        yield source


def read_header(journal: JournalReader) -> tuple[Header, Environment]:
    """Return record 0 and the environment.

    Raises:
        JournalDamaged: TW2004, record 0 cannot be read.
        JournalFormat: TW2005, it asks for semantics or an engine profile this version does not have.
    """
    header_bytes, environment_bytes = journal.header()
    try:
        header, environment = codec.decode_header(header_bytes), codec.decode_environment(environment_bytes)
    except codec.CodecError as error:
        raise JournalDamaged("record 0 cannot be read", record=-1, offset=None, why=str(error)) from error
    check_versions(header)
    return header, environment


def check_versions(header: Header) -> None:
    """Refuse a header this version cannot fold."""
    for what, found, known in (
        ("journal format", header.format, FORMAT_VERSION),
        ("kernel semantics", header.semantics, KERNEL_SEMANTICS),
        ("rewriter", header.rewriter, REWRITER_VERSION),
    ):
        if found > known:
            raise JournalFormat(
                f"the journal needs {what} {found}",
                why=f"this version of Tickwork has {what} {known}",
                fix="install a newer Tickwork",
            )
    if header.engine_profile != ENGINE_PROFILE:
        raise JournalFormat(
            f"the journal needs engine profile {header.engine_profile!r}",
            why=f"this version of Tickwork has {ENGINE_PROFILE!r}",
            fix="install a version of Tickwork that has it",
        )


def natives(world: World | None) -> dict[str, Agent[Any]]:
    """Return the native agents a world gives as classes, made, by entry."""
    return {} if world is None else {entry: known() for entry, known in world.natives.items()}


def native_folder(world: World | None, environment: Environment, options: Options) -> Path | None:
    """Return where native agents' sources are looked up: the option, the world's folder, or where the world was."""
    if options.folder is not None:
        return options.folder
    if world is not None:
        return world.folder
    return Path(environment.world) if environment.world else None


def performers(world: World | None, options: Options) -> dict[str, Performer]:
    """Return the performers of a run; the world's own are those this product ships."""
    found: dict[str, Performer] = dict(options.performers)
    for skill in world.performers if world is not None else ():
        if skill.name in found:
            continue
        if skill.name != ARTIFACT_SKILL:
            raise WorldReferenceError(
                f"no performer carries out the skill {skill.name!r}",
                where=f"skills.{skill.name}",
                why=f"this version ships {ARTIFACT_SKILL!r}; others are given in Python",
                fix=f"use {ARTIFACT_SKILL!r}, or pass performers= to tickwork.run",
            )
        found[skill.name] = ArtifactWriter(skill.folder)
    return found


def resumed_performers(
    world: World | None, environment: Environment, options: Options, header: Header
) -> dict[str, Performer]:
    """Return performers for a run whose world file may be gone: artifacts then go beside where it was."""
    if world is not None or not header.skills:
        return performers(world, options)
    found: dict[str, Performer] = dict(options.performers)
    base = options.folder or Path(environment.world or ".")
    if any(skill.name == ARTIFACT_SKILL for skill in header.skills):
        found.setdefault(ARTIFACT_SKILL, ArtifactWriter(base / "artifacts"))
    return found


@contextmanager
def executing(
    journal: JournalReader, world: World | None, options: Options, *, until: int = 0, live: bool = False
) -> Generator[tuple[Header, Environment, Fold]]:
    """Open a fold that executes the turns of a journal with the modules it carries.

    Args:
        until: The fold may begin at the last snapshot of the first so many ticks; 0 begins at tick 0.
        live: Whether the run will go on from there, so that keys must be valid now; else when the run began.
    """
    _, environment = read_header(journal)
    header, machine = open_machine(journal.header()[0])
    snapshot = last_snapshot(journal, until)
    judge = Judge(header, options, at_us=None if live else environment.started_us, live=live)
    admitted, versions = open_versions(header, journal.content, options, judge)
    folder = native_folder(world, environment, options)
    same = environment.engine == describe_engine()
    crew = Crew(header, admitted, natives(world), folder, options, placed=snapshot is None, versions=versions)
    with closing(crew):
        if snapshot is None:
            yield header, environment, Fold(journal, machine, crew, same_engine=same)
        else:
            machine = restore_machine(header, machine.state.lineage, snapshot)
            restore_agents(crew, machine, snapshot, journal)
            turns, failed = snapshot.turns, snapshot.failed
            fold = Fold(journal, machine, crew, turns=turns, failed=failed, same_engine=same)
            yield header, environment, fold
