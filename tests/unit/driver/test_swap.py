"""What a swap comes to for an agent: handles, grants, limits, and what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support import ROOT
from tests.unit.driver.successors import counter, counting, options, version
from tests.unit.sandbox import wat
from tickwork import codec, load_world, run, verify
from tickwork.driver.crew import open_versions, pin_capacities
from tickwork.driver.judging import Judge
from tickwork.driver.plans import Swap, plan_swaps
from tickwork.driver.swap import check_plans, order_swap, refused_input, shown_order
from tickwork.errors import AgentNotFound, ModuleAbiMismatch, ModuleUnsigned, SwapRefused, TickOutOfRange
from tickwork.kernel.swap import read_order
from tickwork.records import AgentSpec, Header, Limits, Refusal, SwapOrder
from tickwork.sandbox.manifest import ManifestLimits

pytestmark = pytest.mark.slow

FIRST = version()
EXAMPLES = ROOT / "examples"


def order(new: bytes, mode: str = "migrate", *grants: str, old: AgentSpec | None = None, **fields: Any) -> SwapOrder:
    """Return what a swap of agent ``c0`` comes to."""
    body = fields.pop("first", FIRST)
    world = counting(one=body, agents=1, **fields)
    spec = old or counter("c0", body)
    header: Header = msgspec.structs.replace(world.header, agents=(spec,))
    plans, modules = plan_swaps([Swap("c0", new, 5, mode, grants)])
    admitted, versions = open_versions(header, world.modules.__getitem__, options(), Judge(header, options()))
    versions.bring(modules)
    header = pin_capacities(header, admitted)
    return order_swap(header.agents[0], plans[0], versions, header, started=True)


def refused(new: bytes, mode: str = "migrate", *grants: str, **fields: Any) -> SwapRefused:
    with pytest.raises(SwapRefused) as caught:
        order(new, mode, *grants, **fields)
    assert caught.value.fix, "every refusal says how to go on"
    return caught.value


def test_the_agent_becomes_what_the_new_manifest_says() -> None:
    new = version("2.0.0", by=2)
    made = order(new)
    assert (made.mode, made.replaces) == ("migrate", codec.digest(FIRST))
    spec = made.spec
    assert (spec.name, spec.version, spec.entry, spec.digest) == ("c0", "2.0.0", "counter", codec.digest(new))
    assert (spec.publish, spec.denied, spec.limits.inbox_bytes) == (("counts",), (), wat.CAPACITY)


def test_what_the_world_denied_stays_denied_and_what_is_no_longer_declared_goes() -> None:
    first = version(publish=("counts", "totals"), send=("c9",))
    old = counter("c0", first, publish=("counts", "totals"), send=("c9",), denied=("publish:totals", "send:c9"))
    made = order(version("2", publish=("totals", "counts")), first=first, old=old)
    assert (made.spec.publish, made.spec.denied, made.spec.send) == (("totals", "counts"), ("publish:totals",), ())


def test_more_than_was_granted_is_refused_by_name() -> None:
    error = refused(version("2", publish=("counts", "totals"), send=("x",), clock=True))
    assert "publish:totals, send:x, clock" in error.what
    assert "--grant c0=publish:totals --grant c0=send:x --grant c0=clock" in error.fix


def test_more_is_given_where_it_is_granted_by_name() -> None:
    made = order(version("2", publish=("counts", "totals"), clock=True), "migrate", "publish:totals", "clock")
    assert (made.spec.publish, made.spec.denied, made.spec.clock) == (("counts", "totals"), (), True)


def test_a_denied_capability_can_be_granted_with_the_swap() -> None:
    first = version(publish=("counts", "totals"), clock=True)
    old = counter("c0", first, publish=("counts", "totals"), denied=("publish:totals", "clock"))
    new = version("2", publish=("counts", "totals"), clock=True)
    assert order(new, first=first, old=old).spec.denied == ("publish:totals", "clock")
    made = order(new, "migrate", "publish:totals", "clock", first=first, old=old)
    assert (made.spec.denied, made.spec.clock) == ((), True)


@pytest.mark.parametrize(
    ("grant", "why"),
    [
        ("publish:nothing", "does not declare it"),
        ("clock", "does not declare it"),
        ("gold:bars", "no such thing is granted"),
        ("fuel:many", "no such thing is granted"),
    ],
)
def test_a_grant_that_fits_nothing_is_refused(grant: str, why: str) -> None:
    assert why in refused(version("2"), "migrate", grant).why


def test_a_topic_that_the_run_has_not_cannot_be_granted() -> None:
    error = refused(version("2", publish=("counts", "weather")), "migrate", "publish:weather")
    assert error.why == "the run has only these: counts, totals"


def test_limits_are_the_lesser_of_what_is_and_what_is_asked_unless_granted() -> None:
    first = version(limits=ManifestLimits(fuel=1000))
    old = counter("c0", first, limits=Limits(fuel=1000))
    new = version("2", limits=ManifestLimits(fuel=5000, depth=9))
    assert order(new, first=first, old=old).spec.limits.fuel == 1000
    assert order(new, "migrate", "fuel:9000", first=first, old=old).spec.limits.fuel == 5000
    assert order(new, first=first, old=old).spec.limits.depth == 9


def test_a_memory_larger_than_the_quota_needs_a_grant() -> None:
    old = counter("c0", FIRST, limits=Limits(memory_pages=4))
    big = version("2", pages=8)
    assert "memory_pages:8" in refused(big, old=old).fix
    assert order(big, "migrate", "memory_pages:8", old=old).spec.limits.memory_pages == 8


@pytest.mark.parametrize(
    ("fields", "first", "why"),
    [
        ({}, {"save": ""}, "the running version does not export agent_save"),
        ({"load": ""}, {}, "the new version does not export agent_load"),
    ],
)
def test_migrating_needs_the_two_exports(fields: dict[str, Any], first: dict[str, Any], why: str) -> None:
    error = refused(version("2", **fields), first=version(**first))
    assert (error.why, error.fix) == (why, "swap with mode restart")
    assert order(version("2", **fields), "restart", first=version(**first)).mode == "restart"


def test_an_image_is_kept_by_code_of_the_same_layout() -> None:
    assert order(version("2", by=7), "keep_image").mode == "keep_image"


OTHER: dict[str, dict[str, Any]] = {
    "inbox_bytes of the descriptor": {"described": wat.descriptor(capacity=4096)},
    "inbox_at of the descriptor": {"described": wat.descriptor(inbox=wat.OUTBOX + wat.CAPACITY)},
    "mutable globals": {"extra": "(global (mut i32) (i32.const 0))"},
    "initial size of the memory": {"pages": 5},
    "initial data": {"extra": '(data (i32.const 900) "other words")'},
    "table of functions": {"extra": "(table 4 funcref)"},
    "manifests differ in publish": {"publish": ("totals", "counts")},
}


@pytest.mark.parametrize("what", list(OTHER))
def test_an_image_is_not_kept_by_code_of_another_layout(what: str) -> None:
    grants = ("publish:totals",) if "publish" in OTHER[what] else ()
    error = refused(version("2", **OTHER[what]), "keep_image", *grants)
    assert what in error.why
    assert error.fix == "swap with mode migrate or restart"


def test_an_agent_that_has_not_begun_needs_no_exports() -> None:
    world = counting(agents=1)
    plans, modules = plan_swaps([Swap("c0", version("2", save="", load=""), 0)])
    admitted, versions = open_versions(
        world.header, world.modules.__getitem__, options(), Judge(world.header, options())
    )
    versions.bring(modules)
    header = pin_capacities(world.header, admitted)
    check_plans(plans, header, {spec.name: spec for spec in header.agents}, versions)


def check(*swaps: Swap, **fields: Any) -> None:
    """Judge swaps of a world of counters."""
    world = counting(**fields)
    plans, modules = plan_swaps(swaps)
    admitted, versions = open_versions(
        world.header, world.modules.__getitem__, options(), Judge(world.header, options())
    )
    versions.bring(modules)
    header = pin_capacities(world.header, admitted)
    check_plans(plans, header, {spec.name: spec for spec in header.agents}, versions)


TWO, THREE = version("2.0.0", by=2, subscribe=("counts",)), version("3.0.0", by=3, subscribe=("counts",))


def test_swaps_are_judged_as_if_those_before_had_been_done() -> None:
    mute = version("2.0.0", save="", subscribe=("counts",))
    with pytest.raises(SwapRefused, match="cannot be swapped with mode migrate"):
        check(Swap("c0", mute, 4), Swap("c0", THREE, 8))
    check(Swap("c0", TWO, 4), Swap("c0", THREE, 8), Swap("c1", THREE, 8))


def test_an_agent_that_the_run_has_not_is_not_found() -> None:
    with pytest.raises(AgentNotFound, match="no agent 'c7'"):
        check(Swap("c7", TWO, 4))


def test_an_agent_that_may_be_spawned_is_judged_when_its_time_comes() -> None:
    check(Swap("child-7", TWO, 4), templates=(counter("child", version(subscribe=("counts",))),))


def test_a_tick_that_never_comes_is_out_of_range() -> None:
    with pytest.raises(TickOutOfRange, match="no tick 20"):
        check(Swap("c0", TWO, 20), ticks=20)


def test_one_tick_takes_one_swap_of_an_agent() -> None:
    with pytest.raises(SwapRefused, match="two swaps of one agent"):
        check(Swap("c0", TWO, 4), Swap("c0", THREE, 4))


def test_a_native_agent_is_not_swapped() -> None:
    world = counting(agents=1)
    native = AgentSpec("n", "native", "n:N", bytes(32))
    plans, modules = plan_swaps([Swap("n", TWO, 4)])
    _, versions = open_versions(world.header, world.modules.__getitem__, options(), Judge(world.header, options()))
    versions.bring(modules)
    with pytest.raises(SwapRefused, match="agent 'n' is native"):
        check_plans(plans, world.header, {"n": native}, versions)


def test_an_unsigned_version_is_refused_where_the_run_wants_signatures() -> None:
    world = counting(agents=1)
    plans, modules = plan_swaps([Swap("c0", TWO, 4)])
    strict = msgspec.structs.replace(world.header, allow_unsigned=False)
    _, versions = open_versions(
        msgspec.structs.replace(strict, agents=()), modules.__getitem__, options(), Judge(strict, options())
    )
    versions.bring(modules)
    with pytest.raises(ModuleUnsigned):
        check_plans(plans, strict, {"c0": world.header.agents[0]}, versions)


def test_a_signed_version_that_declares_less_takes_the_place_of_one_that_declares_more(tmp_path: Path) -> None:
    topics = "[topics.orders]\n[topics.price]\n[topics.echoes]\n"
    module = (EXAMPLES / "market" / "c" / "market-c.wasm").as_posix()
    text = f'schema = 1\nname = "a"\nticks = 9\n{topics}[agents.trader]\nmodule = "{module}"\n'
    (tmp_path / "world.toml").write_text(text)
    echo = EXAMPLES / "echo" / "c" / "echo-c.wasm"
    swap = Swap("trader", echo, 5, "restart", ("publish:echoes",))
    done = run(load_world(tmp_path / "world.toml"), journal=tmp_path / "a.twk", swaps=[swap])
    assert (done.status, done.failed) == ("complete", 0)
    assert verify(tmp_path / "a.twk").equal
    with pytest.raises(SwapRefused, match="declares more than it was granted: publish:echoes"):
        run(
            load_world(tmp_path / "world.toml"),
            journal=tmp_path / "b.twk",
            swaps=[msgspec.structs.replace(swap, grants=())],
        )


def test_a_version_for_a_newer_abi_is_refused() -> None:
    newer = version("2", described=wat.descriptor(minor=9), subscribe=("counts",))
    with pytest.raises(ModuleAbiMismatch, match="descriptor"):
        check(Swap("c0", newer, 4))


def test_a_swap_that_turned_out_impossible_is_an_input_that_says_why() -> None:
    (plan,), _ = plan_swaps([Swap("c0", TWO, 4)])
    item = refused_input(plan, None, AgentNotFound("the run has no agent 'c0'", why="it has c1"))
    made = read_order(item)
    assert made is not None
    assert (item.target, item.code, made.spec.digest) == ("c0", Refusal.NOT_FOUND, codec.digest(TWO))
    assert made.reason == "TW4005: the run has no agent 'c0': it has c1"
    assert shown_order(made) == f"migrate to {codec.digest(TWO).hex()[:8]}: {made.reason}"
