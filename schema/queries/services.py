"""Which managers and consumers are alive, as they say themselves, by the database's clock."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, inspect, null, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from schema import revisions
from schema.base import table_of, utc_now
from schema.processes import Service, Site

MANAGER, CONSUMER = "manager", "consumer"
ACTIVE, STANDBY, HOLDING = "active", "standby", "holding"
TROUBLE_CHARACTERS = 1000  # of a reason
FORGOTTEN_AFTER_S = 86_400.0  # rows of services that ended without a word


@dataclass(frozen=True)
class Presence:
    """What a service says of itself; a manager has neither site nor groups."""

    name: str
    kind: str
    host: str
    version: str
    site: str | None = None
    groups: Sequence[str] = ()
    slots: int = 0
    revision: str = revisions.NEWEST


@dataclass(frozen=True)
class Trouble:
    """What hinders a service, or did last: since and until how many seconds ago; it lasts where ``until_s`` is None."""

    reason: str
    since_s: float
    until_s: float | None = None


def announce(session: Session, presence: Presence, state: str, alive_s: float, trouble: Trouble | None = None) -> None:
    """Say that the service is alive, and will say so again within ``alive_s`` seconds."""
    hindered = _columns(trouble)
    renewed = session.execute(
        update(Service)
        .where(Service.name == presence.name)
        .values(state=state, alive_until=utc_now(alive_s), **hindered)
    )
    assert isinstance(renewed, CursorResult)
    if renewed.rowcount:
        return
    site_id = select(Site.site_id).where(Site.name == presence.site).scalar_subquery()
    session.execute(
        insert(Service).values(
            name=presence.name,
            kind=presence.kind,
            state=state,
            host=presence.host,
            version=presence.version,
            revision=presence.revision,
            site_id=site_id,
            group_names=json.dumps(list(presence.groups)),
            slots=presence.slots,
            started_at=utc_now(),
            alive_until=utc_now(alive_s),
            **hindered,
        )
    )


def _columns(trouble: Trouble | None) -> dict[str, Any]:
    if trouble is None:
        return {"trouble": None, "trouble_since": None, "trouble_until": None}
    return {
        "trouble": trouble.reason[:TROUBLE_CHARACTERS],
        "trouble_since": utc_now(-trouble.since_s),
        "trouble_until": None if trouble.until_s is None else utc_now(-trouble.until_s),
    }


def alive_on(session: Session, host: str, kind: str | None = None) -> list[str]:
    """Names of the services of a host that are alive, of one kind or all."""
    query = select(Service.name).where(Service.host == host, Service.alive_until > utc_now())
    return sorted(session.scalars(query if kind is None else query.where(Service.kind == kind)))


@dataclass(frozen=True)
class AliveService:
    """A manager or consumer that said so lately; ``revision`` is of the schema, None: older than that it is told."""

    name: str
    kind: str
    host: str
    version: str
    revision: str | None
    alive_until: datetime
    silent_in_s: float  # from now, where it says nothing more

    def __str__(self) -> str:
        of = f"Tianyu {self.version}, schema {self.revision or 'older than 0025'}"
        return f"{self.kind} {self.name} ({of}; without a word it counts as ended in {self.silent_in_s:.0f} s)"


def alive_services(connection: Connection) -> list[AliveService]:
    """All that are alive, also in a database of an earlier schema."""
    columns = table_of(Service).c
    there = {column["name"] for column in inspect(connection).get_columns(Service.__tablename__)}
    known = columns.revision if columns.revision.name in there else null()
    now = connection.scalars(select(utc_now())).one()
    query = select(columns.name, columns.kind, columns.host, columns.version, known, columns.alive_until)
    found = connection.execute(query.where(columns.alive_until > now).order_by(columns.name))
    return [AliveService(*row, silent_in_s=(row.alive_until - now).total_seconds()) for row in found]


def consumer_name(service: str) -> str:
    """As its workers' names begin: that of its service, without the kind and what makes it one of its own."""
    return service.partition(":")[2].rpartition(":")[0]


def withdraw(session: Session, name: str) -> None:
    """Take leave."""
    session.execute(delete(Service).where(Service.name == name))


def forget_silent(session: Session) -> None:
    """Drop what ended long ago without taking leave."""
    silent = select(Service.name).where(Service.alive_until < utc_now(-FORGOTTEN_AFTER_S))
    names = sorted(session.scalars(silent))
    if names:
        session.execute(delete(Service).where(Service.name.in_(names)))
