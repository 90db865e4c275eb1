"""What a skill is: traits that policy reads, a shape on either side, and one method that does it.

A skill is trusted code of this machine. It is called in a thread of its own, may block, and may raise: what it raises
becomes the failure of the step that called it. It keeps to its context: the time, secrets, files and money it needs
are asked there, never of the process.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

from ...clock import Clock
from ...driver.places import Path
from ...kinds import EffectClass
from ..calls import ArtifactRef, Usage
from ..compiled import CostHint, RetryRule
from ..plan_faults import PlanFault
from ..secrets import Secrets
from ..tables import WaitTable


class Traits(msgspec.Struct, frozen=True):
    """What is known of a skill before it is called.

    Attributes:
        name, version: Plans name it ``NAME`` or ``NAME@VERSION``.
        effect_class: What a lost result means: ``PURE`` and ``IDEMPOTENT`` are called again under the same key,
            ``COMPENSABLE`` and ``UNSAFE`` only when a person says so.
        side_effects: Whether it changes something outside the run. Outside values among its parameters then need a
            rule or an approval.
        outside: Whether its results come from outside.
        approval: Expression of CEL over ``params`` and ``labels``: whether people have to agree to a call.
        cost: What a call costs at most.
        capabilities: What it reaches, for people who grant it: ``network``, ``files:read``, ``money``. With
            ``network`` it reaches hosts of the grants; where those are all hosts, policy asks about its parameters.
        inline: Whether it is so quick, and needs so little, that the thread which runs the plan calls it.
    """

    name: str
    version: str
    description: str
    effect_class: EffectClass
    side_effects: bool = False
    outside: bool = False
    approval: str = ""
    timeout_ms: int = 30_000
    retry: RetryRule = RetryRule()
    cost: CostHint = CostHint()
    capabilities: tuple[str, ...] = ()
    inline: bool = False


class Shape(Protocol):
    """One side of a skill: what goes in, or what comes out."""

    def check(self, raw: bytes) -> Any:
        """Return what JSON holds, as the skill takes it.

        Raises:
            ValueError: It is not of this shape; the text names every fault with its path.
        """
        ...

    def render(self, value: Any) -> bytes:
        """Return a value as JSON, canonical, after the same check."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        ...


class Artifacts(Protocol):
    """Where a skill leaves what is too large for an output, or is to be found again."""

    def put(self, name: str, mime: str, body: bytes, *, type: str = "file") -> ArtifactRef:
        """Keep bytes under their digest, and return what the answer is to name."""
        ...

    def get(self, digest: bytes) -> bytes:
        """Return kept bytes.

        Raises:
            ArtifactNotFound: TW7027.
        """
        ...


class CallContext(msgspec.Struct):
    """What a call knows and may use besides its parameters.

    Attributes:
        run_id, step: For labels and texts; no part of any result.
        key: Idempotency key: the same for every attempt of the step, however often it is tried. Shape: 64 hexadecimal
            digits.
        deadline_ns: On ``clock.elapsed_ns``; 0 for none.
        usage: What was used so far; a skill that spends replaces it.
        labels: Where the parameters come from; a skill adds where its result comes from.
        transcript: What a language model was told and said, as JSON.
        parts: Ports by name for what only some skills need: ``models``, ``llm``, ``memory``, ``network``.
    """

    run_id: str
    step: str
    attempt: int
    key: str
    clock: Clock
    secrets: Secrets
    artifacts: Artifacts
    deadline_ns: int = 0
    labels: set[str] = msgspec.field(default_factory=set[str])
    usage: Usage = Usage()
    transcript: bytes = b""
    kept: list[ArtifactRef] = msgspec.field(default_factory=list[ArtifactRef])
    reserved_micros: int = 0
    parts: Mapping[str, Any] = {}

    def left_ms(self, most_ms: int) -> int:
        """Return how long a blocking part may take, at most ``most_ms``. Bounds: at least 1. Units: milliseconds."""
        if not self.deadline_ns:
            return most_ms
        return max(1, min(most_ms, (self.deadline_ns - self.clock.elapsed_ns()) // 1_000_000))


@runtime_checkable
class Skill(Protocol):
    """A tool that plans may call."""

    @property
    def traits(self) -> Traits:
        """What policy reads."""
        ...

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        ...

    def call(self, given: Any, context: CallContext) -> Any:
        """Return the result for checked parameters. May block, to the deadline; may raise."""
        ...


class SkillMaker(Protocol):
    """What an entry point of the group ``tickwork.skills`` names: usually the class of a skill."""

    def from_config(self, config: Mapping[str, Any]) -> Skill:
        """Return the skill as this machine is configured.

        Raises:
            SkillInvalid: TW7004, the configuration is not what it must be; every fault is named.
        """
        ...


@runtime_checkable
class Waiting(Protocol):
    """A skill that nothing calls: a step that names it waits."""

    def wait_of(self, params: Mapping[str, Any], path: Path) -> tuple[WaitTable, list[PlanFault]]:
        """Return what a step with these parameters waits for, and what is wrong with them.

        Args:
            path: Where they stand.
        """
        ...
