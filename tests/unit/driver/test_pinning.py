"""What a world says of its models, pinned by digest."""

import shutil
from pathlib import Path

import msgspec
import pytest

from tests.unit.driver.oracle import Oracle
from tests.unit.driver.troupe import Echo, Memory, acting, options, spec, stage
from tests.unit.infer import nets
from tests.unit.infer.kept import keep, look
from tickwork.driver.model_swaps import plan_model_swaps
from tickwork.driver.options import Options
from tickwork.driver.pinning import find_model, judge_pinned, pin_models, storing
from tickwork.driver.plans import ModelSwap
from tickwork.driver.resolve import ModelSource, World
from tickwork.driver.run import run
from tickwork.errors import KeyRevoked, ModelExists, ModelInvalid, ModelNotFound, ModuleUnsigned
from tickwork.infer.adding import Labels, add_model
from tickwork.infer.signing import sign_as_developer
from tickwork.infer.store import ModelStore
from tickwork.native import Context, Outbox
from tickwork.packages.trust import TRUST_FILE
from tickwork.records import Message, ModelSpec


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


def still(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
    return


def world(*models: ModelSource, allow_unsigned: bool = True) -> World:
    specs = tuple(ModelSpec(model.name, batch="tick") for model in models)
    made = stage({spec("a"): acting(still)}, models=specs, allow_unsigned=allow_unsigned)
    return msgspec.structs.replace(made, models=models)


def chosen(store: ModelStore, **fields: object) -> Options:
    return msgspec.structs.replace(options(), store=store.folder, **fields)


def test_a_reference_is_pinned_by_what_it_means_when_the_run_begins(store: ModelStore) -> None:
    digest = keep(store, "net", nets.echo()).model
    for reference in ("net", "net:1.0.0", "net:latest", f"sha256:{digest.hex()}", digest.hex()[:12]):
        pinned = pin_models(world(ModelSource("brain", reference)), chosen(store))
        assert pinned.header.models == (ModelSpec("brain", digest, "1.0.0", batch="tick"),)
        assert pinned.models == ()
        assert pin_models(pinned, Options()) == pinned


def test_a_reference_that_means_nothing_is_told_with_its_line(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound) as caught:
        pin_models(world(ModelSource("brain", "nothing", where="world.toml:7, models.brain.model")), chosen(store))
    assert caught.value.where.startswith("world.toml:7, models.brain.model")


def test_without_a_store_only_a_whole_digest_says_what_a_model_is() -> None:
    asked = msgspec.structs.replace(options(), asker=Oracle())
    pinned = pin_models(world(ModelSource("brain", f"sha256:{'ab' * 32}")), asked)
    assert pinned.header.models[0].digest == b"\xab" * 32
    for source in (ModelSource("brain", "net:1.0.0"), ModelSource("brain", path=Path("net.onnx"))):
        with pytest.raises(ModelNotFound) as caught:
            pin_models(world(source), asked)
        assert "no store" in caught.value.why


@pytest.mark.parametrize(
    "files",
    [
        world(ModelSource("brain", path=Path("net.onnx"))),
        msgspec.structs.replace(world(), model_swaps=(ModelSwap("brain", Path("net.onnx"), 1),)),
    ],
    ids=["models", "swaps"],
)
def test_a_run_that_takes_models_from_files_alone_has_a_store_for_as_long_as_it_lasts(files: World) -> None:
    with storing(files, Options()) as lent:
        assert lent.store is not None
        assert lent.store.is_dir()
    assert not lent.store.exists()


def test_a_run_that_has_a_store_or_needs_more_than_files_goes_without_one_of_its_own(tmp_path: Path) -> None:
    file, other = ModelSource("brain", path=Path("net.onnx")), ModelSource("other", "net:1.0.0")
    given, answered = Options(store=tmp_path), Options(performers={"infer:brain": Echo()})
    for models, chosen in (((), Options()), ((file, other), Options()), ((file,), given), ((file,), answered)):
        with storing(world(*models), chosen) as lent:
            assert lent is chosen


@pytest.mark.slow
def test_a_world_of_model_files_runs_without_a_store_and_comes_to_the_head_it_has_with_one(
    store: ModelStore, tmp_path: Path
) -> None:
    def ask(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        if context.tick == 1:
            outbox.infer("brain", b'{"x": [[1, 2, 3, 4]]}')

    file = tmp_path / "net.onnx"
    file.write_bytes(nets.echo())
    made = stage({spec("a", models=("brain",)): acting(ask)}, models=(ModelSpec("brain"),), ticks=4)
    made = msgspec.structs.replace(made, models=(ModelSource("brain", path=file),))
    assert run(made, options=options()).head == run(made, options=chosen(store)).head


def test_a_model_that_a_performer_answers_for_is_not_looked_up(store: ModelStore) -> None:
    given = msgspec.structs.replace(options(), performers={"infer:brain": Echo()})
    pinned = pin_models(world(ModelSource("brain", "nothing")), given)
    assert pinned.header.models == (ModelSpec("brain", batch="tick"),)
    assert pinned.models == ()


@pytest.mark.slow
def test_a_file_is_put_into_the_store_once_and_pinned_by_what_is_in_it(store: ModelStore, tmp_path: Path) -> None:
    said: list[str] = []
    file = tmp_path / "My Net.onnx"
    file.write_bytes(nets.echo())
    source = ModelSource("My_Net/1", path=file)
    once = find_model(source, chosen(store, notice=said.append), allow_unsigned=False)
    again = find_model(source, chosen(store, notice=said.append), allow_unsigned=False)
    assert once == again
    assert said == ["looking into model 'My_Net/1' for the first time"]
    assert [(kept.name, kept.version, kept.digest) for kept in store.list()] == [
        ("my-net-1", once.version, once.digest)
    ]

    elsewhere = ModelStore(tmp_path / "elsewhere")
    assert find_model(source, chosen(elsewhere), allow_unsigned=False) == once
    file.write_bytes(nets.echo(shape=("rows", 5)))
    assert find_model(source, chosen(store), allow_unsigned=False).digest != once.digest


@pytest.mark.slow
def test_a_model_that_only_bears_the_name_of_a_file_is_not_taken_for_it(store: ModelStore, tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(nets.echo())
    source = ModelSource("net", path=file)
    name = find_model(source, chosen(store), allow_unsigned=False).version
    other = ModelStore(tmp_path / "other")
    strange = tmp_path / "strange" / "net.onnx"
    strange.parent.mkdir()
    strange.write_bytes(nets.mlp())
    add_model(other, strange, Labels(name="net", version=name), look)
    with pytest.raises(ModelExists, match="another model"):
        find_model(source, chosen(other), allow_unsigned=False)


@pytest.mark.slow
def test_a_folder_is_pinned_by_all_of_its_files(store: ModelStore, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    nets.save_external(folder)
    (folder / ".hidden").write_bytes(b"1")
    one = find_model(ModelSource("net", path=folder), chosen(store), allow_unsigned=False)
    (folder / ".hidden").write_bytes(b"2")
    assert find_model(ModelSource("net", path=folder), chosen(store), allow_unsigned=False) == one
    weights = folder / "weights.bin"
    weights.write_bytes(bytes(len(weights.read_bytes())))
    assert find_model(ModelSource("net", path=folder), chosen(store), allow_unsigned=False) != one


def test_a_file_that_is_no_model_is_told_with_its_line(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"PK\3\4")
    source = ModelSource("net", path=tmp_path / "net.onnx", where="world.toml:9, models.net.file")
    with pytest.raises(ModelInvalid) as caught:
        find_model(source, chosen(store), allow_unsigned=True)
    assert caught.value.where.startswith("world.toml:9, models.net.file")
    shutil.rmtree(store.folder, ignore_errors=True)


def test_a_model_of_the_store_is_believed_as_a_module_is(store: ModelStore, tmp_path: Path) -> None:
    digest = keep(store, "net", nets.echo()).model
    source, trusting = ModelSource("brain", "net"), chosen(store, trust=tmp_path / "trust")
    with pytest.raises(ModuleUnsigned):
        pin_models(world(source, allow_unsigned=False), trusting)
    assert pin_models(world(source), trusting).header.models[0].digest == digest
    sign_as_developer(store, digest, tmp_path / "trust")
    assert pin_models(world(source, allow_unsigned=False), trusting).header.models[0].digest == digest


def test_a_swap_is_believed_as_whoever_goes_on_says_and_not_as_the_journal_does(
    store: ModelStore, tmp_path: Path
) -> None:
    keep(store, "net", nets.echo())
    header, swap = world(ModelSource("brain", "net")).header, ModelSwap("brain", "net", at=3)
    trusting = chosen(store, trust=tmp_path / "trust")
    assert header.allow_unsigned
    assert plan_model_swaps([swap], header, trusting)
    with pytest.raises(ModuleUnsigned):
        plan_model_swaps([swap], header, msgspec.structs.replace(trusting, allow_unsigned=False))


def test_a_model_that_was_revoked_is_refused_wherever_it_comes_from(store: ModelStore, tmp_path: Path) -> None:
    digest = keep(store, "net", nets.echo()).model
    trust = tmp_path / "trust"
    trust.mkdir(mode=0o700)
    revoked = f'schema = 1\nversion = 1\n\n[[revoked]]\ndigest = "{digest.hex()}"\nreason = "it was wrong"\n'
    (trust / TRUST_FILE).write_text(revoked, encoding="utf-8")
    with pytest.raises(KeyRevoked):
        judge_pinned(digest, chosen(store, trust=trust), allow_unsigned=True)
