import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.unit.plane.skills.calling import answer, failure, found, output
from tickwork.kinds import EffectClass
from tickwork.packages.signature import sign_module
from tickwork.plane.calls import ArtifactRef
from tickwork.plane.errors import SkillInvalid

MODULES = ROOT / "tests" / "modules"


def keys(module: str, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256((MODULES / module).read_bytes()).hexdigest()
    return {"kind": "wasm", "module": module, "digest": f"sha256:{digest}", **more}


def test_an_agent_answers_a_message_as_a_skill() -> None:
    skill = found("echo", MODULES, **keys("echo.wasm"))
    assert output(skill, {"a": [1, "ä", None]}) == {"a": [1, "ä", None]}
    # It begins anew for every call, in the same process.
    assert output(skill, "again") == "again"
    skill.skill.close()  # type: ignore[attr-defined]


def test_equal_parameters_give_equal_results_whoever_asks() -> None:
    skill = found("echo", MODULES, **keys("echo.wasm", takes="text", gives="text"))
    assert skill.traits.effect_class == EffectClass.PURE
    said = list[Any]()
    threads = [
        threading.Thread(target=lambda: said.append(output(skill, {"text": "x" * 1000})["text"])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["x" * 1000] * 4
    skill.skill.close()  # type: ignore[attr-defined]


class Shelf:
    """Keeps one artifact."""

    body = b""

    def put(self, name: str, mime: str, body: bytes, *, type: str = "file") -> ArtifactRef:
        self.body = body
        return ArtifactRef(name, b"\x02" * 32, len(body), mime, type)

    def get(self, digest: bytes) -> bytes:
        return self.body


def test_an_answer_may_be_kept_as_an_artifact() -> None:
    shelf = Shelf()
    more = {"takes": "text", "gives": "artifact", "artifact": "said.txt", "mime": "text/plain"}
    skill = found("a", MODULES, **keys("echo.wasm", **more))
    made = answer(skill, {"text": "hello"}, artifacts=shelf)
    skill.skill.close()  # type: ignore[attr-defined]
    assert json.loads(made.output) == {"artifact": "02" * 32, "size": 5}
    assert [(kept.name, kept.mime) for kept in made.artifacts] == [("said.txt", "text/plain")]
    assert shelf.body == b"hello"


def test_a_signature_makes_no_other_module(tmp_path: Path) -> None:
    raw = (MODULES / "echo.wasm").read_bytes()
    (tmp_path / "echo.wasm").write_bytes(sign_module(raw, bytes(32)))
    skill = found("a", tmp_path, **keys("echo.wasm"))
    assert output(skill, [1]) == [1]
    skill.skill.close()  # type: ignore[attr-defined]


def test_another_module_is_another_version() -> None:
    one, other = found("a", MODULES, **keys("echo.wasm")), found("a", MODULES, **keys("probe.wasm"))
    assert one.pin.version != other.pin.version
    assert one.pin.digest != other.pin.digest
    assert found("a", MODULES, **keys("echo.wasm", version="3")).reference == "a@3"


@pytest.mark.parametrize(
    ("module", "more", "given", "told"),
    [
        ("spin.wasm", {"fuel": 100_000}, {}, "TW7008 the agent of a used up its fuel"),
        ("probe.wasm", {}, {}, "TW7008 the agent of a"),
        ("echo.wasm", {"turns": 1}, {}, "TW7008 the agent of a gave no answer"),
        ("echo.wasm", {}, "x" * 24_576, "TW7006 a takes messages of 24,512 bytes at most"),
        ("echo.wasm", {"input": {"type": "object"}}, 7, "TW7006 parameters of a: the value: 7 is not of type"),
        ("echo.wasm", {"output": {"type": "object"}}, 7, "TW7007 result of a: the value: 7 is not of type"),
        ("echo.wasm", {"takes": "text"}, {"text": "no"}, "TW7008 the agent of a answered what is no json"),
    ],
)
def test_an_agent_that_does_not_answer_well_fails_the_call(
    module: str, more: dict[str, Any], given: Any, told: str
) -> None:
    skill = found("a", MODULES, **keys(module, **more))
    assert failure(skill, given).startswith(told)
    skill.skill.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"digest": None}, "it is not said which module this is"),
        ({"digest": f"sha256:{'0' * 64}"}, "the module is another one than this"),
        ({"digest": "md5:0"}, "digest"),
        ({"module": "none.wasm"}, "none.wasm cannot be read"),
        ({"input": {"type": 7}}, "no JSON Schema"),
        ({"takes": "text", "input": {"type": "object"}}, "a schema is for JSON"),
        ({"fuel": 0}, "fuel"),
        ({"gives": "artifact"}, "an artifact has a name"),
    ],
)
def test_a_module_that_is_not_configured_as_one_is_refused(more: dict[str, Any], told: str) -> None:
    with pytest.raises(SkillInvalid) as caught:
        found("a", MODULES, **{key: value for key, value in {**keys("echo.wasm"), **more}.items() if value is not None})
    assert told in f"{caught.value.what} {caught.value.where}"


def test_what_is_no_module_or_wants_more_than_an_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkillInvalid, match="wants windows, which no skill has"):
        found("a", MODULES, **keys("flow.wasm"))
    (tmp_path / "bad.wasm").write_bytes(b"\x00asm")
    digest = hashlib.sha256(b"\x00asm").hexdigest()
    with pytest.raises(SkillInvalid) as caught:
        found("a", tmp_path, kind="wasm", module="bad.wasm", digest=f"sha256:{digest}")
    assert caught.value.where == "skills.a.module"
