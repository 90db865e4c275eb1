from pathlib import Path

import pytest

from tickwork.plane.errors import ProviderFailed, SkillInvalid
from tickwork.plane.llm.port import Manners
from tickwork.plane.llm.settings import Settings, SettingsTable, read_settings

GOOD = """
default = "smart"

[providers.claude]
kind = "anthropic"
key = "secret:ANTHROPIC_API_KEY"

[providers.local]
kind = "openai"
base_url = "http://127.0.0.1:11434/v1/"
loopback = true
stream = false
form = "json"

[models.smart]
provider = "claude"
model = "claude-sonnet-4-5"

[models.small]
provider = "local"
model = "qwen3:4b"
free = true
"""


def write(folder: Path, text: str) -> Path:
    (folder / "providers.toml").write_text(text)
    return folder


def test_models_have_names_of_this_machine(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, GOOD))
    assert settings.names() == ["small", "smart"]
    small, usual = settings.choose("small"), settings.choose("")
    assert (small.provider.address, small.model.model) == ("http://127.0.0.1:11434/v1", "qwen3:4b")
    assert small.provider.manners() == Manners(stream=False, form="json", limit="max_tokens")
    assert (usual.name, usual.who, usual.provider.address) == ("smart", "claude", "https://api.anthropic.com")


def test_without_settings_the_usual_providers_are_there_by_their_names(tmp_path: Path) -> None:
    settings = read_settings(tmp_path)
    chosen = settings.choose("openai/gpt-5")
    assert (chosen.provider.address, chosen.model.model) == ("https://api.openai.com/v1", "gpt-5")
    assert chosen.provider.key == "secret:OPENAI_API_KEY"
    assert chosen.provider.manners().limit == "max_completion_tokens"
    with pytest.raises(ProviderFailed, match="no language model is named") as caught:
        settings.choose("")
    assert "none is set up" in caught.value.why


def test_the_only_model_is_the_default(tmp_path: Path) -> None:
    table = '[models.one]\nprovider = "openai"\nmodel = "x"\n'
    assert read_settings(write(tmp_path, table)).choose("").name == "one"


def test_a_model_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(ProviderFailed, match="called smrt"):
        Settings(SettingsTable()).choose("smrt")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("providers = 3", "must be a table"),
        ("[providers.p]\nkind = 'cohere'", "kind is 'cohere'"),
        ("[providers.p]\nkind = 'openai'\nkey = 'sk-123'", "cannot be used"),
        ("[providers.p]\nkind = 'openai'\nbase_url = 'http://x.example/v1'", "no https"),
        ("[providers.p]\nkind = 'openai'\nbase_url = 'https://u:p@x.example'", "names a user"),
        ("[providers.p]\nkind = 'openai'\nbase_url = 'ftp://x.example'", "ftp"),
        ("[providers.p]\nkind = 'openai'\nnetworks = ['ten']", "no network"),
        ("[models.m]\nprovider = 'nobody'\nmodel = 'x'", "no provider nobody"),
        ("[models.m]\nprovider = 'openai'\nmodel = 'x'\ninput_usd = '3'", "one price is missing"),
        (
            "[models.m]\nprovider = 'openai'\nmodel = 'x'\ninput_usd = '3'\noutput_usd = '3'\nfree = true",
            "free model has a price",
        ),
        ("default = 'm'", "no model m"),
        ("default = ", "cannot be read"),
    ],
)
def test_settings_that_are_not_what_they_must_be_say_where(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SkillInvalid) as caught:
        read_settings(write(tmp_path, text))
    assert told in str(caught.value)
    assert "providers.toml" in caught.value.where


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = "[models.m]\nprovider = 'nobody'\nmodel = 'x'\n\n[models.n]\nprovider = 'none'\nmodel = 'x'\n"
    with pytest.raises(SkillInvalid) as caught:
        read_settings(write(tmp_path, text))
    assert "providers.toml:2" in caught.value.where
    assert "providers.toml:6" in caught.value.fix
