"""Child processes: what they inherit and where their streams go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tickwork.sandbox import child

posix = pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")


def run(program: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    root = Path(child.__file__).parents[2]
    whole = f"import sys; sys.path.insert(0, {str(root)!r})\n{program}"
    return subprocess.run([sys.executable, "-I", "-c", whole], input=given, capture_output=True, check=False)


def test_stray_output_goes_to_standard_error_and_stray_input_is_empty() -> None:
    done = run(
        """
from tickwork.sandbox.child import take_pipes
source, sink = take_pipes()
print("stray", sys.stdin.read(), flush=True)
sink.write(source.read().upper())
sink.close()
""",
        b"frames",
    )
    assert done.stdout == b"FRAMES"
    assert done.stderr.strip() == b"stray"


@posix
def test_a_child_inherits_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKWORK_SECRET", "hush")
    assert child._environment() == {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1"}


@posix
def test_a_limit_can_be_lowered_and_lifted_again() -> None:
    done = run(
        """
import resource
from tickwork.sandbox.child import lift, limit
limit("NOFILE", 20)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
lift("NOFILE")
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 20)
limit("NO_SUCH_LIMIT", 1)
lift("NO_SUCH_LIMIT")
"""
    )
    assert done.stdout.split() == [b"20", b"True"]


def test_a_child_ends_when_its_pipe_does() -> None:
    worker = child.start_child("worker")
    output, _ = worker.communicate(timeout=30)
    assert output == b"\0\0\0\0\1"
    assert worker.returncode == 0
