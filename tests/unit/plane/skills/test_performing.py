import json
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest

from tests.unit.plane.skills.calling import CLOCK
from tickwork import codec
from tickwork.errors import JournalBusy
from tickwork.kinds import EffectClass, Encoding
from tickwork.plane.calls import MAX_OUTPUT_BYTES, Answer, ArtifactRef, SkillCall, Usage
from tickwork.plane.errors import AddressRefused, ProviderFailed, SkillFailed, SkillRefused
from tickwork.plane.secrets import SecretBox
from tickwork.plane.skills.performing import MAX_MESSAGE, Kept, Ports, SkillPerformer, call_key
from tickwork.plane.skills.registry import Found, pin_of
from tickwork.plane.skills.shapes import ModelShape
from tickwork.plane.skills.skill import CallContext, Traits
from tickwork.records import Effect


class Given(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    x: int = 0


class Made:
    """A skill that does what it is told."""

    shapes = (ModelShape(Given), ModelShape(pydantic.JsonValue))

    def __init__(self, does: Callable[[Given, CallContext], Any], **traits: Any) -> None:
        self.does = does
        self.traits = Traits("made", "1", "For tests.", traits.pop("effect_class", EffectClass.PURE), **traits)
        self.seen: list[CallContext] = []

    def call(self, given: Given, context: CallContext) -> Any:
        self.seen.append(context)
        return self.does(given, context)


def perform(
    skill: Made, params: bytes = b"{}", *, ports: Ports | None = None, run: str = "run-1", **call: Any
) -> Answer:
    found = Found(skill, skill.traits, pin_of(skill.traits, skill))
    request = SkillCall(9, call.pop("path", "load"), "step", call.pop("attempt", 1), "made@1", params, **call)
    effect = Effect(4, 1, 0, "made@1", int(skill.traits.effect_class), b"k" * 32, 2, codec.encode(request))
    result = SkillPerformer(found, ports or Ports(CLOCK), run_id=run).perform(effect)
    assert (result.number, result.code, result.encoding) == (4, 0, Encoding.MSGPACK)
    answer = msgspec.msgpack.decode(result.body, type=Answer)
    assert answer.number == 9
    return answer


def test_a_call_comes_to_its_output() -> None:
    answer = perform(Made(lambda given, _: {"b": given.x, "a": 1}), b'{"x":5}', labels=("outside:web",))
    assert answer.output == b'{"a":1,"b":5}'
    assert answer.failure is None
    assert answer.labels == ("outside:web",)


@pytest.mark.parametrize("inline", [False, True])
def test_a_skill_knows_its_call(inline: bool) -> None:
    def does(given: Given, context: CallContext) -> None:
        context.labels.add("host:a")
        context.usage = Usage(3, 4, cost_micros=12)
        context.transcript = b'["said"]'

    skill = Made(does, inline=inline)
    answer = perform(skill, attempt=3, reserved_micros=50, timeout_ms=1000)
    context = skill.seen[0]
    assert (context.run_id, context.step, context.attempt, context.reserved_micros) == ("run-1", "load", 3, 50)
    assert context.key == call_key("run-1", "load", "step")
    assert 0 < context.left_ms(10_000) <= 1000
    assert (answer.labels, answer.usage.cost_micros, answer.transcript) == (("host:a",), 12, b'["said"]')


def test_the_key_follows_from_lineage_path_and_purpose_alone() -> None:
    keys = {
        call_key("run", "a", "step"), call_key("run", "a", "compensate"), call_key("run", "b", "step"),
        call_key("other", "a", "step"), call_key("ru", "na", "step"),
    }  # fmt: skip
    assert len(keys) == 5
    skill = Made(lambda *_: None)
    perform(skill, attempt=1)
    perform(skill, b'{"x":1}', attempt=2)
    assert skill.seen[0].key == skill.seen[1].key


@pytest.mark.parametrize(
    ("params", "told"), [(b'{"x":"a"}', "x: "), (b'{"y":1}', "y: "), (b"[]", "the value"), (b"{", "JSON")]
)
def test_parameters_that_do_not_fit_are_not_passed_on(params: bytes, told: str) -> None:
    skill = Made(lambda *_: None)
    failure = perform(skill, params).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("TW7006", False)
    assert told in failure.message
    assert not skill.seen


@pytest.mark.parametrize(
    ("value", "code"),
    [(float("nan"), "TW7007"), (b"\xff", "TW7007"), (object(), "TW7007"), ("x" * MAX_OUTPUT_BYTES, "TW7029")],
)
def test_results_that_do_not_fit_are_failures(value: object, code: str) -> None:
    answer = perform(Made(lambda *_: value))
    assert answer.failure is not None
    assert (answer.failure.code, answer.output, answer.failure.retryable) == (code, b"null", False)


def _raising(error: Exception) -> Made:
    def does(given: Given, context: CallContext) -> None:
        context.usage = Usage(1)
        raise error

    return Made(does)


@pytest.mark.parametrize(
    ("error", "code", "source", "retryable"),
    [
        (SkillFailed("no luck"), "TW7008", "skill", True),
        (AddressRefused("inside"), "TW7024", "policy", False),
        (SkillRefused("no"), "TW7005", "policy", False),
        (ProviderFailed("down"), "TW7017", "provider", True),
        (JournalBusy("held", where="/srv/own/a.twk"), "TW2003", "skill", False),
        (ValueError("/etc/passwd at 12:00"), "TW7008", "skill", True),
        (KeyError("token"), "TW7008", "skill", True),
    ],
)
def test_whatever_a_skill_raises_is_its_answer(error: Exception, code: str, source: str, retryable: bool) -> None:
    answer = perform(_raising(error))
    failure = answer.failure
    assert failure is not None
    assert (failure.code, failure.source, failure.retryable) == (code, source, retryable)
    assert answer.usage.tokens_in == 1, "what was spent until then is spent"
    assert not {"/etc/passwd", "12:00", "token", "/srv/own/a.twk"} & set(failure.message.split())


def test_a_failure_says_when_it_may_be_tried_again() -> None:
    error = SkillFailed("busy")
    error.retry_after_ms = 700
    failure = perform(_raising(error)).failure
    assert failure is not None
    assert failure.retry_after_ms == 700


@pytest.mark.parametrize("unsent", [False, True])
def test_what_may_have_changed_something_is_not_told_as_repeatable(unsent: bool) -> None:
    error = SkillFailed("broke off")
    error.unsent = unsent
    skill = _raising(error)
    skill.traits = msgspec.structs.replace(skill.traits, effect_class=EffectClass.UNSAFE)
    failure = perform(skill).failure
    assert failure is not None
    assert failure.retryable is unsent


@pytest.mark.parametrize("effect_class", [EffectClass.PURE, EffectClass.UNSAFE])
def test_a_skill_that_hangs_is_given_up(effect_class: EffectClass) -> None:
    gate = threading.Event()
    answer = perform(Made(lambda *_: gate.wait(30), effect_class=effect_class), timeout_ms=1)
    gate.set()
    assert answer.failure is not None
    assert (answer.failure.code, answer.failure.retryable) == ("TW7009", effect_class == EffectClass.PURE)


def test_no_secret_comes_back() -> None:
    def does(given: Given, context: CallContext) -> Any:
        token = context.secrets.reveal("secret:TOKEN")
        context.transcript = json.dumps({"sent": token}).encode()
        if given.x:
            raise SkillFailed(f"refused for {token}")
        return {"echo": f"Bearer {token}", "hex": token.encode().hex()}

    ports = Ports(CLOCK, SecretBox({"TOKEN": 'tok"en-0123'}))
    good, bad = perform(Made(does), ports=ports), perform(Made(does), b'{"x":1}', ports=ports)
    assert good.output == b'{"echo":"Bearer secret:TOKEN","hex":"secret:TOKEN"}'
    assert bad.failure is not None
    assert bad.failure.message == "refused for secret:TOKEN"
    assert good.transcript == bad.transcript == b'{"sent": "secret:TOKEN"}'


def test_a_secret_that_stands_as_a_number_fails_the_call_and_leaves_no_broken_record() -> None:
    ports = Ports(CLOCK, SecretBox({"PIN": "7391846"}))
    made = perform(Made(lambda given, context: {"echo": int(context.secrets.reveal("secret:PIN"))}), ports=ports)
    assert made.failure is not None
    assert (made.failure.code, made.output) == ("TW7007", b"null")
    assert "7391846" not in made.failure.message


def test_no_secret_is_left_in_an_artifact_a_label_or_the_end_of_a_long_message() -> None:
    left = list[tuple[str, bytes]]()

    class Left:
        def put(self, name: str, mime: str, body: bytes, *, type: str = "file") -> ArtifactRef:
            left.append((name, body))
            return ArtifactRef(name, b"\0" * 32, len(body), mime)

        def get(self, digest: bytes) -> bytes:
            return b""

    def does(given: Given, context: CallContext) -> Any:
        token = context.secrets.reveal("secret:TOKEN")
        context.labels.add(f"host:{token}.example")
        context.artifacts.put(f"{token}.html", "text/html", f"<p>{token}</p>".encode())
        raise SkillFailed("x" * (MAX_MESSAGE - 4) + token)

    ports = Ports(CLOCK, SecretBox({"TOKEN": "token-0123"}), artifacts=lambda *_: Left())
    answer = perform(Made(does), ports=ports)
    assert left == [("secret:TOKEN.html", b"<p>secret:TOKEN</p>")]
    assert answer.labels == ("host:secret:TOKEN.example",)
    assert answer.failure is not None
    assert answer.failure.message.endswith("xsecr")


class Shelf:
    """Keeps outputs in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[bytes, str], Kept] = {}

    def look(self, skill: bytes, key: str, newest_ms: int) -> Kept | None:
        return self.kept.get((skill, key))

    def keep(self, skill: bytes, key: str, value: Kept, for_ms: int) -> None:
        self.kept[skill, key] = value


def test_an_earlier_output_is_used_again() -> None:
    skill, ports = Made(lambda given, context: given.x), Ports(CLOCK, cache=Shelf())
    options: dict[str, Any] = {"ports": ports, "cache_ms": 1000}
    first = perform(skill, b'{"x":1}', labels=("a",), **options)
    again = perform(skill, b'{"x":1}', labels=("b",), **options)
    assert (first.cached, again.cached, again.output, again.labels) == (False, True, b"1", ("a", "b"))
    assert not perform(skill, b'{"x":2}', **options).cached
    assert not perform(skill, b'{"x":1}', cache_key="k", **options).cached
    assert perform(skill, b'{"x":3}', cache_key="k", **options).output == b"1"
    assert not perform(skill, b'{"x":1}', ports=ports).cached
    assert len(skill.seen) == 4


def test_failures_and_what_changes_something_are_not_kept() -> None:
    shelf = Shelf()
    ports = Ports(CLOCK, cache=shelf)
    perform(_raising(SkillFailed("no")), ports=ports, cache_ms=1000)
    perform(Made(lambda *_: 1, effect_class=EffectClass.UNSAFE), ports=ports, cache_ms=1000)
    assert shelf.kept == {}


def test_without_a_shelf_nothing_is_kept() -> None:
    assert perform(Made(lambda *_: 1), cache_ms=1000).output == b"1"
    failure = perform(Made(lambda _, context: context.artifacts.put("a", "text/plain", b""))).failure
    assert failure is not None
    assert failure.code == "TW7005"
    failure = perform(Made(lambda _, context: context.artifacts.get(b""))).failure
    assert failure is not None
    assert failure.code == "TW7027"
