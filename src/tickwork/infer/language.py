"""Language models: what a worker runs when its model is a decoder of text. The one owner of onnxruntime-genai.

The runner's promise is that of ``infer/ran.py``. Each request reads its whole prompt in one step and keeps nothing of
it afterwards: a prompt that is read in two steps gives other bits than one that is read in one, so an answer that
began with what another request left behind would depend on that other.
"""

import hashlib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from ..clock import Clock
from ..errors import ModelInputInvalid, ModelInvalid, ModelRunFailed, ModelsMissing, ProviderMissing
from ..records import NoteKind, Refusal
from .asking import Incident, Wanted
from .fingerprint import Fingerprint
from .footprint import footprint
from .genai import files_of, read_decoder
from .manifest import ModelConfig
from .processor import processor_class, system_name
from .prompts import Prompt, Said, read_prompt, write_said
from .ran import Ran
from .screen import FAST, check_profile

LIBRARY: Final = "onnxruntime_genai"

PROBE: Final = "Say what you are."
PROBE_TOKENS: Final = 8
"""What every model continues when it is loaded, and how far: its tokens and the last numbers behind them tell
sessions apart."""

_PROVIDERS: Final = {"cuda": "cuda", "directml": "dml"}
"""Providers besides the CPU, and what the library calls them."""

_SESSION: Final = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
_BAD_GUIDE: Final = "Error creating grammar"


