"""cli/config.py: settings from files and the environment."""

import os
from pathlib import Path

import pytest
from platformdirs import user_config_path

from tests.unit.cli.program import call
from tickwork.cli.config import (
    FILE,
    Settings,
    colours_wanted,
    load_secrets,
    load_settings,
    module_cache,
    own_key_path,
    signing_key,
    trust_folder,
)
from tickwork.errors import WorldError, WorldReferenceError, WorldSchemaError, WorldSyntaxError


@pytest.fixture
def user_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the user's settings file, in a home of its own."""
    home = tmp_path / "home"
    monkeypatch.setattr("tickwork.cli.config.user_folder", lambda: home)
    home.mkdir()
    return home / FILE


def test_without_any_setting_the_defaults_hold(user_file: Path) -> None:
    assert load_settings({}) == Settings()
    assert module_cache(Settings()).name == "modules"
    assert signing_key(Settings(signing_key="none")) is None


def test_the_environment_goes_before_the_project_and_the_project_before_the_user(user_file: Path) -> None:
    user_file.write_text('workers = 1\ncache = "/user"\nsigning_key = "/key"\n', encoding="utf-8")
    assert load_settings({}) == Settings(1, "/user", "/key")
    Path(FILE).write_text("workers = 2\n", encoding="utf-8")
    assert load_settings({}) == Settings(2, "/user", "/key")
    assert load_settings({"TICKWORK_WORKERS": "3", "TICKWORK_CACHE": "/own"}) == Settings(3, "/own", "/key")


@pytest.mark.parametrize("key", ["cache", "signing_key", "trust", "models"])
def test_a_project_never_says_where_native_code_and_keys_lie(user_file: Path, key: str) -> None:
    Path(FILE).write_text(f'{key} = "here"\n', encoding="utf-8")
    with pytest.raises(WorldSchemaError, match=f"{key} cannot be set here"):
        load_settings({})


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("workers = -1\n", WorldSchemaError, "tickwork.toml:1, workers"),
        ("workesr = 1\n", WorldSchemaError, 'did you mean "workers"?'),
        ("workers = = 1\n", WorldSyntaxError, "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(user_file: Path, text: str, kind: type[WorldError], said: str) -> None:
    user_file.write_text(text, encoding="utf-8")
    with pytest.raises(kind) as caught:
        load_settings({})
    assert said in str(caught.value)


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "1000"])
def test_a_wrong_variable_is_named(user_file: Path, value: str) -> None:
    with pytest.raises(WorldSchemaError) as caught:
        load_settings({"TICKWORK_WORKERS": value})
    assert "TICKWORK_WORKERS" in caught.value.where


def test_a_key_is_read_from_its_file_and_signs_runs(world: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "key"
    path.write_bytes(bytes(range(32)))
    monkeypatch.setenv("TICKWORK_SIGNING_KEY", str(path))
    assert call("run", world, "--journal", "signed.twk").status == 0
    assert len(str(call("verify", "signed.twk", "-o", "json").document()["signed_by"])) == 64


@pytest.mark.parametrize("content", [None, b"short"])
def test_a_key_that_is_none_is_refused(folder: Path, content: bytes | None) -> None:
    path = folder / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorldReferenceError) as caught:
        signing_key(Settings(signing_key=str(path)))
    assert caught.value.where == str(path)


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colours_wanted()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colours_wanted()


def test_a_user_without_a_key_gets_one_that_stays() -> None:
    first = signing_key(Settings())
    assert first is not None
    assert len(first) == 32
    assert signing_key(Settings()) == first
    if os.name == "posix":
        assert own_key_path().stat().st_mode & 0o777 == 0o600


def test_the_trust_folder_is_the_users_unless_the_user_names_another() -> None:
    assert trust_folder(Settings()) == user_config_path("tickwork", appauthor=False) / "trust"
    assert trust_folder(Settings(trust="~/mine")) == Path.home() / "mine"


def test_secrets_come_from_the_environment_and_the_users_file(user_file: Path) -> None:
    secrets = user_file.with_name("secrets.toml")
    assert load_secrets({}) == {}
    secrets.write_text('A = "from the file"\nB = "file"\n')
    secrets.chmod(0o600)
    assert load_secrets({"TICKWORK_SECRET_B": "environment"}) == {"A": "from the file", "B": "environment"}


@pytest.mark.parametrize(
    ("text", "mode", "kind"),
    [
        ('A = "x"', 0o644, WorldReferenceError),
        ("A = hidden-0123", 0o600, WorldSyntaxError),
        ("A = 5", 0o600, WorldSchemaError),
        ("[A]\nb = 1", 0o600, WorldSchemaError),
    ],
)
def test_a_bad_file_of_secrets_is_refused_without_telling_one(
    user_file: Path, text: str, mode: int, kind: type[WorldError]
) -> None:
    secrets = user_file.with_name("secrets.toml")
    secrets.write_text(text)
    secrets.chmod(mode)
    with pytest.raises(kind) as error:
        load_secrets({})
    assert "hidden-0123" not in str(error.value)
