"""``tickwork agent debug``: a journal's ticks, forwards and backwards, with the agents' memories as they were."""

import contextlib
import importlib
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..driver.compare import kind_name, shown
from ..driver.debug import Break, BreakKind, Debugger
from ..errors import TickworkError, UsageFault
from ..records import OUTSIDE
from .output import write_line
from .screen import write_table
from .session import Folder, Workers, options_for, trap_reader
from .show import message_rows, write_agents, write_run_facts, write_topics

EXAMPLES: Final = """Examples:

    tickwork agent debug market.twk --at 100
    tickwork agent debug market.twk -c "break trap" -c continue -c turns
    echo "seek 40; mailbox trader; memory trader 0x1000 64" | tickwork agent debug market.twk

Commands: step [N], back [N], seek TICK, continue [N], break KIND [NAME],
breaks, delete N, state, agents, turns, messages, records, topics,
mailbox AGENT, memory AGENT [ADDRESS [BYTES]], globals AGENT, help, quit.
A trap shows the source lines it went through if the agent was built here."""

HELP: Final[Mapping[str, str]] = {
    "step [N]": "Run the next tick, or the next N.",
    "back [N]": "Go one tick back, or N.",
    "seek TICK": "Stand before that tick.",
    "continue [N]": "Run to the next break, N ticks at most, or to the end.",
    "break trap [AGENT]": "Stop after a tick in which a turn failed.",
    "break agent AGENT": "Stop after a turn of that agent.",
    "break topic TOPIC": "Stop after a message on that topic.",
    "break key TOPIC": "Stop when the retained value of that topic has changed.",
    "break record KIND": "Stop at a derived record: dead_letter, overflow, denied, spawned and so on.",
    "breaks": "List the breaks.",
    "delete N": "Remove a break by its number.",
    "state": "The run as it stands.",
    "agents": "The agents as they stand.",
    "turns": "The turns of the tick before this place; a trap with its source lines.",
    "messages": "What entered and was sent in that tick.",
    "records": "What the kernel derived in that tick.",
    "topics": "The topics and their retained values.",
    "mailbox AGENT": "The messages that wait for an agent.",
    "memory AGENT [ADDRESS [BYTES]]": "An agent's memory, 64 bytes unless told; numbers may be written 0x10.",
    "globals AGENT": "A module's mutable globals.",
    "quit": "Leave.",
}

BREAKS: Final[Mapping[str, BreakKind]] = {
    "trap": "trap", "agent": "agent", "topic": "topic", "key": "key", "record": "record",
}  # fmt: skip
MEMORY_BYTES: Final = 64
ROW_BYTES: Final = 16

app = App(name="debug", help_epilogue=EXAMPLES)


@app.default
def debug(
    journal: Annotated[Path, Parameter(help="The journal of a run.")],
    /,
    *,
    at: Annotated[int, Parameter(help="Stand before this tick at the beginning.")] = 0,
    command: Annotated[
        list[str] | None,
        Parameter(name=["--command", "-c"], negative="", help="A command to carry out; repeat it for more."),
    ] = None,
    workers: Workers = None,
    folder: Folder = None,
) -> int:
    """Step through a run, forwards and backwards, and look into its agents."""
    with options_for("debug", workers=workers, folder=folder) as options:
        options = msgspec.structs.replace(options, progress=None)
        debugger = Debugger(journal, options=options, explain=trap_reader())
        try:
            debugger.seek(at)
            return Session(debugger).carry_out(command)
        finally:
            debugger.close()


