"""Versions of one small agent for tests of swaps: it counts its turns and what it hears, and publishes the count."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.sandbox import wat
from tickwork import codec
from tickwork.driver.options import Options
from tickwork.driver.resolve import World, make_world, new_header
from tickwork.records import AgentSpec, Header, Limits
from tickwork.sandbox.manifest import Capabilities, Manifest, ManifestLimits, append_manifest

SAVE = "(i32.store (local.get $to) (global.get $count)) (i32.const 4)"
LOAD = "(global.set $count (i32.load (local.get $from))) (i32.const 0)"
HEAR = "(global.set $count (i32.add (global.get $count) (i32.const 1000))) (i32.const 0)"


def carrying(save: str = SAVE, load: str = LOAD) -> str:
    """Return the exports that carry the count over; an empty text leaves one out."""
    save_export = f'(func (export "agent_save") (param $to i32) (param $capacity i32) (result i32) {save})'
    load_export = f'(func (export "agent_load") (param $from i32) (param $length i32) (result i32) {load})'
    return (save_export if save else "") + (load_export if load else "")


def version(
    number: str = "1.0.0",
    *,
    by: int = 1,
    handle: int = 0,
    publish: tuple[str, ...] = ("counts",),
    save: str = SAVE,
    load: str = LOAD,
    limits: ManifestLimits | None = None,
    step: str = "",
    receive: str = HEAR,
    extra: str = "",
    described: str = "",
    pages: int = 4,
    **asked: Any,
) -> bytes:
    """Return a version of the counter.

    Args:
        by: What each turn adds.
        handle: The topic, by its place in ``publish``, that the count goes to.
        step: Another behaviour in each turn.
        asked: Further capabilities of its manifest.
    """
    counted = f"""(global.set $count (i32.add (global.get $count) (i32.const {by})))
      (i32.store (i32.const {wat.SCRATCH}) (global.get $count))
      (call $emit (i32.const 2) (i32.const {handle}) (i32.const {wat.SCRATCH}) (i32.const 4)) (i32.const 0)"""
    wasm = wat.agent(
        step=step or counted, receive=receive, extra=carrying(save, load) + extra, described=described, pages=pages
    )
    asked_for = Capabilities(publish=publish, **asked)
    return append_manifest(wasm, Manifest("counter", number, capabilities=asked_for, limits=limits or ManifestLimits()))


def counter(name: str, wasm: bytes, **fields: Any) -> AgentSpec:
    """Return an agent that runs a version of the counter."""
    fields.setdefault("publish", ("counts",))
    fields.setdefault("version", "1.0.0")
    return AgentSpec(name, "wasm", "counter", codec.digest(wasm), limits=fields.pop("limits", Limits()), **fields)


def counting(ticks: int = 20, *, one: bytes | None = None, agents: int = 2, **fields: Any) -> World:
    """Return a world of counters that hear each other; all begin with version 1."""
    first = one or version(subscribe=("counts",))
    specs = tuple(counter(f"c{index}", first, subscribe=("counts",)) for index in range(agents))
    fields.setdefault("topics", ("counts", "totals"))
    header: Header = new_header("counting", ticks, specs)
    return make_world(
        msgspec.structs.replace(header, allow_unsigned=True, checkpoint_every=4, **fields), modules=[first]
    )


@functools.cache
def compiled_modules() -> Path:
    """Return this process's folder of compiled modules."""
    folder = Path(tempfile.mkdtemp(prefix="tickwork-successors-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def options(**fields: Any) -> Options:
    """Return options that compile a module once in this process."""
    return Options(cache=compiled_modules(), **fields)
