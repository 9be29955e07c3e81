"""What earlier attempts at a process came to."""

from sqlalchemy import ColumnElement, ScalarSelect, func, literal, or_, select

from schema.base import table_of
from schema.prepared import Opened
from schema.processes import KILLED, ProcessAttempt

_attempt = table_of(ProcessAttempt)


def worker_deaths(opened: Opened, pid: int) -> list[str]:
    """What the attempts said that ended their worker, in order."""
    query = (
        select(_attempt.c.attempt, _attempt.c.error)
        .where(_attempt.c.pid == pid, _attempt.c.outcome == KILLED)
        .order_by(_attempt.c.attempt)
    )
    return [f"attempt {attempt}: {error}" for attempt, error in opened.execute(query)]


def alike_in_a_row(opened: Opened, pid: int, error_class: str) -> int:
    """How many of the last attempts that ended did so by an error of this class."""
    last_other = last_that_ended_otherwise(literal(pid), error_class)
    ended = (_attempt.c.pid == pid, _attempt.c.error_class == error_class, _attempt.c.attempt > last_other)
    return opened.execute(select(func.count()).select_from(_attempt).where(*ended)).scalar_one()


def last_that_ended_otherwise(pid: ColumnElement[int], error_class: str) -> ScalarSelect[int]:
    """In SQL, the number of the last attempt at a process that ended in another way than by this class; 0: none did."""
    ended = _attempt.alias()
    otherwise = or_(ended.c.error_class.is_(None), ended.c.error_class != error_class)
    query = select(func.coalesce(func.max(ended.c.attempt), 0))
    return query.where(ended.c.pid == pid, ended.c.outcome.is_not(None), otherwise).scalar_subquery()
