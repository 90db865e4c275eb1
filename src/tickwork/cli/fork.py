"""``tickwork fork``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..driver.faults import choose
from ..driver.fork import Edit
from ..driver.fork import fork as fork_run
from ..driver.opening import read_header, reading
from ..driver.plans import AnySwap
from ..driver.tables import MAX_INTEGER
from ..errors import UsageFault
from ..records import Header, Input, InputKind
from .grants import ForkGrants, Revokes, parse_grants, split_grants
from .output import Output
from .run import decisions, finish
from .session import (
    Budget,
    Decide,
    Folder,
    ModelChoice,
    Providers,
    Store,
    Telemetry,
    Unsigned,
    Workers,
    next_journal,
    options_for,
    stop_on_signal,
)
from .sources import Reference, open_source, runs_plan
from .swaps import ForkModelSwaps, ForkSwaps, parse_model_swaps, parse_swaps

EXAMPLES: Final = """Examples:

    tickwork fork weather.twk --at 24
    tickwork fork weather.twk --at 24 --set seed=7 --journal seven.twk
    tickwork fork weather.twk --at 24 --set agent.jfk.priority=5
    tickwork fork weather.twk --at 24 --set topic.region=storm
    tickwork fork weather.twk --at 24 --drop agent:jfk
    tickwork fork weather.twk --at 24 --swap jfk=station-2.wasm
    tickwork fork weather.twk --at 24 --swap-model forecast=forecast:1.1.0
    tickwork fork weather.twk --at 24 --revoke jfk=publish:anomaly
    tickwork fork 01a2 --at 3 --set input.city=LAX

--set takes
    topic.NAME=VALUE             a value the topic retains
    seed=N                       all random numbers anew from N
    agent.NAME.priority=N        another priority
    agent.NAME.fuel=N            other fuel per turn
    agent.NAME=stop              also suspend, resume
    window.NAME=open             also close
    input.NAME=VALUE             an input of the plan, for steps still to begin

--drop takes
    agent:NAME, topic:NAME       what feeds bring there
    source:feed:NAME             what one feed brings

