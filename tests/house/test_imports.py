"""Importing tickwork changes nothing in the process and costs next to nothing."""

import json

from tests.support import python

MODULES = 150
IMPORT_SECONDS = 0.150
FOREIGN = (
    "apsw",
    "asyncio",
    "cryptography",
    "cyclopts",
    "platformdirs",
    "rich",
    "socket",
    "sqlite3",
    "ssl",
    "wasmtime",
)

AUDIT = """
import json, os, signal, sys, threading, time, warnings
def look():
    handlers = {number: str(signal.getsignal(number)) for number in signal.valid_signals()}
    return [sorted(thread.name for thread in threading.enumerate()), handlers, list(map(str, warnings.filters)),
            dict(os.environ), sys.getrecursionlimit(), sys.excepthook.__name__, warnings.showwarning.__name__,
            str(sys.getswitchinterval()), sys.path[:], str(sys.meta_path)]
before, known = look(), set(sys.modules)
events, watched = [], ("socket.", "subprocess.", "os.system")
sys.addaudithook(lambda name, arguments: events.append(name) if name.startswith(watched) else None)
began = time.process_time()
import tickwork
cpu = time.process_time() - began
loaded = sorted(set(sys.modules) - known)
print(json.dumps({"same": look() == before, "events": events, "loaded": loaded, "cpu": cpu}))
"""


def test_an_import_leaves_no_trace_in_the_process() -> None:
    audit = _audit()
    assert audit["same"] is True
    assert audit["events"] == []


def test_an_import_loads_nothing_it_does_not_need() -> None:
    loaded = _audit()["loaded"]
    assert isinstance(loaded, list)
    assert [name for name in loaded if name.split(".")[0] in FOREIGN] == []
    assert len(loaded) <= MODULES


def test_an_import_costs_little() -> None:
    # The best of five, since a busy machine only ever adds.
    costs = [cost for _ in range(5) if isinstance(cost := _audit()["cpu"], float)]
    assert min(costs) <= IMPORT_SECONDS


def test_python_without_assertions_is_refused() -> None:
    result = python("import tickwork", "-O")
    assert result.returncode != 0
    assert "-O" in result.stderr


def _audit() -> dict[str, object]:
    result = python(AUDIT)
    assert result.returncode == 0, result.stderr
    document: dict[str, object] = json.loads(result.stdout)
    return document
