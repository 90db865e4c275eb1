import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.plane.llm.stand import (
    KEY,
    Answer,
    Stand,
    anthropic_events,
    anthropic_whole,
    client_for,
    failing,
    openai_whole,
    settings_for,
    streamed,
)
from tickwork.clock import SteppedClock, SystemClock
from tickwork.kinds import EffectClass
from tickwork.plane import calls
from tickwork.plane.calls import SkillCall
from tickwork.plane.errors import SkillInvalid
from tickwork.plane.llm.settings import Settings
from tickwork.plane.secrets import SecretBox
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.llm_invoke import Keys, LlmInvoke
from tickwork.plane.skills.performing import Ports, SkillPerformer
from tickwork.plane.skills.registry import Found, pin_of

SCHEMA = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}


def performer(stand: Stand, kind: str = "anthropic", **keys: Any) -> SkillPerformer:
    skill = LlmInvoke(settings_for(stand, kind), msgspec.convert(keys, Keys), SystemClock())
    parts = {"llm": client_for(stand, kind)}
    ports = Ports(SystemClock(), SecretBox({"KEY": KEY}), parts=parts)
    return SkillPerformer(Found(skill, skill.traits, pin_of(skill.traits, skill)), ports, run_id="r")


def ask(performing: SkillPerformer, **params: Any) -> calls.Answer:
    return performing.answer(SkillCall(1, "say", "step", 1, "llm_invoke@1", json.dumps(params).encode()))


def test_a_model_says_something_and_it_is_known_what_it_cost() -> None:
    with Stand(streamed(anthropic_events("Hello."))) as stand:
        answer = ask(performer(stand), prompt="Say hello", system="Be brief", max_tokens=20)
        sent = stand.heard[0].body
    output = json.loads(answer.output)
    assert (output["text"], output["value"], output["finish"], output["model"]) == ("Hello.", None, "stop", "m-1")
    assert (sent["system"], sent["max_tokens"]) == ("Be brief", 20)
    assert (answer.usage.tokens_in, answer.usage.tokens_out, answer.usage.cost_micros) == (12, 7, 12 * 3 + 7 * 15)
    assert json.loads(answer.transcript)["exchanges"][0]["request"] == sent


@pytest.mark.parametrize("text", ['{"mood":"good"}', '```json\n{"mood": "good"}\n```'])
def test_an_answer_to_a_schema_comes_as_a_value(text: str) -> None:
    with Stand(openai_whole(text)) as stand:
        answer = ask(performer(stand, "openai"), prompt="How is it?", schema=SCHEMA)
        assert stand.heard[0].body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert json.loads(answer.output)["value"] == {"mood": "good"}


@pytest.mark.parametrize("text", ['{"mood":"sad"}', "good", '{"mood":NaN}', '{"mood":"good","mood":"bad"}', '{"mood":'])
def test_an_answer_that_does_not_fit_its_schema_fails_and_can_be_asked_for_again(text: str) -> None:
    with Stand(anthropic_whole(text)) as stand:
        answer = ask(performer(stand), prompt="How is it?", schema=SCHEMA)
    assert answer.failure is not None
    assert (answer.failure.code, answer.failure.retryable) == ("TW7007", True)
    assert answer.usage.cost_micros == 12 * 3 + 7 * 15
    assert answer.transcript


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        (anthropic_whole("No.", stop="refusal"), "TW7008", False),
        (anthropic_whole('{"mood":', stop="max_tokens"), "TW7007", False),
        (failing(429, retry_after="60"), "TW7017", True),
        (failing(401), "TW7017", False),
        (streamed(anthropic_events("Hello")[:4], cut=True), "TW7017", True),
    ],
)
def test_what_goes_wrong_is_told_as_it_is(answer: Answer, code: str, retryable: bool) -> None:
    with Stand(answer) as stand:
        came = ask(performer(stand), prompt="How is it?", schema=SCHEMA)
    assert came.failure is not None
    assert (came.failure.code, came.failure.retryable) == (code, retryable)
    assert came.failure.retry_after_ms == (60_000 if "429" in came.failure.message else 0)
    assert KEY.encode() not in came.transcript


