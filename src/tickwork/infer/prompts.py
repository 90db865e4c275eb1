"""What a language model is asked and what it says: JSON both ways.

Shape: a request is the JSON of a ``Prompt``, an answer that of a ``Said``. Where tensors are asked for instead, each is
the one element of a tensor of text, named ``request`` and ``answer``.

Law: nothing else reaches the model, so equal requests to equal sessions give equal answers.
"""

from typing import Final

import msgspec

from ..errors import ModelInputInvalid
from ..records import Encoding
from ..tensors import STRING, Tensor, count_elements, decode_tensors, encode_tensors, join_text, split_text
from .manifest import Port

REQUEST: Final = "request"
ANSWER: Final = "answer"

INPUTS: Final = (Port(REQUEST, STRING, (1,)),)
OUTPUTS: Final = (Port(ANSWER, STRING, (1,)),)
"""What every language model takes and gives, as tensors."""

TOKENS_MOST: Final = 1 << 20
STOPS_MOST: Final = 16
SEED_MOST: Final = (1 << 31) - 1
TEMPERATURE_MOST: Final = 2.0
GUIDE_BYTES: Final = 1 << 16
"""Bytes of a schema or grammar. Longer ones take the time of many answers to read."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A turn of a conversation.

    Attributes:
        role: ``system``, ``user`` or ``assistant``, or whatever else the model's template knows.
    """

    role: str
    content: str


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A request. One of ``prompt`` and ``messages`` is there, and at most one of ``schema``, ``grammar`` and ``regex``.

    Attributes:
        prompt: Text that is continued as it stands.
        messages: A conversation, put into words by the model's own template.
        max_tokens: Where the answer is cut off.
        temperature: 0 takes the likeliest token each time; above, tokens are drawn.
        top_k, top_p: Among how many of the likeliest tokens, and among what part of all likelihood, one is drawn.
        seed: Of what is drawn. Equal seeds draw alike.
        stop: Texts before which the answer ends.
        schema: A JSON schema that the answer fits.
        grammar: A Lark grammar that the answer fits.
        regex: A regular expression that the answer fits.
    """

    prompt: str = ""
    messages: tuple[Message, ...] = ()
    max_tokens: int = 256
    temperature: float = 0.0
    top_k: int = 50
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: dict[str, object] | None = None
    grammar: str = ""
    regex: str = ""

    def encode(self) -> bytes:
        """Return the request as JSON."""
        return msgspec.json.encode(self)

    @property
    def guide(self) -> tuple[str, str] | None:
        """What the answer is held to: the kind of guide and its text; None where it is free.

        A schema leaves no room for white space between its tokens unless it says so: a small model would fill the
        answer with it.
        """
        if self.schema is not None:
            schema = {"x-guidance": {"whitespace_flexible": False}} | self.schema
            return "json_schema", msgspec.json.encode(schema).decode()
        if self.grammar:
            return "lark_grammar", self.grammar
        return ("regex", self.regex) if self.regex else None


class Said(msgspec.Struct, frozen=True):
    """An answer.

    Attributes:
        finish: ``stop`` where the model, the guide or a stop text ended it; ``length`` where it was cut off.
        prompt_tokens: How many tokens the prompt came to.
        tokens: How many were generated.
    """

    text: str
    finish: str
    prompt_tokens: int
    tokens: int


def read_prompt(body: bytes | memoryview, encoding: int = Encoding.JSON) -> Prompt:
    """Return the request in a body, checked.

    Raises:
        ModelInputInvalid: TW6004, it is none, or one that no model can be asked.
    """
    if encoding == Encoding.TENSOR:
        body = _only_text(body)
    elif encoding != Encoding.JSON:
        raise _unfit("a language model is asked in JSON or with a tensor of text", f"the encoding is {encoding}")
    try:
        prompt = msgspec.json.decode(body, type=Prompt)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unfit("the body is no request for a language model", str(error)) from error
    _check(prompt)
    return prompt


def write_said(said: Said, encoding: int) -> bytes:
    """Return the answer as a body of the request's encoding."""
    body = msgspec.json.encode(said)
    if encoding == Encoding.TENSOR:
        return encode_tensors([Tensor(ANSWER, STRING, (1,), join_text([body.decode()]))])
    return body


def read_said(body: bytes) -> Said:
    """Return the answer in a body of JSON.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return msgspec.json.decode(body, type=Said)


def _only_text(body: bytes | memoryview) -> bytes:
    tensors = decode_tensors(body)
    if len(tensors) != 1 or tensors[0].name not in {"", REQUEST}:
        raise _unfit(f"a language model takes one tensor, {REQUEST!r}", f"{len(tensors)} are given")
    if tensors[0].dtype != STRING or count_elements(tensors[0].shape) != 1:
        raise _unfit(f"the tensor {REQUEST!r} is no single text", "its type is string, its shape [1]")
    return split_text(tensors[0].data)[0].encode()


def _check(prompt: Prompt) -> None:
    """Refuse what no model can be asked. Raises: ModelInputInvalid."""
    if bool(prompt.prompt) == bool(prompt.messages):
        raise _unfit("a request has either a prompt or messages", "both are given, or neither is")
    if sum((prompt.schema is not None, bool(prompt.grammar), bool(prompt.regex))) > 1:
        raise _unfit("an answer is held to one guide", "more than one of schema, grammar and regex is given")
    if prompt.guide is not None and len(prompt.guide[1].encode()) > GUIDE_BYTES:
        raise _unfit("the guide is too long", f"{GUIDE_BYTES:,} bytes are the most")
    bounds = (
        ("max_tokens", 1, prompt.max_tokens, TOKENS_MOST),
        ("temperature", 0, prompt.temperature, TEMPERATURE_MOST),
        ("top_k", 1, prompt.top_k, TOKENS_MOST),
        ("top_p", 0, prompt.top_p, 1),
        ("seed", 0, prompt.seed, SEED_MOST),
        ("the number of stop texts", 0, len(prompt.stop), STOPS_MOST),
    )
    for name, least, value, most in bounds:
        if not least <= value <= most:
            raise _unfit(f"{name} is {value}", f"{least} is the least and {most} the most")
    if not all(prompt.stop):
        raise _unfit("a stop text is empty", "it would end every answer before it begins")


def _unfit(what: str, why: str) -> ModelInputInvalid:
    return ModelInputInvalid(what, why=why, fix="see the guide on language models for what a request holds")
