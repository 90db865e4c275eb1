"""The probes: the installed engine passes, one that behaves otherwise is refused."""

import pytest

from tickwork.errors import EngineUnsuitable
from tickwork.sandbox import engine, probes
from tickwork.sandbox.engine import Engine, EngineProfile


@pytest.mark.parametrize("opt_level", ["speed", "none"])
def test_the_installed_engine_passes(opt_level: str) -> None:
    assert probes.ready_engine(opt_level) is probes.ready_engine(opt_level)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="fastest"):
        Engine(EngineProfile("fastest"))


def test_a_setting_the_library_does_not_have_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_OFF", (*engine._OFF, "wasm_treads"))
    with pytest.raises(EngineUnsuitable, match="wasm_treads"):
        Engine(EngineProfile())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wasm_threads", "threads"),
        ("wasm_relaxed_simd", "relaxed SIMD"),
        ("wasm_memory64", "memory64"),
        ("wasm_multi_memory", "multi-memory"),
        ("wasm_tail_call", "tail calls"),
        ("wasm_wide_arithmetic", "wide arithmetic"),
        ("wasm_custom_page_sizes", "custom page sizes"),
    ],
)
def test_a_proposal_that_should_be_off_is_noticed(name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_OFF", tuple(kept for kept in engine._OFF if kept != name))
    monkeypatch.setattr(engine, "_ON", (*engine._ON, name))
    with pytest.raises(EngineUnsuitable, match=says):
        probes.probe(Engine(EngineProfile()))


@pytest.mark.parametrize(
    ("name", "says"),
    [("cranelift_nan_canonicalization", "NaN"), ("wasm_simd", "SIMD"), ("wasm_bulk_memory", "bulk memory")],
)
def test_a_feature_that_should_be_on_is_noticed(name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_ON", tuple(kept for kept in engine._ON if kept != name))
    monkeypatch.setattr(engine, "_OFF", (*engine._OFF, name))
    with pytest.raises(EngineUnsuitable, match=says):
        probes.probe(Engine(EngineProfile()))