class Session:
    """A debugger and what a person has told it."""

    def __init__(self, debugger: Debugger) -> None:
        self.debugger = debugger
        self.breaks: list[Break] = []
        self._verbs: Mapping[str, Callable[[list[str]], None]] = {
            "step": self.step, "s": self.step, "back": self.back, "b": self.back, "seek": self.seek,
            "continue": self.go_on, "c": self.go_on, "break": self.add_break, "breaks": self.list_breaks,
            "delete": self.delete, "state": self.state, "agents": self.agents, "turns": self.turns,
            "messages": self.messages, "records": self.records, "topics": self.topics, "mailbox": self.mailbox,
            "memory": self.memory, "globals": self.globals, "help": self.help,
        }  # fmt: skip

    def carry_out(self, given: list[str] | None) -> int:
        """Carry out the commands given, or those of stdin; return the exit status.

        A command that fails ends a script with its error; at a terminal it is said and the session goes on.
        """
        typed = not given and sys.stdin.isatty()
        if typed:
            write_line(f"{self.debugger.length} ticks; help lists the commands")
        for line in given or _lines(self._prompt if typed else None):
            for words in _split(line):
                if words[0] in ("quit", "q", "exit"):
                    return 0
                try:
                    self.one(words)
                except TickworkError as error:
                    if not typed:
                        raise
                    write_line(str(error))
        return 0

    def one(self, words: list[str]) -> None:
        """Carry out one command.

        Raises:
            UsageFault: TW1001, it is none, or lacks a word.
        """
        verb = self._verbs.get(words[0])
        if verb is None:
            raise UsageFault(f"no command {words[0]!r}", fix="help lists the commands")
        verb(words[1:])

    def _prompt(self) -> str:
        return f"tick {self.debugger.tick}> "

    def step(self, words: list[str]) -> None:
        """Run the next ticks and show the last one's turns."""
        self.debugger.seek(min(self.debugger.length, self.debugger.tick + _number(words, 0, 1)))
        self.turns([])

    def back(self, words: list[str]) -> None:
        """Go back."""
        self.seek([str(max(0, self.debugger.tick - _number(words, 0, 1)))])

    def seek(self, words: list[str]) -> None:
        """Stand before a tick."""
        self.debugger.seek(_number(words, 0, None))
        write_line(f"before tick {self.debugger.tick} of {self.debugger.length}")

    def go_on(self, words: list[str]) -> None:
        """Run to the next break."""
        stop = self.debugger.run(self.breaks, _number(words, 0, 0))
        if stop is None:
            write_line(f"no break was met; before tick {self.debugger.tick} of {self.debugger.length}")
            return
        write_line(f"stopped after tick {stop.tick}: {stop.reached.kind} {stop.reached.name}".rstrip())
        self.turns([])

    def add_break(self, words: list[str]) -> None:
        """Add a break."""
        kind = BREAKS.get(words[0]) if words else None
        if kind is None or (kind != "trap" and len(words) != 2):
            raise UsageFault("this is no break", fix=f"write break KIND NAME; kinds are {', '.join(BREAKS)}")
        wanted = Break(kind, words[1] if len(words) > 1 else "")
        self.debugger.check_break(wanted)
        self.breaks.append(wanted)
        self.list_breaks([])

    def list_breaks(self, _: list[str]) -> None:
        """List the breaks."""
        write_table(("#no", "kind", "name"), [(n, b.kind, b.name) for n, b in enumerate(self.breaks, 1)])

    def delete(self, words: list[str]) -> None:
        """Remove a break."""
        number = _number(words, 0, None)
        if not 1 <= number <= len(self.breaks):
            raise UsageFault(f"there is no break {number}", fix="breaks lists them")
        del self.breaks[number - 1]
        self.list_breaks([])

    def state(self, _: list[str]) -> None:
        """Show the run."""
        write_run_facts(self.debugger.state())

    def agents(self, _: list[str]) -> None:
        """Show the agents."""
        write_agents(self.debugger.state().agents)

    def topics(self, _: list[str]) -> None:
        """Show the topics."""
        write_topics(self.debugger.state().topics)

    def turns(self, _: list[str]) -> None:
        """Show the turns of the tick before this place."""
        frame = self.debugger.frame()
        if frame is None:
            write_line("before tick 0")
            return
        write_line(f"tick {frame.tick}")
        rows = [(t.slot, t.agent, t.operation, t.status, t.code, t.frames, t.fuel, t.detail) for t in frame.turns]
        write_table(("#slot", "agent", "operation", "status", "#code", "#frames", "#fuel", "detail"), rows)

    def messages(self, _: list[str]) -> None:
        """Show what entered and was sent."""
        frame = self.debugger.frame()
        found = [*frame.inputs, *frame.messages] if frame is not None else []
        write_table(("#tick", "place", "kind", "from", "to", "#bytes", "body"), message_rows(found))

    def records(self, _: list[str]) -> None:
        """Show the derived records."""
        frame = self.debugger.frame()
        write_table(("derived",), [(text,) for text in frame.derived] if frame is not None else [])

    def mailbox(self, words: list[str]) -> None:
        """Show an agent's mail."""
        names = [agent.name for agent in self.debugger.state().agents]
        rows = [
            (m.seq, m.tick, kind_name(m.kind), names[m.source] if m.source != OUTSIDE else "outside", shown(m.body))
            for m in self.debugger.mailbox(_word(words, 0, "mailbox AGENT"))
        ]
        write_table(("#seq", "#tick", "kind", "from", "body"), rows)

    def memory(self, words: list[str]) -> None:
        """Show an agent's memory."""
        memory = self.debugger.memory(_word(words, 0, "memory AGENT [ADDRESS [BYTES]]"))
        start, size = _number(words, 1, 0), _number(words, 2, MEMORY_BYTES)
        if start >= len(memory):
            raise UsageFault(f"address {start:#x} lies outside", why=f"the memory has {len(memory):#x} bytes")
        for row in hex_rows(memory[start : start + size], start):
            write_line(row)

    def globals(self, words: list[str]) -> None:
        """Show a module's globals."""
        found = self.debugger.globals(_word(words, 0, "globals AGENT"))
        write_table(("#index", "name", "type", "#value"), [(g.index, g.name, g.type, g.value) for g in found])

    def help(self, _: list[str]) -> None:
        """List the commands."""
        write_table(("command", "what it does"), list(HELP.items()))


