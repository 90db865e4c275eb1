"""authoring/scripts.py and peer.py: a script becomes a small world, and what is wrong in one is told with its line."""

from pathlib import Path

import pytest

from tests.support import ROOT
from tickwork.authoring.scripts import Script, performers, read_script, script_world
from tickwork.errors import ProjectInvalid
from tickwork.packages.package import read_package
from tickwork.records import Effect, EffectClass, Encoding, InputKind, Refusal
from tickwork.sandbox.manifest import Manifest

TOUR = ROOT / "tests" / "tour" / "c" / "tour-c.wasm"
MARKET = ROOT / "examples" / "market" / "c" / "market-c.wasm"


def manifest_of(module: Path) -> Manifest:
    found = read_package(module.read_bytes(), name=module.name).manifest
    assert found is not None
    return found


def script(folder: Path, text: str) -> Script:
    path = folder / "first.toml"
    path.write_text("schema = 1\n" + text, encoding="utf-8")
    return read_script(path)


def build_all(folder: Path, text: str, module: Path) -> None:
    made, manifest = script(folder, text), manifest_of(module)
    performers(made, manifest)
    (folder / "world").mkdir()
    script_world(made, manifest, module, folder / "world")


def refused(folder: Path, text: str, module: Path = TOUR) -> str:
    """Return what is said of a script that does not fit an agent."""
    with pytest.raises(ProjectInvalid) as caught:
        build_all(folder, text, module)
    assert caught.value.code == "TW5004"
    return f"{caught.value.where}: {caught.value.what}; {caught.value.why}; {caught.value.fix}"


def test_a_script_without_ticks_goes_on_a_little_after_its_last_message(tmp_path: Path) -> None:
    made = script(tmp_path, '[[send]]\ntick = 30\ntext = "x"\n')
    assert (made.name, made.ticks, made.golden) == ("first", 38, tmp_path / "first.golden")
    assert script(tmp_path, "ticks = 5").ticks == 5


def test_bodies_are_text_json_or_hexadecimal(tmp_path: Path) -> None:
    text = """[[send]]
tick = 1
text = "é"
[[send]]
tick = 1
json = { b = 1, a = [2] }
[[send]]
tick = 1
hex = "00 ff"
encoding = "msgpack"
"""
    bodies = [(line.body(), line.encoded_as()) for line in script(tmp_path, text).table.send]
    assert bodies == [
        ("é".encode(), Encoding.BYTES),
        (b'{"a":[2],"b":1}', Encoding.JSON),
        (b"\x00\xff", Encoding.MSGPACK),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[send]]\ntick = 1\n", "first.toml:2, send[0]: a body of the script first.toml is none; exactly one of"),
        ('[[send]]\ntick = 1\ntext = ""\nhex = ""\n', "not text and hex"),
        ('\n[[send]]\ntick = 1\nhex = "0g"\n', "first.toml:3, send[0]"),
        ("ticks = -1\n", "first.toml:2, ticks"),
        ("sends = []\n", "first.toml:2, sends"),
        ("[[send]\n", "the script first.toml cannot be read"),
    ],
)
def test_a_script_that_is_none_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    assert said in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[send]]\ntick = 3\nfrom = "per"\ntext = ""\n', "first.toml:4, send[0].from: the script names the agent"),
        ('[[send]]\ntick = 3\nfrom = "per"\ntext = ""\n', 'did you mean "peer"?'),
        ('[[send]]\ntick = 3\ntopic = "olds"\ntext = ""\n', "first.toml:4, send[0].topic: the script names the topic"),
        ('[[send]]\ntick = 1\nfrom = "peer"\ntext = ""\n', "first.toml:3, send[0].tick: agent 'peer' cannot be heard"),
        ('[[answer]]\nskill = "play"\ntext = ""\n', "first.toml:2, answer[0]: an answer of the script is for 'play'"),
        ('[[answer]]\nskill = "work"\nerror = "bored"\n', "first.toml:4, answer[0].error"),
        ('[windows.wall]\nkind = "ring"\n', "first.toml:2, windows.wall: the script names the window 'wall'"),
    ],
)
def test_names_that_the_agent_does_not_declare_are_refused_with_their_line(
    text: str, said: str, tmp_path: Path
) -> None:
    assert said in refused(tmp_path, text)


def test_an_agent_that_may_send_to_all_can_hear_from_any_name(tmp_path: Path) -> None:
    made = script(tmp_path, '[[send]]\ntick = 2\nfrom = "someone"\ntext = "x"\n')
    world = script_world(made, manifest_of(MARKET), MARKET, tmp_path)
    assert [spec.name for spec in world.header.agents] == ["market-c", "someone"]


def test_whatever_the_manifest_declares_exists_in_the_world(tmp_path: Path) -> None:
    made = script(tmp_path, 'seed = 9\nconfig = { a = "b" }\n[windows.board]\nkind = "log"\nbytes = 4096\n')
    header = script_world(made, manifest_of(TOUR), TOUR, tmp_path).header
    assert [spec.name for spec in header.agents] == ["tour-c", "peer"]
    assert (header.topics, [model.name for model in header.models]) == (("news",), ["brain"])
    assert "work" in [skill.name for skill in header.skills]
    assert [(window.name, window.size) for window in header.windows] == [("board", 4096)]
    assert [template.name for template in header.templates] == ["child"]
    assert (header.seed, header.agents[0].config) == (9, b'{"a":"b"}')


def test_what_comes_from_outside_is_an_input(tmp_path: Path) -> None:
    text = '[[send]]\ntick = 1\ntext = "a"\n[[send]]\ntick = 4\ntopic = "news"\nretain = true\njson = 1\n'
    inputs = script_world(script(tmp_path, text), manifest_of(TOUR), TOUR, tmp_path).inputs
    assert [(tick, item.kind, item.target, item.body) for tick, item in inputs] == [
        (1, InputKind.MESSAGE, "tour-c", b"a"),
        (4, InputKind.PUBLISH_RETAINED, "news", b"1"),
    ]


def effect(number: int) -> Effect:
    return Effect(number, 1, 0, "work", EffectClass.PURE, bytes([number]) * 32, Encoding.BYTES, b"")


def test_each_call_takes_the_next_answer_and_a_repeated_one_the_same(tmp_path: Path) -> None:
    text = """[[answer]]
skill = "work"
text = "one"
[[answer]]
skill = "work"
error = "denied"
text = "not you"
"""
    work = performers(script(tmp_path, text), manifest_of(TOUR))["work"]
    first, second, again, third = (work.perform(effect(number)) for number in (1, 2, 1, 3))
    assert (first.code, first.body) == (0, b"one")
    assert (second.code, second.body) == (Refusal.DENIED, b"not you")
    assert again == first
    assert third.code == Refusal.UNSUPPORTED
