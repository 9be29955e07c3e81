"""What the active manager saw of the broker's queues, where it is not as it should be."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import QueueState

REASON_CHARACTERS = 1000


@dataclass(frozen=True)
class Seen:
    """A queue that has confirmed no message for ``silent_s`` seconds (None: it does), and its dead letters."""

    site_id: int
    group_id: int
    silent_s: float | None
    reason: str | None
    dead_letters: int


def note(session: Session, seen: Collection[Seen]) -> None:
    """Write down all that is not as it should be, and nothing else."""
    session.execute(delete(QueueState))
    for one in seen:
        session.execute(
            insert(QueueState).values(
                site_id=one.site_id,
                group_id=one.group_id,
                silent_since=None if one.silent_s is None else utc_now(-one.silent_s),
                reason=one.reason and one.reason[:REASON_CHARACTERS],
                dead_letters=one.dead_letters,
            )
        )
