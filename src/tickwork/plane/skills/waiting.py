"""``wait`` and ``ask_human``: steps that wait, named as skills are, so that profiles allow them and planners find them.

Nothing calls them: the compiler of plans makes a wait of the run out of a step that names one.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Self, TypeVar

import msgspec
import pydantic
from msgspec import Meta, inspect

from ...driver.places import Path
from ...driver.shape import shape_faults
from ...kinds import EffectClass
from ..errors import SkillFailed
from ..plan_faults import PlanFault
from ..tables import DURATION_PATTERN, MaybeDuration, WaitTable
from .configuration import NoKeys, read_keys
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits

S = TypeVar("S", bound=msgspec.Struct)

_MAYBE_DURATION: Final = f"^$|{DURATION_PATTERN}"


class WaitGiven(pydantic.BaseModel):
    """What ``wait`` waits for: one of ``timer`` and ``signal``."""

    model_config = pydantic.ConfigDict(extra="forbid")

    timer: str = pydantic.Field(default="", pattern=_MAYBE_DURATION, description="How long: `30s`, `5m`, `1h30m`.")
    signal: str = pydantic.Field(default="", max_length=128, description="Name of a signal; its body is the output.")
    timeout: str = pydantic.Field(default="", pattern=_MAYBE_DURATION, description="After it, no signal is waited for.")


class AskGiven(pydantic.BaseModel):
    """What ``ask_human`` asks."""

    model_config = pydantic.ConfigDict(extra="forbid")

    message: str = pydantic.Field(description="The question; may hold `${expressions}`.")
    answer: dict[str, pydantic.JsonValue] = pydantic.Field(
        default={}, description="JSON Schema of the answer; of a text, where none is given."
    )
    timeout: str = pydantic.Field(default="", pattern=_MAYBE_DURATION, description="After it, the step fails.")


class _Wait(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timer: MaybeDuration = ""
    signal: Annotated[str, Meta(max_length=128)] = ""
    timeout: MaybeDuration = ""


class _Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: str
    answer: dict[str, Any] = {}
    timeout: MaybeDuration = ""


class _Named:
    """What both have in common: nothing to configure, and nothing that is called."""

    traits: Traits

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the skill; there is nothing to configure.

        Raises:
            SkillInvalid: TW7004.
        """
        read_keys(config, NoKeys)
        return cls()

    def call(self, given: Any, context: CallContext) -> Any:
        """Raise. SkillFailed: TW7008, only a plan waits."""
        name = self.traits.name
        failed = SkillFailed(
            f"{name} is a step of a plan, and cannot be called", fix=f'write a step with skill = "{name}" into a plan'
        )
        failed.retryable = False
        raise failed


class Wait(_Named):
    """Waits for a time or a signal."""

    traits = Traits("wait", "1", "Wait for a time to pass or for a signal.", EffectClass.PURE, inline=True)
    shapes: tuple[Shape, Shape] = (ModelShape(WaitGiven), ModelShape(pydantic.JsonValue))

    def wait_of(self, params: Mapping[str, Any], path: Path) -> tuple[WaitTable, list[PlanFault]]:
        """Return what a step with these parameters waits for, and what is wrong with them."""
        return _made(params, _Wait, path, lambda given: WaitTable(given.timer, given.signal, timeout=given.timeout))


class AskHuman(_Named):
    """Asks a person for something."""

    traits = Traits("ask_human", "1", "Ask a person, and wait for the answer.", EffectClass.PURE, inline=True)
    shapes: tuple[Shape, Shape] = (ModelShape(AskGiven), ModelShape(pydantic.JsonValue))

    def wait_of(self, params: Mapping[str, Any], path: Path) -> tuple[WaitTable, list[PlanFault]]:
        """Return what a step with these parameters waits for, and what is wrong with them."""
        return _made(
            params,
            _Ask,
            path,
            lambda given: WaitTable(input=given.answer or _TEXT, message=given.message, timeout=given.timeout),
        )


_TEXT: Final = {"type": "string"}

_STAND_IN: Final = WaitTable(timer="1s")
"""Of a step whose own wait cannot be read, so that nothing else is found wrong with it."""


def _made(
    params: Mapping[str, Any], kind: type[S], path: Path, make: Callable[[S], WaitTable]
) -> tuple[WaitTable, list[PlanFault]]:
    faults = [
        PlanFault(fault.path, fault.what, fault.why, fault.fix)
        for fault in shape_faults(dict(params), inspect.type_info(kind), path)
    ]
    return (_STAND_IN, faults) if faults else (make(msgspec.convert(dict(params), kind)), [])
