"""cli/agent_keygen, agent_sign, agent_verify, agent_push, agent_pull, agent_lock and trust: packages by hand."""

import shutil
import stat
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.unit.cli.program import call
from tests.unit.packages.parcel import CAPABILITIES, bundle, module, version
from tickwork.packages.package import read_package, sign_package, strip_package
from tickwork.sandbox.manifest import Capabilities


@pytest.fixture(autouse=True)
def trust(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a trust folder that is not there yet."""
    monkeypatch.setenv("TICKWORK_TRUST", str(folder / "trust"))
    return folder / "trust"


@pytest.fixture
def trader(folder: Path) -> Path:
    """Return the file of a module that nobody signed."""
    path = folder / "trader.wasm"
    path.write_bytes(module())
    return path


@pytest.fixture
def key(folder: Path) -> Path:
    """Return a publisher's private key."""
    assert call("agent", "keygen", "acme.key").status == 0
    return folder / "acme.key"


def failed(*words: str | Path) -> str:
    answer = call(*words)
    assert answer.status != 0
    return answer.err.split(":")[0]


def rows(document: dict[str, object], name: str) -> list[dict[str, object]]:
    found = document[name]
    assert isinstance(found, list)
    return found


def trusted(key: Path, *more: str) -> None:
    assert call("trust", "add", f"{key}.pub", "--publisher", "Acme", "--names", "acme-*", *more).status == 0


def test_a_key_is_made_private(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) & 0o077 in (0, 0o66)
    document = call("agent", "keygen", "next.key", "--succeeds", "acme.key", "-o", "json").document()
    assert {"private", "public", "key", "succeeds"} <= set(document)
    assert failed("agent", "keygen", "acme.key") == "TW3210"


def test_what_one_signs_runs_here_at_once(trader: Path, trust: Path) -> None:
    assert failed("agent", "verify", trader) == "TW3004"
    assert call("agent", "sign", trader).status == 0
    answer = call("agent", "verify", trader)
    assert answer.status == 0
    assert "you, on this machine" in answer.out
    assert "publish orders" in answer.out
    assert (trust / "developer.key").exists()
    assert strip_package(trader.read_bytes()) == module()


def test_signatures_are_added_and_removed(trader: Path, key: Path) -> None:
    call("agent", "sign", trader)
    document = call("agent", "sign", trader, "--key", key, "--add", "-o", "json").document()
    assert str(rows(document, "packages")[0]["signed_by"]).count(",") == 1
    call("agent", "sign", trader, "--key", key)
    document = call("agent", "verify", trader, "--allow-unsigned", "-o", "json").document()
    assert "," not in str(rows(document, "packages")[0]["signed_by"])
    assert "signed by nobody" in call("agent", "sign", trader, "--remove").out
    assert trader.read_bytes() == module()


@pytest.mark.parametrize(
    "words",
    [("sign",), ("sign", "none.wasm"), ("sign", "a", "--remove", "--add"), ("verify",), ("verify", "none.wasm"),
     ("lock", "--check", "--model", "a=b"), ("lock", "--model", "ab"), ("lock", "--check")],
)  # fmt: skip
def test_a_command_line_that_makes_no_sense_is_told(world: Path, words: tuple[str, ...]) -> None:
    answer = call("agent", *words)
    assert (answer.status, answer.err.split(":")[0]) == (2, "TW1001")


def test_a_key_is_trusted_for_its_names_and_capabilities(trader: Path, key: Path) -> None:
    call("agent", "sign", trader, "--key", key)
    assert failed("agent", "verify", trader) == "TW3202"
    assert failed("trust", "add", f"{key}.pub") == "TW3210"
    assert call("trust", "add", f"{key}.pub", "--publisher", "Acme", "--names", "x").status == 0
    assert failed("agent", "verify", trader) == "TW3205"
    call("trust", "add", "Acme", "--names", "acme-*")
    assert failed("agent", "verify", trader) == "TW3206"
    call("trust", "add", "Acme", "--capability", "skills=*")
    assert call("agent", "verify", trader).status == 0
    call("trust", "add", "Acme", "--not-after", "2001-01-01")
    assert failed("agent", "verify", trader) == "TW3203"
    assert call("trust", "remove", "Acme").status == 0
    assert failed("agent", "verify", trader) == "TW3202"
    assert failed("trust", "remove", "Acme") == "TW1001"
    assert failed("trust", "add", f"{key}.pub", "--names", "x", "--capability", "any") == "TW1001"


def test_a_key_may_be_named_by_its_digits(key: Path) -> None:
    public = key.with_name("acme.key.pub").read_text(encoding="utf-8").split('"')[1]
    document = call("trust", "add", public, "--publisher", "Acme", "--names", "a", "-o", "json").document()
    assert document["public_key"] == public
    assert call("trust", "remove", str(document["key"])[:8], "-o", "json").document()["removed"] == document["key"]


def test_a_key_that_follows_another_needs_no_more_words(key: Path, trader: Path) -> None:
    trusted(key, "--capability", "skills=*", "--capability", "publish=*")
    call("agent", "keygen", "next.key", "--succeeds", key)
    assert call("trust", "add", "next.key.pub").status == 0
    call("agent", "sign", trader, "--key", "next.key")
    assert call("agent", "verify", trader).status == 0
    assert failed("trust", "revoke", "Acme") == "TW1001"


def test_what_is_revoked_is_refused_by_any_name(key: Path, trader: Path) -> None:
    trusted(key, "--capability", "skills=*", "--capability", "publish=*")
    call("agent", "sign", trader, "--key", key)
    assert call("trust", "revoke", "Acme", "--reason", "stolen").status == 0
    answer = call("agent", "verify", trader)
    assert answer.err.startswith("TW3204")
    assert "stolen" in answer.err
    call("agent", "sign", trader)
    assert call("agent", "verify", trader).status == 0
    digest = call("trust", "revoke", trader, "-o", "json").document()["revoked"]
    assert digest == read_package(module()).content.hex()
    assert failed("agent", "verify", trader, "--allow-unsigned") == "TW3204"
    assert call("trust", "revoke", "ab" * 32).status == 0


def test_the_list_shows_keys_revocations_and_what_waits(key: Path, trust: Path) -> None:
    trusted(key, "--not-before", "2020-01-01")
    call("trust", "revoke", "ab" * 32, "--reason", "broken")
    from tickwork.packages.seen import Asked, Seen, write_seen

    more = Capabilities(publish=("orders",), skills=("quote", "order"))
    write_seen(trust, Seen("acme-trader", "1.0.0", CAPABILITIES, Asked("1.1.0", more)))
    text = call("trust", "list").out
    for part in ("Acme (file)", "Tickwork (shipped)", "2020-01-01", "broken", "skills order"):
        assert part in text
    document = call("trust", "list", "-o", "json").document()
    assert [entry["publisher"] for entry in rows(document, "keys")] == ["Acme", "Tickwork"]
    assert rows(document, "packages")[0]["asked"] == ["skills order"]
    assert "1.1.0, before 1.0.0" in call("trust", "approve", "acme-trader").out
    assert failed("trust", "approve", "acme-trader") == "TW1001"


def test_an_update_waits_for_approval(key: Path, trust: Path, trader: Path) -> None:
    from tickwork.packages.developer import read_private_key
    from tickwork.packages.judge import judge, note
    from tickwork.packages.trust import load_trust

    trusted(key, "--capability", "skills=*", "--capability", "publish=*")
    private = read_private_key(key)
    believed = load_trust(trust)
    note(judge(sign_package(module(), private), believed, name="x", now_us=1), believed)
    more = Capabilities(publish=("orders",), skills=("quote", "order"))
    trader.write_bytes(sign_package(strip_package(version("1.3.0", more)), private))
    assert failed("agent", "verify", trader) == "TW3208"
    document = call("trust", "approve", "acme-trader", "-o", "json").document()
    assert (document["version"], document["added"]) == ("1.3.0", ["skills order"])
    assert call("agent", "verify", trader).status == 0
    trader.write_bytes(sign_package(module(), private))
    assert failed("agent", "verify", trader) == "TW3207"


@pytest.mark.parametrize(("make", "suffix"), [(module, ".wasm"), (bundle, ".bundle")])
def test_a_package_goes_into_a_registry_and_out(folder: Path, make: object, suffix: str) -> None:
    assert callable(make)
    path = folder / f"a{suffix}"
    path.write_bytes(make())
    assert failed("agent", "push", path, "packages") == "TW3004"
    call("agent", "sign", path)
    assert call("agent", "push", path, "packages").status == 0
    answer = call("agent", "pull", "packages", "acme-trader")
    assert answer.status == 0
    assert "asks for" in answer.out
    assert (folder / f"acme-trader{suffix}").read_bytes() == path.read_bytes()
    digest = read_package(path.read_bytes()).digest.hex()
    document = call("agent", "pull", "packages", "acme-trader@1.2.0", "--digest", digest, "-o", "json").document()
    assert (document["digest"], document["trusted"]) == (digest, True)
    assert failed("agent", "pull", "packages", "acme-trader", "--digest", "ab" * 32) == "TW3209"
    assert failed("agent", "pull", "packages", "nobody") == "TW3211"


def test_a_package_under_another_name_is_not_written(folder: Path, trader: Path) -> None:
    call("agent", "sign", trader)
    call("agent", "push", trader, "packages")
    shutil.move(folder / "packages" / "acme-trader", folder / "packages" / "other")
    assert failed("agent", "pull", "packages", "other") == "TW3209"
    assert not (folder / "other.wasm").exists()


def test_a_package_nobody_trusts_is_not_written(folder: Path, trader: Path, key: Path) -> None:
    call("agent", "sign", trader, "--key", key)
    assert call("agent", "push", trader, "packages", "--allow-unsigned").status == 0
    assert failed("agent", "pull", "packages", "acme-trader") == "TW3202"
    assert not (folder / "acme-trader.wasm").exists()
    assert call("agent", "pull", "packages", "acme-trader", "--allow-unsigned").status == 0


def test_a_run_honours_the_lock_beside_its_world(world: Path) -> None:
    assert call("agent", "lock", world).status == 0
    assert call("agent", "lock", world, "--check").status == 0
    assert call("run", world, "--seed", "9").status == 0
    code = world.with_name("code.py")
    code.write_text(code.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    answer = call("run", world, "--journal", "b.twk")
    assert (answer.status, answer.err.split(":")[0]) == (4, "TW3209")
    assert not Path("b.twk").exists()
    assert failed("agent", "lock", world, "--check") == "TW3209"
    document = call("agent", "lock", world, "-o", "json").document()
    assert len(rows(document, "natives")) == 2
    assert call("run", world).status == 0


@pytest.mark.slow
def test_the_demo_needs_no_exception_and_notes_what_ran(trust: Path) -> None:
    assert call("demo", "--ticks", "5").status == 0
    assert len(list((trust / "seen").iterdir())) == 3
    shutil.copytree(ROOT / "examples" / "weather", "weather")
    station = Path("weather", "modules", "station.wasm")
    changed = bytearray(station.read_bytes())
    changed[len(changed) // 2] ^= 1
    station.write_bytes(changed)
    for more in ((), ("--allow-unsigned",)):
        assert failed("run", "weather/world.toml", "--ticks", "2", *more).endswith("TW3201")
