"""The base module's own code: one agent's source loaded, its turns run, its failures told with file and line.

It is imported once when the base module is built; what is in memory then is what every instance begins with. So all
that an agent may import is imported here, and afterwards nothing can be: there are no files, clocks or sockets inside.

Invariants:
    * A turn depends on the memory and on what it is given, and on nothing else: time is the tick, chance the seed.
    * Whatever an agent raises leaves as an answer of kind ABORT; the shim traps with it, so the turn is undone.
"""

import builtins
import codecs
import gc
import importlib
import importlib.machinery
import io
import json
import linecache
import os
import random
import struct
import sys
import time
import types

import wit_world
from inside import CHOSEN, MAIN, METHODS, OWN, STDLIB

from tickwork import codec
from tickwork.native import Context, Outbox
from tickwork.records import AgentSpec, FrameKind

HIDDEN = (
    "_socket", "_ssl", "asyncio", "concurrent", "ctypes", "multiprocessing", "os", "pathlib", "posix", "posixpath",
    "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "_thread",
    "zipimport",
)  # fmt: skip
"""Loaded by others, and not for agents: what they do does not exist inside."""

KEPT: list = []
CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "ascii", "latin-1", "cp1252")
OS_CALLS = frozenset(
    "urandom getrandom open stat lstat fstat listdir scandir walk mkdir makedirs remove unlink rmdir rename replace "
    "system popen fork kill getpid getppid getcwd chdir read write close pipe dup access readlink symlink link utime "
    "truncate isatty get_terminal_size cpu_count times".split()
)

OUTBOX_BYTES = 256 << 10
INIT, TURN, SHUTDOWN, SAVE, LOAD = range(5)
ANSWER, ABORT = 0, 1
OUTSIDE = 0xFFFFFFFF
WINDOW_BYTES = 64 << 10

_CONTEXT = codec.CONTEXT
_HEAD = struct.Struct("<IiII")
_FAILURE = struct.Struct("<5I")
_WORD = struct.Struct("<I")
_WRITTEN = struct.Struct("<III")
_EPOCH = struct.Struct("<QQQQ")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")


def unpack(bundle: bytes) -> dict[str, bytes]:
    """Return the files of a source bundle. The host has checked its form: entries are stored, nothing else is there."""
    files, at = {}, 0
    while bundle[at : at + 4] == b"PK\3\4":
        header = _LOCAL.unpack_from(bundle, at)
        start = at + _LOCAL.size + header[9]
        files[bundle[at + _LOCAL.size : start].decode()] = bundle[start : start + header[8]]
        at = start + header[8]
    return files


class Sources:
    """Finds and loads the modules of a bundle."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = {name: body for name, body in files.items() if name.endswith(".py")}

    def find_spec(self, name, path=None, target=None):
        """Return how a module of the bundle is loaded; a name that is nowhere raises."""
        del path, target
        stem = name.replace(".", "/")
        for file, package in ((f"{stem}.py", False), (f"{stem}/__init__.py", True)):
            if file in self.files:
                spec = importlib.machinery.ModuleSpec(name, self, origin=file, is_package=package)
                spec.has_location = False
                return spec
        return None

    def create_module(self, spec):
        """Return None: modules are plain."""
        return

    def exec_module(self, module) -> None:
        """Run a module's source."""
        file = module.__spec__.origin
        module.__file__ = file
        exec(compile(self.files[file], file, "exec", dont_inherit=True), module.__dict__)


class Absent:
    """The last finder: says in words that a module is not there."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Raise ModuleNotFoundError."""
        raise ModuleNotFoundError(f"No module named {name!r} inside the sandbox", name=name)


def refused(what: str):
    """Return a function that refuses a call."""

    def refuse(*given, **named):
        raise PermissionError(f"{what} does not exist inside the sandbox")

    return refuse


class Lines:
    """Standard output: each line becomes a LOG frame of the turn."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        """Keep a text until the turn ends."""
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Do nothing: lines leave with the turn."""

    def take(self) -> list[str]:
        """Return the lines so far."""
        lines, self.text = self.text.splitlines(), ""
        return lines


