"""Draws a plan: with characters, for Graphviz, or for Mermaid.

In the drawing with characters every step that something waits for has a line that goes down from it. A step stands at
the end of a horizontal line that joins those of the steps it waits for; where that line only crosses another one, the
other one is drawn whole.
"""

from collections.abc import Iterator
from typing import Final

from .compiled import Compiled, Plan, SkillPin, Step
from .plan_order import topological

MAX_LINES: Final = 32
"""Lines beside each other. A wider plan is drawn without them, each step with the names of those it waits for."""

_MARK: Final = "○"


def draw(compiled: Compiled) -> str:
    """Return all plans as text, the run's own first. Order of steps: those that can begin first come first."""
    blocks: list[str] = []
    for index, plan in enumerate(compiled.plans):
        title = [f"{plan.name} {plan.version}", ""] if not index else [f"plan {plan.name}", ""]
        blocks.append("\n".join([*title, *_drawn(plan, compiled)]))
    return "\n\n".join(blocks) + "\n"


def dot(compiled: Compiled) -> str:
    """Return all plans in the language of Graphviz."""
    lines = ["digraph plan {", "  rankdir=TB;", '  node [shape=box, fontname="sans-serif"];']
    for index, plan in enumerate(compiled.plans):
        lines += [f"  subgraph cluster_{index} {{", f"    label={_dot_text(plan.name)};"]
        for place, step in enumerate(plan.steps):
            shape = ", shape=oval" if step.wait is not None else ", shape=component" if step.plan >= 0 else ""
            lines.append(f"    {_node(index, place)} [label={_dot_text(*_label(step, compiled))}{shape}];")
        for place, step in enumerate(plan.steps):
            style = f" [label={_dot_text(step.when)}]" if step.when else ""
            lines += [f"    {_node(index, before)} -> {_node(index, place)}{style};" for before in step.after]
        lines.append("  }")
    lines += [
        f"  {_node(index, place)} -> {_node(step.plan, 0)} [style=dashed];"
        for index, place, step in _plans_run(compiled)
    ]
    return "\n".join([*lines, "}"]) + "\n"


def mermaid(compiled: Compiled) -> str:
    """Return all plans as a flowchart of Mermaid."""
    lines = ["flowchart TD"]
    for index, plan in enumerate(compiled.plans):
        lines.append(f'  subgraph p{index} ["{_mermaid_text(plan.name)}"]')
        for place, step in enumerate(plan.steps):
            left, right = ("([", "])") if step.wait is not None else ("[[", "]]") if step.plan >= 0 else ("[", "]")
            label = "<br/>".join(map(_mermaid_text, _label(step, compiled)))
            lines.append(f'    {_node(index, place)}{left}"{label}"{right}')
        for place, step in enumerate(plan.steps):
            arrow = f'-->|"{_mermaid_text(step.when)}"|' if step.when else "-->"
            lines += [f"    {_node(index, before)} {arrow} {_node(index, place)}" for before in step.after]
        lines.append("  end")
    lines += [f"  {_node(index, place)} -.-> p{step.plan}" for index, place, step in _plans_run(compiled)]
    return "\n".join(lines) + "\n"


def does(step: Step, pins: tuple[SkillPin, ...], plans: tuple[Plan, ...]) -> str:
    """Return in a few words what a step does: ``http_call@1``, ``plan clean``, ``wait for signal go``."""
    if step.call is not None:
        return f"{pins[step.call.skill].name}@{pins[step.call.skill].version}"
    if step.plan >= 0:
        return f"plan {plans[step.plan].name}"
    wait = step.wait
    if wait is None:
        return ""
    return {"timer": f"wait {_time(wait.timer_ms)}", "signal": f"wait for signal {wait.signal}"}.get(
        wait.kind, "wait for input"
    )


