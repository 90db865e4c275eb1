from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from tests.unit.infer.decoder import PLAN, make_decoder
from tickwork.clock import SteppedClock
from tickwork.errors import ModelInvalid, ModelUnfit, ProviderMissing
from tickwork.infer.asking import Wanted
from tickwork.infer.genai import CONFIG, describe_language
from tickwork.infer.language import LanguageRunner
from tickwork.infer.manifest import LLM, ModelConfig
from tickwork.infer.prompts import ANSWER, INPUTS, OUTPUTS, REQUEST, Message, Prompt, Said, read_said
from tickwork.records import Encoding, NoteKind, Refusal
from tickwork.tensors import STRING, Tensor, decode_tensors, encode_tensors, join_text, split_text

pytestmark = pytest.mark.slow

DIGEST = bytes(range(32))
WANTED = Wanted(DIGEST)


def load(folder: Path, wanted: Wanted = WANTED) -> LanguageRunner:
    config = ModelConfig(name="tiny", version="1", kind=LLM, entry=CONFIG)
    return LanguageRunner(wanted, config, folder, SteppedClock())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_decoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def runner(folder: Path) -> LanguageRunner:
    return load(folder)


def say(runner: LanguageRunner, prompt: Prompt) -> Said:
    ran = runner.run(prompt.encode(), Encoding.JSON)
    assert (ran.code, ran.error) == (0, None)
    return read_said(ran.body)


def test_a_plan_fits_its_schema_each_time_and_is_the_same_each_time(runner: LanguageRunner) -> None:
    plans = list[str]()
    for number in range(5):
        asked = Prompt(messages=(Message("user", f"plan {number}"),), schema=PLAN)
        first, again = say(runner, asked), say(runner, asked)
        assert first == again
        assert first.finish == "stop"
        jsonschema.validate(msgspec.json.decode(first.text), PLAN)
        plans.append(first.text)
    assert len(set(plans)) > 1


def test_another_session_says_the_same_and_has_the_same_fingerprint(folder: Path, runner: LanguageRunner) -> None:
    other = load(folder)
    asked = Prompt(prompt="Once upon a time", max_tokens=40)
    say(other, Prompt(prompt="Once upon", max_tokens=40))
    assert say(other, asked) == say(runner, asked)
    assert other.fingerprint == runner.fingerprint
    assert runner.fingerprint.options == ("inter_op_num_threads=1", "intra_op_num_threads=1")
    assert len(runner.fingerprint.probe) == len(runner.fingerprint.library) == 32


def test_other_weights_have_another_fingerprint(tmp_path: Path, runner: LanguageRunner) -> None:
    assert load(make_decoder(tmp_path, 1)).fingerprint.probe != runner.fingerprint.probe


def test_what_is_drawn_follows_from_the_seed(runner: LanguageRunner) -> None:
    drawn = [
        say(runner, Prompt(prompt="plan", schema=PLAN, temperature=1.0, seed=seed)).text
        for seed in (*range(6), *range(6))
    ]
    assert drawn[:6] == drawn[6:]
    assert len(set(drawn)) > 1


def test_an_answer_ends_where_it_is_told_to(runner: LanguageRunner) -> None:
    whole = say(runner, Prompt(prompt="plan", schema=PLAN))
    short = say(runner, Prompt(prompt="plan", schema=PLAN, max_tokens=10))
    assert (short.text, short.finish, short.tokens) == (whole.text[:10], "length", 10)
    stopped = say(runner, Prompt(prompt="plan", schema=PLAN, stop=("nothing of it", '"goal"', '"steps"')))
    assert (stopped.text, stopped.finish) == (whole.text[: whole.text.index('"goal"')], "stop")
    assert whole.prompt_tokens == 4


def test_grammars_and_regular_expressions_guide_as_well(runner: LanguageRunner) -> None:
    assert say(runner, Prompt(prompt="x", regex="[ab]{4}c")).text[4:] == "c"
    assert say(runner, Prompt(prompt="x", grammar='start: "yes" | "no"')).text in {"yes", "no"}


