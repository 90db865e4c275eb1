"""Two tenants of one store: neither reads, changes, counts or hinders what is the other's, by whatever function.

Every public function of what keeps rows is called by one tenant with every id, name, key and digest of the other's.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.plane.stores import Hands, open_store
from tickwork.errors import TickworkError
from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.approvals import Approvals
from tickwork.plane.artifacts import ArtifactShelf, Folder, Leaving, Wanted
from tickwork.plane.budgets import Entry, Ledger, Limit
from tickwork.plane.calls import ApprovalRequest, Order, Usage
from tickwork.plane.dead_letters import DeadLetters
from tickwork.plane.memory.items import Memory
from tickwork.plane.memory.search import search
from tickwork.plane.orders import Given, Orders
from tickwork.plane.profile import DEFAULT_TABLE
from tickwork.plane.profiles import Profiles
from tickwork.plane.skills.caching import StoredOutputs
from tickwork.plane.skills.performing import Kept
from tickwork.plane.store import tables
from tickwork.plane.store.runs import DEAD, NewRun, Progress, Runs
from tickwork.plane.store.sql import select, update
from tickwork.plane.store.store import Store
from tickwork.plane.waits import NewWait, Waits

CANARY = "canary-4711"
SKILL = bytes(range(32))
TABLE = msgspec.structs.replace(DEFAULT_TABLE, name="agent", description=CANARY)


class Tenant:
    """All that keeps rows, for one tenant, and what that tenant has put there."""

    def __init__(self, name: str, store: Store, clock: Hands, folder: Path) -> None:
        self.name = name
        self.runs = Runs(store, name)
        self.waits = Waits(store, name)
        self.approvals = Approvals(store, name)
        self.orders = Orders(store, name)
        self.letters = DeadLetters(store, name)
        self.shelf = ArtifactShelf(store, Folder(folder / "artifacts"), clock, name)
        self.memory = Memory(store, clock, HashedNgrams(), profile="agent", tenant=name)
        self.ledger = Ledger(store, clock, name)
        self.profiles = Profiles(store, clock, name)
        self.cache = StoredOutputs(store, clock, name)
        self._store = store

    def fill(self) -> None:
        """Put something of everything there."""
        self.run = self.runs.submit(NewRun(key="key", request=b"one", name=CANARY, goal=CANARY), owner=f"{self.name}1")[
            0
        ]
        self.dead = self.runs.submit(NewRun(request=b"two", name=CANARY))[0]
        asked = ApprovalRequest("step", "pay", CANARY, msgspec.Raw(b'{"canary-4711":1}'))
        self.question = NewWait("approval", "pay", b"{}", message=CANARY, approval=asked)
        self.waits.look(self.run.id, "e1", self.question)
        self.waits.look(self.run.id, "e2", NewWait("input", "ask", b'{"canary-4711":1}', message=CANARY))
        self.waits.look(self.run.id, "e3", NewWait("signal", "hear", b"{}", name="ready"))
        self.approval, self.input, _ = (one.id for one in self.waits.list(run_id=self.run.id))
        self.waits.send(self.run.id, "other", b'"canary-4711"', key="sent")
        self.orders.give(self.run.id, Order("cancel", by=CANARY), key="told")
        self.order = self.orders.new(self.run.id)[0]
        with self._store.begin() as connection:
            self.letters.add(connection, self.dead.id, CANARY, 1)
            connection.execute(update(tables.run).where(tables.run.c.id == self.dead.id).values(status=DEAD))
        self.artifact = self.shelf.put(Leaving("a.txt", "text/plain", tags=("t",), run_id=self.run.id), CANARY.encode())
        self.row = self.shelf.find("a.txt")
        self.memory.set_block("note", CANARY)
        self.item = self.memory.add("semantic", CANARY)
        self.memory.say("k", "user", CANARY)
        self.ledger.reserve("call", 70, [Limit("profile:agent", "total", 100)], Entry(self.run.id, CANARY))
        self.profiles.add(TABLE, CANARY)
        self.cache.keep(SKILL, "k", Kept(b'"canary-4711"'), 1_000_000)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Tenant, Tenant, Store]]:
    store, clock = open_store(tmp_path)
    with store:
        victim, other = Tenant("victim", store, clock, tmp_path), Tenant("other", store, clock, tmp_path)
        victim.fill()
        yield victim, other, store


def rows_of(store: Store, tenant: str) -> dict[str, list[tuple[object, ...]]]:
    """Return all that a tenant has, table by table."""
    with store.reading() as connection:
        return {
            table.name: sorted(
                (tuple(row) for row in connection.execute(select(table).where(table.c.tenant_id == tenant))), key=repr
            )
            for table in tables.METADATA.sorted_tables
            if "tenant_id" in table.c
        }


def attempts(a: Tenant, b: Tenant, store: Store) -> dict[str, list[Callable[[], Any]]]:
    """Return what ``b`` does with all that is known of ``a``, by class and function."""
    grant = ("grant", "deny", "modify")
    mine = msgspec.structs.replace(a.run, tenant_id=b.name)
    table = msgspec.structs.replace(TABLE, description="mine")

    def lay() -> None:
        with store.begin() as connection:
            b.letters.add(connection, "r_mine", "mine", 1)

    return {
        "Runs.submit": [
            lambda: b.runs.submit(NewRun(key="key", request=b"mine", parent_id=a.run.id, relation="rerun"))
        ],
        "Runs.get": [lambda: b.runs.get(a.run.id)],
        "Runs.find": [lambda: b.runs.find(a.run.id), lambda: b.runs.find("r_"), lambda: b.runs.find("")],
        "Runs.page": [
            lambda: b.runs.page(root=a.run.id),
            lambda: b.runs.page(before=a.run),
            lambda: b.runs.page(profile="default", statuses=("running", DEAD)),
        ],
        "Runs.ready": [b.runs.ready],
        "Runs.claim": [lambda: b.runs.claim(a.run.id, "other1"), lambda: b.runs.claim(a.run.id, "victim1")],
        "Runs.renew": [lambda: b.runs.renew("victim1")],
        "Runs.note": [lambda: b.runs.note(mine, Progress("failed"))],
        "Runs.let_go": [
            lambda: b.runs.let_go(mine, Progress("failed")),
            lambda: b.runs.let_go(a.run, Progress("failed")),
        ],
        "Runs.wake": [lambda: b.runs.wake([a.run.id])],
        "Runs.woken": [lambda: b.runs.woken("victim1")],
        "Waits.now_us": [],
        "Waits.look": [lambda: b.waits.look(a.run.id, "e1", a.question)],
        "Waits.losses": [lambda: b.waits.losses(a.run.id, "e")],
        "Waits.use": [lambda: b.waits.use(a.run.id, "e1")],
        "Waits.changed": [lambda: b.waits.changed(a.run.id, ["e1", "e2", "e3"])],
        "Waits.cancel": [lambda: b.waits.cancel(a.run.id), lambda: b.waits.cancel(a.run.id, ["e1"])],
        "Waits.list": [lambda: b.waits.list(run_id=a.run.id), lambda: b.waits.list(status="")],
        "Waits.find": [lambda: _found(store, b, a.approval), lambda: _found(store, b, "w_")],
        "Waits.answer": [],  # Of a row that was found.
        "Waits.give": [lambda: b.waits.give(a.input, 1, by="eve"), lambda: b.waits.give("w_", 1, by="eve")],
        "Waits.check_open": [],
        "Waits.send": [
            lambda: b.waits.send(a.run.id, "ready", b"1"),
            lambda: b.waits.send(a.run.id, "other", b"1", key="sent"),
        ],
        "Approvals.list": [lambda: b.approvals.list(status=""), lambda: b.approvals.list(run_id=a.run.id)],
        "Approvals.find": [lambda: b.approvals.find(a.approval), lambda: b.approvals.find("w_")],
        "Approvals.decide": [
            *(lambda said=said: b.approvals.decide(a.approval, said, by="eve", value={}) for said in grant)
        ],
        "Approvals.delegate": [lambda: b.approvals.delegate(a.approval, "eve", by="ann")],
        "Orders.give": [
            lambda: b.orders.give(a.run.id, Order("cancel")),
            lambda: b.orders.give(a.run.id, Order("cancel"), key="told"),
        ],
        "Orders.new": [lambda: b.orders.new(a.run.id)],
        "Orders.taken": [lambda: b.orders.taken(Given(a.order.id, b"{}"), 7)],
        "DeadLetters.add": [lay],
        "DeadLetters.list": [lambda: b.letters.list(status="")],
        "DeadLetters.requeue": [lambda: b.letters.requeue(a.dead.id, by="eve")],
        "DeadLetters.discard": [lambda: b.letters.discard(a.dead.id, by="eve")],
        "ArtifactShelf.of": [lambda: b.shelf.of(a.run.id, "s").get(a.artifact.digest)],
        "ArtifactShelf.put": [lambda: b.shelf.put(Leaving("a.txt", "text/plain", run_id=a.run.id), b"mine")],
        "ArtifactShelf.get": [lambda: b.shelf.get(a.artifact.digest)],
        "ArtifactShelf.list": [
            b.shelf.list,
            *(
                lambda wanted=wanted: b.shelf.list(wanted)
                for wanted in (Wanted(text="canary"), Wanted(run=a.run.id), Wanted(name="a.txt"), Wanted(tags=("t",)))
            ),
        ],
        "ArtifactShelf.find": [
            *(lambda one=one: b.shelf.find(one) for one in (a.row.id, a.row.name, a.row.digest.hex()))
        ],
        "Memory.set_block": [lambda: b.memory.set_block("note", "mine")],
        "Memory.drop_block": [lambda: Memory.drop_block(b.memory, "note")],
        "Memory.blocks": [b.memory.blocks],
        "Memory.add": [
            lambda: b.memory.add("semantic", "mine", replaces=a.item.id),
            lambda: search(b.memory, "canary 4711"),
            lambda: b.memory.add("semantic", CANARY.upper()).id == a.item.id,
        ],
        "Memory.forget": [lambda: b.memory.forget(a.item.id)],
        "Memory.items": [b.memory.items, lambda: b.memory.items("semantic")],
        "Memory.reindex": [b.memory.reindex],
        "Memory.say": [lambda: b.memory.say("k", "user", "mine")],
        "Memory.turns": [b.memory.turns],
        "Ledger.knows": [lambda: CANARY if b.ledger.knows(a.run.id) else ""],
        "Ledger.reserve": [
            lambda: b.ledger.reserve("call", 90, [Limit("profile:agent", "total", 100)], Entry(a.run.id))
        ],
        "Ledger.settle": [lambda: b.ledger.settle("call", Usage(cost_micros=5))],
        "Ledger.release": [lambda: b.ledger.release("call")],
        "Ledger.close": [lambda: b.ledger.close(a.run.id)],
        "Ledger.spent": [b.ledger.spent, lambda: b.ledger.spent("profile:agent")],
        "Profiles.find": [lambda: b.profiles.find("agent"), lambda: b.profiles.find("agent", 1)],
        "Profiles.list": [lambda: b.profiles.list(disabled=True)],
        "Profiles.versions": [lambda: b.profiles.versions("agent")],
        "Profiles.turn": [lambda: b.profiles.turn("agent", "disabled")],
        "Profiles.admit": [lambda: b.profiles.admit("agent")],
        "Profiles.add": [lambda: b.profiles.add(table)],
        "Profiles.set": [lambda: b.profiles.set(table)],
        "StoredOutputs.look": [lambda: b.cache.look(SKILL, "k", 1_000_000)],
        "StoredOutputs.keep": [lambda: b.cache.keep(SKILL, "k", Kept(b'"mine"'), 1)],
    }


def _found(store: Store, tenant: Tenant, wanted: str) -> str:
    with store.reading() as connection:
        return str(tenant.waits.find(connection, wanted, "approval"))


KEPT = (Runs, Waits, Approvals, Orders, DeadLetters, ArtifactShelf, Memory, Ledger, Profiles, StoredOutputs)


@pytest.mark.slow
def test_nothing_of_one_tenant_is_read_or_changed_by_another(two: tuple[Tenant, Tenant, Store]) -> None:
    victim, other, store = two
    before, tried = rows_of(store, "victim"), attempts(victim, other, store)
    public = {
        f"{kind.__name__}.{name}"
        for kind in KEPT
        for name, _ in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }
    assert set(tried) == public, "every function is tried"
    for name, calls in tried.items():
        for call in calls:
            try:
                said = repr(call())
            except TickworkError as error:
                said = f"{error} {error.where} {error.why} {error.fix}"
            assert "canary" not in said.replace(CANARY.upper(), ""), name
            assert rows_of(store, "victim") == before, name


def test_what_one_tenant_has_hinders_no_other(two: tuple[Tenant, Tenant, Store]) -> None:
    victim, other, store = two
    other.fill()
    assert other.run.id != victim.run.id
    assert [one.text for one in other.memory.turns()] == [CANARY]
    assert [hit.item.id for hit in search(other.memory, "canary")] == [other.item.id] != [victim.item.id]
    assert other.shelf.get(victim.artifact.digest) == CANARY.encode(), "the same bytes are its own by now"
    assert [one.reserved_micros for one in other.ledger.spent()] == [70], "the victim's do not count"
    assert {name for name, rows in rows_of(store, "other").items() if rows} == {
        name for name, rows in rows_of(store, "victim").items() if rows
    }
