"""What a worker has given up, seen from outside and tried from inside."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.sandbox import wat
from tickwork.sandbox.confine import filter_program
from tickwork.sandbox.processes import ProcessPool

linux = pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")

ATTEMPTS = """
import ctypes, fcntl, os, resource, signal, socket, sys, threading
from tickwork.sandbox.confine import confine
mine, other = socket.socketpair()
confine()
def tries(name, attempt):
    try:
        attempt()
    except OSError as error:
        return
    print(name)
tries("read", lambda: os.close(os.open("/dev/null", os.O_RDONLY)))
tries("write", lambda: os.open("/dev/null", os.O_WRONLY))
tries("create", lambda: os.open("/tmp/tickwork-confined", os.O_RDWR | os.O_CREAT))
tries("unlink", lambda: os.unlink("/tmp/tickwork-confined"))
tries("execute", lambda: os.execv("/bin/true", ["true"]))
tries("fork", os.fork)
tries("socket", socket.socket)
tries("kill", lambda: os.kill(os.getpid(), 0))
tries("signal", lambda: signal.pthread_kill(threading.get_ident(), signal.SIGURG))
tries("limit", lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU))
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
arm = os.uname().machine == "aarch64"
limits = (ctypes.c_ulong * 2)(1 << 40, 1 << 40)
tries("own limit", lambda: call(164 if arm else 160, resource.RLIMIT_AS, ctypes.byref(limits)))
memory = os.memfd_create("shared")
tries("shorten", lambda: os.ftruncate(memory, 0))
tries("read flags", lambda: fcntl.fcntl(memory, fcntl.F_GETFL))
tries("signals of others", lambda: fcntl.fcntl(mine, fcntl.F_SETOWN, os.getppid()))
tries("another signal", lambda: fcntl.fcntl(mine, fcntl.F_SETSIG, signal.SIGKILL))
tries("signals by ioctl", lambda: fcntl.ioctl(mine, 0x8901, os.getppid().to_bytes(4, "little")))
tries("mode", lambda: os.fchmod(0, 0o600))
tries("times", lambda: os.utime("/dev/null"))
tries("attribute", lambda: os.setxattr("/tmp", "user.tickwork", b"1"))
tries("rename", lambda: os.rename("/tmp/tickwork-a", "/tmp/tickwork-b"))
"""


@linux
def test_a_confined_process_reads_and_nothing_else() -> None:
    source = Path(__file__).parents[3] / "src"
    program = f"import sys; sys.path.insert(0, {str(source)!r})\n{ATTEMPTS}"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["read", "read", "flags"], "")


THREADS = """
import os, threading
from tickwork.sandbox.confine import confine
confine(threads=True, files=128)
started = []
thread = threading.Thread(target=started.append, args=("thread",))
thread.start()
thread.join()
print(*started)
for name, attempt in (("fork", os.fork), ("execute", lambda: os.execv("/bin/true", ["true"]))):
    try:
        attempt()
    except OSError:
        continue
    print(name)
"""


@linux
def test_who_may_start_threads_may_start_no_process() -> None:
    source = Path(__file__).parents[3] / "src"
    program = f"import sys; sys.path.insert(0, {str(source)!r})\n{THREADS}"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["thread"], "")


@linux
def test_a_worker_is_confined_and_inherits_nothing() -> None:
    pool = ProcessPool(1)
    pool.place(wat.program(0, wat.agent()))
    pool.compute([wat.turn()])
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pool.worker_pids()[0]}/status").read_text().splitlines())
    pool.close()
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_fits_the_kernel(machine: str, threads: bool) -> None:
    program = filter_program(machine, threads=threads)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096
    for at in range(0, len(program), 8):
        if program[at] & 7 == 5:
            rest = len(program) // 8 - at // 8 - 1
            assert max(program[at + 2], program[at + 3]) < rest


def test_an_unknown_processor_gets_no_filter() -> None:
    assert filter_program("riscv64") == b""
