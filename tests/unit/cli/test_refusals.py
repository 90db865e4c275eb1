"""Every rule that refuses a package, a module, a build or a swap: with status 4, the rule, and how to go on."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.unit.authoring.projects import small
from tests.unit.authoring.test_build import Leaking
from tests.unit.cli.program import Answer, call
from tests.unit.driver.successors import version as counter
from tests.unit.packages.parcel import CAPABILITIES, MANIFEST, PRIVATE, bundle, module, version
from tests.unit.sandbox import wat
from tickwork.authoring import build as building
from tickwork.authoring.toolchain import Compiled
from tickwork.keys import public_half
from tickwork.packages.bundle import pack_bundle, unpack_bundle
from tickwork.packages.package import read_package, sign_package
from tickwork.packages.seen import Seen, write_seen
from tickwork.packages.signature import SECTION, Signature, Signed, encode_signed, make_signature
from tickwork.sandbox.manifest import Capabilities, Manifest, append_manifest
from tickwork.sandbox.wasm import MAGIC, encode_name, encode_section

STRANGER = bytes(range(1, 33))
WORLD = """schema = 1
name = "refused"
ticks = 20
[topics.counts]
[agents.a]
module = "a.wasm"
"""


@pytest.fixture(autouse=True)
def trust(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a trust folder of the test's own."""
    monkeypatch.setenv("TICKWORK_TRUST", str(folder / "trust"))
    return folder / "trust"


def believe(*more: str, names: str = "acme-*") -> None:
    """Trust the publisher of the parcels, for what they ask for."""
    words = ("--publisher", "Acme", "--names", names, "--capability", "publish=*", "--capability", "skills=quote")
    answer = call("trust", "add", public_half(PRIVATE).hex(), *words, *more)
    assert answer.status == 0, answer.err


def verify(package: bytes, name: str = "a.wasm") -> tuple[str, ...]:
    """Write a package, and return the words that ask whether it would run."""
    Path(name).write_bytes(package)
    return ("agent", "verify", name)


def signed_by_a_stranger(_: Path) -> tuple[str, ...]:
    believe()
    return verify(sign_package(module(), STRANGER))


def signed_in_the_publishers_name(_: Path) -> tuple[str, ...]:
    believe()
    content = read_package(module()).content
    forged = Signature(make_signature(content, PRIVATE).key, make_signature(content, STRANGER).value)
    section = encode_section(0, encode_name(SECTION) + encode_signed(Signed(content, (forged,))))
    return verify(MAGIC + section + module()[len(MAGIC) :])


def without_a_signature(_: Path) -> tuple[str, ...]:
    return verify(module())


def of_an_expired_key(_: Path) -> tuple[str, ...]:
    believe("--not-after", "2001-01-01")
    return verify(sign_package(module(), PRIVATE))


def of_a_key_that_is_not_valid_yet(_: Path) -> tuple[str, ...]:
    believe("--not-before", "2999-01-01")
    return verify(sign_package(module(), PRIVATE))


def of_a_revoked_key(_: Path) -> tuple[str, ...]:
    believe()
    assert call("trust", "revoke", "Acme", "--reason", "stolen in May").status == 0
    return verify(sign_package(module(), PRIVATE))


def revoked_by_content(_: Path) -> tuple[str, ...]:
    believe()
    verify(sign_package(module(), STRANGER))
    assert call("trust", "revoke", "a.wasm", "--reason", "loses orders").status == 0
    return (*verify(sign_package(module(), PRIVATE)), "--allow-unsigned")


def with_a_changed_byte(_: Path) -> tuple[str, ...]:
    believe()
    package = bytearray(sign_package(module(), PRIVATE))
    package[-1] ^= 1
    return verify(bytes(package))


def a_bundle_with_a_changed_byte(_: Path) -> tuple[str, ...]:
    believe()
    files = unpack_bundle(sign_package(bundle(), PRIVATE))
    return verify(pack_bundle({**files, "agent.py": files["agent.py"].replace(b"Trader", b"Traitor")}), "a.bundle")


def a_bundle_with_a_further_file(_: Path) -> tuple[str, ...]:
    believe()
    return verify(pack_bundle({**unpack_bundle(sign_package(bundle(), PRIVATE)), "more.py": b""}), "a.bundle")


def with_a_second_signature_section(_: Path) -> tuple[str, ...]:
    believe()
    package = sign_package(module(), PRIVATE)
    again = package[len(MAGIC) : len(package) - len(module()) + len(MAGIC)]
    return verify(package + again)


def with_its_signature_at_the_end(_: Path) -> tuple[str, ...]:
    believe()
    package = sign_package(module(), PRIVATE)
    return verify(module() + package[len(MAGIC) : len(package) - len(module()) + len(MAGIC)])


