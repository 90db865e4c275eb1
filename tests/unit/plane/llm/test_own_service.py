"""The language models of this product's own service, asked as those of any provider: both sides of one protocol."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.infer.askers import FakeAsker, keep_model
from tests.unit.plane.llm.stand import Answer, Stand, account, openai_whole
from tickwork.clock import SteppedClock, SystemClock
from tickwork.infer.face import Call, Face, Terms
from tickwork.infer.manifest import LLM, ModelConfig
from tickwork.infer.prompts import INPUTS, OUTPUTS, Prompt, Said, read_prompt, write_said
from tickwork.infer.store import ModelStore
from tickwork.plane.llm.client import Client
from tickwork.plane.llm.port import Form, Message, Request
from tickwork.plane.llm.settings import ModelTable, ProviderTable, Settings, SettingsTable

TEXT = '{"goal":"fetch"}'
SCHEMA = {"type": "object", "properties": {"goal": {"type": "string"}}}


class Service(Stand):
    """The face of the model service behind a socket, with one model that says one thing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(openai_whole(""))
        store = ModelStore(folder / "store")
        tiny = ModelConfig(
            name="tiny", version="1", kind=LLM, entry="genai_config.json", inputs=INPUTS, outputs=OUTPUTS
        )
        digest = keep_model(store, folder, tiny)
        self.prompts = list[Prompt]()
        self._face = Face(store, FakeAsker(store, {digest: self._say}), SteppedClock(), Terms())

    def _say(self, body: bytes, encoding: int) -> bytes:
        self.prompts.append(read_prompt(body, encoding))
        return write_said(Said(TEXT, "stop", 7, 11), encoding)

    def _next(self) -> Answer:
        answer = self._face.answer("chat", Call(body=json.dumps(self.heard[-1].body).encode()))
        return Answer(answer.status, (("content-type", answer.kind),), (bytes(answer.body),))


@pytest.mark.parametrize("stream", [True, False])
def test_the_own_service_is_a_provider_like_any_other(tmp_path: Path, stream: bool) -> None:
    with Service(tmp_path) as service:
        provider = ProviderTable("openai", f"{service.url}/v1", loopback=True, stream=stream)
        table = SettingsTable(providers={"own": provider}, models={"tiny": ModelTable("own", "tiny", free=True)})
        used = account()
        request = Request(
            "tiny",
            (Message("user", "plan"),),
            "be brief",
            60,
            temperature=0.5,
            stop=("END",),
            form=Form("plan", SCHEMA),
        )
        said = Client(Settings(table), SystemClock()).complete(request, used)
    assert (said.text, said.finish, said.model) == (TEXT, "stop", "tiny")
    assert (used.usage.tokens_in, used.usage.tokens_out, used.usage.cost_micros) == (7, 11, 0)
    (prompt,) = service.prompts
    schema: Any = prompt.schema
    assert (prompt.max_tokens, prompt.temperature, schema) == (60, 0.5, SCHEMA)
    assert [message.role for message in prompt.messages] == ["system", "user"]
