"""Sessions of ONNX Runtime, and the execution providers they run on.

Invariants:
    * Every option of a session is one of those named here: the runtime takes any text for a key and says nothing.
    * The runtime neither retries, nor falls back, nor prints. What takes the place of what is decided by whoever asks.
    * A session that was not given the provider it asked for is none.

Source: onnxruntime_session_options_config_keys.h of ONNX Runtime 1.31 for the keys.
"""

# ONNX Runtime carries no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _state  # pyright: ignore[reportAttributeAccessIssue]

from ..errors import ModelInvalid, ModelUnfit
from .asking import PROVIDERS
from .screen import FAST

CUDA, DIRECTML, COREML, CPU = PROVIDERS
FAILING: Final = "failing"
"""A provider that fails on purpose: known only where an option says when it is to fail."""

_NAMES: Final = {
    CPU: "CPUExecutionProvider",
    CUDA: "CUDAExecutionProvider",
    DIRECTML: "DmlExecutionProvider",
    COREML: "CoreMLExecutionProvider",
}
_PROVIDER_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    CPU: {},
    # No 19-bit products for 32-bit ones, and no choice of algorithm by which was faster this time.
    CUDA: {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "DEFAULT",
        "do_copy_in_default_stream": "1",
        "use_tf32": "0",
    },
    DIRECTML: {"device_id": "0"},
    COREML: {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"},
}

_EXACT: Final[Mapping[str, str]] = {
    "enable_cpu_mem_arena": "1",
    "enable_mem_pattern": "1",
    "execution_mode": "sequential",
    "graph_optimization_level": "all",
    "inter_op_num_threads": "1",
    "intra_op_num_threads": "1",
    "session.disable_prepacking": "0",
    "session.inter_op.allow_spinning": "0",
    "session.intra_op.allow_spinning": "0",
    "session.set_denormal_as_zero": "0",
}
"""Source: the settings under which no repetition, process or neighbour ever changed a bit of an answer."""

_CHOICES: Final[Mapping[str, frozenset[str] | None]] = {
    "intra_op_num_threads": None,
    "inter_op_num_threads": None,
    "session.intra_op.allow_spinning": frozenset({"0", "1"}),
    "session.inter_op.allow_spinning": frozenset({"0", "1"}),
    "session.set_denormal_as_zero": frozenset({"0", "1"}),
    "enable_cpu_mem_arena": frozenset({"0", "1"}),
    "enable_mem_pattern": frozenset({"0", "1"}),
    "execution_mode": frozenset({"sequential", "parallel"}),
    "graph_optimization_level": frozenset({"disable", "basic", "extended", "all"}),
    "device_id": None,
    "gpu_mem_limit": None,
    FAILING: None,
}
"""What may be set in profile ``fast``, and to what; None for any whole number, and for when to fail."""

_LEVELS: Final = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}

_SILENT: Final = 4
_NUMBER_MOST: Final = 1 << 40

