"""Verdicts on candidates: written one after the other, read as the newest of each star."""

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from schema.base import table_of, utc_now
from schema.verdicts import CandidateVerdict


def give(
    session: Session, observation_id: int, source_id: int, verdict: str, note: str | None, author: str | None
) -> None:
    """Write down what somebody says of a star."""
    values = {"observation_id": observation_id, "source_id": source_id, "verdict": verdict}
    words = {"note": note, "author": author, "given_at": utc_now()}
    session.execute(insert(table_of(CandidateVerdict)).values(**values, **words))


def of_observation(session: Session, observation_id: int) -> dict[int, CandidateVerdict]:
    """The newest verdict on each star of an observation that has one."""
    newest = (
        select(func.max(CandidateVerdict.verdict_id))
        .where(CandidateVerdict.observation_id == observation_id)
        .group_by(CandidateVerdict.source_id)
    )
    found = session.scalars(select(CandidateVerdict).where(CandidateVerdict.verdict_id.in_(newest)))
    return {one.source_id: one for one in found}


def of_star(session: Session, source_id: int, most: int) -> list[CandidateVerdict]:
    """All verdicts on a star, the newest first."""
    query = select(CandidateVerdict).where(CandidateVerdict.source_id == source_id)
    return list(session.scalars(query.order_by(CandidateVerdict.verdict_id.desc()).limit(most)))
