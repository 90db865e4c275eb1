"""Swaps as they are asked for become plans."""

from pathlib import Path

import pytest

from tests.unit.driver.successors import version
from tickwork import codec
from tickwork.driver.plans import MODES, Swap, in_order, may_be_spawned, plan_swaps
from tickwork.errors import SwapRefused
from tickwork.records import SwapPlan


def test_a_swap_becomes_a_plan_and_its_module() -> None:
    wasm = version()
    plans, modules = plan_swaps([Swap("a", wasm, 7, "restart", ("clock",))])
    assert plans == (SwapPlan(7, "a", "restart", codec.digest(wasm), b"", ("clock",)),)
    assert modules == {codec.digest(wasm): wasm}


def test_a_module_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wasm"
    path.write_bytes(version())
    assert (
        plan_swaps([Swap("a", path, 1)])
        == plan_swaps([Swap("a", str(path), 1)])
        == plan_swaps([Swap("a", version(), 1)])
    )


def test_a_swap_without_a_tick_takes_the_one_that_is_given() -> None:
    plans, _ = plan_swaps([Swap("a", version()), Swap("b", version(), 9)], 4)
    assert [plan.at for plan in plans] == [4, 9]


def test_plans_are_in_the_order_of_ticks_and_else_as_given() -> None:
    plans = in_order([SwapPlan(9, "a", "", b""), SwapPlan(3, "b", "", b""), SwapPlan(9, "c", "", b"")])
    assert [plan.agent for plan in plans] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("swap", "what"),
    [
        (Swap("a", b"", None), "names no tick"),
        (Swap("a", b"", 3, "leap"), "no mode 'leap'"),
        (Swap("a", "/nowhere/a.wasm", 3), "no module can be read at /nowhere/a.wasm"),
    ],
)
def test_what_cannot_be_planned_is_refused_and_says_how_to_go_on(swap: Swap, what: str) -> None:
    with pytest.raises(SwapRefused, match=what) as caught:
        plan_swaps([swap])
    assert caught.value.fix
    assert caught.value.exit_status == 4


def test_modes_are_three() -> None:
    assert MODES == ("restart", "migrate", "keep_image")


@pytest.mark.parametrize(
    ("name", "expected"), [("child-3", True), ("child", False), ("child-x", False), ("other-3", False)]
)
def test_a_spawned_agents_name_is_its_templates_and_a_number(name: str, expected: bool) -> None:
    assert may_be_spawned({"child"}, name) is expected
