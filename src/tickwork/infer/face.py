"""What the HTTP face answers, without a network: a call in, an answer out.

Three protocols over one store and the askers of one host: the Open Inference Protocol with Triton's extensions for
repositories, binary tensors and statistics; OpenAI's for language models; and Prometheus' text.

A model of the store is ready: its first request loads it. One that is unloaded is gone from here until it is loaded.

Nothing of this machine stands in an answer: an error says its code and what is wrong with the request, and where the
fault is not the request's, nothing but the code's own words.
"""

import threading
import zlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from ..clock import Clock
from ..errors import ModelInputInvalid, ModelNotFound, TickworkError
from ..records import Encoding, Refusal
from ..tensors import decode_tensors, encode_tensors
from . import oip, openai
from .asking import Asker, Reply, Wanted
from .fingerprint import Fingerprint
from .gauges import TEXT, Gauges, service_text
from .kept import Kept
from .manifest import LLM, PROFILES, ModelConfig
from .prompts import read_said
from .store import ModelStore
from .wire import Seen

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
BYTES: Final = "application/octet-stream"
HEADER: Final = "inference-header-content-length"
RETRY_S: Final = 1
"""What a client that was turned away is told to wait. Units: seconds."""

EXTENSIONS: Final = ("model_repository", "model_repository(unload_dependents)", "binary_tensor_data", "statistics",
                     "model_configuration")  # fmt: skip

STATUSES: Final[Mapping[str, int]] = {
    "TW6001": 404, "TW6002": 422, "TW6003": 500, "TW6004": 400, "TW6005": 507, "TW6006": 504, "TW6007": 500,
    "TW6008": 501, "TW6009": 503, "TW6010": 503, "TW6012": 501, "TW6014": 500, "TW6015": 422,
}  # fmt: skip
"""What the errors of models are in HTTP; all others are 500."""

_REFUSALS: Final[Mapping[int, int]] = {
    Refusal.BAD_MESSAGE: 400, Refusal.NOT_FOUND: 404, Refusal.TOO_BIG: 413, Refusal.UNSUPPORTED: 501,
    Refusal.NO_MEMORY: 507, Refusal.CONFLICT: 503, Refusal.TIMEOUT: 504,
}  # fmt: skip

FAST: Final = "fast"
NOT_OFFERED: Final = 501

ENDPOINTS: Final[tuple[tuple[str, str, str], ...]] = (
    ("GET", "/v2", "server"),
    ("GET", "/v2/health/live", "live"),
    ("GET", "/v2/health/ready", "ready"),
    ("GET", "/v2/models/stats", "statistics"),
    ("GET", "/v2/models/{model}", "metadata"),
    ("GET", "/v2/models/{model}/ready", "model_ready"),
    ("GET", "/v2/models/{model}/config", "model_config"),
    ("GET", "/v2/models/{model}/stats", "statistics"),
    ("POST", "/v2/models/{model}/infer", "infer"),
    ("GET", "/v2/models/{model}/versions/{version}", "metadata"),
    ("GET", "/v2/models/{model}/versions/{version}/ready", "model_ready"),
    ("GET", "/v2/models/{model}/versions/{version}/config", "model_config"),
    ("GET", "/v2/models/{model}/versions/{version}/stats", "statistics"),
    ("POST", "/v2/models/{model}/versions/{version}/infer", "infer"),
    ("POST", "/v2/repository/index", "index"),
    ("POST", "/v2/repository/models/{model}/load", "load"),
    ("POST", "/v2/repository/models/{model}/unload", "unload"),
    ("GET", "/v2/{extension:path}", "not_offered"),
    ("POST", "/v2/{extension:path}", "not_offered"),
    ("GET", "/v1/models", "language_models"),
    ("GET", "/v1/models/{model}", "language_model"),
    ("POST", "/v1/chat/completions", "chat"),
    ("POST", "/v1/completions", "complete"),
    ("GET", "/metrics", "metrics"),
)
"""Method, path and name of what answers. Order: the first that fits."""

OPEN: Final = frozenset({"live", "ready"})
"""What is answered without a token: that somebody is there."""


class Call(msgspec.Struct, frozen=True):
    """A request as it came in.

    Attributes:
        names: What stands in the path's places: ``model``, ``version``.
        headers: Names in small letters.
    """

    names: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """What goes out."""

    body: bytes = b""
    status: int = 200
    kind: str = JSON
    headers: Mapping[str, str] = {}


