"""Profiles as they are kept: every version of every table, which of them is current, and whether runs may begin.

Invariants:
    * A version never changes: what a run has pinned can be read as long as the store is there.
    * Status is no part of a version: pausing an agent changes nothing that a run pins.
"""

import re
from collections.abc import Sequence
from typing import Final

from ..clock import Clock
from .errors import BudgetExceeded, ProfileInvalid, ProfileNotFound, SkillRefused
from .profile import DEFAULT, DEFAULT_TABLE, Profile, ProfileTable, decode_profile, duration_us, encode_profile
from .store.sql import Connection, insert, select, update
from .store.store import Store
from .store.tables import TENANT, profile, profile_version, rate
from .tables import NAME_PATTERN

ACTIVE: Final = "active"
PAUSED: Final = "paused"
DISABLED: Final = "disabled"
STATUSES: Final = (ACTIVE, PAUSED, DISABLED)
"""Of a paused profile no run begins; what runs goes on. A disabled one is paused for good, and is left out of lists."""


_NAME: Final = re.compile(NAME_PATTERN)


class Profiles:
    """The profiles of one tenant."""

    def __init__(self, store: Store, clock: Clock, tenant: str = TENANT) -> None:
        self._store = store
        self._clock = clock
        self._tenant = tenant

    def find(self, name: str, version: int = 0) -> Profile:
        """Return a version of a profile; 0 for the one that new runs get.

        Raises:
            ProfileNotFound: TW7014.
        """
        with self._store.reading() as connection:
            return self._find(connection, name, version)

    def list(self, *, disabled: bool = False) -> list[Profile]:
        """Return the current version of every profile. Order: by name."""
        with self._store.reading() as connection:
            rows = connection.execute(
                select(profile.c.name).where(profile.c.tenant_id == self._tenant).order_by(profile.c.name)
            )
            names = sorted({DEFAULT, *(row.name for row in rows)})
            found = [self._find(connection, name, 0) for name in names]
        return [one for one in found if disabled or one.status != DISABLED]

    def versions(self, name: str) -> Sequence[Profile]:
        """Return every version of a profile. Order: ascending.

        Raises:
            ProfileNotFound: TW7014.
        """
        with self._store.reading() as connection:
            latest = self._find(connection, name, 0)
            if not latest.kept:
                return [latest]
            rows = connection.execute(
                select(profile_version.c.version)
                .where(profile_version.c.tenant_id == self._tenant, profile_version.c.name == name)
                .order_by(profile_version.c.version)
            )
            return [self._find(connection, name, row.version) for row in rows]

    def add(self, table: ProfileTable, by: str = "") -> Profile:
        """Keep a new profile and return it. Law: adding the same profile again changes nothing.

        Raises:
            ProfileInvalid: TW7015, there is another one of that name.
        """
        with self._store.begin() as connection:
            if self._row(connection, table.name) is not None:
                found = self._find(connection, table.name, 0)
                if found.table == table:
                    return found
                if table.name == DEFAULT and found.version == 1:
                    return self._write(connection, table, by)  # Nobody has said anything of it yet.
                raise ProfileInvalid(
                    f"there is a profile {table.name} already",
                    why=f"it is at version {found.version} and says something else",
                    fix=f"change it with: tickwork profile set {table.name}",
                )
            return self._write(connection, table, by)

    def set(self, table: ProfileTable, by: str = "") -> Profile:
        """Keep a table as its profile's next version and return that; an equal table makes none.

        Raises:
            ProfileNotFound: TW7014.
        """
        with self._store.begin() as connection:
            self._find(connection, table.name, 0)
            return self._write(connection, table, by)

    def turn(self, name: str, status: str) -> Profile:
        """Let runs of a profile begin again, or no more, and return it.

        Raises:
            ProfileNotFound: TW7014.
        """
        assert status in STATUSES, "a profile has one of three statuses"
        with self._store.begin() as connection:
            if not self._find(connection, name, 0).kept:
                self._write(connection, DEFAULT_TABLE, "")
            connection.execute(
                update(profile)
                .where(profile.c.tenant_id == self._tenant, profile.c.name == name)
                .values(status=status, changed_us=self._clock.now_us())
            )
            return self._find(connection, name, 0)

    def admit(self, name: str, connection: Connection | None = None) -> Profile:
        """Return the profile for a run that begins now, and count that run.

        Args:
            connection: The transaction in which the run is written, so that neither is there without the other.

        Raises:
            ProfileNotFound: TW7014.
            SkillRefused: TW7005, it is paused or disabled.
            BudgetExceeded: TW7010, too many of its runs have begun lately.
        """
        if connection is None:
            with self._store.begin() as own:
                return self.admit(name, own)
        found = self._find(connection, name, 0)
        if found.status != ACTIVE:
            raise SkillRefused(
                f"the profile {name} is {found.status}",
                why="no run begins on its behalf until it is active",
                fix=f"let it work again with `tickwork profile resume {name}`, or name another profile",
            )
        limits = found.table.rate
        if limits.runs:
            step_us = duration_us(limits.per) // limits.runs
            late_us = self._draw(connection, f"profile:{name}", step_us, limits.burst)
            if late_us:
                raise BudgetExceeded(
                    f"too many runs of the profile {name} have begun",
                    why=f"{limits.runs} may begin in {limits.per}, {limits.burst} of them at once",
                    fix=f"try again in {-(-late_us // 1_000_000)} s, or raise its rate",
                )
        return found

    def _draw(self, connection: Connection, subject: str, step_us: int, burst: int) -> int:
        """Return 0 and count one more, or how long it is too early. Units: microseconds.

        Source: the generic cell rate algorithm, ITU-T I.371: one time says all that a bucket would.
        """
        now = self._clock.now_us()
        where = (rate.c.tenant_id == self._tenant, rate.c.subject == subject)
        row = connection.execute(select(rate.c.due_us).where(*where)).first()
        due = max(now, row.due_us if row is not None else 0)
        early = due - now - step_us * (burst - 1)
        if early > 0:
            return early
        if row is None:
            connection.execute(insert(rate).values(tenant_id=self._tenant, subject=subject, due_us=due + step_us))
        else:
            connection.execute(update(rate).where(*where).values(due_us=due + step_us))
        return 0

    def _row(self, connection: Connection, name: str) -> tuple[int, str] | None:
        """Return the current version and the status of a profile that is kept."""
        if not _NAME.match(name):
            return None
        where = (profile.c.tenant_id == self._tenant, profile.c.name == name)
        row = connection.execute(select(profile.c.version, profile.c.status).where(*where)).first()
        return None if row is None else (row.version, row.status)

    def _find(self, connection: Connection, name: str, version: int) -> Profile:
        row = self._row(connection, name)
        if row is None and name == DEFAULT and version in (0, 1):
            return Profile(DEFAULT_TABLE, 1, ACTIVE, kept=False)
        if row is None:
            raise ProfileNotFound(
                f"there is no profile {name}",
                fix=f"`tickwork profile list` shows those there are; add it with `tickwork profile add {name}`",
            )
        latest, status = row
        body = connection.execute(
            select(profile_version.c.body, profile_version.c.by, profile_version.c.created_us).where(
                profile_version.c.tenant_id == self._tenant,
                profile_version.c.name == name,
                profile_version.c.version == (version or latest),
            )
        ).first()
        if body is None:
            raise ProfileNotFound(
                f"the profile {name} has no version {version}",
                why=f"it is at version {latest}",
                fix=f"`tickwork profile versions {name}` shows those there are",
            )
        table = decode_profile(body.body)
        return Profile(table, version or latest, status, body.by, body.created_us)

    def _write(self, connection: Connection, table: ProfileTable, by: str) -> Profile:
        """Keep a table as the next version of its profile, where it differs from the current one."""
        row = self._row(connection, table.name)
        version = row[0] if row is not None else 0
        if row is None and table.name == DEFAULT and table != DEFAULT_TABLE:
            # Runs have pinned the first version of the default profile without it being kept.
            self._write(connection, DEFAULT_TABLE, "")
            version = 1
        elif version and self._find(connection, table.name, 0).table == table:
            return self._find(connection, table.name, 0)
        now = self._clock.now_us()
        key = {"tenant_id": self._tenant, "name": table.name}
        connection.execute(
            insert(profile_version).values(
                **key, version=version + 1, body=encode_profile(table), digest=table.digest(), by=by, created_us=now
            )
        )
        if version == 0:
            connection.execute(
                insert(profile).values(**key, version=1, owner=table.owner, created_us=now, changed_us=now)
            )
        else:
            connection.execute(
                update(profile)
                .where(profile.c.tenant_id == self._tenant, profile.c.name == table.name)
                .values(version=version + 1, owner=table.owner, changed_us=now)
            )
        return self._find(connection, table.name, 0)