ERRORS: Final[tuple[type[Exception], ...]] = (
    *(kind for kind in vars(_state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    RuntimeError,
    ValueError,
    MemoryError,
)
"""What the runtime raises."""

_OF_THE_MODEL: Final = (_state.InvalidProtobuf, _state.InvalidGraph, _state.NoSuchFile, _state.NoModel)


_OF_THE_PROVIDER: Final = (_state.EPFail, _state.EngineError, _state.DeviceReset)
_WORDS_OF_PROVIDERS: Final = ("CUDA", "cuda", "CUBLAS", "CUDNN", "DirectML", "Dml", "CoreML", "HRESULT")
"""What stands in an error that a device or its driver is at fault for, whatever its kind."""


class ProviderFailed(Exception):
    """A provider is absent, cannot load the model, or failed while it ran. Never shown to a person.

    Attributes:
        reason: In our own words; names no path.
        detail: What the runtime said; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Setup(msgspec.Struct, frozen=True):
    """With what a session is made.

    Attributes:
        options: Of the session, by name.
        fails: When the failing provider fails: ``load``, or ``run:N`` for run N; empty where there is none.
        tuning: Options of a GPU provider that replace its own.
    """

    options: Mapping[str, str]
    fails: str = ""
    tuning: Mapping[str, str] = {}

    @property
    def canonical(self) -> tuple[str, ...]:
        """The options as a fingerprint has them. Order: by name."""
        return tuple(sorted(f"{name}={value}" for name, value in self.options.items()))


def make_setup(profile: str, extras: Sequence[str] = ()) -> Setup:
    """Return the options of a profile.

    Args:
        extras: ``name=value`` each; only profile ``fast`` has any.

    Raises:
        ModelUnfit: TW6015, there is no such option, or the profile does not leave it open.
    """
    options, tuning, fails = dict(_EXACT), dict[str, str](), ""
    if profile == FAST:
        options["intra_op_num_threads"] = "0"
    for extra in extras:
        name, _, value = extra.partition("=")
        allowed = _CHOICES.get(name)
        if name not in _CHOICES or profile != FAST:
            why = "only profile fast has options" if name in _CHOICES else f"options are {', '.join(sorted(_CHOICES))}"
            raise ModelUnfit(f"the session option {name!r} cannot be set", why=why, fix="leave it out")
        if name == FAILING:
            fails = value
        elif (value not in allowed) if allowed else not (value.isdecimal() and int(value) <= _NUMBER_MOST):
            shown = ", ".join(sorted(allowed)) if allowed else "a whole number"
            raise ModelUnfit(f"the session option {name} cannot be {value!r}", why=f"it is {shown}", fix="take that")
        elif name in {"device_id", "gpu_mem_limit"}:
            tuning[name] = value
        else:
            options[name] = value
    return Setup(options, fails, tuning)


class Session:
    """A model that is loaded on one provider.

    Attributes:
        provider: Our name of it.
        left_to_cpu: Operators that a GPU provider did not take.
    """

    def __init__(self, raw: Any, provider: str, left_to_cpu: int = 0) -> None:
        self.provider = provider
        self.left_to_cpu = left_to_cpu
        self._raw = raw
        # The method of the class that wraps this one checks the names again, and prints and retries on its own.
        self._call: Any = getattr(raw, "_sess").run  # noqa: B009 - the public name does more than is wanted.
        self._call_bound: Any = getattr(raw, "_sess").run_with_iobinding  # noqa: B009 - as above.

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        """Return arrays, and lists of them for sequences. Raises what is in ``ERRORS``."""
        result: list[Any] = self._call(outputs, feeds, None)
        return result

    def run_values(self, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        """Return the runtime's own values, from such values. Raises what is in ``ERRORS``."""
        return list(self._raw.run_with_ort_values(list(outputs), dict(feeds)))

    def bind(self, feeds: Mapping[str, Any], output: str, array: Any) -> Any:
        """Return what ``run_bound`` takes: arrays to be read where they lie, and one for the one output.

        They must stay as long as that is run. Raises what is in ``ERRORS``.
        """
        binding = self._raw.io_binding()
        for name, given in feeds.items():
            binding.bind_cpu_input(name, given)
        binding.bind_output(output, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return getattr(binding, "_iobinding")  # noqa: B009 - as above.

    def run_bound(self, binding: Any) -> None:
        """Run the model on what the arrays of a binding hold now: the runtime looks for nothing and makes no array.

        Raises what is in ``ERRORS``, also where the output would have another shape.
        """
        self._call_bound(binding, None)


class _FailingSession(Session):
    """Runs on the processor and fails at a run that was said beforehand."""

    def __init__(self, raw: Any, at: int) -> None:
        super().__init__(raw, FAILING)
        self._left = at

    def _count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise ProviderFailed("it failed on purpose")

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        """Return arrays, or fail."""
        self._count()
        return super().run(outputs, feeds)

    def run_values(self, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        """Return the runtime's own values, or fail."""
        self._count()
        return super().run_values(outputs, feeds)


def available(setup: Setup) -> tuple[str, ...]:
    """Return the providers this machine's build has. Order: as ``PROVIDERS``."""
    present = set(onnxruntime.get_available_providers())
    names = [name for name in PROVIDERS if _NAMES[name] in present]
    return (FAILING, *names) if setup.fails else tuple(names)


def open_session(path: Path, provider: str, setup: Setup, *, whole: bool) -> Session:
    """Return a session on one provider.

    Args:
        whole: Whether the provider must take every operator; else those it does not know are left to the processor.

    Raises:
        ProviderFailed: It is absent, or did not take the model.
        ModelInvalid: TW6002, the file is no model the runtime loads.
    """
    if provider not in available(setup):
        raise ProviderFailed(
            f"{provider} is not in this build of ONNX Runtime"
            if provider in _NAMES
            else f"there is no provider {provider}"
        )
    if provider == FAILING:
        if setup.fails == "load":
            raise ProviderFailed("it failed on purpose")
        return _FailingSession(_load(path, CPU, setup, whole=False), int(setup.fails.partition(":")[2] or 1))
    if provider == CUDA and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    raw = _load(path, provider, setup, whole=whole)
    if provider == CPU:
        return Session(raw, CPU)
    if _NAMES[provider] not in raw.get_providers():
        raise ProviderFailed(f"{provider} is not usable here: its libraries or its device are missing")
    assigned = raw.get_provider_graph_assignment_info()
    taken = sum(len(part.get_nodes()) for part in assigned if part.ep_name == _NAMES[provider])
    left = sum(len(part.get_nodes()) for part in assigned if part.ep_name == _NAMES[CPU])
    if not taken:
        raise ProviderFailed(f"{provider} took none of the model's operators")
    return Session(raw, provider, left)


def _load(path: Path, provider: str, setup: Setup, *, whole: bool) -> Any:
    onnxruntime.set_default_logger_severity(_SILENT)
    options = session_options(setup)
    providers: list[Any] = [(_NAMES[provider], {**_PROVIDER_OPTIONS[provider], **_tuned(provider, setup)})]
    if provider != CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        if whole:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        else:
            providers.append(_NAMES[CPU])
    if provider == DIRECTML:
        options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(
            os.fspath(path), options, providers=providers, enable_fallback=0, read_config_from_model=0
        )
    except ERRORS as error:
        if provider == CPU or isinstance(error, _OF_THE_MODEL):
            raise ModelInvalid(
                "ONNX Runtime cannot load the model",
                why=scrub(error, path),
                fix="export it again; of one in the store `tickwork model verify` tells whether its files are whole",
            ) from error
        raise ProviderFailed(f"{provider} cannot load the model", scrub(error, path)) from error


def _tuned(provider: str, setup: Setup) -> dict[str, str]:
    known = {CUDA: {"device_id", "gpu_mem_limit"}, DIRECTML: {"device_id"}}.get(provider, set())
    return {name: value for name, value in setup.tuning.items() if name in known}


def session_options(setup: Setup) -> Any:
    """Return the runtime's own form of the options."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    for name, value in setup.options.items():
        if name == "execution_mode":
            modes = onnxruntime.ExecutionMode
            options.execution_mode = modes.ORT_PARALLEL if value == "parallel" else modes.ORT_SEQUENTIAL
        elif name == "graph_optimization_level":
            options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, _LEVELS[value])
        elif name.startswith("session."):
            options.add_session_config_entry(name, value)
        elif name.startswith("enable_"):
            setattr(options, name, value == "1")
        else:
            setattr(options, name, int(value))
    return options


def blames_provider(error: BaseException) -> bool:
    """Return whether what the runtime raised says that the provider is at fault, and not the request."""
    return isinstance(error, _OF_THE_PROVIDER) or any(word in str(error) for word in _WORDS_OF_PROVIDERS)


def scrub(error: BaseException, path: Path) -> str:
    """Return what the runtime said, without the path of the model."""
    return str(error).replace(os.fspath(path), path.name).replace(os.fspath(path.parent), "").strip()[:500]


@functools.cache
def runtime_name() -> str:
    """Return name, version and commit of the runtime: ``onnxruntime 1.31.1 6af1a93``."""
    words = onnxruntime.get_build_info().split()
    commit = next((word.partition("=")[2].rstrip(",") for word in words if word.startswith("git-commit-id=")), "")
    return f"onnxruntime {onnxruntime.__version__} {commit}".strip()


def library_digest() -> bytes:
    """Return the SHA-256 of the library that computes. Shape: 32 bytes."""
    path = Path(_state.__file__)
    found = path.stat()
    return _hash_file(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=4)
def _hash_file(path: Path, mtime_ns: int, size: int) -> bytes:
    del mtime_ns, size
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
