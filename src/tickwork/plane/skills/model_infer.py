"""``model_infer``: what a model of this machine computes."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import pydantic

from ...errors import ModelError, ModelHostLost
from ...infer.client import Models
from ...kinds import EffectClass
from ..errors import SkillFailed, SkillInputInvalid, SkillTimeout
from .configuration import read_keys
from .granting import part_of
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits

DEADLINE_MS: Final = 60_000


class ModelKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a table of the kind ``model_infer`` may say: the one model that the skill asks."""

    model: str = ""


class Given(pydantic.BaseModel):
    """What goes in."""

    model_config = pydantic.ConfigDict(extra="forbid")

    model: str = pydantic.Field(default="", max_length=256, description="`NAME`, `NAME:VERSION` or `NAME:ALIAS`.")
    inputs: dict[str, pydantic.JsonValue] = pydantic.Field(description="By name: nested lists of numbers or texts.")
    profile: Literal["exact-1", "fast"] = "exact-1"


class Made(pydantic.BaseModel):
    """What comes out: nested lists by name, and the digest of the model that gave them."""

    model: str
    outputs: dict[str, pydantic.JsonValue]


class ModelInfer:
    """Asks a model. Pure: the same model, profile and inputs give the same outputs on one platform."""

    def __init__(self, keys: ModelKeys) -> None:
        self._keys = keys
        self.traits = Traits(
            "model_infer",
            "1",
            f"Ask the model {keys.model}." if keys.model else "Ask a model that this machine keeps.",
            EffectClass.PURE,
            timeout_ms=DEADLINE_MS,
            capabilities=("models",),
        )

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        return _SHAPES

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "ModelInfer":
        """Return the skill.

        Raises:
            SkillInvalid: TW7004.
        """
        return cls(read_keys(config, ModelKeys))

    def call(self, given: Given, context: CallContext) -> Any:
        """Return the outputs.

        Raises:
            SkillInputInvalid: TW7006. SkillFailed: TW7008, the model gave none. SkillTimeout: TW7009.
        """
        name = self._keys.model or given.model
        if not name or (self._keys.model and given.model not in ("", self._keys.model)):
            raise SkillInputInvalid("no model is named that the skill may ask")
        models = part_of(context, "models", Models)
        try:
            wanted = models.find(name, profile=given.profile)
            found = models.infer(
                wanted.model.hex(), given.inputs, profile=given.profile, deadline_ms=context.left_ms(DEADLINE_MS)
            )
        except ModelError as error:
            raise _told(name, error) from None
        return {"model": wanted.model.hex(), "outputs": {key: array.tolist() for key, array in found.items()}}


def _told(name: str, error: ModelError) -> SkillFailed | SkillTimeout | SkillInputInvalid:
    """Return a failure of a model as one of a skill."""
    if error.code == "TW6006":
        return SkillTimeout(f"the model {name} gave no answer in time")
    if error.code == "TW6004":
        return SkillInputInvalid(f"the model {name}: {error.what}")
    failed = SkillFailed(f"the model {name}: {error.what}")
    failed.retryable = isinstance(error, ModelHostLost) or error.code in ("TW6007", "TW6010")
    return failed


_SHAPES: Final[tuple[Shape, Shape]] = (ModelShape(Given), ModelShape(Made))
