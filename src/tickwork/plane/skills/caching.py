"""Outputs that are used again: rows of the store, by the skill as it was and by what was asked."""

from typing import Final

import msgspec

from ... import codec
from ...clock import Clock
from ..store.sql import delete, select
from ..store.store import Store
from ..store.tables import TENANT, cache_entry
from .performing import Kept

_labels: Final = msgspec.json.Decoder(tuple[str, ...])


class StoredOutputs:
    """The outputs of one tenant's skills.

    Args:
        whose: What their callers may reach, as a digest: who may reach something else finds nothing of them.

    Invariants:
        * An output is given only to those who could have had it by the call itself.
        * Another version of a skill, or one with other schemas, finds nothing of the earlier one.
        * What has expired is never given, and goes when something else is kept.
    """

    def __init__(self, store: Store, clock: Clock, tenant: str = TENANT, *, whose: bytes = b"") -> None:
        self._whose = whose
        self._store = store
        self._clock = clock
        self._tenant = tenant

    def look(self, skill: bytes, key: str, newest_ms: int) -> Kept | None:
        """Return what was kept at most ``newest_ms`` ago."""
        skill = self._own(skill)
        now = self._clock.now_us()
        query = select(cache_entry.c.output, cache_entry.c.labels).where(
            cache_entry.c.tenant_id == self._tenant,
            cache_entry.c.skill == skill,
            cache_entry.c.key == key,
            cache_entry.c.created_us >= now - newest_ms * 1000,
            cache_entry.c.expires_us > now,
        )
        with self._store.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else Kept(bytes(row[0]), _labels.decode(bytes(row[1])))

    def keep(self, skill: bytes, key: str, value: Kept, for_ms: int) -> None:
        """Keep an output, in place of an earlier one; after ``for_ms`` it may be thrown away."""
        skill = self._own(skill)
        now = self._clock.now_us()
        mine = (cache_entry.c.skill == skill) & (cache_entry.c.key == key)
        row = {
            "tenant_id": self._tenant,
            "skill": skill,
            "key": key,
            "output": value.output,
            "labels": msgspec.json.encode(value.labels),
            "created_us": now,
            "expires_us": now + for_ms * 1000,
        }
        with self._store.begin(durable=False) as connection:
            old = mine | (cache_entry.c.expires_us <= now)
            connection.execute(delete(cache_entry).where(cache_entry.c.tenant_id == self._tenant, old))
            connection.execute(cache_entry.insert().values(row))

    def _own(self, skill: bytes) -> bytes:
        return codec.digest(self._whose + skill) if self._whose else skill
