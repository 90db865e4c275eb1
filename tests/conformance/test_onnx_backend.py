"""The ONNX backend suite through adding, loading and asking: as the bare runtime, case by case and bit by bit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import backend
from tests.conformance.backend import Case, Outcome
from tickwork.errors import ModelError
from tickwork.infer.adding import Labels, add_model
from tickwork.infer.asking import Wanted
from tickwork.infer.client import Models
from tickwork.infer.inspection import inspect_model
from tickwork.infer.launch import Launcher
from tickwork.infer.manifest import ModelConfig
from tickwork.infer.ports import match_inputs, spread_outputs
from tickwork.infer.store import ModelStore
from tickwork.records import Refusal
from tickwork.tensors import decode_tensors, encode_tensors

pytestmark = pytest.mark.slow
SHARDS = 16
DEADLINE_MS = 60_000


class Service:
    """A store, a warm process that looks into models, and a host that runs them."""

    def __init__(self, folder: Path) -> None:
        self.store = ModelStore(folder)
        self.models = Models(folder)
        self.launcher = Launcher()

    def close(self) -> None:
        self.models.close()
        self.launcher.close()

    def outcome(self, case: Case) -> Outcome:
        """Return what becomes of a case on the way a user's model takes."""
        try:
            digest = add_model(self.store, case.model, Labels(name="case", version="0+" + case.name), self.inspect)
            config = self.store.config(digest)
            # Those that draw numbers have no exact profile.
            wanted = Wanted(digest, "fast" if config.screening.random else "exact-1")
            self.models.load(wanted)
        except ModelError:
            return Outcome("load")
        try:
            return self._run(case, wanted, config)
        finally:
            self.models.unload(digest)

    def inspect(self, folder: Path, entry: str) -> ModelConfig:
        return inspect_model(folder, entry, launcher=self.launcher)

    def _run(self, case: Case, wanted: Wanted, config: ModelConfig) -> Outcome:
        ports = {port.name: port for port in config.inputs}
        outputs = []
        for inputs in backend.inputs_of(case):
            given = [(ports[name], backend.to_value(ports[name], array)) for name, array in inputs.items()]
            reply = self.models.ask(wanted, encode_tensors(spread_outputs(given)), deadline_ms=DEADLINE_MS)
            if reply.code:
                assert reply.code in {Refusal.FAILED, Refusal.BAD_MESSAGE}, reply.error
                return Outcome("run")
            made = match_inputs(decode_tensors(reply.body), config.outputs)
            outputs.append(tuple(backend.nameless(made[port.name]) for port in config.outputs))
        return Outcome("ok", tuple(outputs))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "models")
    yield made
    made.close()


def test_the_suite_is_the_one_we_know() -> None:
    assert len(backend.cases()) == backend.CASES


@pytest.mark.parametrize(
    "shard",
    [shard if shard % 8 == 0 else pytest.param(shard, marks=pytest.mark.thorough) for shard in range(SHARDS)],
)
def test_every_case_has_the_outcome_and_the_bits_of_the_bare_runtime(service: Service, shard: int) -> None:
    ran, wrong = 0, list[str]()
    for case in backend.cases()[shard::SHARDS]:
        bare, ours = backend.bare(case), service.outcome(case)
        ran += bare.status == "ok"
        if ours.status != bare.status:
            wrong.append(f"{case.name}: {ours.status}, bare {bare.status}")
        elif ours != bare and not draws(case):
            wrong.append(f"{case.name}: other bits")
    assert not wrong
    assert ran > 90


def draws(case: Case) -> bool:
    """Whether a case draws numbers without a seed, so that no two runs are alike."""
    return any(word in case.name for word in ("bernoulli", "random", "multinomial", "training_dropout"))
