"""``tickwork show``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import App, Parameter

from ..driver import look
from ..driver.model_notes import models_of
from ..errors import AgentNotFound
from ..journal.shared import SharedJournal
from ..records import AGAIN, UNTIL_MESSAGE
from .output import Format, Output, write_document, write_facts, write_line, write_rows
from .screen import write_table
from .session import trap_reader
from .sources import Reference, open_source, runs_plan

EXAMPLES: Final = """Examples:

    tickwork show weather.twk
    tickwork show weather.twk agents --tick 100
    tickwork show weather.twk messages --tick 90 --agent jfk -o jsonl
    tickwork show weather.twk frame --tick 100
    tickwork show weather.twk models
    tickwork show 01a2 plan --step report

Without a view a run of a plan is shown by its steps, any other one by its state."""

View = Literal["state", "agents", "messages", "frame", "models", "plan"]

MESSAGE_COLUMNS: Final = ("#tick", "place", "kind", "from", "to", "#bytes", "body")

CODES: Final[Mapping[int, str]] = {AGAIN: "again", UNTIL_MESSAGE: "until message"}
"""Return codes that say no number of ticks."""

app = App(name="show", help_epilogue=EXAMPLES)


class Request(msgspec.Struct, frozen=True):
    """What to show, and how."""

    journal: Path | SharedJournal
    tick: int | None
    last: int | None
    agent: str
    form: Format
    step: str = ""


@app.default
def show(
    run: Reference,
    view: Annotated[View | None, Parameter(help="What to look at.")] = None,
    /,
    *,
    tick: Annotated[int | None, Parameter(help="After which tick; by default the last one.")] = None,
    last: Annotated[int | None, Parameter(help="With messages: up to this tick.")] = None,
    agent: Annotated[str, Parameter(help="Only this agent, by name or number.")] = "",
    step: Annotated[str, Parameter(help="With plan: all of this step, by its path.")] = "",
    output: Output = "text",
) -> int:
    """Show a run at any tick: its state, agents, messages, records or models, or the steps of its plan."""
    with open_source(run) as source:
        chosen_view = view or ("plan" if runs_plan(source) else "state")
        VIEWS[chosen_view](Request(source, tick, last, agent, output, step))
    return 0


def show_state(request: Request) -> None:
    """Print the whole state."""
    state = look.state_at(request.journal, request.tick)
    if request.form != "text":
        write_document(msgspec.to_builtins(state), request.form)
        return
    agents = chosen(state.agents, request.agent)
    write_run_facts(state)
    write_line("")
    write_agents(agents)
    write_line("")
    write_topics(state.topics)
    if state.windows:
        write_line("")
        windows = [
            (w.name, w.kind, "open" if w.open else "closed", w.writer, ", ".join(w.readers), w.epoch, w.total, w.digest)
            for w in state.windows
        ]
        write_table(("window", "kind", "is", "writer", "readers", "#epoch", "#bytes", "digest"), windows)
    if state.tasks:
        write_line("")
        write_table(("task",), [(task,) for task in state.tasks])


def write_run_facts(state: look.StateView) -> None:
    """Print how a run stands, without its agents and topics."""
    write_facts(
        [
            ("next tick", state.tick),
            ("status", state.status),
            ("messages", state.seq),
            ("dead letters", state.dead_letters),
            ("timers", state.timers),
            ("open effects", ", ".join(state.effects) or "none"),
            ("state digest", state.root),
        ]
    )


def write_topics(topics: Sequence[look.TopicView]) -> None:
    """Print topics and what they retain as a table."""
    rows = [(topic.name, topic.version, ", ".join(topic.subscribers), topic.value) for topic in topics]
    write_table(("topic", "#version", "subscribers", "value"), rows)


def show_agents(request: Request) -> None:
    """Print the agents."""
    state = look.state_at(request.journal, request.tick)
    agents = chosen(state.agents, request.agent)
    if request.form == "text":
        write_agents(agents)
    else:
        write_rows(agents, "agents", {"tick": state.tick}, request.form)


def chosen(agents: Sequence[look.AgentView], wanted: str) -> list[look.AgentView]:
    """Return all agents, or the one that is wanted by name or number."""
    found = [agent for agent in agents if not wanted or wanted in (agent.name, str(agent.number))]
    if not found and wanted:
        names = ", ".join(agent.name for agent in agents[:20])
        raise AgentNotFound(f"the run has no agent {wanted!r}", why=f"it has {names}", fix="name one of them")
    return found


def write_agents(agents: Sequence[look.AgentView]) -> None:
    """Print agents as a table."""
    rows = [
        (
            agent.number,
            agent.name,
            agent.kind,
            agent.status,
            agent.priority,
            agent.mail,
            agent.mail_bytes,
            "a message" if agent.wake is None else agent.wake,
            agent.failures,
            agent.task,
            agent.version,
            agent.digest[:12],
        )
        for agent in agents
    ]
    columns = (
        "#no",
        "agent",
        "kind",
        "status",
        "#priority",
        "#mail",
        "#bytes",
        "wakes at",
        "#failures",
        "task",
        "version",
        "code",
    )
    write_table(columns, rows)


def show_messages(request: Request) -> None:
    """Print what entered and what was sent in a range of ticks."""
    first = look.frame_at(request.journal, request.tick).tick
    found = look.messages_between(request.journal, first, max(first, request.last or first), request.agent)
    if request.form == "text":
        write_table(MESSAGE_COLUMNS, message_rows(list(found)))
    else:
        write_rows(found, "messages", {"tick": first}, request.form)


def message_rows(messages: Sequence[look.MessageView]) -> list[tuple[object, ...]]:
    """Return messages as rows of a table."""
    return [(m.tick, m.place, m.kind, m.source, m.target, m.size, m.body) for m in messages]


def show_frame(request: Request) -> None:
    """Print one tick's records."""
    frame = look.frame_at(request.journal, request.tick, explain=trap_reader())
    if request.form != "text":
        write_document(msgspec.to_builtins(frame), request.form)
        return
    write_facts([("tick", frame.tick), ("D", frame.d), ("F", frame.f)])
    write_line("")
    rows = [
        (
            t.slot,
            t.agent,
            t.operation,
            t.status,
            "" if t.status == "denied" else CODES.get(t.code, t.code),
            t.frames,
            t.fuel,
            t.detail,
        )
        for t in frame.turns
    ]
    write_table(("#slot", "agent", "operation", "status", "#code", "#frames", "#fuel", "detail"), rows)
    write_line("")
    write_table(MESSAGE_COLUMNS, message_rows([*frame.inputs, *frame.messages]))
    if frame.derived:
        write_line("")
        write_table(("derived",), [(text,) for text in frame.derived])
    if frame.models:
        write_line("")
        write_table(("models",), [(text,) for text in frame.models])


