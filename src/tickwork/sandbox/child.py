"""How a child Python process is started and what it may do: the compile child, workers, and the models' processes.

A child gets none of the parent's environment, no files but its three pipes and no path of the user's; it finds
Tickwork where the parent did.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

_PACKAGE_ROOT: Final = str(Path(__file__).resolve().parents[2])
_WINDOWS_KEEPS: Final = ("SYSTEMROOT",)

_TOLD: Final = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1"}
"""What runs models would otherwise start a thread that reports to its makers, and one for each processor; the former
also does not survive a fork."""


def start_child(
    module: str, *, source: int = subprocess.PIPE, sink: int = subprocess.PIPE
) -> "subprocess.Popen[bytes]":
    """Return a process that runs ``main()`` of a module of this package, with pipes on standard input and output.

    Args:
        module: Below the package, as ``infer.worker``; a name without a dot lies in ``sandbox``.
        source, sink: What its standard input and output are instead of a pipe: a descriptor, or ``DEVNULL``.
    """
    package, _, name = f"tickwork.{module if '.' in module else f'sandbox.{module}'}".rpartition(".")
    program = f"import sys; sys.path.insert(0, {_PACKAGE_ROOT!r}); from {package} import {name}; {name}.main()"
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", "-c", program],
        stdin=source,
        stdout=sink,
        env=_environment(),
        close_fds=True,
        start_new_session=os.name == "posix",
    )


def _environment() -> dict[str, str]:
    """Return what a child is told; it inherits nothing, but on Windows what Python itself needs to start."""
    if os.name != "nt":
        return dict(_TOLD)
    variables = os.environ  # noqa: TID251  (No setting is read here: Python does not start on Windows without it.)
    return {**_TOLD, **{name: variables[name] for name in _WINDOWS_KEEPS if name in variables}}


def take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Return the child's pipes, from and to the parent, out of reach of anything that prints or reads."""
    source, sink = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (source, sink):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return os.fdopen(source, "rb"), os.fdopen(sink, "wb")


def limit(name: str, amount: int) -> None:
    """Lower a resource limit of this process, where the system has it.

    Args:
        name: As in ``resource``, without ``RLIMIT_``.
    """
    if os.name != "posix":
        return
    import resource

    number = getattr(resource, f"RLIMIT_{name}", None)
    if number is None:
        return
    _, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY:
        amount = min(amount, hard)
    # The hard limit stays, so that a limit for one phase can be lifted after it; code that would do so is our own.
    resource.setrlimit(number, (amount, hard))


def lift(name: str) -> None:
    """Raise a limit to its hard bound again."""
    if os.name != "posix":
        return
    import resource

    number = getattr(resource, f"RLIMIT_{name}", None)
    if number is not None:
        _, hard = resource.getrlimit(number)
        resource.setrlimit(number, (hard, hard))
