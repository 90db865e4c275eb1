"""cli/model and its commands, on a store that is there already; what looks into models is tried in test_model_add."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tests.unit.infer.samples import filled, folder_of, named
from tickwork.infer.store import ModelStore


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Return the usual store, with two versions of a model that nobody signed."""
    made = filled(folder, "1.0.0", "1.1.0")
    monkeypatch.setenv("TICKWORK_MODELS", str(made.folder))
    monkeypatch.setenv("TICKWORK_TRUST", str(folder / "trust"))
    return made


def versions(store: ModelStore) -> list[str]:
    return [kept.version for kept in store.list()]


def failed(*words: str | Path) -> tuple[int, str]:
    answer = call(*words)
    assert answer.status != 0
    return answer.status, answer.err.split(":")[0]


def test_an_empty_store_says_how_to_fill_it(folder: Path) -> None:
    answer = call("model", "list", "--store", folder / "none")
    assert (answer.status, answer.out) == (0, "")
    assert "tickwork model add" in answer.err
    assert call("model", "list", "--store", folder / "none", "-o", "json").document()["models"] == []


def test_the_list_names_every_version(store: ModelStore) -> None:
    answer = call("model", "list")
    assert answer.status == 0
    assert [line.split()[:3] for line in answer.out.splitlines()[2:]] == [
        ["forecast", "1.0.0", "461"],
        ["forecast", "1.1.0", "latest"],
    ]
    rows = [json.loads(line) for line in call("model", "list", "-o", "jsonl").out.splitlines()]
    assert [(row["version"], row["bytes"], row["aliases"]) for row in rows] == [
        ("1.0.0", 461, []),
        ("1.1.0", 461, ["latest"]),
    ]


def test_showing_a_model_says_what_it_takes_and_gives(store: ModelStore) -> None:
    text = call("model", "show", "forecast").out
    for part in ("forecast:1.1.0", "x  float32 [batch, 4]", "weights/one.bin", "MIT", "nobody"):
        assert part in text
    document = call("model", "show", "forecast:1.0.0", "-o", "json").document()
    assert document["digest"] == store.find("forecast:1.0.0").hex()
    assert document["memory"] == 50_000_000
    assert document["inputs"] == [
        {"name": "x", "kind": "tensor", "dtype": "float32", "shape": ["batch", 4], "optional": False}
    ]
    assert failed("model", "show", "absent") == (8, "TW6001")


def test_signing_lets_a_model_be_believed(store: ModelStore) -> None:
    answer = call("model", "verify")
    assert answer.status == 4
    assert "TW3004" in answer.out
    assert call("model", "verify", "--allow-unsigned").status == 0
    assert call("model", "sign", "forecast:1.0.0", "forecast:1.1.0").status == 0
    document = call("model", "verify", "-o", "json").document()
    assert document["whole"] is True
    assert [row["refusal"] for row in document["models"]] == [None, None]  # type: ignore[attr-defined]
    assert "yes, you, on this machine" in call("model", "show", "forecast").out
    assert call("model", "sign", "forecast", "--remove").status == 0
    assert call("model", "verify", "forecast").status == 4
    assert failed("model", "sign") == (2, "TW1001")
    assert failed("model", "sign", "forecast", "--remove", "--add") == (2, "TW1001")


def test_a_publishers_key_is_added_beside_ones_own(store: ModelStore) -> None:
    assert call("agent", "keygen", "acme.key").status == 0
    call("model", "sign", "forecast")
    document = call("model", "sign", "forecast", "--key", "acme.key", "--add", "-o", "json").document()
    assert len(document["models"][0]["signed_by"]) == 2  # type: ignore[index]
    call("model", "sign", "forecast", "--key", "acme.key")
    assert call("model", "verify", "forecast").status == 4
    call("trust", "add", "acme.key.pub", "--publisher", "Acme", "--names", "fore*")
    assert call("model", "verify", "forecast").status == 0
    digest = store.find("forecast").hex()
    assert call("trust", "revoke", digest, "--reason", "it was wrong").status == 0
    assert "TW3204" in call("model", "verify", "forecast").out


