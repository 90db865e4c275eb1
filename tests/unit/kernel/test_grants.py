"""Grants that change while a run goes on."""

from typing import Any

import pytest

from tests.unit.kernel.stage import Act, Stage, Tick, message, spec, supervision, world
from tickwork.codec import encode_frame
from tickwork.kernel import Machine, decode_state, encode_state
from tickwork.kernel.grants import change, declared
from tickwork.native import Outbox
from tickwork.records import DerivedKind, FrameKind, Input, InputKind, ModelSpec, SkillSpec, Status, WindowSpec


def stage(**fields: Any) -> Stage:
    """Return an agent ``a`` that declares one thing of each kind, and ``b``, after their first tick."""
    asked = {
        "publish": ("t",),
        "subscribe": ("t",),
        "send": ("b",),
        "skills": ("s",),
        "spawn": ("w",),
        "models": ("m",),
        "windows": ("n",),
        "clock": True,
    }
    a = spec("a", **{**asked, **fields}, supervision=supervision("retry", 99))
    made = Stage(
        world(
            a,
            spec("b", publish=("t",)),
            templates=(spec("w"),),
            skills=(SkillSpec("s"),),
            models=(ModelSpec("m"),),
            windows=(WindowSpec("n", "frame", 8, "a"),),
        )
    )
    made.start()
    return made


def grant(what: str, agent: str = "a") -> Input:
    return Input(InputKind.GRANT, "operator", agent, body=what.encode())


def revoke(what: str, agent: str = "a") -> Input:
    return Input(InputKind.REVOKE, "operator", agent, body=what.encode())


def notes(tick: Tick, kind: DerivedKind) -> list[str]:
    return [item.note for item in tick.notes(kind)]


def spawn(outbox: Outbox) -> None:
    outbox.spawn("w")


USES: dict[str, Act] = {
    "publish:t": lambda outbox: outbox.publish("t", b""),
    "subscribe:t": lambda outbox: outbox.join("t"),
    "send:b": lambda outbox: outbox.send("b", b""),
    "skills:s": lambda outbox: outbox.call("s", b""),
    "spawn:w": spawn,
    "models:m": lambda outbox: outbox.infer("m", b""),
}


@pytest.mark.parametrize("what", USES)
def test_what_is_revoked_is_denied_and_granted_again_it_works(what: str) -> None:
    here = stage()
    assert notes(here.tick(revoke(what)), DerivedKind.REVOKED) == [what]
    tick = here.tick(message("a"), a=USES[what])
    assert tick.outcomes["a"].status == Status.DENIED
    (why,) = notes(tick, DerivedKind.DENIED)
    assert why.endswith("is not granted to 'a'")
    assert f'"{what.partition(":")[2]}"' in why
    assert notes(here.tick(grant(what)), DerivedKind.GRANTED) == [what]
    assert here.tick(message("a"), a=USES[what]).outcomes["a"].status == Status.OK


def test_a_window_that_is_revoked_is_refused_and_the_turn_stays() -> None:
    here = stage()
    write = lambda outbox: outbox.write("n", b"x")  # noqa: E731
    here.tick(revoke("windows:n"))
    tick = here.tick(message("a"), a=write)
    assert (tick.outcomes["a"].status, notes(tick, DerivedKind.DENIED)) == (Status.OK, ['window "n" is not granted'])
    here.tick(grant("windows:n"))
    assert notes(here.tick(message("a"), a=write), DerivedKind.WINDOW_FLIPPED) == ["n"]


def test_a_subscription_ends_and_begins_with_its_grant() -> None:
    here = stage()

    def tell(outbox: Outbox) -> None:
        outbox.publish("t", b"news", retain=True)

    assert notes(here.tick(revoke("subscribe:t")), DerivedKind.LEFT) == ["t"]
    here.tick(message("b"), b=tell)
    assert here.tick().bodies("a") == []
    tick = here.tick(grant("subscribe:t"))
    assert (notes(tick, DerivedKind.JOINED), tick.bodies("a")) == (["t"], [b"news"])


def test_the_clock_is_seen_while_it_is_granted() -> None:
    here = stage()
    sample = Input(InputKind.CLOCK, "driver", number=77)
    assert here.tick(sample, message("a")).turns["a"].wall_us == 77
    here.tick(revoke("clock"))
    assert not here.machine.clocked
    assert here.tick(sample, message("a")).turns["a"].wall_us == 0
    here.tick(grant("clock"))
    assert here.machine.clocked
    assert here.tick(sample, message("a")).turns["a"].wall_us == 77