class LanguageRunner:
    """A loaded language model.

    Raises:
        ModelInvalid: TW6002, the folder is none that may be loaded, or the library does not load it.
        ModelsMissing: TW6012, onnxruntime-genai is not installed.
        ModelUnfit: TW6015, the profile or the batching does not hold for it.
        ProviderMissing: TW6008, no provider that is wanted is there and none may take its place.
    """

    def __init__(
        self, wanted: Wanted, config: ModelConfig, folder: Path, clock: Clock, *, extras: Sequence[str] = ()
    ) -> None:
        check_profile(config, wanted.profile, wanted.batch, wanted.providers)
        self._library = _load_library()
        self._incidents = list[Incident]()
        home = (folder / config.entry).parent
        self._shown = f"{config.name}:{config.version}"
        self._decoder = read_decoder(files_of(home))
        self._exact = wanted.profile != FAST
        providers = ("cpu",) if self._exact else (wanted.providers or ("cpu",))
        self._model, provider = self._load(home, providers, wanted.fallback)
        self._tokenizer: Any = self._library.Tokenizer(self._model)
        self._ends = frozenset(int(token) for token in self._tokenizer.eos_token_ids)
        self.fingerprint = Fingerprint(
            model=wanted.model,
            profile=wanted.profile,
            runtime=f"onnxruntime-genai {version('onnxruntime-genai')} onnxruntime {version('onnxruntime')}",
            library=_library_digest(),
            provider=provider,
            options=tuple(f"{name}={value}" for name, value in sorted(_SESSION.items())) if self._exact else (),
            system=system_name(),
            processor=processor_class(),
            probe=self._probe(),
        )

    def run(self, body: bytes | memoryview, encoding: int) -> Ran:
        """Return what the model says to one request, or why it says nothing. Law: equal requests, equal answers."""
        try:
            prompt = read_prompt(body, encoding)
            said = self._say(prompt)
        except ModelInputInvalid as error:
            return Ran(Refusal.BAD_MESSAGE, encoding, error.what.encode(), error=error)
        except ModelRunFailed as error:
            return Ran(Refusal.FAILED, encoding, error.what.encode(), error=error)
        return Ran(0, encoding, write_said(said, encoding))

    def run_batch(self, bodies: Sequence[bytes | memoryview], encodings: Sequence[int]) -> list[Ran]:
        """Return what the model says to each request, one after the other. Order: as given."""
        return [self.run(body, encoding) for body, encoding in zip(bodies, encodings, strict=True)]

    def take_incidents(self) -> tuple[Incident, ...]:
        """Return what happened since this was last asked. Order: as it happened."""
        taken, self._incidents = tuple(self._incidents), []
        return taken

    def memory(self) -> int:
        """Return what the process takes. Units: bytes."""
        return footprint()

    def _load(self, folder: Path, providers: Sequence[str], fallback: str) -> tuple[Any, str]:
        """Load with the first provider that is there and return the model and that provider."""
        missing = ""
        for provider in providers:
            if provider != "cpu" and not self._has(provider):
                missing = f"the execution provider {provider} is absent"
                if fallback == "strict":
                    break
                continue
            if missing:
                self._incidents.append(Incident(NoteKind.FALLBACK, f"{missing}; {provider} takes its place"))
            return self._open(folder, provider), provider
        if missing and fallback != "strict":
            self._incidents.append(Incident(NoteKind.FALLBACK, f"{missing}; cpu takes its place"))
            return self._open(folder, "cpu"), "cpu"
        raise ProviderMissing(
            f"{self._shown} cannot run: {missing}",
            why="no other may take its place",
            fix="allow a fallback, or ask for cpu",
        )

    def _has(self, provider: str) -> bool:
        known = _PROVIDERS.get(provider, "")
        return bool(known) and bool(getattr(self._library, f"is_{known}_available")())

    def _open(self, folder: Path, provider: str) -> Any:
        try:
            config = self._library.Config(str(folder))
            config.clear_providers()
            if provider != "cpu":
                config.append_provider(_PROVIDERS[provider])
            if self._exact:
                session = {"model": {"decoder": {"session_options": _SESSION}}}
                config.overlay(msgspec.json.encode(session).decode())
            return self._library.Model(config)
        except RuntimeError as error:
            raise ModelInvalid(
                f"{self._shown} cannot be loaded as a language model",
                why=str(error),
                fix="make the folder with the model builder of onnxruntime-genai",
            ) from error

    def _probe(self) -> bytes:
        """SHA-256 of a few tokens and of the numbers that the last of them was taken from."""
        tokens = self._encode(Prompt(prompt=PROBE))
        if len(tokens) >= self._decoder.context:
            return b""
        generator = self._begin(Prompt(prompt=PROBE, max_tokens=PROBE_TOKENS), tokens)
        try:
            given = [token for token, _ in zip(self._tokens(generator), range(PROBE_TOKENS), strict=False)]
            numbers = bytes(generator.get_logits())
        except RuntimeError as error:
            raise ModelInvalid(f"{self._shown} fails on its first prompt", why=str(error)) from error
        return hashlib.sha256(repr(given).encode() + numbers).digest()

    def _say(self, prompt: Prompt) -> Said:
        """Generate an answer. Raises: ModelInputInvalid, ModelRunFailed."""
        tokens = self._encode(prompt)
        room = self._decoder.context - len(tokens)
        if not tokens or room < 1:
            raise ModelInputInvalid(
                f"the prompt comes to {len(tokens):,} tokens",
                why=f"{self._shown} reads at least 1 and fewer than {self._decoder.context:,}",
                fix="give it another prompt",
            )
        generator = self._begin(prompt, tokens)
        stream = self._tokenizer.create_stream()
        text, count, finish = "", 0, "length"
        longest = max(map(len, prompt.stop), default=0)
        try:
            for token in self._tokens(generator):
                if token in self._ends:
                    finish = "stop"
                    break
                count += 1
                piece: str = stream.decode(token)
                text += piece
                found = _first_stop(text, prompt.stop, len(text) - len(piece) - longest)
                if found is not None:
                    return Said(text[:found], "stop", len(tokens), count)
        except RuntimeError as error:
            raise self._failed(error) from error
        return Said(text, finish, len(tokens), count)

    def _encode(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt. Raises: ModelInputInvalid, it has messages and the model no template."""
        text = prompt.prompt
        if prompt.messages:
            try:
                text = self._tokenizer.apply_chat_template(msgspec.json.encode(prompt.messages).decode())
            except RuntimeError as error:
                raise ModelInputInvalid(
                    "the model's template cannot put these messages into words",
                    where=self._shown,
                    why=str(error),
                    fix="use roles that the model knows, or ask with a prompt",
                ) from error
        return [int(token) for token in self._tokenizer.encode(text)]

    def _begin(self, prompt: Prompt, tokens: Sequence[int]) -> Any:
        """Return a generator that has read the prompt, in one step. Raises: ModelInputInvalid, ModelRunFailed."""
        limit = min(prompt.max_tokens, self._decoder.context - len(tokens))
        options: dict[str, object] = {"batch_size": 1, "num_beams": 1, "num_return_sequences": 1, "do_sample": False}
        if prompt.temperature:
            options |= {"do_sample": True, "temperature": prompt.temperature, "random_seed": prompt.seed}
            options |= {"top_k": prompt.top_k, "top_p": prompt.top_p}
        try:
            settings = self._library.GeneratorParams(self._model)
            settings.set_search_options(max_length=len(tokens) + limit, **options)
            if prompt.guide is not None:
                settings.set_guidance(*prompt.guide)
            generator = self._library.Generator(self._model, settings)
            generator.append_tokens(tokens)
        except RuntimeError as error:
            if str(error).startswith(_BAD_GUIDE):
                raise ModelInputInvalid(
                    "an answer cannot be held to this guide",
                    where=self._shown,
                    why=str(error),
                    fix="see the guide on language models for the schemas and grammars that are known",
                ) from error
            raise self._failed(error) from error
        return generator

    def _tokens(self, generator: Any) -> Iterator[int]:
        while not generator.is_done():
            generator.generate_next_token()
            yield int(generator.get_next_tokens()[0])

    def _failed(self, error: RuntimeError) -> ModelRunFailed:
        return ModelRunFailed(
            "the language model reported an error",
            where=self._shown,
            why=str(error),
            fix="see what it says; with another prompt it may answer",
        )


def _load_library() -> Any:
    try:
        library: Any = importlib.import_module(LIBRARY)
    except ImportError as error:
        raise ModelsMissing(
            "language models need the package onnxruntime-genai",
            why=str(error),
            fix="pip install 'tickwork[llm]'",
        ) from error
    library.disable_telemetry_events()
    return library


def _library_digest() -> bytes:
    """SHA-256 over the libraries that generate: what decides tokens, and what runs the graph. Shape: 32 bytes."""
    whole = hashlib.sha256()
    for package, pattern in ((LIBRARY, "*onnxruntime-genai*"), ("onnxruntime", "capi/*onnxruntime.*")):
        found = importlib.util.find_spec(package)
        home = Path(next(iter(found.submodule_search_locations or ()))) if found is not None else Path()
        for path in sorted(home.glob(pattern)):
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.digest()


def _first_stop(text: str, stops: Sequence[str], start: int) -> int | None:
    """Return where the first of the stop texts begins, looking from ``start`` on."""
    found = [place for stop in stops if (place := text.find(stop, max(0, start))) >= 0]
    return min(found, default=None)
