"""Task graphs: which tasks wait, which are ready, and in what order.

Invariants:
    * A task becomes ready in the commit in which its last dependency is done, never earlier.
    * The ready order of an agent's queue is (priority descending, rank, number): topological, respecting priority.
    * A failed task fails everything that waits for it.
"""

from bisect import insort
from collections.abc import Iterable

from ..records import TaskSpec
from .state import AgentState, State, TaskState, TaskStatus


def find_cycle(depends_on: list[tuple[int, ...]]) -> list[int]:
    """Return one cycle as task indices, the first repeated at the end, or an empty list.

    Args:
        depends_on: For each task the indices it waits for. Bounds: 0 <= index < len(depends_on).
    """
    colour = [0] * len(depends_on)
    for root in range(len(depends_on)):
        path: list[int] = []
        stack: list[tuple[int, int]] = [(root, 0)] if colour[root] == 0 else []
        while stack:
            node, edge = stack.pop()
            if edge == 0:
                colour[node] = 1
                path.append(node)
            if edge == len(depends_on[node]):
                colour[node] = 2
                path.pop()
                continue
            stack.append((node, edge + 1))
            child = depends_on[node][edge]
            if colour[child] == 1:
                return [*path[path.index(child) :], child]
            if colour[child] == 0:
                stack.append((child, 0))
    return []


def add_tasks(state: State, specs: tuple[TaskSpec, ...], numbers: dict[str, int]) -> None:
    """Add the world's tasks. They must be free of cycles.

    Args:
        numbers: Agent numbers by name.
    """
    for index, spec in enumerate(specs):
        task = TaskState(
            index,
            spec.name,
            numbers[spec.agent],
            spec.priority,
            spec.encoding,
            spec.body,
            index,
            -1,
            len(spec.depends_on),
        )
        state.tasks.append(task)
    for index, spec in enumerate(specs):
        for dependency in spec.depends_on:
            state.tasks[dependency].dependents.append(index)
    order = [task.number for task in state.tasks if not task.waits]
    waits = [task.waits for task in state.tasks]
    for number in order:
        for dependent in state.tasks[number].dependents:
            state.tasks[dependent].rank = max(state.tasks[dependent].rank, state.tasks[number].rank + 1)
            waits[dependent] -= 1
            if not waits[dependent]:
                order.append(dependent)
    assert len(order) == len(specs), "cycles are refused when the world is read"
    for task in state.tasks:
        if not task.waits:
            enqueue(state, task, 0)


def enqueue(state: State, task: TaskState, tick: int) -> None:
    """Put a task whose dependencies are done into its agent's queue, ready from ``tick`` on."""
    assert task.waits == 0
    task.status = TaskStatus.READY
    agent = state.agents[task.agent]
    insort(agent.queue, task.number, key=lambda n: (-state.tasks[n].priority, state.tasks[n].rank, n))
    agent.ready_since = min(agent.ready_since, tick)


def start_next(state: State, agent: AgentState) -> TaskState | None:
    """Start the best ready task of an agent that has none, and return it."""
    if agent.task >= 0 or not agent.queue:
        return None
    task = state.tasks[agent.queue.pop(0)]
    task.status = TaskStatus.RUNNING
    agent.task = task.number
    return task


def finish(state: State, agent: AgentState) -> list[TaskState]:
    """Mark the agent's task done; return the tasks that wait for nothing more, in order of number, to be queued."""
    done = state.tasks[agent.task]
    done.status = TaskStatus.DONE
    agent.task = -1
    freed: list[TaskState] = []
    for number in done.dependents:
        task = state.tasks[number]
        task.waits -= 1
        if task.waits == 0 and task.status == TaskStatus.WAITING:
            freed.append(task)
    return freed


def fail(state: State, tasks: Iterable[int]) -> list[TaskState]:
    """Fail tasks and all that wait for them; return those that were not over before, in order of number.

    Args:
        tasks: None of them may be in a queue. What waits for a task is in none.
    """
    pending = list(tasks)
    failed: list[int] = []
    while pending:
        task = state.tasks[pending.pop()]
        if task.status in (TaskStatus.DONE, TaskStatus.FAILED):
            continue
        if task.status == TaskStatus.RUNNING:
            state.agents[task.agent].task = -1
        task.status, task.body = TaskStatus.FAILED, b""
        failed.append(task.number)
        pending.extend(task.dependents)
    return [state.tasks[number] for number in sorted(failed)]
