"""A backup holds images: while it copies what its copy of the database names, `tianyu gc` marks none as deleted.

The hold is a lease in table `upkeep`, by the database's clock. Who marks looks at it in the same transaction, and keeps
its row locked for as long: a hold that is taken waits for the marks that were begun, and sees them.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from schema.base import table_of, utc_now
from schema.upkeep import UPKEEP_ID, Upkeep

_row = table_of(Upkeep)
_is_it = _row.c.upkeep_id == UPKEEP_ID
_FREE = {"images_held_by": None, "images_held_since": None, "images_held_until": None}


@dataclass(frozen=True)
class Hold:
    """Who holds images, since when (UTC)."""

    holder: str
    since: datetime


def take(session: Session, holder: str, lease_s: float) -> bool:
    """Hold images for so long; False where another holds them."""
    free = or_(_row.c.images_held_until.is_(None), _row.c.images_held_until <= utc_now())
    taken = session.execute(
        update(_row)
        .where(_is_it, free)
        .values(images_held_by=holder, images_held_since=utc_now(), images_held_until=utc_now(lease_s))
    )
    assert isinstance(taken, CursorResult)
    return taken.rowcount == 1


def renew(session: Session, holder: str, lease_s: float) -> bool:
    """Hold them for so long from now; False where the hold has been lost."""
    renewed = session.execute(
        update(_row)
        .where(_is_it, _row.c.images_held_by == holder, _row.c.images_held_until > utc_now())
        .values(images_held_until=utc_now(lease_s))
    )
    assert isinstance(renewed, CursorResult)
    return renewed.rowcount == 1


def give_back(session: Session, holder: str) -> None:
    """End the hold."""
    session.execute(update(_row).where(_is_it, _row.c.images_held_by == holder).values(_FREE))


def forget(session: Session) -> None:
    """End whatever hold there is: only for a caller who knows that nobody has one."""
    session.execute(update(_row).where(_is_it).values(_FREE))


def holder(session: Session, *, lock: bool = False) -> Hold | None:
    """Who holds images; with ``lock`` nobody takes a hold before this transaction ends."""
    columns = (_row.c.images_held_by, _row.c.images_held_since, (_row.c.images_held_until > utc_now()).label("lasts"))
    query = select(*columns).where(_is_it)
    row = session.execute(query.with_for_update(read=True) if lock else query).one()
    return Hold(row.images_held_by, row.images_held_since) if row.lasts else None