def remarks(step: Step) -> Iterator[str]:
    """Yield what is out of the ordinary about a step."""
    if step.when:
        yield f"when {step.when}"
    if step.for_each:
        yield f"for each of {step.for_each}"
    if step.join:
        yield f"after any {step.join} of {len(step.after)}" if step.join > 1 else "after any"
    if step.approval is not None:
        people = ", ".join(step.approval.by) or "anybody"
        yield f"approval of {people}" if step.approval.need < 2 else f"approval of {step.approval.need} of {people}"
    if step.on_error != "abort":
        yield f"on error {step.on_error}"
    if step.compensate is not None:
        yield "can be undone"


def _drawn(plan: Plan, compiled: Compiled) -> Iterator[str]:
    order = topological([step.after for step in plan.steps])
    left = [0] * len(plan.steps)
    for step in plan.steps:
        for before in step.after:
            left[before] += 1
    columns: list[int | None] = []
    rows: list[str] = []
    for place in order:
        row = _row(plan.steps[place], place, columns, left)
        if row is None:
            yield from _listed(plan, order, compiled)
            return
        rows.append(row)
    width = max(map(len, rows), default=0)
    names = max((len(step.id) for step in plan.steps), default=0)
    for place, row in zip(order, rows, strict=True):
        yield f"{row:<{width}} {plan.steps[place].id:<{names}}  {_said(plan.steps[place], compiled)}".rstrip()


def _row(step: Step, place: int, columns: list[int | None], left: list[int]) -> str | None:
    """Return the lines beside a step, and change what goes down from here; None where there are too many."""
    joined = [column for column, source in enumerate(columns) if source is not None and source in step.after]
    first = joined[0] if joined else -1
    at = (joined[-1] + 1) if joined else 0
    while at < len(columns) and columns[at] is not None:
        at += 1
    if at >= MAX_LINES:
        return None
    columns.extend([None] * (at + 1 - len(columns)))
    cells: list[str] = []
    for column, source in enumerate(columns):
        inside = joined and first <= column < at
        mark = " " if source is None else "│"
        if column == at:
            mark = _MARK
        elif column in joined:
            assert source is not None, "a line that is joined comes from a step"
            left[source] -= 1
            goes_on = left[source] > 0
            mark = ("├" if goes_on else "╰") if column == first else ("┼" if goes_on else "┴")
            if not goes_on:
                columns[column] = None
        elif inside and source is None:
            mark = "─"
        cells.append(mark + ("─" if inside else " "))
    columns[at] = place if left[place] else None
    while columns and columns[-1] is None:
        columns.pop()
    return "".join(cells).rstrip()


def _listed(plan: Plan, order: list[int], compiled: Compiled) -> Iterator[str]:
    names = max((len(step.id) for step in plan.steps), default=0)
    for place in order:
        step = plan.steps[place]
        after = ", ".join(plan.steps[before].id for before in step.after)
        waits = f"  after {after}" if after else ""
        yield f"{_MARK} {step.id:<{names}}  {_said(step, compiled)}{waits}"


def _said(step: Step, compiled: Compiled) -> str:
    return "; ".join([does(step, compiled.pins, compiled.plans), *remarks(step)])


def _label(step: Step, compiled: Compiled) -> list[str]:
    more = [remark for remark in remarks(step) if not remark.startswith("when ")]
    return [step.id, does(step, compiled.pins, compiled.plans), *more]


def _plans_run(compiled: Compiled) -> Iterator[tuple[int, int, Step]]:
    for index, plan in enumerate(compiled.plans):
        for place, step in enumerate(plan.steps):
            if step.plan >= 0:
                yield index, place, step


def _node(plan: int, place: int) -> str:
    return f"n{plan}_{place}"


def _dot_text(*lines: str) -> str:
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def _mermaid_text(text: str) -> str:
    """Return a text of which nothing is read as Mermaid or as HTML."""
    return "".join(char if char.isalnum() or char in " _-.,@=+/()" else f"#{ord(char)};" for char in text)


def _time(ms: int) -> str:
    parts: list[str] = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        amount, ms = divmod(ms, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"
