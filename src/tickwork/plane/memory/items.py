"""What is remembered, as rows: blocks, items and what was said. Whatever is written twice is there once.

Invariants:
    * An item's id follows from its profile, kind and text, so equal memories have equal ids and an item is kept once.
    * A row and its words in the full-text index are written in one transaction.
    * What came from outside keeps its labels: whoever recalls it gets them back.
"""

import hashlib
from typing import Final

import msgspec

from ...clock import Clock
from ...infer.embeddings import Embedder
from ..errors import SkillInputInvalid
from ..profile import DEFAULT
from ..store.sql import ColumnElement, Connection, RowMapping, delete, insert, select, text, update
from ..store.store import Store
from ..store.tables import TENANT, conversation, memory_block, memory_item
from .kinds import Kind
from .vectors import pack

MAX_TEXT_BYTES: Final = 32_768
"""A longer text belongs in an artifact."""

MAX_BLOCK_BYTES: Final = 65_536
MAX_IMPORTANCE: Final = 100


class Block(msgspec.Struct, frozen=True):
    """A note that always is in the context. Units: bytes."""

    label: str
    value: str
    limit: int
    version: int


class Item(msgspec.Struct, frozen=True):
    """Something remembered.

    Attributes:
        model: The embedder of its vector.
        labels: Where it comes from, as taint has it.
        superseded_by: The item that holds instead; empty for none.
    """

    id: str
    kind: str
    text: str
    importance: int
    labels: tuple[str, ...]
    run_id: str
    created_us: int
    model: str = ""
    superseded_by: str = ""


class Turn(msgspec.Struct, frozen=True):
    """Something that was said."""

    id: str
    thread: str
    role: str
    text: str
    labels: tuple[str, ...]
    run_id: str
    created_us: int


class Source(msgspec.Struct, frozen=True):
    """Where something that is to be remembered comes from."""

    run_id: str = ""
    step: str = ""
    labels: tuple[str, ...] = ()


NOWHERE: Final = Source()
"""Where people's own words come from."""


