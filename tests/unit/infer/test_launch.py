"""Processes are started fresh or forked, and it is known how they end."""

import signal
import sys

import pytest

from tickwork.infer.channel import ChannelClosed
from tickwork.infer.launch import Launcher, exit_text, start_fresh

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "exit status 0"),
        (3, "exit status 3"),
        (-int(signal.SIGTERM), "signal SIGTERM"),
        (-200, "signal 200"),
        (None, "no exit yet"),
    ],
)
def test_how_a_process_ended_is_said_in_words(status: int | None, text: str) -> None:
    assert exit_text(status) == text


def test_a_fresh_process_ends_with_its_channel() -> None:
    child = start_fresh("worker")
    child.channel.close()
    assert child.wait() == 0


def test_a_process_that_lives_has_not_ended() -> None:
    child = start_fresh("worker")
    assert child.wait(0.01) is None
    child.kill()
    assert exit_text(child.wait()) in {"signal SIGKILL", "exit status 1"}
    with pytest.raises(ChannelClosed):
        child.channel.receive(10)


@linux
@pytest.mark.slow
def test_forked_processes_end_with_their_channels_by_signals_and_with_their_parent() -> None:
    launcher = Launcher()
    launcher.prepare()
    ending, killed, left = (launcher.start("worker") for _ in range(3))
    assert len({ending.pid, killed.pid, left.pid}) == 3
    ending.channel.close()
    assert ending.wait() == 0
    assert left.wait(0.01) is None
    killed.kill()
    assert exit_text(killed.wait()) == "signal SIGKILL"
    launcher.close()
    assert exit_text(left.wait()) == "signal SIGKILL"
    with pytest.raises(ChannelClosed):
        left.channel.receive(10)


@linux
@pytest.mark.slow
def test_a_warm_process_that_was_killed_is_replaced() -> None:
    launcher = Launcher()
    first = launcher.start("worker")
    zygote = launcher._zygote
    assert zygote is not None
    zygote._child.kill()
    assert exit_text(first.wait()) == "signal SIGKILL"
    second = launcher.start("worker")
    second.channel.close()
    assert second.wait() == 0
    launcher.close()


def test_a_launcher_that_is_not_warm_starts_fresh_processes() -> None:
    launcher = Launcher(warm=False)
    launcher.prepare()
    child = launcher.start("worker")
    child.channel.close()
    assert child.wait() == 0
    launcher.close()
