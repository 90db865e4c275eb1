"""Providers that fail on purpose, through the service: what is told of it, and who answers then."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.unit.infer import nets
from tests.unit.infer.kept import keep
from tickwork.errors import ProviderMissing
from tickwork.infer import wire
from tickwork.infer.asking import Reply
from tickwork.infer.requester import Requester
from tickwork.infer.store import ModelStore
from tickwork.records import NoteKind, Refusal
from tickwork.tensors import FLOAT32, Tensor, encode_tensors

pytestmark = pytest.mark.slow

ROWS = np.random.default_rng(1).standard_normal((2, 16)).astype(np.float32)
BODY = encode_tensors([Tensor("x", FLOAT32, ROWS.shape, ROWS.tobytes())])


class Desk:
    """A store with one model, and services over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wanted = keep(ModelStore(folder), "mlp", nets.mlp())
        self._open = list[Requester]()

    def ask(self, extras: Sequence[str], times: int = 1, **how: Any) -> list[Reply]:
        """Return the replies of a service whose failing provider fails as ``extras`` says."""
        setup = wire.Setup(str(self.folder), extras=tuple(extras))
        requester = Requester(setup)
        self._open.append(requester)
        wanted = msgspec.structs.replace(self.wanted, **how)
        return [requester.ask(wanted, BODY) for _ in range(times)]

    def close(self) -> None:
        for requester in self._open:
            requester.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "models")
    yield made
    made.close()


FAILING = {"profile": "fast", "providers": ("failing", "cpu")}


def fallbacks(replies: Sequence[Reply]) -> list[str]:
    return [
        incident.text for reply in replies for incident in reply.incidents if incident.kind == int(NoteKind.FALLBACK)
    ]


def provider(reply: Reply) -> str:
    assert reply.fingerprint is not None
    return reply.fingerprint.provider


def test_a_provider_that_fails_at_the_start_gives_way_once_and_all_are_answered(desk: Desk) -> None:
    replies = desk.ask(["failing=load"], 3, fallback="on_load", **FAILING)
    assert [reply.code for reply in replies] == [0, 0, 0]
    assert fallbacks(replies) == ["it failed on purpose; cpu takes its place"]
    assert {provider(reply) for reply in replies} == {"cpu"}


def test_a_provider_that_fails_at_work_gives_way_and_the_fingerprint_says_so(desk: Desk) -> None:
    replies = desk.ask(["failing=run:3"], 4, fallback="on_run", **FAILING)
    assert [reply.code for reply in replies] == [0] * 4
    assert len({reply.body for reply in replies}) == 1
    assert fallbacks(replies) == ["failing failed while it ran the model; cpu takes its place"]
    assert [provider(reply) for reply in replies] == ["failing", "cpu", "cpu", "cpu"]


@pytest.mark.parametrize("fallback", ["strict", "on_load"])
def test_a_provider_that_fails_at_work_is_a_refusal_where_none_may_take_its_place(desk: Desk, fallback: str) -> None:
    first, second = desk.ask(["failing=run:3"], 2, fallback=fallback, **FAILING)
    assert first.code == 0
    assert second.code == Refusal.UNSUPPORTED
    assert isinstance(second.error, ProviderMissing)


def test_a_provider_that_is_absent_is_a_refusal_and_nothing_else_is_harmed(desk: Desk) -> None:
    [refused] = desk.ask([], 1, profile="fast", providers=("directml",))
    assert refused.code == Refusal.UNSUPPORTED
    assert isinstance(refused.error, ProviderMissing)
    [answered] = desk.ask(["failing=load"], 1)
    assert answered.code == 0


def test_how_a_provider_fails_is_no_matter_of_the_exact_profiles(desk: Desk) -> None:
    [reply] = desk.ask(["failing=load"], 1, providers=())
    assert (reply.code, provider(reply)) == (0, "cpu")