A fork that changes nothing ends in the head of the original."""

SOURCE: Final = "operator"
PLAN_INPUT: Final = "input."
ACTIONS: Final[Mapping[str, InputKind]] = {
    "stop": InputKind.STOP_AGENT,
    "suspend": InputKind.SUSPEND_AGENT,
    "resume": InputKind.RESUME_AGENT,
}
WINDOW_ACTIONS: Final[Mapping[str, InputKind]] = {
    "open": InputKind.OPEN_WINDOW,
    "close": InputKind.CLOSE_WINDOW,
}
SETTINGS: Final[Mapping[str, tuple[int, int]]] = {"priority": (-(1 << 31), (1 << 31) - 1), "fuel": (1, MAX_INTEGER)}
"""What may be set of an agent, with the least and the greatest number."""

app = App(name="fork", help_epilogue=EXAMPLES)


@app.default
def fork(
    run: Reference,
    /,
    *,
    at: Annotated[int, Parameter(help="First tick of the new run that is its own.")],
    set_: Annotated[
        list[str] | None, Parameter(name="--set", negative="", help="What to change, as WHAT=VALUE; may be repeated.")
    ] = None,
    drop: Annotated[
        list[str] | None, Parameter(negative="", help="What to leave out, as KIND:NAME; may be repeated.")
    ] = None,
    to: Annotated[
        Path | None, Parameter(name="--journal", help="File to write; by default the next in .tickwork/runs.")
    ] = None,
    swap: ForkSwaps = None,
    swap_model: ForkModelSwaps = None,
    grant: ForkGrants = None,
    revoke: Revokes = None,
    decide: Decide = None,
    allow_unsigned: Unsigned = False,
    workers: Workers = None,
    folder: Folder = None,
    store: Store = None,
    providers: Providers = "",
    model_budget: Budget = "",
    telemetry: Telemetry = None,
    output: Output = "text",
) -> int:
    """Copy a run up to a tick, change something, and go on live in a new journal."""
    with open_source(run) as source:
        with reading(source) as parent:
            header, environment = read_header(parent)
        if runs_plan(source):
            for option, given in (("--journal", to), ("--swap", swap), ("--swap-model", swap_model)):
                if given:
                    raise UsageFault(f"{option} is for worlds", why="this is a run of a plan", fix="leave it out")
            from .fork_plan import fork_plan  # No other run loads anything of plans.

            own = [word.removeprefix(PLAN_INPUT) for word in set_ or [] if word.startswith(PLAN_INPUT)]
            rest = [word for word in set_ or [] if not word.startswith(PLAN_INPUT)]
            return fork_plan(source, header, at, parse_edit(header, rest, drop or []), own, output)
        edit = parse_edit(header, set_ or [], drop or [])
        of_swaps, grants = split_grants(grant or [], {word.partition("=")[0] for word in swap or []})
        of_models = parse_model_swaps(swap_model or [], ticks=False)
        swaps: tuple[AnySwap, ...] = (*parse_swaps(swap or [], of_swaps, ticks=False), *of_models)
        edit = Edit((*edit.inputs, *parse_grants(header, grants, revoke or [])), edit.dropped, swaps)
        models = ModelChoice(store, providers, model_budget, telemetry)
        with stop_on_signal() as stop, options_for("fork", workers=workers, folder=folder, models=models) as options:
            options = msgspec.structs.replace(options, stop=stop, allow_unsigned=allow_unsigned)
            target, decided = to or next_journal(header.name), decisions(decide or [])
            done = fork_run(source, at=at, to=target, edit=edit, decisions=decided, options=options)
    return finish(done, stop, output, {"parent": environment.run_id, "forked_at": at})


def parse_edit(header: Header, settings: Sequence[str], drops: Sequence[str]) -> Edit:
    """Return what a fork changes, each name checked against the run's header.

    Raises:
        UsageFault: TW1001, a change that is not understood, or a name the run has not.
    """
    return Edit(
        tuple(parse_setting(header, word) for word in settings), tuple(parse_drop(header, word) for word in drops)
    )


_WAYS_TO_SET: Final = (
    "write topic.NAME=VALUE, seed=N, agent.NAME.priority=N, agent.NAME.fuel=N, agent.NAME=stop, window.NAME=open, or"
    " of a plan input.NAME=VALUE"
)


def parse_setting(header: Header, word: str) -> Input:
    """Return one ``--set`` as the input it becomes."""
    name, equals, value = word.partition("=")
    kind, _, rest = name.partition(".")
    parse = _SETTINGS.get(kind)
    if not equals or parse is None:
        raise UsageFault(f"--set {word} is not understood", fix=_WAYS_TO_SET)
    return parse(header, rest, value, word)


def _set_topic(header: Header, name: str, value: str, word: str) -> Input:
    _known(name, header.topics, "topic", word)
    body = value.encode()
    return Input(InputKind.PUBLISH_RETAINED, SOURCE, name, body=body, size=len(body))


def _set_seed(_header: Header, _name: str, value: str, word: str) -> Input:
    return Input(InputKind.RESEED, SOURCE, number=_number(value, word, (0, MAX_INTEGER)))


def _set_agent(header: Header, name: str, value: str, word: str) -> Input:
    agents = [agent.name for agent in header.agents]
    if name in agents:
        if value not in ACTIONS:
            raise UsageFault(f"--set {word} is not understood", fix=choose(value, ACTIONS, ""))
        return Input(ACTIONS[value], SOURCE, name)
    agent, _, setting = name.rpartition(".")
    _known(agent or name, agents, "agent", word)
    if setting not in SETTINGS:
        raise UsageFault(f"--set {word}: an agent has no setting {setting!r}", fix=choose(setting, SETTINGS, ""))
    body, number = setting.encode(), _number(value, word, SETTINGS[setting])
    return Input(InputKind.CONFIGURE_AGENT, SOURCE, agent, number=number, body=body, size=len(body))


def _set_window(header: Header, name: str, value: str, word: str) -> Input:
    _known(name, [window.name for window in header.windows], "window", word)
    if value not in WINDOW_ACTIONS:
        raise UsageFault(f"--set {word} is not understood", fix=choose(value, WINDOW_ACTIONS, ""))
    return Input(WINDOW_ACTIONS[value], SOURCE, name)


_SETTINGS: Final[Mapping[str, Callable[[Header, str, str, str], Input]]] = {
    "topic": _set_topic,
    "seed": _set_seed,
    "agent": _set_agent,
    "window": _set_window,
}


def parse_drop(header: Header, word: str) -> str:
    """Return one ``--drop``, checked."""
    kind, _, name = word.partition(":")
    known = {
        "agent": [agent.name for agent in header.agents],
        "topic": list(header.topics),
        "source": [f"feed:{feed.name}" for feed in header.feeds],
    }
    if kind not in known:
        raise UsageFault(f"--drop {word} is not understood", fix="write agent:NAME, topic:NAME or source:feed:NAME")
    _known(name, known[kind], kind, word)
    return word


def _known(name: str, names: Iterable[str], kind: str, word: str) -> None:
    if name not in names:
        raise UsageFault(f"{word}: the run has no {kind} {name!r}", fix=choose(name, names, f"it has no {kind} at all"))


def _number(value: str, word: str, bounds: tuple[int, int]) -> int:
    least, greatest = bounds
    try:
        number = int(value)
    except ValueError:
        raise UsageFault(f"--set {word}: {value!r} is no integer", fix="write an integer") from None
    if not least <= number <= greatest:
        raise UsageFault(f"--set {word}: {value} is out of range", fix=f"use {least} to {greatest}")
    return number
