"""Models that are loaded and asked, in this very process."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest
from onnx import helper

from tests.unit.infer import nets
from tickwork.clock import SteppedClock
from tickwork.errors import ModelError, ModelInvalid, ModelUnfit, ProviderMissing
from tickwork.infer import providers, sessions
from tickwork.infer.asking import Wanted
from tickwork.infer.graph import read_graph
from tickwork.infer.layouts import Memo
from tickwork.infer.manifest import ModelConfig
from tickwork.infer.ran import Ran
from tickwork.infer.screen import has_batch_axis, screen
from tickwork.infer.sessions import Runner
from tickwork.records import Encoding, NoteKind, Refusal
from tickwork.tensors import FLOAT32, INT32, INT64, Tensor, decode_tensors, encode_tensors, split_text

TENSOR, JSON = int(Encoding.TENSOR), int(Encoding.JSON)


def config_of(folder: Path, entry: str = "net.onnx") -> ModelConfig:
    graph = read_graph(folder, entry)
    return ModelConfig(
        name="net",
        version="1",
        entry=entry,
        inputs=graph.inputs,
        outputs=graph.outputs,
        operators=graph.operators,
        screening=screen(graph),
        batch_axis=has_batch_axis(graph.inputs, graph.outputs),
    )


def load(folder: Path, net: bytes, extras: Sequence[str] = (), **wanted: Any) -> Runner:
    (folder / "net.onnx").write_bytes(net)
    return Runner(Wanted(b"m" * 32, **wanted), config_of(folder), folder, SteppedClock(), extras=extras)


def rows(count: int, width: int = 16, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def body(**given: np.ndarray[Any, Any]) -> bytes:
    codes = {"float32": FLOAT32, "int32": INT32, "int64": INT64}
    return encode_tensors(
        [Tensor(name, codes[array.dtype.name], array.shape, array.tobytes()) for name, array in given.items()]
    )


def answer(ran: Ran) -> bytes:
    assert ran.code == 0, ran.error
    [tensor] = decode_tensors(ran.body)
    return bytes(tensor.data)


def test_an_answer_has_the_bits_of_the_bare_runtime(tmp_path: Path) -> None:
    for net in (nets.mlp(), nets.int8(), nets.dynamic_int8()):
        runner = load(tmp_path, net)
        session = onnxruntime.InferenceSession(net, providers=["CPUExecutionProvider"])
        [wanted] = session.run(None, {"x": rows(3)})
        assert answer(runner.run(body(x=rows(3)), TENSOR)) == wanted.tobytes()


def test_an_answer_does_not_follow_from_where_the_request_lies(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.unary("ReduceMean", shape=("rows", 7, 33), axes=(2,), opset=17))
    sent = body(x=np.random.default_rng(1).standard_normal((3, 7, 33)).astype(np.float32))
    answers = {answer(runner.run(memoryview(bytes(shift) + sent)[shift:], TENSOR)) for shift in range(0, 64, 4)}
    assert len(answers) == 1


def test_requests_that_look_alike_have_each_its_own_answer(tmp_path: Path) -> None:
    runner, fresh = load(tmp_path, nets.mlp()), load(tmp_path, nets.mlp())
    sizes = [1, 1, 2, 2, 1, 0, 0, 1, 3, 3, 3]
    for seed, count in enumerate(sizes):
        asked = body(x=rows(count, seed=seed))
        fresh._memo = Memo()
        assert runner.run(asked, TENSOR) == fresh.run(asked, TENSOR)


def kept_apart(folder: Path, net: bytes) -> tuple[Runner, Runner]:
    """Return the same model twice; the other never writes into memory that is kept."""
    runner, other = load(folder, net), load(folder, net)
    other._binds = False
    return runner, other


@pytest.mark.parametrize("net", [nets.mlp(), nets.int8(), nets.dynamic_int8(), nets.echo(shape=("rows", 16))])
@pytest.mark.parametrize("count", [1, 3, 64])
def test_after_many_requests_that_look_alike_the_answer_is_written_in_place(
    tmp_path: Path, net: bytes, count: int
) -> None:
    runner, other = kept_apart(tmp_path, net)
    for seed in range(2 * sessions.BIND_AFTER):
        asked = body(x=rows(count, seed=seed))
        assert runner.run(asked, TENSOR) == other.run(asked, TENSOR)
    assert runner._bound is not None
    for other_count in (2, 2, 0, 0, 3, 1, 1):
        asked = body(x=rows(other_count, seed=other_count))
        assert runner.run(asked, TENSOR) == other.run(asked, TENSOR)
    assert runner._bound is None


def test_an_answer_stays_as_it_is_when_the_next_is_written_in_its_place(tmp_path: Path) -> None:
    runner, other = kept_apart(tmp_path, nets.mlp())
    asked = [body(x=rows(3, seed=seed)) for seed in range(2 * sessions.BIND_AFTER)]
    assert [runner.run(one, TENSOR) for one in asked] == [other.run(one, TENSOR) for one in asked]


def test_nans_are_canonical_and_counted_also_where_answers_are_written_in_place(tmp_path: Path) -> None:
    runner, other = kept_apart(tmp_path, nets.unary("Sqrt", shape=("rows", 4)))
    good, bad = (body(x=np.array([[first, 4, np.inf, 0]], np.float32)) for first in (1, -1))
    for asked in [*[good] * (sessions.BIND_AFTER + 2), bad, bad, good]:
        assert runner.run(asked, TENSOR) == other.run(asked, TENSOR)
    assert runner.run(bad, TENSOR).nans == 1


def test_an_answer_whose_shape_follows_from_numbers_is_never_written_in_place_of_another(tmp_path: Path) -> None:
    places = [helper.make_node("NonZero", ["x"], ["y"])]
    net = nets.model(places, [("x", nets.FLOAT, ["rows"])], [("y", nets.INT64, [1, "found"])])
    runner, other = kept_apart(tmp_path, net)
    for seed in range(6 * sessions.BIND_AFTER):
        # Long runs of one shape, so that it is bound, and then another, of fewer places or more.
        found = 1 + seed // (2 * sessions.BIND_AFTER) * 2 % 5
        asked = body(x=np.roll(np.array([1.0] * found + [0.0] * (8 - found), np.float32), seed))
        assert runner.run(asked, TENSOR) == other.run(asked, TENSOR)


def test_a_request_at_fault_is_told_in_the_same_words_where_answers_are_written_in_place(tmp_path: Path) -> None:
    runner, other = kept_apart(tmp_path, nets.divide())
    good, bad = (body(a=np.array([6], np.int32), b=np.array([by], np.int32)) for by in (3, 0))
    for asked in [*[good] * (sessions.BIND_AFTER + 2), bad, good, bad]:
        ran, known = runner.run(asked, TENSOR), other.run(asked, TENSOR)
        assert (ran.code, ran.body, str(ran.error)) == (known.code, known.body, str(known.error))


def test_models_that_decide_or_draw_are_not_bound_to_memory(tmp_path: Path) -> None:
    assert not load(tmp_path, nets.loop(2))._binds
    assert not load(tmp_path, nets.noise(), profile="fast")._binds


def test_memory_that_the_runtime_does_not_fill_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, other = kept_apart(tmp_path, nets.mlp())
    monkeypatch.setattr(providers.Session, "run_bound", lambda session, binding: None)
    for seed in range(2 * sessions.BIND_AFTER):
        asked = body(x=rows(3, seed=seed))
        assert runner.run(asked, TENSOR) == other.run(asked, TENSOR)
    assert not runner._binds


def test_a_bool_that_is_neither_is_refused_also_where_all_else_looks_alike(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.echo(9))
    good, bad = (encode_tensors([Tensor("x", 9, (1, 4), data)]) for data in (b"\0\1\0\1", b"\0\1\2\1"))
    assert [runner.run(one, TENSOR).code for one in (good, bad, good, bad)] == [0, Refusal.BAD_MESSAGE] * 2


def test_json_is_answered_with_json(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.echo())
    ran = runner.run(b'{"x": [[1, 2.5, 0.1, "NaN"]]}', JSON)
    assert (ran.encoding, ran.nans) == (JSON, 1)
    assert ran.body == b'{"y":[[1.0,2.5,0.1,"NaN"]]}'


def test_every_nan_of_an_answer_is_the_canonical_one_and_counted(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.unary("Sqrt", shape=("rows", 4)))
    ran = runner.run(body(x=np.array([[-1, 4, np.nan, -np.inf]], np.float32)), TENSOR)
    assert ran.nans == 3
    assert struct.unpack("<4I", answer(ran)) == (0x7FC00000, 0x40000000, 0x7FC00000, 0x7FC00000)


@pytest.mark.parametrize(
    "request_body",
    [
        b"",
        b"\xff" * 40,
        body(z=rows(1)),
        body(x=rows(1).astype(np.int32)),
        body(x=rows(1)[0]),
        body(x=rows(1, 15)),
        body(x=rows(1)) + body(x=rows(1)),
        encode_tensors([Tensor("x", 11, (1, 16), bytes(128))]),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_the_reason(tmp_path: Path, request_body: bytes) -> None:
    ran = load(tmp_path, nets.mlp()).run(request_body, TENSOR)
    assert ran.code == Refusal.BAD_MESSAGE
    assert isinstance(ran.error, ModelError)
    assert ran.body.decode() == f"{ran.error.what}: {ran.error.why}"


@pytest.mark.parametrize("text", [b"", b"[]", b'{"x": [[1]]}', b'{"z": 1}', b'{"x": [["a"]]}', b"{}"])
def test_json_that_does_not_fit_is_refused(tmp_path: Path, text: bytes) -> None:
    assert load(tmp_path, nets.mlp()).run(text, JSON).code == Refusal.BAD_MESSAGE


def test_an_encoding_no_model_takes_is_refused(tmp_path: Path) -> None:
    assert load(tmp_path, nets.mlp()).run(b"", int(Encoding.BYTES)).code == Refusal.BAD_MESSAGE


def test_an_empty_batch_has_an_empty_answer(tmp_path: Path) -> None:
    ran = load(tmp_path, nets.mlp()).run(body(x=rows(0)), TENSOR)
    assert decode_tensors(ran.body) == [Tensor("y", FLOAT32, (0, 4), memoryview(b""))]


def test_an_error_of_the_model_is_told_in_our_own_words(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.divide())
    ran = runner.run(body(a=np.array([1], np.int32), b=np.array([0], np.int32)), TENSOR)
    assert ran.code == Refusal.FAILED
    assert ran.body == b"the model was run and reported an error"
    assert isinstance(ran.error, ModelError)
    assert "zero" in ran.error.why
    assert answer(runner.run(body(a=np.array([6], np.int32), b=np.array([3], np.int32)), TENSOR)) == struct.pack(
        "<i", 2
    )


def test_more_memory_than_there_is_is_an_error_of_the_model(tmp_path: Path) -> None:
    ran = load(tmp_path, nets.huge()).run(body(x=np.array([1 << 46], np.int64)), TENSOR)
    assert ran.code == Refusal.FAILED


def test_types_numpy_does_not_know_pass_through_a_model(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.echo(16))
    data = struct.pack("<4H", 0x3F80, 0x4000, 0xFFC1, 0x0001)
    ran = runner.run(encode_tensors([Tensor("x", 16, (1, 4), data)]), TENSOR)
    assert ran.nans == 1
    assert answer(ran) == struct.pack("<4H", 0x3F80, 0x4000, 0x7FC0, 0x0001)


def test_text_passes_beside_types_numpy_does_not_know_but_not_into_them(tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["x"], [name], to=to) for name, to in (("t", 8), ("b", 16))]
    runner = load(tmp_path, nets.model(nodes, [("x", FLOAT32, [1])], [("t", 8, [1]), ("b", 16, [1])]))
    ran = runner.run(body(x=np.array([1.5], np.float32)), TENSOR)
    text, strange = decode_tensors(ran.body)
    assert split_text(text.data) == ["1.5"]
    assert bytes(strange.data) == struct.pack("<H", 0x3FC0)
    back = helper.make_node("Cast", ["x"], ["y"], to=16)
    with pytest.raises(ModelUnfit, match="cannot be passed"):
        load(tmp_path, nets.model([back], [("x", 8, [1])], [("y", 16, [1])]))


def test_a_fingerprint_says_what_answers_follow_from(tmp_path: Path) -> None:
    one, other = load(tmp_path, nets.mlp()), load(tmp_path, nets.mlp())
    found = one.fingerprint
    assert found == other.fingerprint
    assert found.model == b"m" * 32
    assert found.runtime.startswith(f"onnxruntime {onnxruntime.__version__} ")
    assert (len(found.library), len(found.probe)) == (32, 32)
    assert (found.profile, found.provider) == ("exact-1", "cpu")
    assert "intra_op_num_threads=1" in found.options
    assert load(tmp_path, nets.mlp(seed=8)).fingerprint.probe != found.probe


def test_a_model_nobody_can_probe_has_a_fingerprint_without_one(tmp_path: Path) -> None:
    assert load(tmp_path, nets.noise(), profile="fast").fingerprint.probe == b""


def test_random_operators_have_no_place_in_exact_profiles(tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match="draw numbers"):
        load(tmp_path, nets.noise())


def test_only_static_integers_are_portable(tmp_path: Path) -> None:
    assert load(tmp_path, nets.int8(), profile="exact-portable").fingerprint.profile == "exact-portable"
    with pytest.raises(ModelUnfit, match="differ between processors"):
        load(tmp_path, nets.mlp(), profile="exact-portable")


def test_a_file_the_runtime_cannot_load_is_refused_without_its_path(tmp_path: Path) -> None:
    net = nets.unary("NoSuchOperator")
    with pytest.raises(ModelInvalid) as caught:
        load(tmp_path, net)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "extra"),
    [
        ("exact-1", "intra_op_num_threads=2"),
        ("fast", "intra_op_numthreads=2"),
        ("fast", "intra_op_num_threads=banana"),
        ("fast", "session.intra_op.allow_spinning=2"),
        ("fast", "session.load_model_format=ORT"),
    ],
)
def test_an_option_that_is_not_on_the_list_is_refused(profile: str, extra: str) -> None:
    with pytest.raises(ModelUnfit, match="session option"):
        providers.make_setup(profile, [extra])


def test_a_fast_session_takes_the_options_it_was_given(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.mlp(), ["intra_op_num_threads=2"], profile="fast")
    assert "intra_op_num_threads=2" in runner.fingerprint.options
    assert answer(runner.run(body(x=rows(1)), TENSOR))


# ------------------------------------------------------------------------------------------------------------ providers


def test_a_provider_that_is_absent_is_an_error_where_no_fallback_is_allowed(tmp_path: Path) -> None:
    for name in ("cuda", "directml", "coreml", "abacus"):
        if name not in providers.available(providers.make_setup("fast")):
            with pytest.raises(ProviderMissing) as caught:
                load(tmp_path, nets.mlp(), profile="fast", providers=(name, "cpu"))
            assert name in caught.value.what


def test_a_provider_that_is_absent_gives_way_with_one_incident(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.mlp(), profile="fast", providers=("abacus",), fallback="on_load")
    [incident] = runner.take_incidents()
    assert incident.kind == NoteKind.FALLBACK
    assert incident.text == "there is no provider abacus; cpu takes its place"
    assert runner.fingerprint.provider == "cpu"
    assert runner.take_incidents() == ()


def test_nothing_is_noted_where_nobody_asked_for_a_provider(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.mlp(), profile="fast")
    assert runner.take_incidents() == ()


def test_a_provider_that_fails_at_load_gives_way_only_where_that_is_allowed(tmp_path: Path) -> None:
    wanted = {"profile": "fast", "providers": ("failing", "cpu")}
    with pytest.raises(ProviderMissing):
        load(tmp_path, nets.mlp(), ["failing=load"], **wanted)
    runner = load(tmp_path, nets.mlp(), ["failing=load"], fallback="on_load", **wanted)
    assert [incident.text for incident in runner.take_incidents()] == ["it failed on purpose; cpu takes its place"]


def test_a_provider_that_fails_at_a_run_gives_way_and_the_request_is_answered(tmp_path: Path) -> None:
    runner = load(
        tmp_path, nets.mlp(), ["failing=run:3"], profile="fast", providers=("failing", "cpu"), fallback="on_run"
    )
    before = runner.fingerprint
    assert before.provider == "failing"
    first = answer(runner.run(body(x=rows(1)), TENSOR))
    assert runner.take_incidents() == ()
    assert answer(runner.run(body(x=rows(1)), TENSOR)) == first
    [incident] = runner.take_incidents()
    assert incident.text == "failing failed while it ran the model; cpu takes its place"
    assert runner.fingerprint == msgspec.structs.replace(before, provider="cpu")


@pytest.mark.parametrize("fallback", ["strict", "on_load"])
def test_a_provider_that_fails_at_a_run_is_a_refusal_where_none_may_take_its_place(
    tmp_path: Path, fallback: str
) -> None:
    wanted = {"profile": "fast", "providers": ("failing", "cpu"), "fallback": fallback}
    runner = load(tmp_path, nets.mlp(), ["failing=run:2"], **wanted)
    ran = runner.run(body(x=rows(1)), TENSOR)
    assert ran.code == Refusal.UNSUPPORTED
    assert isinstance(ran.error, ProviderMissing)


@pytest.mark.parametrize("fallback", ["strict", "on_load", "on_run"])
def test_a_request_at_fault_is_no_failure_of_the_provider(tmp_path: Path, fallback: str) -> None:
    wanted = {"profile": "fast", "providers": ("failing", "cpu"), "fallback": fallback}
    runner = load(tmp_path, nets.divide(), ["failing=run:99"], **wanted)
    ran = runner.run(body(a=np.array([1], np.int32), b=np.array([0], np.int32)), TENSOR)
    assert ran.code == Refusal.FAILED
    assert runner.take_incidents() == ()
    assert runner.fingerprint.provider == "failing"
    assert answer(runner.run(body(a=np.array([6], np.int32), b=np.array([2], np.int32)), TENSOR)) == struct.pack(
        "<i", 3
    )


def test_a_provider_that_fails_at_the_warm_up_fails_the_load(tmp_path: Path) -> None:
    wanted = {"profile": "fast", "providers": ("failing", "cpu")}
    with pytest.raises(ProviderMissing):
        load(tmp_path, nets.mlp(), ["failing=run:1"], **wanted)
    runner = load(tmp_path, nets.mlp(), ["failing=run:1"], fallback="on_run", **wanted)
    assert runner.fingerprint.provider == "cpu"
    assert len(runner.take_incidents()) == 1


# -------------------------------------------------------------------------------------------------------------- batches


def test_a_batch_is_one_run_and_each_gets_its_own_rows(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.mlp())
    parts = [rows(1), rows(3, seed=2), rows(2, seed=3)]
    ran = runner.run_batch([body(x=part) for part in parts], [TENSOR] * 3)
    assert [one.rows for one in ran] == [3, 3, 3]
    assert [answer(one) for one in ran] == [answer(runner.run(body(x=part), TENSOR)) for part in parts]


@pytest.mark.parametrize("spoilt", [False, True])
def test_requests_that_look_alike_are_answered_as_each_would_be_alone(tmp_path: Path, spoilt: bool) -> None:
    runner = load(tmp_path, nets.mlp((16, 32, 4), 3), batch="tick")
    asked = [body(x=rows(2, seed=seed)) for seed in range(5)]
    if spoilt:
        asked[3] = body(x=np.full((2, 16), np.nan, np.float32))
    alone = [runner.run(one, TENSOR) for one in asked]
    together = runner.run_batch(asked, [TENSOR] * 5)
    assert [ran.body for ran in together] == [ran.body for ran in alone]
    assert (
        [ran.nans for ran in together] == [ran.nans for ran in alone] == [8 * (spoilt and at == 3) for at in range(5)]
    )
    assert {ran.rows for ran in together} == {5}


def test_a_batch_is_what_the_joined_request_gives_where_neighbours_matter(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.unary("Elu", shape=("rows", 1003)))
    parts = [rows(1, 1003, seed) for seed in range(5)]
    joined = answer(runner.run(body(x=np.concatenate(parts)), TENSOR))
    ran = runner.run_batch([body(x=part) for part in parts], [TENSOR] * 5)
    assert b"".join(answer(one) for one in ran) == joined


def test_what_does_not_fit_a_batch_is_refused_or_answered_alone(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.model_of_any_width())
    bodies = [
        body(x=rows(1, 4)),
        b"junk",
        body(x=rows(1, 5)),
        json.dumps({"x": [[1, 2, 3, 4]]}).encode(),
        body(x=rows(0, 4)),
    ]
    ran = runner.run_batch(bodies, [TENSOR, TENSOR, TENSOR, JSON, TENSOR])
    assert [one.code for one in ran] == [0, Refusal.BAD_MESSAGE, 0, 0, 0]
    assert [one.rows for one in ran] == [2, 1, 1, 2, 1]


def test_one_request_that_fails_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    runner = load(tmp_path, nets.divide())
    bodies = [body(a=np.array([6], np.int32), b=np.array([by], np.int32)) for by in (1, 0, 2)]
    ran = runner.run_batch(bodies, [TENSOR] * 3)
    assert [one.code for one in ran] == [0, Refusal.FAILED, 0]


def test_a_model_whose_scale_spans_the_batch_is_not_joined(tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match="whole batch"):
        load(tmp_path, nets.dynamic_int8(), batch="tick")
    runner = load(tmp_path, nets.dynamic_int8())
    parts = [rows(1), 100 * rows(1, seed=2)]
    ran = runner.run_batch([body(x=part) for part in parts], [TENSOR] * 2)
    assert [one.rows for one in ran] == [1, 1]
    assert [answer(one) for one in ran] == [answer(runner.run(body(x=part), TENSOR)) for part in parts]


def test_a_certified_model_passes_the_screen_and_the_probe(tmp_path: Path) -> None:
    for net in (nets.mlp(), nets.conv(), nets.int8()):
        assert load(tmp_path, net, batch="certified").take_incidents() == ()
    with pytest.raises(ModelUnfit, match="neighbours"):
        load(tmp_path, nets.unary("Elu"), batch="certified")


def test_a_model_that_mixes_rows_does_not_pass_the_probe(tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match="depends on its batch"):
        load(tmp_path, nets.unary("Softmax", axis=0), batch="certified")


def test_certified_batches_are_looked_at_again_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "CHECK_EVERY", 3)
    runner = load(tmp_path, nets.mlp(), batch="certified")
    parts = [body(x=rows(1, seed=seed)) for seed in range(4)]
    wanted = [answer(runner.run(part, TENSOR)) for part in parts]
    for _ in range(7):
        assert [answer(one) for one in runner.run_batch(parts, [TENSOR] * 4)] == wanted
    assert runner.take_incidents() == ()


def test_a_certificate_that_turns_out_wrong_is_withdrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "CHECK_EVERY", 1)
    monkeypatch.setattr(sessions, "PROBED_BATCHES", ())
    (tmp_path / "net.onnx").write_bytes(nets.unary("Softmax", axis=0))
    runner = Runner(Wanted(b"m" * 32, batch="certified"), config_of(tmp_path), tmp_path, SteppedClock())
    parts = [body(x=rows(1, seed=seed)) for seed in range(4)]
    wanted = [answer(runner.run(part, TENSOR)) for part in parts]
    for _ in range(2):
        assert [answer(one) for one in runner.run_batch(parts, [TENSOR] * 4)] == wanted
    [incident] = runner.take_incidents()
    assert "certified batch differed" in incident.text


def test_a_worker_knows_what_it_takes(tmp_path: Path) -> None:
    assert load(tmp_path, nets.mlp()).memory() > 1 << 20
