"""What the views show of an observation: the newest process of its kind."""

from typing import Any

from sqlalchemy import or_, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from schema.observing import Observation
from services.steps.shared.step import Context


def show(session: Session, context: Context, column: InstrumentedAttribute[int | None], **more: Any) -> None:
    """Let the views show this process by its PID in ``column``, with other columns, unless they show a later one.

    Where frames come while an earlier process waits, that one may end last: it knows fewer of them.
    """
    newest = or_(column.is_(None), column < context.pid)
    session.execute(
        update(Observation)
        .where(Observation.observation_id == context.observation_id, newest)
        .values({column: context.pid, **{getattr(Observation, name): value for name, value in more.items()}})
    )
