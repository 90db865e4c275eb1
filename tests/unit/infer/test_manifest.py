"""infer/manifest.py"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.infer.samples import CONFIG, named
from tickwork.errors import ModelInvalid
from tickwork.infer.manifest import (
    CONFIG_TYPE,
    PATH_ANNOTATION,
    WEIGHT_TYPE,
    Descriptor,
    Manifest,
    ModelConfig,
    Port,
    Screening,
    check_name,
    check_paths,
    decode_config,
    decode_manifest,
    descriptor_of,
    encode_config,
    encode_manifest,
    estimate_memory,
)
from tickwork.tensors import FLOAT32, INT64


def layer(path: str = "model.onnx", data: bytes = b"graph") -> Descriptor:
    found: Descriptor = msgspec.structs.replace(descriptor_of(data, WEIGHT_TYPE), annotations={PATH_ANNOTATION: path})
    return found


MANIFEST = Manifest(config=descriptor_of(encode_config(CONFIG), CONFIG_TYPE), layers=(layer(), layer("weights/one")))

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
PORTS = st.lists(
    st.builds(
        Port,
        TEXT,
        st.sampled_from([FLOAT32, INT64]),
        st.lists(st.integers(0, 1 << 40) | TEXT, max_size=4).map(tuple),
        st.booleans(),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda port: port.name,
).map(tuple)
CONFIGS = st.builds(
    named,
    st.from_regex(r"[a-z0-9]{1,9}(?:-[a-z0-9]{1,9})?", fullmatch=True),
    st.from_regex(r"[0-9]\.[0-9]{1,3}\.[0-9](?:-rc1)?", fullmatch=True),
    description=TEXT,
    licence=TEXT,
    inputs=PORTS,
    outputs=PORTS,
    ir=st.integers(0, 100),
    opsets=st.lists(st.tuples(TEXT, st.integers(0, 99)), max_size=3).map(tuple),
    screening=st.builds(Screening, st.integers(0, 9), st.lists(TEXT, max_size=2).map(tuple)),
    batch_axis=st.booleans(),
    memory=st.integers(0, 1 << 50),
    warmup=st.just({}),
)


@pytest.mark.slow
@given(CONFIGS)
def test_a_config_that_was_encoded_is_decoded_again(config: ModelConfig) -> None:
    assert decode_config(encode_config(config)) == config


def test_a_manifest_that_was_encoded_is_decoded_again() -> None:
    data = encode_manifest(MANIFEST)
    assert decode_manifest(data) == MANIFEST
    assert encode_manifest(decode_manifest(data)) == data
    assert [one.path for one in MANIFEST.layers] == ["model.onnx", "weights/one"]


def test_the_order_in_which_a_config_was_made_is_not_in_its_bytes() -> None:
    one = named(inputs=(Port("a", FLOAT32), Port("b", FLOAT32)), warmup={"a": (1,), "b": (2,)})
    other = named(inputs=(Port("a", FLOAT32), Port("b", FLOAT32)), warmup={"b": (2,), "a": (1,)})
    assert encode_config(one) == encode_config(other)


def changed(document: bytes, *path: str | int, value: object) -> bytes:
    """Return a document with one thing in it changed, spelled as it must be."""
    root: Any = json.loads(document)
    inner = root
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(root, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schemaVersion",), 1),
        (("mediaType",), "text/plain"),
        (("artifactType",), "text/plain"),
        (("config", "mediaType"), "text/plain"),
        (("config", "digest"), "sha256:../../x"),
        (("config", "digest"), "sha256:" + "A" * 64),
        (("layers",), []),
        (("layers", 0, "size"), -1),
        (("layers", 0, "size"), 1 << 60),
        (("layers", 0, "digest"), "sha512:" + "a" * 64),
        (("layers", 0, "mediaType"), "application/vnd.cncf.model.weight.v1.tar"),
        (("layers", 0, "annotations"), {}),
        (("layers", 0, "annotations", "more"), "x"),
        (("layers", 0, "annotations", PATH_ANNOTATION), "../x"),
        (("layers", 0, "annotations", PATH_ANNOTATION), "weights/one"),
        (("layers", 0, "annotations", PATH_ANNOTATION), "weights"),
        (("layers", 0, "annotations", PATH_ANNOTATION), "z"),
        (("unknown",), 1),
        (("layers", 0, "urls"), ["http://registry.example"]),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(path: tuple[str | int, ...], value: object) -> None:
    with pytest.raises(ModelInvalid, match="TW6002"):
        decode_manifest(changed(encode_manifest(MANIFEST), *path, value=value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), "Forecast"),
        (("name",), "a" * 129),
        (("version",), "latest"),
        (("version",), ""),
        (("kind",), "pickle"),
        (("entry",), ""),
        (("licence",), "x\ny"),
        (("description",), "x" * 1001),
        (("memory",), -1),
        (("inputs", 0, "dtype"), 99),
        (("inputs", 0, "kind"), "secret"),
        (("inputs", 0, "shape"), [-1]),
        (("warmup",), {"other": [1]}),
        (("warmup",), {"x": [-1]}),
        (("unknown",), 1),
    ],
)
def test_a_config_that_says_what_cannot_be_is_refused(path: tuple[str | int, ...], value: object) -> None:
    with pytest.raises(ModelInvalid, match="TW6002"):
        decode_config(changed(encode_config(CONFIG), *path, value=value))


@pytest.mark.parametrize("data", [b"", b"{}", b"[", b"\xff", b"[" * 10_000, b'{"a":1,"a":2}'])
def test_what_is_no_manifest_and_no_config_is_refused(data: bytes) -> None:
    for decode in (decode_manifest, decode_config):
        with pytest.raises(ModelInvalid):
            decode(data)


def test_there_is_one_spelling() -> None:
    for data in (encode_manifest(MANIFEST), encode_config(CONFIG)):
        for other in (data + b" ", b" " + data, data.replace(b":", b": ", 1), json.dumps(json.loads(data)).encode()):
            for decode in (decode_manifest, decode_config):
                with pytest.raises(ModelInvalid):
                    decode(other)


@given(st.text(max_size=30))
def test_a_path_is_refused_or_stays_in_its_folder(path: str) -> None:
    try:
        check_paths([path])
    except ModelInvalid:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert not set('\\:*?"<>|\0\n') & set(path)


@pytest.mark.parametrize("name", ["a", "forecast", "all-minilm-l6", "a.b_c-1", "0"])
@pytest.mark.parametrize("version", ["1", "1.0.0", "2026.11.21", "1.0.0-rc1+build.7"])
def test_ordinary_names_are_taken(name: str, version: str) -> None:
    check_name(name, version)


def test_the_estimate_follows_from_the_files_alone() -> None:
    assert estimate_memory([]) == 64 << 20
    assert estimate_memory([layer(data=b"x" * 100), layer(data=b"x" * 50)]) == (64 << 20) + 300
