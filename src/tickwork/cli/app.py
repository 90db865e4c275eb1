"""The program: its commands, loaded when they are called, and the exit statuses they share.

| Status | Meaning |
|---|---|
| 0 | done |
| 1 | the run failed |
| 2 | the command line cannot be carried out |
| 3 | a divergence, or a damaged journal |
| 4 | refused: signature, capability, ABI or format |
| 5 | a budget or quota is used up |
| 6 | waiting for a person |
| 7 | in conflict with something that exists |
| 8 | not found |
| 69 | this machine cannot do it now |
| 70 | a defect of Tickwork |
| 78 | a world file that cannot be run |
| 130, 143 | interrupted, terminated; the run can be resumed |
| 141 | the reader of the output left |
"""

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final

from cyclopts import App, CycloptsError

from ..errors import InternalError, TickworkError, UsageFault
from .output import (
    LOST_OUTPUT,
    Format,
    abandon_output,
    flush,
    output_lost,
    prepare_streams,
    requested_format,
    write_problem,
)

COMMANDS: Final[Mapping[str, str]] = {
    "demo": "Run three weather stations, replay the run, verify it, and show that all digests are equal.",
    "run": "Run a world and write its journal; with --resume, go on with an interrupted run.",
    "replay": "Fold a journal again without performing anything, and print the head that comes out.",
    "verify": "Check a journal's chains, execute every turn again, and compare every byte.",
    "show": "Show a run at any tick: its plan, state, agents, messages or records.",
    "diff": "Find the first record in which two journals differ.",
    "fork": "Copy a run up to a tick, change something, and go on live in a new journal.",
    "pack": "Write a run of the store into a file of its own.",
    "goal": "Achieve a goal: plan it, run the plan, and ask people where it must.",
    "work": "Go on with every run that can: queued, interrupted, or woken by an answer.",
    "approval": "Show what people are asked, and answer.",
    "input": "Show the inputs that runs wait for, and give one.",
    "signal": "Send a run a signal, now or for when a step waits for it.",
    "step": "Say what a step of a run has come to, or that it is not needed.",
    "cancel": "End a run: what it did and can undo is undone first.",
    "rerun": "Do again what a run was to do, with other inputs where they are given.",
    "deadletter": "Show runs that could not be gone on with, and put them back or discard them.",
    "runs": "List the runs of goals and plans in this folder, the newest first.",
    "cost": "Show what a run has cost: by step and model, set aside and spent.",
    "agent": "Write, build, check, sign and share agents.",
    "models": "Run models: serve them, ask them, see which are in memory.",
    "model": "Keep models that agents ask: add, check, sign and share them.",
    "plan": "Check, show and draw plans, and go through one without doing anything.",
    "skill": "List, show and call the skills that plans use.",
    "profile": "Say what agents may use, reach and spend: profiles, their versions and status.",
    "memory": "Show and change what profiles remember, and what of it a planner is shown.",
    "artifact": "List, show and export what runs have left.",
    "trust": "Show and change whom this machine believes: keys, revocations, approved updates.",
    "allow": "Let the settings and the store of this folder hold, after a look at them.",
    "doctor": "Look whether this machine has what Tickwork needs, with a fix for each finding.",
}
"""Every command with its one line. Order: as help shows them."""

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

_EPILOGUE: Final = """Begin with:

    tickwork demo
    tickwork run world.toml
    tickwork verify .tickwork/runs/NAME-1.twk

Every command has --help with examples, and all but agent debug, which is for
people, have -o json for programs."""


def build_app() -> App:
    """Return the program with its commands, none of them imported yet."""
    from .. import __version__

    app = App(
        name="tickwork",
        help="Run teams of sandboxed agents on one logical clock, in one journal that replays bit for bit.",
        version=f"tickwork {__version__}",
        version_flags=["--version", "-V"],
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
    )
    for position, (name, line) in enumerate(COMMANDS.items()):
        app.command(f"tickwork.cli.{name}:app", name=name, help=line, sort_key=position)
    return app


def run_command_line(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit status."""
    prepare_streams()
    form = requested_format(arguments)
    with _Defects(form):
        try:
            status = _dispatch(arguments)
            flush()
        except TickworkError as error:
            status = write_problem(error, form)
        except KeyboardInterrupt:
            status = INTERRUPTED
        except BrokenPipeError:
            # The reader of a pipe left; what is still buffered has nowhere to go.
            abandon_output()
            status = BROKEN_PIPE
        except OSError as error:
            if error.errno not in LOST_OUTPUT or error.filename is not None:
                raise
            abandon_output()
            status = write_problem(output_lost(error), "text")
        except SystemExit as leaving:
            # The table writer ends the process itself when the reader of a pipe left.
            if not isinstance(leaving.__context__, BrokenPipeError):
                raise
            status = BROKEN_PIPE
    return status


def _dispatch(arguments: Sequence[str]) -> int:
    app = build_app()
    try:
        status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise UsageFault(
            " ".join(str(error).split()),
            where=" ".join(["tickwork", *arguments]),
            fix=" ".join(["see `tickwork", *_named(arguments), "--help`"]),
        ) from error
    return status if isinstance(status, int) else 0


def command_words(program: App) -> list[list[str]]:
    """Return the words of every command, those of groups in place of the groups. Order: as help shows them."""
    words: list[list[str]] = []
    for name in COMMANDS:
        inner = [word for word in program[name] if not word.startswith("-")]
        words += [[name, word] for word in inner] or [[name]]
    return words


def _named(arguments: Sequence[str]) -> list[str]:
    """Return the words of a command line that name the command, as far as they are right."""
    given = [word for word in arguments if not word.startswith("-")]
    known = command_words(build_app()) + [[name] for name in COMMANDS]
    for words in known:
        if given[: len(words)] == words:
            return words
    return []


class _Defects:
    """Turns what nobody expected into exit status 70: a defect of ours must not look like a failed run."""

    def __init__(self, form: Format) -> None:
        self.form: Format = form

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, SystemExit):
            return
        traceback.print_exception(kind, error, trace)
        internal = InternalError(
            f"{type(error).__name__}: {error}",
            where=_place(trace),
            why="this is a defect of Tickwork, not of your world",
            fix="please report it with the lines above; what the journal has acknowledged is safe",
        )
        sys.exit(write_problem(internal, self.form))


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