class Runner:
    """One agent: its class, its specification, its state and what it knows of windows."""

    def __init__(self) -> None:
        self.agent = self.spec = self.state = None
        self.files: dict[str, bytes] = {}
        self.windows: dict[str, bytes] = {}

    def load(self, bundle: bytes) -> None:
        """Load an agent's source."""
        close()
        self.files = unpack(bundle)
        manifest = json.loads(self.files["manifest.json"])
        names = manifest["capabilities"]
        self.spec = AgentSpec(
            name=manifest["name"], kind="wasm", entry=MAIN, digest=b"", clock=names["clock"],
            version=manifest["version"],
            **{key: tuple(names[key]) for key in
               ("publish", "subscribe", "send", "skills", "spawn", "models", "windows")},
        )  # fmt: skip
        sys.meta_path.insert(len(sys.meta_path) - 1, Sources(self.files))
        self.agent = found_class(importlib.import_module(MAIN))()

    def run(self, operation: int, given: bytes) -> bytes:
        """Return the answer to one call of the shim."""
        tick, seed, _, wall_us, number, length, *_ = _CONTEXT.unpack_from(given)
        random.seed(seed)
        start = _CONTEXT.size
        if operation in (SAVE, LOAD):
            return self.move(operation, given, Context(tick, seed, number, wall_us, self.spec, self.windows))
        inbox = tuple(codec.decode_frames(given[start : start + length]))
        self.take_windows(inbox, given, start + length)
        context = Context(tick, seed, number, wall_us, self.spec, self.windows)
        if operation == INIT:
            state, outbox = self.agent.init(inbox[0].body if inbox else b"", context)
        elif operation == TURN:
            state, outbox = self.agent.turn(self.state, inbox, context)
        else:
            state, outbox = self.agent.shutdown(self.state, context)
        for line in OUTPUT.take():
            outbox.log(line)
        answer = answered(outbox, outbox.settled(stepping=operation == TURN))
        self.state = state
        return answer

    def take_windows(self, inbox, given: bytes, at: int) -> None:
        """Keep what the shim added for each WINDOW_EPOCH frame: the window's valid bytes."""
        for message in inbox:
            if message.kind == FrameKind.WINDOW_EPOCH and message.destination < len(self.spec.windows):
                _, size, _, _ = _EPOCH.unpack_from(message.body)
                size = min(size, WINDOW_BYTES)
                self.windows = {**self.windows, self.spec.windows[message.destination]: given[at : at + size]}
                at += size

    def move(self, operation: int, given: bytes, context: Context) -> bytes:
        """Return the answer to SAVE or LOAD."""
        name = "save" if operation == SAVE else "load"
        method = getattr(self.agent, name, None)
        if method is None:
            return _HEAD.pack(ANSWER, -8, 0, 0)
        if operation == SAVE:
            saved = bytes(method(self.state))
            return _HEAD.pack(ANSWER, len(saved), 0, len(saved)) + saved
        self.state = method(given[_CONTEXT.size :], context)
        return _HEAD.pack(ANSWER, 0, 0, 0)


def found_class(module: types.ModuleType):
    """Return the agent's class: ``AGENT`` of its module, else the only class with an agent's methods."""
    named = getattr(module, CHOSEN, None)
    if named is not None:
        return named
    found = [
        item for item in vars(module).values()
        if isinstance(item, type) and item.__module__ == module.__name__
        and all(callable(getattr(item, method, None)) for method in METHODS)
    ]  # fmt: skip
    if len(found) != 1:
        names = ", ".join(item.__name__ for item in found) or "none"
        raise TypeError(
            f"agent.py defines one class with init, turn and shutdown, or names it as AGENT; found: {names}"
        )
    return found[0]


