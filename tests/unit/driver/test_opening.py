"""Opening a journal: versions, folders, performers."""

from pathlib import Path

import msgspec
import pytest

from tests.unit.driver.troupe import Echo, asking, chat, empty, options
from tickwork import codec
from tickwork.driver.opening import (
    check_versions,
    describe_engine,
    journal_path,
    native_folder,
    natives,
    new_environment,
    performers,
    read_header,
    reading,
    resumed_performers,
)
from tickwork.driver.performers import ArtifactWriter
from tickwork.driver.resolve import SkillConfig
from tickwork.errors import JournalDamaged, JournalFormat, JournalNotFound, WorldReferenceError
from tickwork.journal.memory import MemoryJournal
from tickwork.records import Environment, SkillSpec

HERE = Environment("r_1", 0, "", "", "", "", world="/worlds/one")


@pytest.mark.parametrize("field", ["format", "semantics", "rewriter"])
def test_a_header_of_a_newer_version_is_refused_and_an_older_one_read(field: str) -> None:
    header = chat().header
    with pytest.raises(JournalFormat, match="needs"):
        check_versions(msgspec.structs.replace(header, **{field: 1000}))
    check_versions(msgspec.structs.replace(header, **{field: 0}))


def test_another_engine_profile_is_refused() -> None:
    with pytest.raises(JournalFormat, match="profile 'tw-9'"):
        check_versions(msgspec.structs.replace(chat().header, engine_profile="tw-9"))


def test_record_0_comes_with_the_environment() -> None:
    world = chat()
    header, environment = read_header(empty(world))
    assert (header, environment.run_id) == (world.header, "r_test")
    with pytest.raises(JournalDamaged, match="record 0"):
        read_header(MemoryJournal(codec.encode(world.header), b"\xc1"))


def test_the_environment_says_where_and_with_what() -> None:
    made = new_environment(options(), world="w", parent="p")
    assert made.run_id.startswith("r_")
    assert (made.world, made.parent, made.engine) == ("w", "p", describe_engine())
    assert made.engine.startswith("wasmtime ")


def test_a_journal_given_stays_open_and_one_in_a_file_is_closed(tmp_path: Path) -> None:
    journal = empty(chat())
    with reading(journal) as found:
        assert found is journal
    assert (journal_path(journal), journal_path("x.twk")) == (None, Path("x.twk"))
    with pytest.raises(JournalNotFound), reading(tmp_path / "absent.twk"):
        pass


def test_sources_are_looked_up_where_the_option_says_else_by_the_world_else_where_it_was() -> None:
    world = chat()
    assert native_folder(world, HERE, options(folder=Path("given"))) == Path("given")
    assert native_folder(world, HERE, options()) == world.folder
    assert native_folder(None, HERE, options()) == Path("/worlds/one")
    assert native_folder(None, msgspec.structs.replace(HERE, world=""), options()) is None
    assert natives(None) == {}
    assert set(natives(world)) == {"test:a", "test:b"}


def test_a_performer_given_wins_over_the_worlds() -> None:
    config = SkillConfig("artifact.write", 1, Path("artifacts"))
    world = msgspec.structs.replace(asking(), performers=(config,))
    assert isinstance(performers(world, options())["artifact.write"], ArtifactWriter)
    mine = Echo()
    given = msgspec.structs.replace(options(), performers={"artifact.write": mine})
    assert performers(world, given)["artifact.write"] is mine


def test_a_skill_nobody_performs_is_refused_before_the_run() -> None:
    world = msgspec.structs.replace(asking(), performers=(SkillConfig("fly", 1, Path()),))
    with pytest.raises(WorldReferenceError, match="'fly'"):
        performers(world, options())


def test_a_resumed_run_writes_its_artifacts_beside_its_world() -> None:
    header = msgspec.structs.replace(asking().header, skills=(SkillSpec("artifact.write", 1),))
    found = resumed_performers(None, HERE, options(), header)["artifact.write"]
    assert isinstance(found, ArtifactWriter)
    assert found.folder == Path("/worlds/one/artifacts")
    assert resumed_performers(None, HERE, options(), chat().header) == {}
