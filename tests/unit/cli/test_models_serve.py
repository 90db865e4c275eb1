import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import environment
from tickwork.cli.models_serve import parse_place
from tickwork.errors import UsageFault


def test_a_place_is_a_port_or_a_host_and_a_port() -> None:
    assert parse_place("8100", "--http") == ("127.0.0.1", 8100)
    assert parse_place("0.0.0.0:0", "--http") == ("0.0.0.0", 0)
    assert parse_place("[::1]:80", "--http") == ("::1", 80)
    for wrong in ("", "x", "host:", ":x", "70000", "-1", "٣"):
        with pytest.raises(UsageFault):
            parse_place(wrong, "--http")


def serve(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tickwork", "models", "serve", "--store", str(folder / "models")]
    command += ["--address", str(folder / "models.sock"), "-o", "jsonl", *arguments]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a console of Windows interrupts a whole group of processes")
def test_the_service_listens_and_ends_when_it_is_interrupted(tmp_path: Path) -> None:
    process = serve(tmp_path, "--http", "0")
    try:
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())["http"].removeprefix("http://")
        connection = http.client.HTTPConnection(place, timeout=20)
        connection.request("POST", "/v2/repository/index")
        assert connection.getresponse().read() == b"[]"
        connection.close()
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.slow
def test_others_are_not_let_in_without_a_token(tmp_path: Path) -> None:
    process = serve(tmp_path, "--http", "0.0.0.0:0")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "TW1001" in said
    process = serve(tmp_path, "--http", "0.0.0.0:0", "--http-token", str(tmp_path / "absent"))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the file with the token cannot be read" in said


@pytest.mark.slow
def test_an_empty_token_is_none_and_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    process = serve(tmp_path, "--http", "0", "--http-token", str(tmp_path / "token"))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the file with the token is empty" in said
