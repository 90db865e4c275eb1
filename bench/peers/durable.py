"""LangGraph with its SqliteSaver, and DBOS on SQLite: three steps, each durable before the next.

LangGraph saves with ``durability="sync"``, in WAL mode with ``synchronous=FULL``; DBOS as it is set by default.
"""

import importlib
import logging
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

from ..measure import PeerMissing

AT_ONCE = 16


class _State(TypedDict):
    x: int


class LangGraphSqlite:
    """A graph of three nodes, one after the other, with a checkpoint after each."""

    def __init__(self, folder: Path) -> None:
        try:
            graphs: Any = importlib.import_module("langgraph.graph")
            saving: Any = importlib.import_module("langgraph.checkpoint.sqlite")
        except ImportError as error:
            raise PeerMissing("pip install langgraph langgraph-checkpoint-sqlite") from error
        self._connection = sqlite3.connect(folder / "langgraph.db", check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = FULL")
        graph = graphs.StateGraph(_State)
        for name in "abc":
            graph.add_node(name, _node)
        for one, other in ((graphs.START, "a"), ("a", "b"), ("b", "c"), ("c", graphs.END)):
            graph.add_edge(one, other)
        self._app = graph.compile(checkpointer=saving.SqliteSaver(self._connection))
        self._threads = ThreadPoolExecutor(AT_ONCE)

    def _one(self, number: int) -> None:
        thread = {"configurable": {"thread_id": uuid.uuid4().hex}}
        made = self._app.invoke({"x": number}, thread, durability="sync")["x"]
        assert made == number + 3

    def run(self, times: int) -> None:
        """Run so many workflows, one after another."""
        for number in range(times):
            self._one(number)

    def run_at_once(self, times: int) -> None:
        """Run so many times sixteen workflows at once."""
        list(self._threads.map(self._one, range(times * AT_ONCE)))

    def close(self) -> None:
        """Let go of the file."""
        self._threads.shutdown()
        self._connection.close()


class DbosSqlite:
    """A workflow of three steps."""

    def __init__(self, folder: Path) -> None:
        try:
            self._library: Any = importlib.import_module("dbos").DBOS
        except ImportError as error:
            raise PeerMissing("pip install dbos") from error
        logging.getLogger("dbos").setLevel(logging.ERROR)
        dbos = self._library
        place = f"sqlite:///{folder / 'dbos.sqlite'}"
        dbos(config={"name": "bench", "system_database_url": place, "log_level": "ERROR"})
        step = dbos.step()(_add)

        @dbos.workflow()  # type: ignore[untyped-decorator]
        def workflow(number: int) -> int:
            made: int = step(step(step(number)))
            return made

        self._workflow = workflow
        self._threads = ThreadPoolExecutor(AT_ONCE)
        dbos.launch()

    def _one(self, number: int) -> None:
        assert self._workflow(number) == number + 3

    def run(self, times: int) -> None:
        """Run so many workflows, one after another."""
        for number in range(times):
            self._one(number)

    def run_at_once(self, times: int) -> None:
        """Run so many times sixteen workflows at once."""
        list(self._threads.map(self._one, range(times * AT_ONCE)))

    def close(self) -> None:
        """Let go of the file."""
        self._threads.shutdown()
        self._library.destroy()


def _node(state: _State) -> _State:
    return {"x": state["x"] + 1}


def _add(number: int) -> int:
    return number + 1