def test_what_a_model_asks_for_is_handed_to_the_plan() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "look", "input": {"q": "rain"}}
    offered = [{"name": "look", "parameters": {"type": "object"}}]
    with Stand(anthropic_whole("Let me see.", call, stop="tool_use")) as stand:
        answer = ask(performer(stand), messages=[{"role": "user", "text": "Rain?"}], functions=offered)
        assert stand.heard[0].body["tools"][0]["name"] == "look"
    output = json.loads(answer.output)
    assert (output["finish"], output["calls"]) == ("calls", [{"name": "look", "arguments": {"q": "rain"}}])


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "TW7006"),
        ({"messages": [{"role": "assistant", "text": "x"}]}, "TW7006"),
        ({"prompt": "x", "schema": {"type": "nonsense"}}, "TW7006"),
        ({"prompt": "x", "max_tokens": 0}, "TW7006"),
        ({"prompt": "x", "model": "p/gpt-dear"}, "TW7005"),
        ({"prompt": "x", "model": "unknown"}, "TW7017"),
    ],
)
def test_what_cannot_be_asked_is_not_sent(params: dict[str, Any], code: str) -> None:
    with Stand(anthropic_whole("x")) as stand:
        answer = ask(performer(stand), **params)
        assert stand.heard == []
    assert answer.failure is not None
    assert answer.failure.code == code


def test_no_answer_costs_more_than_its_hint_says() -> None:
    with Stand(streamed(anthropic_events("x")[:3], cut=True)) as stand:
        skill = LlmInvoke(settings_for(stand), Keys(), SystemClock())
        answer = ask(performer(stand), prompt="How is it?", max_tokens=50)
    hint, params = skill.traits.cost, json.dumps({"prompt": "How is it?", "max_tokens": 50}).encode()
    bound = hint.per_call_micros + (len(params) * hint.input_micros + 50 * hint.output_micros) // 1_000_000
    assert hint.known
    assert 0 < answer.usage.cost_micros <= bound


def test_traits_say_that_it_costs_and_that_its_words_are_from_outside() -> None:
    with Stand(anthropic_whole("x")) as stand:
        traits = LlmInvoke(settings_for(stand), Keys(), SystemClock()).traits
    assert (traits.effect_class, traits.outside, traits.side_effects) == (EffectClass.IDEMPOTENT, True, False)
    assert (traits.cost.input_micros, traits.cost.output_micros, traits.cost.max_output) == (3_000_000, 15_000_000, 100)


def test_without_a_price_nobody_says_what_it_costs() -> None:
    assert not LlmInvoke(Settings(), Keys(), SteppedClock()).traits.cost.known


def test_it_is_made_of_the_settings_of_its_project(tmp_path: Path) -> None:
    (tmp_path / ".tickwork").mkdir()
    text = "[models.one]\nprovider = 'openai'\nmodel = 'x'\ninput_usd = '1'\noutput_usd = '2'\nmax_tokens = 7\n"
    (tmp_path / ".tickwork" / "providers.toml").write_text(text)
    config: dict[str, Any] = {"name": "llm_invoke", "project": str(tmp_path)}
    hint = LlmInvoke.from_config({**config, "models": ["one"]}).traits.cost
    assert (hint.output_micros, hint.max_output) == (2_000_000, 7)
    with pytest.raises(SkillInvalid, match="no model two"):
        LlmInvoke.from_config({**config, "models": ["two"]})


def test_the_key_of_a_provider_needs_no_grant() -> None:
    with Stand(anthropic_whole("x")) as stand:
        skill = LlmInvoke(settings_for(stand), Keys(), SystemClock(), SecretBox({"KEY": KEY}))
        found = Found(skill, skill.traits, pin_of(skill.traits, skill))
        ungranted = SecretBox({"KEY": KEY}, frozenset())
        answer = ask(SkillPerformer(found, Ports(SystemClock(), ungranted), run_id="r"), prompt="x")
        assert answer.failure is None
        assert stand.heard[0].headers["x-api-key"] == KEY
    assert Configuration(secrets=ungranted).of_skill("llm_invoke")["secrets"] is ungranted
    assert "secrets" not in Configuration(secrets=ungranted).of_skill("http_call")