class Memory:
    """The memory of one profile.

    Args:
        embedder: Makes the vectors that are searched.
    """

    def __init__(
        self, store: Store, clock: Clock, embedder: Embedder, *, profile: str = DEFAULT, tenant: str = TENANT
    ) -> None:
        self.store = store
        self.clock = clock
        self.embedder = embedder
        self.profile = profile
        self.tenant = tenant

    # Blocks.

    def set_block(self, label: str, value: str, *, limit: int = 0) -> Block:
        """Write a block, and return it.

        Args:
            limit: Bytes that it may have from now on; 0 leaves that as it is, 4,096 at first.

        Raises:
            SkillInputInvalid: TW7006, it is longer than it may be.
        """
        check_label(label)
        if not _is_text(value):
            raise SkillInputInvalid(f"the block {label} is no text", why="a text is of characters", fix="write it out")
        with self.store.begin() as connection:
            found = self._block(connection, label)
            most = limit or (found.limit if found is not None else 4096)
            if not 0 < most <= MAX_BLOCK_BYTES or len(value.encode()) > most:
                raise SkillInputInvalid(
                    f"the block {label} would have {len(value.encode()):,} bytes",
                    why=f"it may have {most:,}, and no block more than {MAX_BLOCK_BYTES:,}",
                    fix="shorten it, or raise its limit",
                )
            if found is not None and (found.value, found.limit) == (value, most):
                return found
            block = Block(label, value, most, 1 + (found.version if found is not None else 0))
            values = {"value": value, "limit_bytes": most, "version": block.version, "changed_us": self.clock.now_us()}
            if found is None:
                key = {"tenant_id": self.tenant, "profile": self.profile, "label": label}
                connection.execute(insert(memory_block).values(**key, **values))
            else:
                connection.execute(update(memory_block).where(*self._own(label)).values(**values))
        return block

    def drop_block(self, label: str) -> bool:
        """Remove a block, and return whether there was one."""
        check_label(label)
        with self.store.begin() as connection:
            return connection.execute(delete(memory_block).where(*self._own(label))).rowcount > 0

    def blocks(self) -> list[Block]:
        """Return all blocks. Order: by label."""
        c = memory_block.c
        query = select(c.label, c.value, c.limit_bytes, c.version).where(
            c.tenant_id == self.tenant, c.profile == self.profile
        )
        with self.store.reading() as connection:
            return [Block(*row) for row in connection.execute(query.order_by(c.label))]

    def _own(self, label: str) -> list[ColumnElement[bool]]:
        c = memory_block.c
        return [c.tenant_id == self.tenant, c.profile == self.profile, c.label == label]

    def _block(self, connection: Connection, label: str) -> Block | None:
        c = memory_block.c
        row = connection.execute(select(c.label, c.value, c.limit_bytes, c.version).where(*self._own(label))).first()
        return None if row is None else Block(*row)

    # Items.

    def add(
        self,
        kind: Kind,
        said: str,
        source: Source = NOWHERE,
        *,
        importance: int = 0,
        replaces: str = "",
    ) -> Item:
        """Remember a text, and return its item. Law: remembering it again changes nothing.

        Args:
            importance: From 0 to 100; an item of 100 counts twice as much as one of 0.
            replaces: The item that does not hold any more.

        Raises:
            SkillInputInvalid: TW7006, the text is empty or too long, or no item is replaced.
        """
        said = check_text(said)
        if not 0 <= importance <= MAX_IMPORTANCE:
            raise SkillInputInvalid(f"an importance of {importance}", why="it is from 0 to 100", fix="give another")
        digest = hashlib.sha256(said.encode()).digest()
        key = self._id(kind, digest)
        vector = pack(self.embedder.embed([said])[0])
        with self.store.begin() as connection:
            found = self._row(connection, key)
            if found is not None and found.superseded_by:
                # What had been replaced holds again.
                connection.execute(update(memory_item).where(memory_item.c.id == key).values(superseded_by=None))
            if found is None:
                row = {
                    "id": key,
                    "tenant_id": self.tenant,
                    "profile": self.profile,
                    "kind": kind,
                    "text": said,
                    "digest": digest,
                    "embedding": vector,
                    "model": self.embedder.name,
                    "importance": importance,
                    "labels": msgspec.json.encode(sorted(set(source.labels))),
                    "run_id": source.run_id,
                    "step": source.step,
                    "created_us": self.clock.now_us(),
                }
                connection.execute(insert(memory_item).values(**row))
                words = {"id": key, "text": said}
                connection.execute(text("INSERT INTO memory_words (id, text) VALUES (:id, :text)"), words)
            if replaces:
                self._supersede(connection, replaces, key)
            added = self._row(connection, key)
        assert added is not None, "the row was written in this transaction"
        return added

    def forget(self, key: str) -> bool:
        """Remove an item, and return whether there was one."""
        with self.store.begin() as connection:
            if self._row(connection, key) is None:
                return False
            connection.execute(delete(memory_item).where(memory_item.c.id == key))
            connection.execute(text("DELETE FROM memory_words WHERE id = :id"), {"id": key})
        return True

    def items(self, kind: str = "", *, most: int = 1000) -> list[Item]:
        """Return items that hold. Order: newest first, ties by id."""
        c = memory_item.c
        query = select(memory_item).where(
            c.tenant_id == self.tenant, c.profile == self.profile, c.superseded_by.is_(None)
        )
        if kind:
            query = query.where(c.kind == kind)
        with self.store.reading() as connection:
            rows = connection.execute(query.order_by(c.created_us.desc(), c.id).limit(most)).mappings()
            return [item_of(row) for row in rows]

    def reindex(self) -> int:
        """Make the vectors of this embedder for items that have another's, and return how many there were."""
        c = memory_item.c
        query = select(c.id, c.text).where(
            c.tenant_id == self.tenant, c.profile == self.profile, c.model != self.embedder.name
        )
        with self.store.reading() as connection:
            todo = [(row.id, row.text) for row in connection.execute(query.order_by(c.id))]
        vectors = [pack(vector) for vector in self.embedder.embed([said for _, said in todo])]
        with self.store.begin() as connection:
            for (key, _), vector in zip(todo, vectors, strict=True):
                values = {"embedding": vector, "model": self.embedder.name}
                connection.execute(update(memory_item).where(c.id == key).values(**values))
        return len(todo)

    def _turn(self, key: str) -> str:
        """Return the id of what was said under a key: what another profile says under the same one is another."""
        return "t" + hashlib.sha256("\0".join((self.tenant, self.profile, key)).encode()).hexdigest()[:23]

    def _id(self, kind: str, digest: bytes) -> str:
        whole = "\0".join((self.tenant, self.profile, kind, digest.hex()))
        return "m" + hashlib.sha256(whole.encode()).hexdigest()[:23]

    def _row(self, connection: Connection, key: str) -> Item | None:
        c = memory_item.c
        if not key.isascii():
            return None
        where = (c.id == key, c.tenant_id == self.tenant, c.profile == self.profile)
        row = connection.execute(select(memory_item).where(*where)).mappings().first()
        return None if row is None else item_of(row)

    def _supersede(self, connection: Connection, old: str, new: str) -> None:
        if self._row(connection, old) is None or old == new:
            raise SkillInputInvalid(
                f"there is no item {old} to replace",
                fix="`tickwork memory list` shows the items of the profile",
            )
        connection.execute(update(memory_item).where(memory_item.c.id == old).values(superseded_by=new))

    # What was said.

    def say(self, key: str, role: str, said: str, source: Source = NOWHERE, *, thread: str = "default") -> None:
        """Keep something that was said. Law: saying it again under the same key changes nothing.

        Args:
            key: Unique in the profile.
        """
        c, key = conversation.c, self._turn(key)
        with self.store.begin() as connection:
            if connection.execute(select(c.id).where(c.id == key)).first() is None:
                row = {"id": key, "tenant_id": self.tenant, "profile": self.profile, "thread": thread, "role": role}
                told = {
                    "text": check_text(said),
                    "labels": msgspec.json.encode(sorted(set(source.labels))),
                    "run_id": source.run_id,
                    "created_us": self.clock.now_us(),
                }
                connection.execute(insert(conversation).values(**row, **told))

    def turns(self, *, thread: str = "default", most: int = 100) -> list[Turn]:
        """Return what was said last. Order: oldest first, ties by id."""
        c = conversation.c
        query = (
            select(c.id, c.thread, c.role, c.text, c.labels, c.run_id, c.created_us)
            .where(c.tenant_id == self.tenant, c.profile == self.profile, c.thread == thread)
            .order_by(c.created_us.desc(), c.id.desc())
            .limit(most)
        )
        with self.store.reading() as connection:
            rows = connection.execute(query).all()
        return [
            Turn(row.id, row.thread, row.role, row.text, _labels(row.labels), row.run_id, row.created_us)
            for row in reversed(rows)
        ]


