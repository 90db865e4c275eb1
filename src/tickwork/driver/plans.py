"""Swaps as they are asked for, and the plans that they become."""

from collections.abc import Container, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from .. import codec
from ..errors import AgentCodeMissing, SwapRefused
from ..records import ModelPlan, SwapMode, SwapPlan
from .bundles import find_interpreter, is_bundle, read_bundle

MODES: Final = tuple(map(str, SwapMode))

AnyPlan = TypeVar("AnyPlan", SwapPlan, ModelPlan)


class Swap(msgspec.Struct, frozen=True):
    """A swap somebody asks for.

    Attributes:
        module: The new version, a module or a source bundle: its file, or its bytes.
        at: The tick before which it happens; None is the first tick of a fork.
        mode: ``migrate``, ``restart`` or ``keep_image``.
        grants: What the new version may do beyond what the old one was granted: ``publish:NAME`` and the like,
            ``clock``, ``fuel:N``, ``memory_pages:N``, ``depth:N``.
        bases: Folders of base modules, for a source bundle.
    """

    agent: str
    module: Path | str | bytes
    at: int | None = None
    mode: str = SwapMode.MIGRATE
    grants: tuple[str, ...] = ()
    bases: tuple[Path, ...] = ()


class ModelSwap(msgspec.Struct, frozen=True):
    """A swap of a model that somebody asks for.

    Attributes:
        to: The new version: what a store finds it by, such as ``forecast:1.1.0``, or as a ``Path`` its file or folder.
        at: The tick before which it happens; None is the first tick of a fork.
    """

    model: str
    to: str | Path
    at: int | None = None


AnySwap = Swap | ModelSwap


def split_swaps(swaps: Iterable[AnySwap]) -> tuple[list[Swap], list[ModelSwap]]:
    """Return the swaps of agents, and those of models. Order: as given."""
    agents, models = list[Swap](), list[ModelSwap]()
    for swap in swaps:
        if isinstance(swap, ModelSwap):
            models.append(swap)
        else:
            agents.append(swap)
    return agents, models


def plan_swaps(swaps: Iterable[Swap], at: int | None = None) -> tuple[tuple[SwapPlan, ...], dict[bytes, bytes]]:
    """Return what is asked for as plans, and the modules by digest. Order: tick, then as given.

    Args:
        at: The tick of swaps that name none.

    Raises:
        SwapRefused: TW4101, a file that cannot be read, no such mode, or no tick.
    """
    plans, modules = list[SwapPlan](), dict[bytes, bytes]()
    for swap in swaps:
        tick = swap.at if swap.at is not None else at
        if tick is None:
            raise SwapRefused(f"the swap of {swap.agent!r} names no tick", fix="say before which tick it is to happen")
        if swap.mode not in MODES:
            known = ", ".join(MODES)
            raise SwapRefused(f"there is no mode {swap.mode!r}", where=place_of(swap.agent, tick), fix=f"use {known}")
        wasm = read_module(swap.module, place_of(swap.agent, tick))
        mark = codec.digest(wasm)
        modules[mark] = wasm
        digest, source = mark, b""
        if is_bundle(wasm):
            digest, source = read_bundle(wasm, str(swap.module)).interpreter, mark
            with suppress(AgentCodeMissing):  # The run may hold the base already.
                modules[digest] = find_interpreter(digest, str(swap.module), swap.bases)
        plans.append(SwapPlan(tick, swap.agent, str(swap.mode), digest, source, tuple(swap.grants)))
    return in_order(plans), modules


def in_order(plans: Iterable[AnyPlan]) -> tuple[AnyPlan, ...]:
    """Return plans by tick; those of one tick stay in their order."""
    return tuple(sorted(plans, key=lambda plan: plan.at))


def may_be_spawned(templates: Container[str], name: str) -> bool:
    """Return whether a name is one that an agent spawned from a template may get."""
    stem, _, number = name.rpartition("-")
    return number.isdecimal() and stem in templates


def read_module(module: Path | str | bytes, where: str) -> bytes:
    """Return a module's bytes.

    Raises:
        SwapRefused: TW4101, its file cannot be read.
    """
    if isinstance(module, bytes):
        return module
    try:
        return Path(module).read_bytes()
    except OSError as error:
        raise SwapRefused(
            f"no module can be read at {module}",
            where=where,
            why=error.strerror or str(error),
            fix="build the new version with `tickwork agent build`, or correct the path",
        ) from error


def place_of_model(model: str, tick: int) -> str:
    """Return what an error says of where a swap of a model is."""
    return f"swap of model {model!r} at tick {tick}"


def place_of(agent: str, tick: int) -> str:
    """Return what an error says of where it is."""
    return f"swap of agent {agent!r} at tick {tick}"
