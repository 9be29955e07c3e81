"""Alerts of candidates: each is written down once, and marked when it was sent."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.orm import Session

from schema.alerts import Alert
from schema.base import utc_now
from schema.image import Image
from schema.observing import LIGHT, Filter, Instrument, Observation, Target
from schema.photometry import LightCurveStatistics, Variability
from schema.skies import Source


def candidates(session: Session, observation_id: int, false_alarm: float) -> Sequence[Any]:
    """Candidates of the shown analysis that nobody was told of, at most so likely by chance; the surest first."""
    told = exists().where(Alert.observation_id == observation_id, Alert.source_id == Variability.source_id)
    query = (
        select(Variability, Source, LightCurveStatistics)
        .join(Observation, Observation.analysis_pid == Variability.pid)
        .join(Source, Source.source_id == Variability.source_id)
        .join(
            LightCurveStatistics,
            (LightCurveStatistics.pid == Variability.pid)
            & (LightCurveStatistics.source_id == Variability.source_id)
            & (LightCurveStatistics.aperture == Variability.aperture),
        )
        .where(
            Observation.observation_id == observation_id,
            Variability.candidate.is_(True),
            Variability.false_alarm <= false_alarm,
            ~told,
        )
        .order_by(Variability.variability_rank)
    )
    return session.execute(query).all()


def facts(session: Session, observation_id: int) -> Any:
    """Names of an observation, and from when to when its frames are."""
    frames = (
        select(
            Image.observation_id,
            func.count().label("frames"),
            func.min(Image.jd_utc).label("from_jd_utc"),
            func.max(Image.jd_utc).label("to_jd_utc"),
            func.min(Image.bjd_tdb).label("from_bjd_tdb"),
            func.max(Image.bjd_tdb).label("to_bjd_tdb"),
        )
        .where(Image.observation_id == observation_id, Image.kind == LIGHT, Image.good.is_not(False))
        .group_by(Image.observation_id)
        .subquery()
    )
    query = (
        select(
            Observation.observation_id,
            Observation.night,
            Target.name.label("target"),
            Filter.name.label("filter"),
            Instrument.name.label("instrument"),
            Instrument.telescope,
            func.coalesce(frames.c.frames, 0).label("frames"),
            *(frames.c[name] for name in ("from_jd_utc", "to_jd_utc", "from_bjd_tdb", "to_bjd_tdb")),
        )
        .join(Target, Target.target_id == Observation.target_id)
        .join(Filter, Filter.filter_id == Observation.filter_id)
        .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
        .outerjoin(frames, frames.c.observation_id == Observation.observation_id)
        .where(Observation.observation_id == observation_id)
    )
    return session.execute(query).one()


def write_down(session: Session, bodies: Sequence[dict[str, Any]]) -> None:
    """Candidates to be told of; who wrote one down before stands."""
    new = insert(Alert).prefix_with("IGNORE", dialect="mysql").prefix_with("IGNORE", dialect="mariadb")
    new = new.prefix_with("OR IGNORE", dialect="sqlite")
    rows = [
        {"observation_id": body["observation_id"], "source_id": body["source_id"], "body": json.dumps(body)}
        for body in bodies
    ]
    if rows:
        session.execute(new.values(found_at=utc_now()), rows)


def unsent(session: Session) -> Sequence[Alert]:
    """Those that were not sent yet, and not refused for good; the oldest first."""
    query = select(Alert).where(Alert.sent_at.is_(None), Alert.refusal.is_(None))
    return session.scalars(query.order_by(Alert.found_at, Alert.observation_id, Alert.source_id)).all()


def close(session: Session, observation_id: int, source_id: int, refusal: str | None = None) -> None:
    """It was sent, or refused for good."""
    values = {"sent_at": utc_now()} if refusal is None else {"refusal": refusal}
    session.execute(
        update(Alert).where(Alert.observation_id == observation_id, Alert.source_id == source_id).values(**values)
    )