class Terms(msgspec.Struct, frozen=True):
    """How models are run for whoever asks here, and what a request may take.

    Attributes:
        profile: Of requests that name none; as in ``Wanted``.
        providers, fallback: Of the profile ``fast``; the exact ones have no choice.
        body_bytes: Of one request, also when it is unpacked.
        read_ms: Until a request must have come in.
        deadline_ms: Until an answer must be there; a client may ask for less.
        requests: Answered at a time; more are turned away at once.
    """

    profile: str = "exact-1"
    providers: tuple[str, ...] = ()
    fallback: str = "on_run"
    body_bytes: int = 64 << 20
    read_ms: int = 30_000
    deadline_ms: int = 30_000
    requests: int = 32


@runtime_checkable
class Unloader(Protocol):
    """An asker that can have its host end the workers of a model."""

    def unload(self, model: bytes) -> object:
        """End them."""
        ...


@runtime_checkable
class Watched(Protocol):
    """An asker that can say how its host is."""

    def stats(self) -> Seen:
        """Say it."""
        ...


class Face:
    """Answers calls.

    Args:
        asker: Any number of threads ask it at once; whoever made it closes it.
    """

    def __init__(self, store: ModelStore, asker: Asker, clock: Clock, terms: Terms) -> None:
        self.terms = terms
        self.gauges = Gauges()
        self._store = store
        self._asker = asker
        self._clock = clock
        self._lock = threading.Lock()
        self._unloaded = set[bytes]()
        self._configs = dict[bytes, ModelConfig]()
        self._tick = 0

    def answer(self, name: str, call: Call) -> Answer:
        """Return the answer of an endpoint, of an error in the words of its protocol."""
        chatty = name in {"language_models", "language_model", "chat", "complete"}
        try:
            found: Callable[[Call], Answer] = getattr(self, name)
            return found(call)
        except TickworkError as error:
            return say(STATUSES.get(error.code, 500), _shown(error), error.code, chatty=chatty)

    def server(self, call: Call) -> Answer:
        """What this is."""
        return _json({"name": "tickwork", "version": version("tickwork"), "extensions": EXTENSIONS})

    def live(self, call: Call) -> Answer:
        """That somebody is there."""
        return _json({"live": True})

    def ready(self, call: Call) -> Answer:
        """That the store can be read."""
        self._store.list()
        return _json({"ready": True})

    def metadata(self, call: Call) -> Answer:
        """What a model takes and gives."""
        _, config = self._find(call)
        return _json(oip.describe(config, [kept.version for kept in self._store.list() if kept.name == config.name]))

    def model_config(self, call: Call) -> Answer:
        """The same in Triton's words."""
        return _json(oip.configuration(self._find(call)[1]))

    def model_ready(self, call: Call) -> Answer:
        """Whether a model can be asked."""
        digest, config = self._find(call)
        if self._gone(digest):
            return say(503, f"the model {config.name}:{config.version} is unloaded")
        return _json({"name": config.name, "ready": True})

    def index(self, call: Call) -> Answer:
        """What the store has, and whether it is ready."""
        only_ready = bool(_table(call.body).get("ready"))
        entries = list[dict[str, str]]()
        for kept in self._store.list():
            gone = self._gone(kept.digest)
            if not (gone and only_ready):
                state = {"state": "UNAVAILABLE", "reason": "unloaded"} if gone else {"state": "READY", "reason": ""}
                entries.append({"name": kept.name, "version": kept.version, **state})
        return _json(entries)

    def load(self, call: Call) -> Answer:
        """Load a model and say it is ready."""
        if given := _table(call.body).get("parameters"):
            raise ModelInputInvalid(
                "a model is loaded as it is in the store",
                why=f"parameters are given: {', '.join(map(str, given))}",
                fix="add another version with tickwork model add",
            )
        digest, _ = self._find(call)
        self._asker.load(self._wanted(digest), tick=self._next_tick())
        with self._lock:
            self._unloaded.discard(digest)
        return Answer(b"{}")

    def unload(self, call: Call) -> Answer:
        """End what runs a model, and say it is not ready until it is loaded again."""
        digest, _ = self._find(call)
        with self._lock:
            self._unloaded.add(digest)
        if isinstance(self._asker, Unloader):
            self._asker.unload(digest)
        return Answer(b"{}")

    def infer(self, call: Call) -> Answer:
        """Run a model on tensors."""
        digest, config = self._asked(call)
        request = oip.read_request(self._unpacked(call), _json_bytes(call.headers))
        body = encode_tensors(request.tensors)
        reply = self._ask(self._wanted(digest, request.profile), config, body, Encoding.TENSOR, request.timeout_us)
        if reply.code:
            return _refused(reply, chatty=False)
        outputs = decode_tensors(reply.body)
        named = [
            tensor if tensor.name else msgspec.structs.replace(tensor, name=port.name)
            for tensor, port in zip(outputs, config.outputs, strict=False)
        ]
        notes = {"fingerprint": _short(reply.fingerprint)} if reply.fingerprint is not None else {}
        text, length = oip.write_answer(request, (config.name, config.version), named, notes)
        if length is None:
            return Answer(text)
        return Answer(text, kind=BYTES, headers={HEADER: str(length)})

    def statistics(self, call: Call) -> Answer:
        """What models did, in Triton's words."""
        if "model" in call.names:
            configs = [self._find(call)[1]]
        else:
            configs = [self._config(kept.digest) for kept in self._store.list()]
        return _json({"model_stats": [self._statistic(config) for config in configs]})

    def not_offered(self, call: Call) -> Answer:
        """Shared memory, tracing, logging, and whatever else the protocol has extensions for."""
        return say(NOT_OFFERED, "this extension is not offered here: unsupported")

    def metrics(self, call: Call) -> Answer:
        """What was asked here, and how the host is, for Prometheus."""
        text = self.gauges.text()
        if isinstance(self._asker, Watched):
            text += service_text(self._asker.stats())
        return Answer(text.encode(), kind=TEXT)

    def language_models(self, call: Call) -> Answer:
        """The language models of the store, each by name and version; the newest by its name as well."""
        names = list[str]()
        for kept in self._store.list():
            if self._config(kept.digest).kind == LLM and not self._gone(kept.digest):
                names += _references(kept)
        return Answer(openai.models([(name, 0) for name in names]))

    def language_model(self, call: Call) -> Answer:
        """One of them."""
        self._language(call.names["model"])
        return _json({"id": call.names["model"], "object": "model", "created": 0, "owned_by": "tickwork"})

    def chat(self, call: Call) -> Answer:
        """Go on with a conversation."""
        return self._complete(openai.read_completion(self._unpacked(call), chat=True))

    def complete(self, call: Call) -> Answer:
        """Go on with a text."""
        return self._complete(openai.read_completion(self._unpacked(call), chat=False))

    def _complete(self, asked: openai.Asked) -> Answer:
        digest, config = self._language(asked.model)
        reply = self._ask(self._wanted(digest), config, asked.prompt.encode(), Encoding.JSON, 0)
        if reply.code:
            return _refused(reply, chatty=True)
        said = read_said(reply.body)
        kind = "chatcmpl" if asked.chat else "cmpl"
        mark = _short(reply.fingerprint) if reply.fingerprint is not None else ""
        made = self._clock.now_us() // 1_000_000
        answered = openai.Answered(f"{kind}-{self._clock.unique()}", made, asked.model, mark)
        if asked.stream:
            return Answer(openai.stream(asked, said, answered), kind=EVENTS, headers={"cache-control": "no-cache"})
        return Answer(openai.completion(asked, said, answered))

    def _ask(self, wanted: Wanted, config: ModelConfig, body: bytes, encoding: int, timeout_us: int) -> Reply:
        allowed = self.terms.deadline_ms
        deadline = min(max(timeout_us // 1000, 1), allowed) if timeout_us > 0 else allowed
        reply = self._asker.ask(wanted, body, encoding=encoding, deadline_ms=deadline, tick=self._next_tick())
        self.gauges.count(f"{config.name}:{config.version}", reply)
        return reply

    def _wanted(self, digest: bytes, profile: str = "") -> Wanted:
        chosen = profile or self.terms.profile
        if chosen not in PROFILES:
            raise ModelInputInvalid(f"there is no profile {chosen!r}", why=f"the profiles are {', '.join(PROFILES)}")
        if chosen != FAST:
            return Wanted(digest, chosen)
        return Wanted(digest, chosen, self.terms.providers, self.terms.fallback)

    def _language(self, reference: str) -> tuple[bytes, ModelConfig]:
        digest = self._store.find(reference)
        config = self._config(digest)
        if config.kind != LLM or self._gone(digest):
            raise ModelNotFound(f"there is no language model {reference!r}", why="the store has none of this name")
        return digest, config

    def _find(self, call: Call) -> tuple[bytes, ModelConfig]:
        name, chosen = call.names["model"], call.names.get("version", "")
        digest = self._store.find(f"{name}:{chosen}" if chosen else name)
        return digest, self._config(digest)

    def _asked(self, call: Call) -> tuple[bytes, ModelConfig]:
        digest, config = self._find(call)
        if self._gone(digest):
            raise ModelNotFound(f"the model {config.name}:{config.version} is unloaded", fix="load it again")
        return digest, config

    def _config(self, digest: bytes) -> ModelConfig:
        """What there is to know of a model. It never changes under its digest, so it is read once."""
        found = self._configs.get(digest)
        if found is None:
            found = self._configs[digest] = self._store.config(digest)
        return found

    def _gone(self, digest: bytes) -> bool:
        with self._lock:
            return digest in self._unloaded

    def _next_tick(self) -> int:
        with self._lock:
            self._tick += 1
            return self._tick

    def _unpacked(self, call: Call) -> bytes:
        """The body, unpacked where it is packed. Raises: ModelInputInvalid."""
        coding = call.headers.get("content-encoding", "identity").lower()
        if coding == "identity":
            return call.body
        windows = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
        if coding not in windows:
            raise ModelInputInvalid(f"the body is packed with {coding}", fix="send it as it is, or with gzip")
        unpacker = zlib.decompressobj(windows[coding])
        try:
            body = unpacker.decompress(call.body, self.terms.body_bytes)
        except zlib.error as error:
            raise ModelInputInvalid("the body cannot be unpacked", why=str(error)) from error
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise ModelInputInvalid("the body is cut off, or larger than a request may be when it is unpacked")
        return body

    def _statistic(self, config: ModelConfig) -> dict[str, object]:
        tally = self.gauges.tally(f"{config.name}:{config.version}")
        nothing = {"count": 0, "ns": 0}
        return {
            "name": config.name,
            "version": config.version,
            "last_inference": 0,
            "inference_count": tally.rows,
            "execution_count": tally.answers,
            "inference_stats": {
                "success": {"count": tally.answers, "ns": tally.total_us * 1000},
                "fail": {"count": tally.failures, "ns": tally.failed_us * 1000},
                "queue": {"count": tally.answers, "ns": tally.queue_us * 1000},
                "compute_input": nothing,
                "compute_infer": {"count": tally.answers, "ns": tally.run_us * 1000},
                "compute_output": nothing,
                "cache_hit": nothing,
                "cache_miss": nothing,
            },
            "batch_stats": [],
        }


def say(status: int, text: str, code: str = "", *, chatty: bool = False) -> Answer:
    """Return an error in the words of a protocol.

    Args:
        chatty: Whether the protocol is OpenAI's.
    """
    headers = {"retry-after": str(RETRY_S)} if status in {429, 503} else {}
    body = openai.failure(status, text, code) if chatty else msgspec.json.encode({"error": text})
    return Answer(body, status, headers=headers)


def _refused(reply: Reply, *, chatty: bool) -> Answer:
    if reply.error is not None:
        return say(STATUSES.get(reply.error.code, 500), _shown(reply.error), reply.error.code, chatty=chatty)
    return say(_REFUSALS.get(reply.code, 500), reply.body.decode(errors="replace"), chatty=chatty)


def _shown(error: TickworkError) -> str:
    """What is wrong; why as well where that is about the request, for then it names nothing of this machine."""
    why = f": {error.why}" if error.code == ModelInputInvalid.code and error.why else ""
    return f"{error.code}: {error.what}{why}"


def _json(value: object) -> Answer:
    return Answer(msgspec.json.encode(value))


def _table(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelInputInvalid("the body is no JSON object", why=str(error)) from error


def _json_bytes(headers: Mapping[str, str]) -> int | None:
    given = headers.get(HEADER)
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 16):
        raise ModelInputInvalid(f"the header {HEADER} is no length")
    return int(given)


def _references(kept: Kept) -> list[str]:
    newest = [kept.name] if "latest" in kept.aliases else []
    return [*newest, f"{kept.name}:{kept.version}"]


def _short(fingerprint: Fingerprint) -> str:
    return fingerprint.digest.hex()[:16]