def test_it_can_be_asked_with_a_tensor_of_text(runner: LanguageRunner) -> None:
    asked = Prompt(prompt="plan", schema=PLAN)
    body = encode_tensors([Tensor(REQUEST, STRING, (1,), join_text([asked.encode().decode()]))])
    ran = runner.run(body, Encoding.TENSOR)
    (tensor,) = decode_tensors(ran.body)
    assert (ran.encoding, tensor.name) == (Encoding.TENSOR, ANSWER)
    assert read_said(split_text(tensor.data)[0].encode()) == say(runner, asked)


def test_several_requests_are_answered_each_as_if_alone(runner: LanguageRunner) -> None:
    bodies = [Prompt(prompt=f"plan {n}", schema=PLAN).encode() for n in range(3)]
    together = runner.run_batch([*bodies, b"{"], [Encoding.JSON] * 4)
    assert [ran.code for ran in together] == [0, 0, 0, Refusal.BAD_MESSAGE]
    assert [ran.body for ran in together[:3]] == [runner.run(body, Encoding.JSON).body for body in bodies]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (b"[]", "the body is no request for a language model"),
        (Prompt(prompt="x", schema={"type": "banana"}).encode(), "an answer cannot be held to this guide"),
        (Prompt(prompt="x", grammar="start: (((").encode(), "an answer cannot be held to this guide"),
        (Prompt(prompt="x" * 3000).encode(), "the prompt comes to 3,000 tokens"),
    ],
)
def test_what_it_cannot_be_asked_is_refused_in_words_of_ours(runner: LanguageRunner, asked: bytes, text: str) -> None:
    ran = runner.run(asked, Encoding.JSON)
    assert (ran.code, ran.body.decode()) == (Refusal.BAD_MESSAGE, text)
    assert ran.error is not None


def test_an_answer_has_no_more_tokens_than_there_is_room_for(runner: LanguageRunner) -> None:
    said = say(runner, Prompt(prompt="x" * 2040, max_tokens=100, regex="a{200}"))
    assert (said.prompt_tokens, said.tokens, said.finish) == (2040, 8, "length")


def test_a_model_without_a_template_is_asked_with_prompts(tmp_path: Path) -> None:
    settings = make_decoder(tmp_path) / "tokenizer_config.json"
    told = msgspec.json.decode(settings.read_bytes())
    del told["chat_template"]
    settings.write_bytes(msgspec.json.encode(told))
    runner = load(tmp_path)
    assert runner.run(Prompt(prompt="x", regex="b").encode(), Encoding.JSON).code == 0
    refused = runner.run(Prompt(messages=(Message("user", "x"),)).encode(), Encoding.JSON)
    assert refused.code == Refusal.BAD_MESSAGE


def test_damaged_weights_are_no_model(tmp_path: Path) -> None:
    (make_decoder(tmp_path) / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelInvalid):
        load(tmp_path)


def test_a_provider_that_is_absent_is_an_error_or_a_fallback_that_is_told(folder: Path) -> None:
    with pytest.raises(ProviderMissing):
        load(folder, Wanted(DIGEST, "fast", ("coreml",)))
    runner = load(folder, Wanted(DIGEST, "fast", ("coreml", "cpu"), "on_load"))
    (incident,) = runner.take_incidents()
    assert (incident.kind, incident.text) == (
        NoteKind.FALLBACK,
        "the execution provider coreml is absent; cpu takes its place",
    )
    assert (runner.fingerprint.provider, runner.take_incidents()) == ("cpu", ())


def test_a_profile_that_its_operators_do_not_allow_is_refused(folder: Path) -> None:
    config = msgspec.structs.replace(describe_language(folder, CONFIG), name="tiny", version="1")
    assert (config.kind, config.inputs, config.outputs) == (LLM, INPUTS, OUTPUTS)
    assert "com.microsoft:GroupQueryAttention" in config.screening.inexact
    for wanted in (
        Wanted(DIGEST, "exact-portable"),
        Wanted(DIGEST, "exact-1", ("cuda",)),
        Wanted(DIGEST, batch="tick"),
    ):
        with pytest.raises(ModelUnfit):
            LanguageRunner(wanted, config, folder, SteppedClock())


def test_the_process_says_what_it_takes(runner: LanguageRunner) -> None:
    assert runner.memory() > 10 << 20
