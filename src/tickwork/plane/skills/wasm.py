"""A WASM agent as a skill: one message goes in, its reply comes out, or whatever it sends or publishes first.

The agent begins anew for every call: its first turn, with its configuration, then the message, then as many turns as
it asks for. It sees no clock, no network, no file and no other agent, and so equal parameters give equal results.

Invariants:
    * A module is the one whose digest the configuration names, or it is not run. The digest is of the module as its
      author built it: signing it makes no other one of it.
    * A call ends: after its fuel, or after its turns.
    * The module runs in a process of its own, which holds nothing that is worth taking.
"""

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ... import codec
from ...errors import TickworkError
from ...kinds import EffectClass, Encoding, FrameKind, Operation, Status
from ...packages.signature import strip_signature
from ...records import AGAIN, DIRECT, OUTSIDE, UNTIL_MESSAGE, Limits, Message, Outcome, Turn
from ...sandbox.admission import Admitted, admit
from ...sandbox.manifest import Capabilities
from ...sandbox.pool import Pool, Program, open_pool
from ..errors import SkillFailed, SkillInputInvalid, SkillInvalid
from ..json_text import read_json, write_json
from .configuration import fault_of_key, read_keys
from .shapes import SchemaShape
from .skill import CallContext, Shape, Traits

DIGEST: Final = r"^sha256:[0-9a-f]{64}$"
AGENT: Final = 0
CALLER: Final = 1
"""Whom the message comes from, so that the agent can reply."""

ANSWERS: Final = (FrameKind.SEND, FrameKind.PUBLISH, FrameKind.PUBLISH_RETAINED)
SILENT: Final = (FrameKind.LOG, FrameKind.METRIC, FrameKind.JOIN, FrameKind.LEAVE)
"""Frames that ask for nothing."""

FAULTS: Final[Mapping[int, str]] = {
    Status.FAILED: "says that it failed",
    Status.TRAP: "trapped",
    Status.OUT_OF_FUEL: "used up its fuel",
    Status.DEPTH_LIMIT: "called itself too deeply",
    Status.MEMORY_LIMIT: "asked for more memory than it may have",
}
TEXT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


KEPT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"artifact": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["artifact", "size"],
    "additionalProperties": False,
}
_GIVEN: Final[Mapping[str, dict[str, Any]]] = {"text": TEXT, "artifact": KEPT}


class WasmKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a table of the kind ``wasm`` may say.

    Attributes:
        version: Empty for the beginning of the digest, so that another module is another version.
        takes, gives: ``json``: the parameters are the message's body, and an answer's body the result. ``text``:
            both are ``{"text": ...}``. ``artifact``: the answer is kept, and the result says where.
        artifact, mime: What an answer is kept as.
        input, output: JSON Schemas, in place of any JSON.
        fuel: Of a whole call. Units: wasmtime fuel.
        config: Body of the frame with which the agent begins.
    """

    module: str
    digest: Annotated[str, Meta(pattern=DIGEST)] = ""
    version: Annotated[str, Meta(pattern=r"^([0-9A-Za-z.+-]{1,32})?$")] = ""
    description: str = ""
    takes: Literal["json", "text"] = "json"
    gives: Literal["json", "text", "artifact"] = "json"
    artifact: Annotated[str, Meta(max_length=200)] = ""
    mime: Annotated[str, Meta(pattern=r"^[a-z0-9.+-]+/[a-z0-9.+-]+$")] = "application/octet-stream"
    input: dict[str, Any] = {}
    output: dict[str, Any] = {}
    config: dict[str, Any] = {}
    fuel: Annotated[int, Meta(ge=1, le=1_000_000_000_000)] = 2_000_000_000
    memory_pages: Annotated[int, Meta(ge=1, le=65_536)] = 1024
    turns: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000


class WasmSkill:
    """A module of this machine."""

    def __init__(self, keys: WasmKeys, admitted: Admitted, name: str) -> None:
        self._keys = keys
        self._admitted = admitted
        self._name = name
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self.traits = Traits(
            name,
            keys.version or admitted.digest.hex()[:12],
            keys.description or f"Ask the agent of {Path(keys.module).name}.",
            EffectClass.PURE,
            timeout_ms=60_000,
            capabilities=("module",),
        )
        self.shapes: tuple[Shape, Shape] = (
            SchemaShape(TEXT if keys.takes == "text" else keys.input),
            SchemaShape(_GIVEN.get(keys.gives, keys.output)),
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "WasmSkill":
        """Return the skill, its module read, compared, and compiled where it was not before.

        Raises:
            SkillInvalid: TW7004.
        """
        keys, name = read_keys(config, WasmKeys), str(config.get("name", "wasm"))
        for side, schema in (("input", keys.input), ("output", keys.output)):
            try:
                SchemaShape(schema)
            except ValueError as error:
                raise fault_of_key(config, side, str(error)) from None
        if (keys.takes != "json" and keys.input) or (keys.gives != "json" and keys.output):
            raise fault_of_key(config, "input", "a schema is for JSON", fix='leave it out, or write takes = "json"')
        if (keys.gives == "artifact") != bool(keys.artifact):
            fix = 'write gives = "artifact" and artifact = "NAME"'
            raise fault_of_key(config, "artifact", "an artifact has a name, and nothing else has", fix=fix)
        path = Path(str(config.get("project", "."))) / keys.module
        try:
            wasm = strip_signature(path.read_bytes(), keys.module)
        except TickworkError as error:
            raise SkillInvalid(error.what, where=f"skills.{name}.module", why=error.why, fix=error.fix) from error
        except OSError as error:
            raise fault_of_key(config, "module", f"{keys.module} cannot be read: {error.strerror}") from error
        digest = f"sha256:{hashlib.sha256(wasm).hexdigest()}"
        if digest != keys.digest:
            what = "the module is another one than this" if keys.digest else "it is not said which module this is"
            raise fault_of_key(config, "digest", what, fix=f'if it is the one you want: digest = "{digest}"')
        try:
            admitted = admit(wasm, name=keys.module, cache=config.get("cache"))
        except TickworkError as error:
            raise SkillInvalid(error.what, where=f"skills.{name}.module", why=error.why, fix=error.fix) from error
        if admitted.manifest is not None and (wanted := _beyond(admitted.manifest.capabilities)):
            what = f"the agent wants {wanted}, which no skill has"
            raise fault_of_key(config, "module", what, fix="run it as an agent of a world")
        return cls(keys, admitted, name)

    def call(self, given: Any, context: CallContext) -> Any:
        """Return the agent's answer.

        Raises:
            SkillInputInvalid: TW7006, the message does not fit its inbox.
            SkillFailed: TW7008, it traps, fails, uses up its fuel, or gives no answer.
        """
        is_text = self._keys.takes == "text"
        body = given["text"].encode() if is_text else write_json(given)
        if len(body) + 64 > self._admitted.inbox_bytes:
            room = self._admitted.inbox_bytes - 64
            raise SkillInputInvalid(
                f"{self._name} takes messages of {room:,} bytes at most, and this has {len(body):,}"
            )
        with self._lock:
            answer = self._converse(body, Encoding.BYTES if is_text else Encoding.JSON)
        if self._keys.gives == "artifact":
            kept = context.artifacts.put(self._keys.artifact, self._keys.mime, answer)
            context.kept.append(kept)
            return {"artifact": kept.digest.hex(), "size": kept.size}
        try:
            return {"text": answer.decode()} if self._keys.gives == "text" else read_json(answer)
        except ValueError as error:
            raise self._failed(f"answered what is no {self._keys.gives}: {error}") from None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
            self._pool = None

    def _converse(self, body: bytes, encoding: Encoding) -> bytes:
        config = write_json(self._keys.config) if self._keys.config else b""
        begin = codec.encode_frame(FrameKind.CONFIG, Encoding.JSON if config else 0, OUTSIDE, DIRECT, 0, 0, config)
        message = codec.encode_frame(FrameKind.MESSAGE, encoding, CALLER, DIRECT, 0, 1, body)
        pool, left = self._fresh(), self._keys.fuel
        # What an agent may draw depends on the message alone.
        seed = int.from_bytes(codec.digest(config + body)[:8], "little")
        tick, inbox, operation = 0, begin, Operation.INIT
        for number in range(self._keys.turns):
            turn = Turn(AGENT, operation, tick, (seed + number) & (1 << 64) - 1, left, 0, 1 if inbox else 0, inbox)
            outcome = pool.compute([turn])[0]
            left -= outcome.fuel
            answer = self._read(outcome)
            if answer is not None:
                return answer
            if operation == Operation.STEP and outcome.code == UNTIL_MESSAGE:
                break
            if left <= 0:
                raise self._failed(FAULTS[Status.OUT_OF_FUEL])
            wait = outcome.code if operation == Operation.STEP and 0 < outcome.code < AGAIN else 0
            tick, inbox, operation = tick + 1 + wait, message if number == 0 else b"", Operation.STEP
        raise self._failed("gave no answer")

    def _fresh(self) -> Pool:
        """Return the pool with the agent as before its first turn."""
        if self._pool is None:
            self._pool = open_pool(1)
            limits = Limits(
                fuel=self._keys.fuel, memory_pages=self._keys.memory_pages, inbox_bytes=self._admitted.inbox_bytes
            )
            self._pool.place(Program(AGENT, self._admitted.compiled, limits))
        else:
            self._pool.reset([AGENT])
        return self._pool

    def _read(self, outcome: Outcome) -> bytes | None:
        """Return the answer in an outbox, None where there is none yet.

        Raises:
            SkillFailed: TW7008.
        """
        if outcome.status != Status.OK:
            raise self._failed(f"{FAULTS.get(outcome.status, 'failed')}{self._reason(outcome)}")
        for frame in codec.decode_frames(outcome.outbox):
            if frame.kind in ANSWERS:
                return frame.body
            if frame.kind == FrameKind.EXIT:
                raise self._failed("ended without an answer")
            if frame.kind not in SILENT:
                raise self._failed(f"asks for what no skill has: {_kind(frame)}")
        return None

    def _reason(self, outcome: Outcome) -> str:
        if outcome.status == Status.FAILED:
            return f": {outcome.code}"
        told = outcome.status == Status.TRAP and outcome.detail
        return f": {outcome.detail.splitlines()[0][:200]}" if told else ""

    def _failed(self, what: str) -> SkillFailed:
        failed = SkillFailed(f"the agent of {self._name} {what}")
        failed.retryable = False
        return failed


def _kind(frame: Message) -> str:
    known = frame.kind in FrameKind.__members__.values()
    return FrameKind(frame.kind).name.lower() if known else f"kind {frame.kind}"


def _beyond(wanted: Capabilities) -> str:
    """Return what an agent wants beyond sending and publishing, for people; empty for nothing."""
    names = ("skills", "spawn", "models", "windows")
    found = [name for name in names if getattr(wanted, name)]
    return ", ".join([*found, *(["a clock"] if wanted.clock else [])])
