"""``llm_invoke``: what a language model says, or the JSON that it makes to a schema.

Which models there are, who runs them and what they cost stands in ``.tickwork/providers.toml``. What a model says comes
from outside: it is labelled so, and policy looks at it wherever it goes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pydantic

from ...clock import Clock, SystemClock
from ...kinds import EffectClass
from ..compiled import CostHint, RetryRule
from ..errors import SkillFailed, SkillInputInvalid, SkillOutputInvalid, SkillRefused
from ..json_text import read_json
from ..llm.client import Client
from ..llm.port import Account, Completion, Form, Function, Message, ModelPort, Request
from ..llm.pricing import OVERHEAD_TOKENS, Pricing
from ..llm.settings import Settings, read_settings
from ..llm.text import unfenced
from ..secrets import Secrets
from .configuration import fault_of_key, read_keys
from .shapes import ModelShape, SchemaShape
from .skill import CallContext, Shape, Traits

MAX_PROMPT: Final = 1 << 20
FORM_NAME: Final = "answer"


class Said(pydantic.BaseModel):
    """A turn of a conversation."""

    model_config = pydantic.ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    text: str = pydantic.Field(max_length=MAX_PROMPT)


class Offered(pydantic.BaseModel):
    """A function that a model may ask for. Nothing is called: the plan decides what comes of it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    name: str = pydantic.Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$")
    description: str = ""
    parameters: dict[str, pydantic.JsonValue] = pydantic.Field(description="JSON Schema of its arguments.")


class Given(pydantic.BaseModel):
    """What goes in."""

    model_config = pydantic.ConfigDict(extra="forbid")

    prompt: str = pydantic.Field("", max_length=MAX_PROMPT, description="What is asked; or `messages`.")
    messages: list[Said] = pydantic.Field([], description="A conversation; the last turn is the user's.")
    system: str = pydantic.Field("", max_length=MAX_PROMPT, description="How the model is to behave.")
    model: str = pydantic.Field("", max_length=256, description="A model of providers.toml; empty for the default.")
    max_tokens: int | None = pydantic.Field(None, ge=1, le=1_000_000, description="Of the answer.")
    temperature: float | None = pydantic.Field(None, ge=0, le=2, description="Some models refuse it.")
    seed: int | None = pydantic.Field(None, description="Providers promise nothing for it.")
    stop: list[str] = pydantic.Field([], max_length=4, description="Texts before which the answer ends.")
    json_schema: dict[str, pydantic.JsonValue] | None = pydantic.Field(
        None, alias="schema", description="JSON Schema that the answer has to fit; it then comes as `value`."
    )
    functions: list[Offered] = pydantic.Field([], max_length=64, description="What the model may ask for instead.")


class Asked(pydantic.BaseModel):
    """What a model asks for."""

    name: str
    arguments: pydantic.JsonValue