def test_a_clock_that_the_world_left_out_can_be_granted() -> None:
    here = stage(clock=False, denied=("clock",))
    assert not here.machine.clocked
    here.tick(grant("clock"))
    assert here.agent("a").spec.clock
    assert here.agent("a").spec.denied == ()


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (grant("publish:u"), "agent 'a' declares no 'publish:u'"),
        (grant("send:*"), "agent 'a' declares no 'send:*'"),
        (grant("nonsense"), "agent 'a' declares no 'nonsense'"),
        (grant("clock", "b"), "agent 'b' declares no 'clock'"),
        (grant("publish:t"), "'publish:t' is granted already"),
        (revoke("publish:t", "c"), "no running agent 'c'"),
    ],
)
def test_a_grant_of_what_is_not_declared_is_refused(item: Input, why: str) -> None:
    here = stage()
    before = encode_state(here.machine.state)
    machine = Machine(here.header, bytes(32), state=decode_state(before))
    machine.admit([item])
    assert [found.note for found in machine.cast.derived] == [why]
    assert encode_state(machine.state) == before


def test_what_is_revoked_twice_is_refused() -> None:
    here = stage()
    here.tick(revoke("send:b"))
    assert notes(here.tick(revoke("send:b")), DerivedKind.REFUSED_INPUT) == ["'send:b' is not granted already"]


def test_a_stopped_agent_is_granted_nothing() -> None:
    here = stage()
    here.tick(Input(InputKind.STOP_AGENT, "operator", "a"))
    assert notes(here.tick(revoke("send:b")), DerivedKind.REFUSED_INPUT) == ["no running agent 'a'"]


def test_denied_stands_in_the_order_of_the_handles_whatever_was_revoked_first() -> None:
    a = stage().agent("a").spec
    one = change(change(a, "send:b", denied=True), "publish:t", denied=True)
    other = change(change(a, "publish:t", denied=True), "send:b", denied=True)
    assert one == other
    assert one.denied == ("publish:t", "send:b")
    assert change(change(one, "send:b", denied=False), "publish:t", denied=False) == a
    assert list(declared(a))[-1] == "clock"


def test_who_may_answer_follows_the_grant() -> None:
    here = stage()
    answer = encode_frame(FrameKind.SEND, 0, 0, 0x80000000, 0, 0, b"")
    assert here.tick(message("b"), b=answer).outcomes["b"].status == Status.OK
    here.tick(revoke("send:b"))
    tick = here.tick(message("b"), b=answer)
    assert notes(tick, DerivedKind.DENIED) == ["send to agent 0 is not granted to 'b'"]


def test_an_agent_that_does_not_exist_is_named() -> None:
    here = Stage(world(spec("a", send=("nobody",))))
    here.start()
    tick = here.tick(message("a"), a=lambda outbox: outbox.send("nobody", b""))
    assert notes(tick, DerivedKind.DENIED) == ['send to handle 0, "nobody": there is no such agent']


def test_a_denial_is_the_same_record_when_it_is_replayed() -> None:
    here = stage()
    here.tick(revoke("publish:t"))
    there = Stage(here.header, Machine(here.header, bytes(32), state=decode_state(encode_state(here.machine.state))))
    tick = here.tick(message("a"), a=USES["publish:t"])
    again = there.run((message("a"),), {"a": tick.outcomes["a"]}, replaying=True)
    assert tick.records == again.records


def test_too_many_frames_are_a_record() -> None:
    limited = spec("a", publish=("t",), limits=spec("a").limits.__class__(messages_per_turn=1))
    here = Stage(world(limited))
    here.start()
    frames = encode_frame(FrameKind.PUBLISH, 0, 0, 0, 0, 0, b"") * 2
    assert notes(here.tick(message("a"), a=frames), DerivedKind.DENIED) == ["more than 1 frames in one turn"]


@pytest.mark.parametrize("key", ["publish", "subscribe", "skills", "spawn", "models"])
def test_what_the_run_has_not_cannot_be_granted(key: str) -> None:
    here = Stage(world(spec("a", **{key: ("gone",)}, denied=(f"{key}:gone",)), topics=()))
    here.start()
    tick = here.tick(grant(f"{key}:gone"))
    assert notes(tick, DerivedKind.REFUSED_INPUT) == [f"the run has nothing that '{key}:gone' names"]
