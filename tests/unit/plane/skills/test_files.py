import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plane.skills.calling import CLOCK, Server, answer, failure, found, output, reply
from tickwork.plane.artifacts import ArtifactShelf, Folder
from tickwork.plane.calls import MAX_OUTPUT_BYTES
from tickwork.plane.errors import SkillInvalid
from tickwork.plane.profile import GrantsTable
from tickwork.plane.store.store import Store

GRANTS = GrantsTable(read=("docs",), write=("out",))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.json").write_bytes('\ufeff{"n": 1}'.encode())
    (tmp_path / "docs" / "b.bin").write_bytes(b"\xff\x00")
    return tmp_path


def read(project: Path, path: str, **given: Any) -> Any:
    return output("file_read", {"path": path, **given}, GRANTS, project=project)


def test_a_file_is_read_as_it_is_asked(project: Path) -> None:
    made = read(project, "docs/a.json")
    raw = (project / "docs" / "a.json").read_bytes()
    assert (made["text"], made["size"], made["path"]) == ('{"n": 1}', len(raw), "docs/a.json")
    assert made["sha256"] == hashlib.sha256(raw).hexdigest()
    (project / "docs" / "a.json").write_text('{"n": 1}')
    assert read(project, "docs/a.json", format="json")["json"] == {"n": 1}
    assert read(project, "docs/b.bin", format="base64")["base64"] == "/wA="
    made = read(project, "docs", format="list", pattern="*.json")
    assert (made["files"], made["size"]) == ([{"path": "docs/a.json", "size": 8}], 1)


def test_what_a_file_holds_is_from_outside() -> None:
    assert found("file_read").pin.outside
    assert found("file_write").pin.side_effects


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"path": "docs/b.bin"}, "TW7008 docs/b.bin is no text: it is not UTF-8"),
        ({"path": "docs/b.bin", "format": "json"}, "TW7008 docs/b.bin is no json"),
        ({"path": "docs/none"}, "TW7008 docs/none is not there"),
        ({"path": "other/a"}, "TW7025 other/a may not be read"),
        ({"path": "docs/../x"}, "TW7025"),
        ({"path": "docs/a.json", "format": "yaml"}, "TW7006 parameters of file_read: format"),
        ({}, "TW7006"),
    ],
)
def test_a_file_that_does_not_read_so_is_a_failure(project: Path, given: dict[str, Any], told: str) -> None:
    text = failure("file_read", given, GRANTS, project=project)
    assert text.startswith(told)
    assert str(project) not in text


def test_a_file_larger_than_an_output_is_refused(project: Path) -> None:
    (project / "docs" / "big").write_bytes(b"x" * (MAX_OUTPUT_BYTES + 1))
    assert failure("file_read", {"path": "docs/big"}, GRANTS, project=project).startswith("TW7029")


def test_without_grants_no_file_is_reached(project: Path) -> None:
    assert failure("file_read", {"path": "docs/a.json"}, project=project).startswith("TW7025")
    assert failure("file_write", {"path": "docs/a.json", "text": ""}, project=project).startswith("TW7025")


@pytest.mark.parametrize(
    ("given", "raw"),
    [
        ({"text": "é\n"}, "é\n".encode()),
        ({"json": {"b": 1, "a": None}}, b'{"a":null,"b":1}\n'),
        ({"json": None}, b"null\n"),
        ({"base64": "/wA="}, b"\xff\x00"),
    ],
)
def test_a_file_is_written_twice_as_once(project: Path, given: dict[str, Any], raw: bytes) -> None:
    (project / "out").mkdir()
    made = [output("file_write", {"path": "out/x/y", **given}, GRANTS, project=project) for _ in range(2)]
    assert (project / "out" / "x" / "y").read_bytes() == raw
    assert made[0] == made[1] == {"path": "out/x/y", "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


@pytest.mark.parametrize("given", [{}, {"text": "a", "json": 1}, {"base64": "?"}, {"text": "a", "mode": "append"}])
def test_what_cannot_be_written_is_refused(project: Path, given: dict[str, Any]) -> None:
    (project / "out").mkdir()
    assert failure("file_write", {"path": "out/y", **given}, GRANTS, project=project).startswith("TW7006")
    assert list((project / "out").iterdir()) == []


def test_a_file_becomes_an_artifact(project: Path) -> None:
    given = {"path": "docs/b.bin", "format": "artifact"}
    assert failure("file_read", given, GRANTS, project=project).startswith("TW7005"), "there is nowhere to keep it"
    (project / "docs" / "b.bin").write_bytes(b"x" * (MAX_OUTPUT_BYTES + 1))
    with Store.open(project / "state.db", CLOCK) as store:
        shelf = ArtifactShelf(store, Folder(project / "kept"), CLOCK)
        made = answer("file_read", given, GRANTS, project=project, artifacts=shelf.of("run-1", "load"))
        assert made.failure is None
        assert [(one.name, one.mime, one.size) for one in made.artifacts] == [
            ("b.bin", "text/plain", MAX_OUTPUT_BYTES + 1)
        ]
        assert shelf.get(made.artifacts[0].digest) == b"x" * (MAX_OUTPUT_BYTES + 1)
        assert made.artifacts[0].digest.hex().encode() in made.output
        with Server(reply(b"png", "content-type: image/png")) as server:
            given = {"url": f"http://{server.place}/a", "keep_as": "a.png"}
            kept = answer("http_call", given, server.grants, project=project, artifacts=shelf.of("run-1", "load"))
        assert [(one.name, one.mime, one.size) for one in kept.artifacts] == [("a.png", "image/png", 3)]
        bad = {**given, "keep_as": "../a"}
        with Server(reply(b"png")) as server:
            bad["url"] = f"http://{server.place}/"
            assert failure("http_call", bad, server.grants, artifacts=shelf.of("run-1", "load")).startswith("TW7025")


def test_neither_has_anything_to_configure() -> None:
    for name in ("file_read", "file_write"):
        with pytest.raises(SkillInvalid, match="unknown key"):
            found(name, folder="/")