def older_than_what_ran(trust: Path) -> tuple[str, ...]:
    believe()
    write_seen(trust, Seen("acme-trader", "2.0.0", CAPABILITIES))
    return verify(version("1.9.9"))


def asking_for_more_than_before(trust: Path) -> tuple[str, ...]:
    believe()
    write_seen(trust, Seen("acme-trader", "1.0.0", Capabilities(publish=("orders",))))
    return verify(version("1.2.0"))


def of_a_name_the_key_may_not_sign(_: Path) -> tuple[str, ...]:
    believe(names="acme-quotes")
    return verify(sign_package(module(), PRIVATE))


def beyond_what_the_key_may_give(_: Path) -> tuple[str, ...]:
    believe()
    return verify(version("1.0.0", Capabilities(skills=("order",), clock=True)))


def _world(package: bytes) -> tuple[str, ...]:
    Path("a.wasm").write_bytes(package)
    Path("world.toml").write_text(WORLD, encoding="utf-8")
    return ("run", "world.toml", "--allow-unsigned")


def of_a_later_abi(_: Path) -> tuple[str, ...]:
    return _world(wat.agent(described=wat.descriptor(minor=9)))


def of_another_abi_in_its_manifest(_: Path) -> tuple[str, ...]:
    return _world(append_manifest(wat.agent(), Manifest("a", "1.0.0", abi="2.0")))


def swapped_for_another_layout(_: Path) -> tuple[str, ...]:
    Path("b.wasm").write_bytes(counter("2.0.0", extra="(global $more (mut i32) (i32.const 0))"))
    return (*_world(counter()), "--swap", "a=b.wasm@8:keep_image")


def swapped_for_one_that_cannot_load(_: Path) -> tuple[str, ...]:
    Path("b.wasm").write_bytes(counter("2.0.0", load=""))
    return (*_world(counter()), "--swap", "a=b.wasm@8")


def run_without_a_word_about_it(_: Path) -> tuple[str, ...]:
    return _world(sign_package(counter(), STRANGER))[:-1]


def not_what_the_lock_pins(_: Path) -> tuple[str, ...]:
    words = _world(counter())
    assert call("agent", "lock", "world.toml").status == 0
    Path("a.wasm").write_bytes(counter("2.0.0"))
    return words


def built_without_a_compiler(_: Path) -> tuple[str, ...]:
    assert call("agent", "new", "assemblyscript", "begun").status == 0
    return ("agent", "build", "begun")


def built_another_way_each_time(_: Path) -> tuple[str, ...]:
    small(Path("leaking"))
    return ("agent", "build", "leaking", "--check-reproducible")


REFUSALS: Final = {
    # The code, the rule in the message, and how to proceed in its fix.
    signed_by_a_stranger: ("TW3202", "no trusted key signed", "tickwork trust add KEY"),
    signed_in_the_publishers_name: ("TW3201", "'Acme', which did not make it", "get the package again"),
    without_a_signature: ("TW3004", "not signed", "tickwork agent sign"),
    of_an_expired_key: ("TW3203", "no longer valid", "publisher's present key"),
    of_a_key_that_is_not_valid_yet: ("TW3203", "not yet valid", "clock"),
    of_a_revoked_key: ("TW3204", "stolen in May", "publisher's present key"),
    revoked_by_content: ("TW3204", "loses orders", "use a newer version"),
    with_a_changed_byte: ("TW3201", "a byte has changed", "get the package again"),
    a_bundle_with_a_changed_byte: ("TW3201", "a file has changed", "get the package again"),
    a_bundle_with_a_further_file: ("TW3201", "one was added or removed", "get the package again"),
    with_a_second_signature_section: ("TW3201", "one signature section at most", "get the package again"),
    with_its_signature_at_the_end: ("TW3201", "it is the first section", "get the package again"),
    older_than_what_ran: ("TW3207", "older than what ran here before", "tickwork trust approve acme-trader"),
    asking_for_more_than_before: ("TW3208", "skills quote", "tickwork trust approve acme-trader"),
    of_a_name_the_key_may_not_sign: ("TW3205", "may not sign 'acme-trader'", "add KEY --names acme-trader"),
    beyond_what_the_key_may_give: ("TW3206", "skills order, clock", "tickwork trust add KEY --capability"),
    of_a_later_abi: ("TW3003", "ABI 1.9, this host has 1.0", "SDK of this version"),
    of_another_abi_in_its_manifest: ("TW3003", "its manifest says ABI 2.0, its descriptor 1.0", "one version"),
    swapped_for_another_layout: ("TW4101", "keep_image", "migrate"),
    swapped_for_one_that_cannot_load: ("TW4101", "agent_load", "mode restart"),
    run_without_a_word_about_it: ("TW3202", "no trusted key signed", "--allow-unsigned"),
    not_what_the_lock_pins: ("TW3209", "is not pinned", "tickwork agent lock WORLD"),
    built_without_a_compiler: ("TW5001", "Node.js", "nodejs"),
    built_another_way_each_time: ("TW5003", "two builds of small differ", "remove what names the folder"),
}  # fmt: skip