def answered(outbox: Outbox, code: int) -> bytes:
    """Return the answer of a turn: its code, its frames, what it writes into windows."""
    content = outbox.encode()
    if len(content) > OUTBOX_BYTES:
        raise OverflowError(f"the outbox has room for {OUTBOX_BYTES} bytes, the turn left {len(content)}")
    parts = [_HEAD.pack(ANSWER, code, len(outbox), len(content)), content]
    for handle, offset, written in outbox.writes:
        if offset < 0 or offset + len(written) > WINDOW_BYTES:
            raise OverflowError(f"a window has {WINDOW_BYTES} bytes, not {offset + len(written)}")
        parts += (_WRITTEN.pack(handle, offset, len(written)), written)
    return b"".join(parts)


def places(error: BaseException, files) -> list[tuple[str, int, int, str]]:
    """Return where in the agent's source an error came from: file, line, column, function. Order: outermost first."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename in files:
            positions = list(code.co_positions())
            column = positions[trace.tb_lasti // 2][2] if trace.tb_lasti // 2 < len(positions) else 0
            found.append((code.co_filename, trace.tb_lineno or 0, (column or 0) + 1, code.co_qualname))
        trace = trace.tb_next
    return found


def failed(error: BaseException, files) -> bytes:
    """Return the answer that tells of an error: its text and place, as strings that ``env.abort`` takes."""
    line, column, file, chain = 0, 0, "", ""
    if isinstance(error, SyntaxError) and error.filename in files:
        file, line, column = error.filename, error.lineno or 0, error.offset or 0
    else:
        found = places(error, files)
        if found:
            file, line, column, name = found[-1]
            calls = "".join(f" < {place[0]}:{place[1]} {place[3]}" for place in found[-2:-7:-1])
            chain = f" in {name}{calls}"
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:
        text = "(its text cannot be made)"
    message = f"{type(error).__name__}: {text[:700]}{chain[:300]}".encode("utf-16-le", "replace")
    shown = file.encode("utf-16-le", "replace")
    first = _FAILURE.size + _WORD.size
    second = first + len(message) + _WORD.size
    head = _FAILURE.pack(ABORT, first, second, line, column)
    return head + _WORD.pack(len(message)) + message + _WORD.pack(len(shown)) + shown


RUNNER = Runner()
OUTPUT = Lines()


class WitWorld(wit_world.WitWorld):
    """What the shim calls."""

    def load(self, source: bytes) -> bytes:
        """Load an agent's source; the answer's first word says whether it went well."""
        try:
            RUNNER.load(bytes(source))
        except BaseException as error:
            return failed(error, RUNNER.files)
        return _WORD.pack(ANSWER)

    def turn(self, operation: int, given: bytes) -> bytes:
        """Run one operation; the answer is what the shim carries out."""
        try:
            return RUNNER.run(operation, bytes(given))
        except BaseException as error:
            return failed(error, RUNNER.files)


def close() -> None:
    """Leave nothing to import but what is loaded and meant for agents. The builder still needs the rest, so at load."""
    KEPT.extend(sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in HIDDEN)
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.meta_path[:] = [Absent]


def seal() -> None:
    """Load everything that may be imported, and let what reaches outside raise."""
    for name in (*STDLIB, *OWN):
        importlib.import_module(name)
    for name in CODECS:
        codecs.lookup(name)
    sys.path_importer_cache.clear()
    linecache.getlines = linecache.getline = lambda *given, **named: ""
    linecache.updatecache = lambda *given, **named: []
    builtins.open = io.open = io.open_code = refused("open: a file system")
    builtins.input = refused("input: a terminal")
    builtins.breakpoint = refused("breakpoint: a debugger")
    time.sleep = refused("time.sleep: an agent sleeps by its outbox; the operating system's clock")
    for name in dir(os):
        if callable(getattr(os, name)) and name in OS_CALLS:
            setattr(os, name, refused(f"os.{name}: an operating system"))
    random._urandom = refused("os.urandom: entropy (draw from context.random())")
    sys.stdout = sys.stderr = OUTPUT
    gc.collect()
    gc.freeze()


seal()