class Made(pydantic.BaseModel):
    """What comes out."""

    text: str
    value: pydantic.JsonValue = pydantic.Field(None, description="The JSON, where a schema was given.")
    calls: list[Asked] = []
    finish: Literal["stop", "length", "calls", "other"]
    model: str = pydantic.Field(description="As its provider calls it.")


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys of its table in skills.toml.

    Attributes:
        models: Names of models that may be asked; empty for all of the settings.
        max_tokens: Of an answer where the parameters do not say; 0 for what the settings of the model say.
    """

    models: tuple[str, ...] = ()
    max_tokens: int = 0


class LlmInvoke:
    """Asks a language model.

    Args:
        clock: Of prices.
        secrets: Where the providers' keys are; None for those that the agent was granted.
    """

    shapes: tuple[Shape, Shape] = (ModelShape(Given), ModelShape(Made))

    def __init__(self, settings: Settings, keys: Keys, clock: Clock, secrets: Secrets | None = None) -> None:
        self._settings = settings
        self._secrets = secrets
        self._keys = keys
        self.traits = Traits(
            "llm_invoke",
            "1",
            "Ask a language model for a text, or for JSON that fits a schema.",
            # An answer that was lost is asked for again: that costs money once more, and changes nothing else.
            EffectClass.IDEMPOTENT,
            outside=True,
            timeout_ms=120_000,
            retry=RetryRule(3, 1000, 2000, 60_000),
            cost=_dearest(settings, keys, clock),
            capabilities=("providers", "money"),
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LlmInvoke":
        """Return the skill with the models of this machine.

        Raises:
            SkillInvalid: TW7004, its own table or ``providers.toml`` is not what it must be.
        """
        keys = read_keys(config, Keys)
        settings = read_settings(Path(str(config.get("project", "."))) / ".tickwork")
        for name in keys.models:
            if name not in settings.table.models:
                raise fault_of_key(config, "models", f"there is no model {name}", fix="add it to providers.toml")
        return cls(settings, keys, SystemClock(), config.get("secrets"))

    def call(self, given: Given, context: CallContext) -> dict[str, Any]:
        """Return what the model says.

        Raises:
            ProviderFailed: TW7017. SkillFailed: TW7008, the model refuses. SkillRefused: TW7005, it may not be asked.
            SkillInputInvalid: TW7006, there is nothing to ask, or the schema is none.
            SkillOutputInvalid: TW7007, the answer does not fit the schema.
        """
        request, shape = self._request(given)
        port: ModelPort = context.parts.get("llm") or Client(self._settings, context.clock, secrets=self._secrets)
        account = Account(context.secrets, context.deadline_ns)
        try:
            completion = port.complete(request, account)
            return _made(completion, shape)
        finally:
            context.usage, context.transcript = account.usage, account.transcript()

    def _request(self, given: Given) -> tuple[Request, SchemaShape | None]:
        chosen = self._settings.choose(given.model)
        # Of a model that is not listed nobody has said what it costs before the run began.
        if chosen.name not in (self._keys.models or self._settings.names()):
            raise SkillRefused(
                f"the model {chosen.name} may not be asked by this skill",
                fix="name a model of .tickwork/providers.toml that the skill may ask",
            )
        messages = [Message(said.role, said.text) for said in given.messages]
        if given.prompt:
            messages.append(Message("user", given.prompt))
        if not messages or messages[-1].role != "user":
            raise SkillInputInvalid(
                "there is nothing to ask", fix="give `prompt`, or `messages` that end with the user's"
            )
        shape, form = None, None
        if given.json_schema is not None:
            try:
                shape = SchemaShape(given.json_schema)
            except ValueError as error:
                raise SkillInputInvalid(f"schema: {error}") from None
            form = Form(FORM_NAME, given.json_schema)
        request = Request(
            chosen.name,
            tuple(messages),
            given.system,
            given.max_tokens or self._keys.max_tokens or chosen.model.max_tokens,
            given.temperature,
            given.seed,
            tuple(given.stop),
            form,
            tuple(Function(offered.name, offered.description, offered.parameters) for offered in given.functions),
        )
        return request, shape


def _made(completion: Completion, shape: SchemaShape | None) -> dict[str, Any]:
    if completion.finish == "refusal":
        refused = SkillFailed(f"the model refuses to answer: {completion.text[:300] or 'it does not say why'}")
        refused.retryable = False
        raise refused
    value = None
    if shape is not None and not completion.calls:
        if completion.finish == "length":
            raise SkillOutputInvalid("the answer was cut off at its limit of tokens", fix="raise `max_tokens`")
        try:
            value = shape.check(unfenced(completion.text).encode())
        except ValueError as error:
            failed = SkillOutputInvalid(f"the model's answer does not fit the schema: {error}")
            failed.retryable = True
            raise failed from None
    calls = [{"name": call.name, "arguments": _arguments(call.name, call.arguments)} for call in completion.calls]
    return {
        "text": completion.text,
        "value": value,
        "calls": calls,
        "finish": completion.finish,
        "model": completion.model,
    }


def _arguments(name: str, text: str) -> Any:
    try:
        return read_json(text)
    except ValueError as error:
        failed = SkillOutputInvalid(f"the model calls {name} with what is no JSON: {error}")
        failed.retryable = True
        raise failed from None


def _dearest(settings: Settings, keys: Keys, clock: Clock) -> CostHint:
    """Return what a call costs at most, whichever of its models is asked."""
    pricing = Pricing(clock)
    chosen = [settings.choose(name) for name in keys.models or settings.names()]
    rates = [pricing.rates(each) for each in chosen]
    known = [each for each in rates if each is not None]
    # What stands around the parameters in a request is some tokens too.
    hints = [each.hint(0, 2 * OVERHEAD_TOKENS) for each in known]
    return CostHint(
        max((hint.per_call_micros for hint in hints), default=0),
        max((hint.input_micros for hint in hints), default=0),
        max((hint.output_micros for hint in hints), default=0),
        keys.max_tokens or max((each.model.max_tokens for each in chosen), default=0),
        known=bool(rates) and len(known) == len(rates),
    )
