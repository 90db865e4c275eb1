"""Tensors in windows: requests for what a module has painted, whoever runs the turns and however the run is cut."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.laws.corpus import options, wasm, world
from tests.laws.recorded import Recorded, prefix, record
from tests.unit.infer import nets
from tickwork import codec
from tickwork.driver.opening import reading
from tickwork.driver.reexecute import reexecute
from tickwork.driver.resolve import ModelSource, World
from tickwork.driver.run import resume_journal, run
from tickwork.driver.verify import replay, verify
from tickwork.journal.store import JournalReader
from tickwork.records import Encoding, Input, InputKind, ModelSpec, WindowSpec
from tickwork.tensors import decode_tensors

pytestmark = pytest.mark.slow

ROWS = 400
"""Rows of three numbers: more bytes than the outbox of the module that asks."""


def gallery(visibility: str = "next", **fields: Any) -> World:
    """Return a module that paints and asks, and one that asks for what the other has painted."""
    agents = tuple(
        wasm(
            name,
            "gazer",
            {"paint": paints, "rows": ROWS},
            publish=("seen",),
            models=("brain",),
            windows=("sky",),
        )
        for name, paints in (("painter", 1), ("gazer", 0))
    )
    window = WindowSpec("sky", "frame", 30_000, "painter", ("gazer",))
    models = (ModelSpec("brain"),)
    fields |= {"models": models, "windows": (window,), "visibility": visibility, "skills": ()}
    return world("gallery", 16, agents, **fields)


def answers(journal: JournalReader) -> list[Input]:
    found = [item for frame in journal.frames() for item in codec.decode_inputs(frame.inputs)]
    return [item for item in found if item.kind == InputKind.RESULT]


@pytest.fixture(scope="module", params=["next", "linear"])
def made(request: pytest.FixtureRequest) -> Recorded:
    """Return a run in which a performer answers."""
    return record(gallery(request.param), options(None))


def test_requests_come_out_again_in_every_way(made: Recorded) -> None:
    assert len(answers(made.journal)) > 15
    assert not made.run.failed
    assert replay(made.journal).head == made.run.head
    found = verify(made.journal, world=made.world, options=made.options)
    assert found.equal, found.divergence


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(made: Recorded, workers: int) -> None:
    assert record(made.world, options(None, workers=workers)).run.head == made.run.head


@pytest.mark.parametrize("length", [2, 5, 8, 12])
def test_a_run_that_was_cut_hands_the_same_bytes_out_again(made: Recorded, length: int) -> None:
    cut = prefix(made, length)
    assert resume_journal(cut, None, world=made.world, decisions={}, options=made.options).head == made.run.head


@pytest.mark.parametrize("length", [4, 5, 8])
def test_answers_find_room_before_what_was_asked_for_is_painted_over(length: int) -> None:
    narrow = record(gallery(max_inputs=1), options(None))
    ticks = {frame.tick for frame in narrow.journal.frames() if codec.decode_inputs(frame.inputs)}
    assert len(answers(narrow.journal)) > len(ticks)
    cut = prefix(narrow, length)
    head = resume_journal(cut, None, world=narrow.world, decisions={}, options=narrow.options).head
    assert head == narrow.run.head


def test_a_real_model_answers_for_what_a_module_has_painted(tmp_path: Path) -> None:
    (tmp_path / "brain.onnx").write_bytes(nets.mlp((3, 2)))
    here = msgspec.structs.replace(gallery(), models=(ModelSource("brain", path=tmp_path / "brain.onnx"),))
    chosen = msgspec.structs.replace(options(None), store=tmp_path / "store", performers={})
    heads = set[bytes]()
    for workers in (0, 2):
        done = run(here, journal=tmp_path / f"{workers}.twk", options=msgspec.structs.replace(chosen, workers=workers))
        heads.add(done.head)
    assert len(heads) == 1
    with reading(tmp_path / "0.twk") as journal:
        found = answers(journal)
        assert [item.code for item in found] == [0] * len(found)
        first = found[0]
        body = first.body or journal.content(first.digest)
        (tensor,) = decode_tensors(body)
        assert (first.encoding, tensor.name, tensor.shape) == (Encoding.TENSOR, "y", (ROWS, 2))
    again = reexecute(tmp_path / "0.twk", world=here, options=chosen)
    assert (again.equal, again.models[0].equal, again.models[0].skipped) == (True, len(found), 0)
