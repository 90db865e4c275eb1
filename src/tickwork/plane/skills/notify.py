"""``notify``: a message to a webhook, signed as Standard Webhooks have it."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pydantic

from ...kinds import EffectClass
from ..compiled import NETWORK
from ..egress import Egress
from ..errors import SkillFailed, SkillRefused
from ..json_text import write_json
from .configuration import fault_of_key, read_keys
from .granting import fill_secrets, part_of
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits

DEADLINE_MS: Final = 15_000
"""Source: Standard Webhooks, which asks for 15 to 30 seconds."""

MAX_ANSWER_BYTES: Final = 65_536
PREFIX: Final = "whsec_"
GONE: Final = 410


class NotifyKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a table of the kind ``notify`` says: where messages go, and what signs them."""

    url: str
    secret: str = ""


class Given(pydantic.BaseModel):
    """What goes in."""

    model_config = pydantic.ConfigDict(extra="forbid")

    type: str = pydantic.Field(
        default="message", pattern=r"^[a-zA-Z0-9_.]{1,128}$", description="What happened, as `report.ready`."
    )
    data: pydantic.JsonValue = pydantic.Field(description="What the receiver is told.")


class Made(pydantic.BaseModel):
    """What comes out."""

    id: str = pydantic.Field(description="By which the receiver knows a repetition.")
    status: int


class Notify:
    """Tells a webhook. A repetition bears the same id, so that a receiver which looks at it is told once."""

    def __init__(self, keys: NotifyKeys) -> None:
        self._keys = keys
        self.traits = Traits(
            "notify",
            "1",
            "Send a signed message to the webhook that this machine has configured.",
            EffectClass.IDEMPOTENT,
            side_effects=True,
            capabilities=(NETWORK,),
        )

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        return _SHAPES

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Notify":
        """Return the skill.

        Raises:
            SkillInvalid: TW7004, there is no address to send to.
        """
        keys = read_keys(config, NotifyKeys)
        if not keys.url.startswith(("https://", "http://", "secret:")):
            raise fault_of_key(config, "url", "url is no address", fix="write https://..., or secret:NAME")
        if keys.secret and not keys.secret.startswith("secret:"):
            raise fault_of_key(config, "secret", "a secret stands in the settings", fix='write secret = "secret:NAME"')
        return cls(keys)

    def call(self, given: Given, context: CallContext) -> Any:
        """Return what the receiver said.

        Raises:
            AddressRefused: TW7024. SkillRefused: TW7005. SkillFailed: TW7008, it was not received.
        """
        egress = part_of(context, "network", Egress)
        url = fill_secrets(context, self._keys.url)
        body = write_json({"data": given.data, "type": given.type})
        mark, seconds = f"msg_{context.key[:32]}", str(context.clock.now_us() // 1_000_000)
        headers = [("content-type", "application/json"), ("webhook-id", mark), ("webhook-timestamp", seconds)]
        if self._keys.secret:
            secret = fill_secrets(context, self._keys.secret)
            headers.append(("webhook-signature", sign(secret, mark, seconds, body)))
        left = context.left_ms(DEADLINE_MS)
        answer = egress.request("POST", url, headers, body, deadline_ms=left, most_bytes=MAX_ANSWER_BYTES)
        if not 200 <= answer.status < 300:
            failed = SkillFailed(f"the receiver answered {answer.status}")
            # One that is gone for good says so; a redirection is refused, since whoever answers it was not asked for.
            failed.retryable = answer.status != GONE and not 300 <= answer.status < 400
            raise failed
        return {"id": mark, "status": answer.status}


def sign(secret: str, mark: str, seconds: str, body: bytes) -> str:
    """Return the signature of a message.

    Args:
        secret: ``whsec_`` and base64, or any text.

    Source: Standard Webhooks 1.0.0, signature scheme v1.
    """
    key = secret.encode()
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise SkillRefused("the secret of the webhook is no base64 after whsec_") from None
    signed = hmac.new(key, f"{mark}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


_SHAPES: Final[tuple[Shape, Shape]] = (ModelShape(Given), ModelShape(Made))