def hex_rows(content: bytes, start: int) -> Iterator[str]:
    """Yield rows of 16 bytes: address, hexadecimal, and what prints."""
    for at in range(0, len(content), ROW_BYTES):
        row = content[at : at + ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{start + at:08x}  {row.hex(' '):<{ROW_BYTES * 3}} {text}"


def _lines(prompt: Callable[[], str] | None) -> Iterator[str]:
    """Yield the lines of stdin, with a prompt where a person types them."""
    if prompt is None:
        yield from sys.stdin
        return
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # Gives the prompt a history and the arrow keys; Windows has none.
    while True:
        try:
            yield input(prompt())
        except EOFError:
            return


def _split(line: str) -> Iterator[list[str]]:
    """Yield the commands of a line, which semicolons separate; a word may be quoted, and # begins a comment."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError as error:
        raise UsageFault(f"this line cannot be read: {line.strip()}", why=str(error), fix="close the quotes") from error
    one = list[str]()
    for word in [*words, ";"]:
        if set(word) != {";"}:
            one.append(word)
        elif one:
            yield one
            one = []


def _word(words: list[str], place: int, usage: str) -> str:
    if place >= len(words):
        raise UsageFault("a word is missing", fix=f"write {usage}")
    return words[place]


def _number(words: list[str], place: int, otherwise: int | None) -> int:
    if place >= len(words):
        if otherwise is None:
            raise UsageFault("a number is missing", fix="help lists the commands")
        return otherwise
    try:
        number = int(words[place], 0)
    except ValueError as error:
        raise UsageFault(f"{words[place]!r} is no number", fix="write it as 16 or 0x10") from error
    if number < 0:
        raise UsageFault(f"{number} is negative", fix="ticks, addresses and counts begin at 0")
    return number
