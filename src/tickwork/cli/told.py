"""A run of a plan as ``tickwork show`` tells it: its steps, who agreed to what, what it cost, and what it left."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ..driver.opening import read_header, reading
from ..driver.shape import is_table
from ..errors import UsageFault
from ..journal.shared import SharedJournal
from ..plane.calls import Usage
from ..plane.compiled import APPROVAL
from ..plane.costs import PLANNING
from ..plane.executor.money import add_usage
from ..plane.explain import CallStory, Explained, StepStory, as_document, explain
from ..plane.money import usd_text
from .conversations import conversation
from .output import Format, write_document, write_facts, write_line
from .screen import write_table

MOST_SHOWN: Final = 120
"""Characters of a value in a table; all of it stands with ``--step`` and ``-o json``."""

_COLUMNS: Final = ("step", "status", "skill", "#began", "#ended", "#calls", "#USD", "output")


def show_plan(source: Path | SharedJournal, until: int | None, step: str, form: Format) -> None:
    """Print how a run of a plan came out, or all of one step.

    Raises:
        UsageFault: TW1001, it is of no plan, or has no such step.
    """
    with reading(source) as journal:
        told, run_id = explain(journal, until=until), read_header(journal)[1].run_id
    found = _chosen(told, step) if step else None
    if form != "text":
        document: dict[str, Any] = {"run_id": run_id, **as_document(told)}
        if found is not None and found.path == PLANNING:
            document = {"path": PLANNING, "calls": document["system"]}
        elif found is not None:
            document = document["steps"][told.steps.index(found)]
        write_document(document, form)
    elif found is not None:
        _write_step(found)
    else:
        _write_run(told)


def _chosen(told: Explained, wanted: str) -> StepStory:
    for story in told.steps:
        if story.path == wanted:
            return story
    if wanted == PLANNING and told.system:
        return _planning(told)
    known = ", ".join(story.path for story in told.steps[:20])
    raise UsageFault(f"the run has no step {wanted!r}", why=f"it has {known or 'none'}", fix="name one of them")


def _planning(told: Explained) -> StepStory:
    """Return what the run has asked for itself, as if it were a step."""
    usage = Usage()
    for call in told.system:
        usage = add_usage(usage, call.usage)
    return StepStory(PLANNING, status="", calls=list(told.system), usage=usage)


def _write_run(told: Explained) -> None:
    write_facts(list(_facts(told)))
    if told.steps:
        write_line("")
        write_table(_COLUMNS, [_step_row(story) for story in told.steps])
    _write_part(
        ("step", "asked for", "decision", "by", "#tick", "arguments"),
        [row for story in told.steps for row in _approval_rows(story)],
    )
    _write_part(
        ("step", "artifact", "type", "#bytes", "digest"),
        [
            (story.path, one.name, one.mime, one.size, one.digest.hex()[:16])
            for story in told.steps
            for one in story.artifacts
        ],
    )
    if told.planner:
        write_line(f"\nhow it was planned: tickwork show RUN --step '{PLANNING}'")
    _write_part(("#tick", "step", "what", ""), [(one.tick, one.path, one.kind, _short(one.text)) for one in told.told])


def _write_part(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        write_line("")
        write_table(columns, rows)


def _facts(told: Explained) -> Iterator[tuple[str, object]]:
    yield "plan", f"{told.plan}@{told.version}" if told.plan else "none yet"
    if told.goal:
        yield "goal", told.goal
    if told.planner:
        yield "planner", told.planner
    yield "profile", told.profile
    yield "status", told.status + (", with a fallback" if told.degraded else "")
    if told.failure is not None:
        yield "failure", f"{told.failure.code} {told.failure.message}"
    if not told.undone:
        yield "undone", "not everything that was to be undone could be"
    yield "inputs", _text(told.inputs)
    yield "output", _text(told.output)
    yield "ticks", told.ticks
    yield "calls", told.calls
    usage = told.usage
    yield "cost", f"{usd_text(usage.cost_micros)} USD"
    if usage.tokens_in or usage.tokens_out:
        yield "tokens", f"{usage.tokens_in} in, {usage.tokens_out} out, {usage.tokens_cached} cached"
    if told.open:
        yield "waits for", ", ".join(f"{call.skill} of {call.path or 'the run'}" for call in told.open[:20])


def _step_row(story: StepStory) -> tuple[object, ...]:
    calls = sum(call.purpose != "system" for call in story.calls)
    status = f"{story.status} ({story.reason})" if story.reason else story.status
    came = f"{story.error.code} {story.error.message}" if story.error is not None else _text(story.output)
    return (
        story.path,
        status,
        story.skill,
        "" if story.began < 0 else story.began,
        "" if story.ended < 0 else story.ended,
        calls,
        usd_text(story.usage.cost_micros) if story.usage.cost_micros else "",
        "" if came == "null" else _short(came),
    )


def _approval_rows(story: StepStory) -> Iterator[tuple[object, ...]]:
    for call in story.calls:
        if call.skill != APPROVAL:
            continue
        asked = msgspec.json.decode(call.params)
        decision = call.decision
        yield (
            story.path,
            asked["kind"],
            ("none" if story.ended >= 0 else "none yet") if decision is None else decision.decision,
            "" if decision is None else ", ".join(decision.by),
            "" if call.answered < 0 else call.answered,
            _short(f"{asked['skill']} {msgspec.json.encode(asked['arguments']).decode()}"),
        )


def _write_step(story: StepStory) -> None:
    facts: list[tuple[str, object]] = [
        ("step", story.path),
        *([("title", story.title)] if story.title else []),
        *(_state_facts(story) if story.status else []),
        ("cost", f"{usd_text(story.usage.cost_micros)} USD"),
    ]
    if story.error is not None:
        facts.append(("error", f"{story.error.code} {story.error.message}"))
    write_facts(facts)
    for call in story.calls:
        write_line("")
        write_facts(list(_call_facts(call)))
        if bytes(call.transcript):
            _write_transcript(bytes(call.transcript))


def _state_facts(story: StepStory) -> list[tuple[str, object]]:
    return [
        ("status", f"{story.status} ({story.reason})" if story.reason else story.status),
        ("began", "not yet" if story.began < 0 else f"tick {story.began}"),
        ("ended", "not yet" if story.ended < 0 else f"tick {story.ended}"),
        ("labels", ", ".join(story.labels) or "none"),
        ("output", _text(story.output)),
    ]


def _call_facts(call: CallStory) -> Iterator[tuple[str, object]]:
    yield "call", f"{call.number} of {call.effect} ({call.purpose}, attempt {call.attempt})"
    yield "ticks", f"{call.tick} to {call.answered}" if call.answered >= 0 else f"{call.tick}, not answered yet"
    yield "params", _text(call.params)
    if call.labels:
        yield "labels", ", ".join(call.labels)
    if call.approved_by:
        yield "agreed", call.approved_by
    if call.answered >= 0:
        cached = ", an earlier one" if call.cached else ""
        yield "output", _text(call.output) + cached
    if call.failure is not None:
        yield "failure", f"{call.failure.code} {call.failure.message}"
    if call.usage.cost_micros or call.reserved_micros:
        aside = f", {usd_text(call.reserved_micros)} set aside" if call.reserved_micros else ""
        yield "cost", f"{usd_text(call.usage.cost_micros)} USD{aside}"
    if call.usage.model:
        usage = call.usage
        yield "model", f"{usage.model}: {usage.tokens_in} tokens in, {usage.tokens_out} out, prices {usage.prices}"
    for one in call.artifacts:
        yield "artifact", f"{one.name} ({one.mime}, {one.size} bytes, {one.digest.hex()[:16]})"


def _write_transcript(transcript: bytes) -> None:
    """Print a planner's notes and what was said, as it was said. What is no conversation is printed as it is."""
    document: object = msgspec.json.decode(transcript)
    if not is_table(document) or "exchanges" not in document:
        write_facts([("said", transcript.decode(errors="replace"))])
        return
    notes = document.get("notes")
    if is_table(notes) and notes:
        write_facts([(name, msgspec.json.encode(note).decode()) for name, note in notes.items()])
    for who, words in conversation(document):
        write_line(f"\n--- {who}")
        write_line(words)


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode(errors="replace")


def _short(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."