def item_of(row: RowMapping) -> Item:
    """Return a row as an item."""
    return Item(
        row["id"],
        row["kind"],
        row["text"],
        row["importance"],
        _labels(row["labels"]),
        row["run_id"],
        row["created_us"],
        row["model"],
        row["superseded_by"] or "",
    )


def _labels(raw: bytes) -> tuple[str, ...]:
    return msgspec.json.decode(raw, type=tuple[str, ...])


def check_text(said: str) -> str:
    """Return a text that can be remembered, without the blanks around it.

    Raises:
        SkillInputInvalid: TW7006.
    """
    said = said.strip()
    size = len(said.encode("utf-8", "surrogatepass"))
    if not said or size > MAX_TEXT_BYTES or not _is_text(said):
        raise SkillInputInvalid(
            f"a text of {size:,} bytes cannot be remembered",
            why=f"it is of characters, and has 1 to {MAX_TEXT_BYTES:,} bytes",
            fix="say it in fewer words, or keep it as an artifact",
        )
    return said


def _is_text(said: str) -> bool:
    """Return whether a text is of whole characters, without the one that ends texts elsewhere."""
    return "\0" not in said and not any("\ud800" <= c <= "\udfff" for c in said)


def check_label(label: str) -> None:
    """Refuse a block's name that is none.

    Raises:
        SkillInputInvalid: TW7006.
    """
    if not (0 < len(label) <= 64 and label.isascii() and label.replace("_", "").replace("-", "").isalnum()):
        raise SkillInputInvalid(
            f"{label[:80]!r} is no name of a block", why="it has letters, digits, _ and -", fix="choose another"
        )