def refused(answer: Answer, code: str) -> str:
    """Return the message of a refusal: status 4, the code first, nothing on standard output, and a way to go on."""
    assert (answer.status, answer.err.split(":")[0], answer.out) == (4, code, "")
    assert "\x1b" not in answer.err
    assert "fix:" in answer.err
    return answer.err


@pytest.mark.slow
@pytest.mark.parametrize("prepare", REFUSALS, ids=lambda prepare: prepare.__name__)
def test_a_refusal_says_its_rule_and_how_to_proceed(
    prepare: Callable[[Path], tuple[str, ...]], trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, rule, proceed = REFUSALS[prepare]
    words = prepare(trust)
    if prepare is built_without_a_compiler:
        monkeypatch.setenv("PATH", str(trust))
    if prepare is built_another_way_each_time:
        leaking = Leaking(lambda leak: Compiled(leak, suffix=".bundle"))
        monkeypatch.setattr(building, "toolchain_of", lambda _: leaking)
    message = refused(call(*words), code)
    before, _, fix = message.partition("fix:")
    assert rule in before
    assert proceed in fix


CHANGED = {
    # The magic bytes; the one name that makes a section a signature; the id of the key that made it; all else.
    "TW3001", "TW3004", "TW3201", "TW3202",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("make", "name"), [(module, "a.wasm"), (bundle, "a.bundle")])
def test_no_byte_of_a_package_can_be_changed(make: Callable[[], bytes], name: str) -> None:
    believe()
    package = sign_package(make(), PRIVATE)
    assert call(*verify(package, name)).status == 0
    codes = set[str]()
    for at, byte in enumerate(package):
        changed = package[:at] + bytes((byte ^ 1 << at % 8,)) + package[at + 1 :]
        answer = call(*verify(changed, name))
        codes.add(answer.err.split(":")[0])
        refused(answer, answer.err.split(":")[0])
    assert codes <= CHANGED
    assert "TW3201" in codes


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("file", "words", "code"),
    [
        ("agent.toml", ("agent", "build"), "TW5004"),
        ("world.toml", ("run", "world.toml"), "TW1101"),
        ("trust/trust.toml", ("trust", "list"), "TW3210"),
        ("key.pub", ("trust", "add", "key.pub", "--publisher", "a", "--names", "a"), "TW3210"),
        ("tickwork.toml", ("trust", "list"), "TW1101"),
    ],
)
def test_a_file_that_is_nested_without_end_is_told(file: str, words: tuple[str, ...], code: str) -> None:
    Path(file).parent.mkdir(mode=0o700, exist_ok=True)
    Path(file).write_text(f"x = {DEEP}\n", encoding="utf-8")
    answer = call(*words)
    assert answer.err.startswith(f"{code}: ")
    assert answer.status != 70


def test_a_source_that_is_nested_without_end_is_told(world: Path) -> None:
    for source in ("-" * 100_000 + "1", "x" + ".a" * 100_000):
        world.with_name("code.py").write_text(source, encoding="utf-8")
        assert call("run", world).err.startswith("TW1103: ")


def test_what_a_message_tells_to_type_holds_nothing_that_a_shell_would_do(trust: Path) -> None:
    name = "acme; rm -rf ~"
    package = module(msgspec.structs.replace(MANIFEST, name=name))
    believe()
    assert "--names 'acme; rm -rf ~'\n" in refused(call(*verify(sign_package(package, PRIVATE))), "TW3205")
    believe(names="*")
    write_seen(trust, Seen(name, "2.0.0", CAPABILITIES))
    wanted = "tickwork trust approve 'acme; rm -rf ~'\n"
    assert wanted in refused(call(*verify(sign_package(package, PRIVATE))), "TW3207")
    assert wanted in call("trust", "list").out


def test_a_pipe_where_a_file_should_be_is_not_waited_for(world: Path) -> None:
    rows = world.with_name("rows.csv")
    rows.unlink()
    if sys.platform == "win32":
        rows.mkdir()
    else:
        os.mkfifo(rows)
    answer = call("run", world)
    assert answer.err.startswith("TW1103: ")
    assert "it is no file" in answer.err
