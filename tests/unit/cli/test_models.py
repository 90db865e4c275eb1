"""``tickwork models``: asking models and looking at the service from the command line."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import environment
from tests.unit.infer import nets
from tests.unit.infer.kept import keep
from tickwork.cli.config import service_socket
from tickwork.infer.store import ModelStore

pytestmark = pytest.mark.slow

REQUEST = json.dumps({"x": [[0.5] * 16]})


def command(*arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    whole = [sys.executable, "-m", "tickwork", "models", *arguments]
    return subprocess.run(whole, env=environment(), input=given, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "models"
    keep(ModelStore(folder), "mlp", nets.mlp())
    return folder


@pytest.fixture(scope="module")
def socket(store: Path) -> Iterator[Path]:
    path = store.parent / "s"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tickwork",
            "models",
            "serve",
            "--store",
            str(store),
            "--address",
            str(path),
            "-o",
            "jsonl",
        ],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["address"] == str(path)
    yield path
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_model_is_asked_once_by_processes_that_end_with_the_command(store: Path, tmp_path: Path) -> None:
    document = command("infer", "mlp", "--json", REQUEST, "--store", str(store), "-o", "json")
    assert document.returncode == 0, document.stderr
    found = json.loads(document.stdout)
    assert len(found["outputs"]["y"][0]) == 4
    assert len(found["session"]) == 64
    file = tmp_path / "request.json"
    file.write_text(REQUEST, encoding="utf-8")
    for done in (
        command("infer", "mlp:1.0.0", "--json", f"@{file}", "--store", str(store)),
        command("infer", "mlp", "--store", str(store), given=REQUEST),
    ):
        assert (done.returncode, done.stdout[:1]) == (0, "y"), done.stderr


def test_the_service_answers_and_says_what_it_did(store: Path, socket: Path) -> None:
    asked = command("infer", "mlp", "--json", REQUEST, "--store", str(store), "--address", str(socket))
    assert asked.returncode == 0, asked.stderr
    [model] = json.loads(command("list", "--address", str(socket), "-o", "json").stdout)["models"]
    assert (model["name"], model["provider"], model["state"]) == ("mlp", "cpu", "ready")
    assert "mlp:1.0.0" in command("list", "--address", str(socket)).stdout
    stats = json.loads(command("stats", "--address", str(socket), "-o", "json").stdout)
    assert (stats["loads"], stats["workers"][0]["model"]) == (1, model["model"])
    assert "in memory      1" in command("stats", "--address", str(socket)).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("infer", "nobody", "--json", "{}"), 8, "TW6001"),
        (("infer", "mlp", "--json", "{"), 2, "TW6004"),
        (("infer", "mlp", "--json", "{}", "--profile", "exact"), 2, "TW1001"),
        (("infer", "mlp", "--json", '{"x": [[1.0]]}'), 2, "TW6004"),
        (("infer", "mlp", "--json", "@/no/such/file"), 2, "TW6004"),
    ],
)
def test_what_is_wrong_is_said_with_its_code(store: Path, arguments: tuple[str, ...], status: int, code: str) -> None:
    done = command(*arguments, "--store", str(store))
    assert (done.returncode, done.stderr[:6]) == (status, code)


def test_a_store_that_was_named_is_asked_itself_and_not_the_usual_service(store: Path) -> None:
    usual = service_socket()
    usual.write_bytes(b"")  # Nobody listens there, so whoever turns to it is told so.
    try:
        assert command("infer", "mlp", "--json", REQUEST, "--store", str(store)).returncode == 0
        assert (
            command("infer", "mlp", "--json", REQUEST, "--store", str(store), "--address", str(usual)).returncode == 69
        )
    finally:
        usual.unlink()


def test_a_service_that_does_not_run_is_said_to_be_absent(tmp_path: Path) -> None:
    for words in (("stats",), ("list",)):
        done = command(*words, "--address", str(tmp_path / "nobody"))
        assert (done.returncode, done.stderr[:6]) == (69, "TW6009")