def test_damage_is_found_and_told_where(store: ModelStore) -> None:
    call("model", "sign", "forecast:1.0.0", "forecast:1.1.0")
    digest = store.find("forecast:1.0.0")
    layer = next(one for one in store.manifest(digest).layers if one.path == "weights/two")
    path = store.path(layer.sha256)
    path.chmod(0o644)
    path.write_bytes(b"1.0.1")
    answer = call("model", "verify")
    assert answer.status == 3
    assert "forecast:1.0.0  damaged" in answer.out
    assert "weights/two: its bytes are others" in answer.out
    assert "forecast:1.1.0  whole" in answer.out
    document = call("model", "verify", "forecast:1.0.0", "-o", "json").document()
    assert [one["path"] for one in document["models"][0]["damage"]] == ["weights/two"]  # type: ignore[index]
    assert failed("model", "push", "forecast:1.0.0", "elsewhere") == (3, "TW6003")


def test_what_worlds_took_from_files_needs_no_signature_when_the_whole_store_is_verified(folder: Path) -> None:
    store = filled(folder, "0+0123456789abcdef")
    assert call("model", "verify", "--store", store.folder).status == 0
    assert failed("model", "verify", "forecast:0+0123456789abcdef", "--store", store.folder) == (4, "")


def test_aliases_are_set_moved_and_taken_away(store: ModelStore) -> None:
    document = call("model", "alias", "forecast:1.0.0", "stable", "-o", "json").document()
    assert document["aliases"] == ["stable"]
    assert "stable" in call("model", "alias", "forecast:1.1.0", "stable").out
    assert store.find("forecast:stable") == store.find("forecast:1.1.0")
    assert call("model", "alias", "--remove", "forecast:stable").status == 0
    assert failed("model", "alias", "--remove", "forecast:stable") == (8, "TW6001")
    assert failed("model", "alias", "forecast:1.0.0", "2.0.0") == (4, "TW6002")
    assert failed("model", "alias", "forecast:1.0.0") == (2, "TW1001")
    assert failed("model", "alias", "--remove", "forecast:1.0.0", "stable") == (2, "TW1001")


def test_a_pinned_version_stays(store: ModelStore) -> None:
    assert "yes" in call("model", "pin", "forecast:1.0.0").out
    assert failed("model", "rm", "forecast:1.0.0") == (7, "TW6016")
    assert call("model", "gc", "--keep", "1", "-o", "json").document()["removed"] == []
    assert call("model", "unpin", "forecast:1.0.0", "-o", "json").document()["pinned"] is False
    assert "unread" not in call("model", "gc").out
    assert "forecast:1.0.0" in call("model", "gc", "--keep", "1").out
    assert versions(store) == ["1.1.0"]
    assert failed("model", "gc", "--keep", "-1") == (2, "TW1001")
    (store.folder / "blobs" / "sha256" / store.find("forecast").hex()).unlink()
    assert call("model", "gc", "-o", "json").document()["unread"] == ["forecast:1.1.0"]
    assert "tickwork model verify" in call("model", "gc").out


def test_removing_says_what_went(store: ModelStore) -> None:
    assert "removed forecast:1.0.0" in call("model", "rm", "forecast:1.0.0").out
    document = call("model", "rm", "forecast:1.1.0", "-o", "json").document()
    assert document["removed"] == ["forecast:1.1.0"]
    assert versions(store) == []
    assert failed("model", "rm") == (2, "TW1001")
    assert failed("model", "rm", "forecast") == (8, "TW6001")


def test_a_model_is_pushed_to_another_folder(store: ModelStore, folder: Path) -> None:
    assert failed("model", "push", "forecast", "shared") == (4, "TW3004")
    document = call("model", "push", "forecast", "shared", "--allow-unsigned", "-o", "json").document()
    assert document["name"] == "forecast"
    shared = ModelStore(folder / "shared")
    assert shared.find("forecast") == store.find("forecast")
    store.remove("forecast:1.0.0")
    store.add(folder_of(folder / "changed", model_onnx=b"trained again"), named())
    shared.add(folder / "1.0.0", named())
    assert failed("model", "push", "forecast:1.0.0", "shared", "--allow-unsigned") == (7, "TW6011")


def test_a_project_cannot_say_where_models_lie(folder: Path) -> None:
    (folder / "tickwork.toml").write_text('models = "here"\n', encoding="utf-8")
    assert failed("model", "list") == (78, "TW1102")