def show_models(request: Request) -> None:
    """Print which models were asked, who answered, and what happened on the way."""
    found = models_of(request.journal, request.tick)
    if request.form != "text":
        write_document(msgspec.to_builtins(found), request.form)
        return
    rows: list[tuple[object, ...]] = [
        (m.name, m.version, m.digest[:12], m.profile, m.batch, m.delivery, m.since, m.asked, m.answered, m.refused)
        for m in found.models
    ]
    columns = (
        "model",
        "version",
        "digest",
        "profile",
        "batch",
        "delivery",
        "#since",
        "#asked",
        "#answered",
        "#refused",
    )
    write_table(columns, rows)
    if found.sessions:
        write_line("")
        rows = [
            (s.model, s.session[:12], s.since, s.answers, s.provider, s.runtime, f"{s.system} {s.processor}")
            for s in found.sessions
        ]
        write_table(("model", "session", "#since", "#answers", "provider", "runtime", "machine"), rows)
    if found.incidents:
        write_line("")
        rows = [(i.tick, i.model, i.kind, i.text) for i in found.incidents]
        write_table(("#tick", "model", "what", "why"), rows)


def show_plan(request: Request) -> None:
    """Print the steps of a plan, or all of one of them."""
    from .told import show_plan  # No other run loads anything of plans.

    show_plan(request.journal, request.tick, request.step, request.form)


VIEWS: Final[Mapping[View, Callable[[Request], None]]] = {
    "state": show_state,
    "agents": show_agents,
    "messages": show_messages,
    "frame": show_frame,
    "models": show_models,
    "plan": show_plan,
}
