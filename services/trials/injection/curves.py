"""Relative light curves of some sources, each in its best aperture, without what is spoilt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.flags import usable
from schema.frame import Frame
from schema.photometry import LightCurveStatistics
from schema.queries.measurements import flux_matrix, relative_matrix
from services.results.lightcurves.observation_facts import ObservationFacts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """n light curves over the t good frames in order of time; NaN where the point is not usable."""

    jd_utc: Floats  # [t], mid-exposure
    flux: Floats  # [n, t], relative
    error: Floats  # [n, t]


def read_curves(session: Session, facts: ObservationFacts, source_ids: NDArray[np.int64]) -> Curves:
    """Light curves of sources in their best apertures, by the calibration that the views show."""
    rows = session.execute(
        select(Frame.image_id, Frame.jd_utc)
        .where(Frame.graph_pid == facts.graph_pid, Frame.good.is_(True), Frame.jd_utc.is_not(None))
        .order_by(Frame.jd_utc, Frame.image_id)
    ).all()
    image_ids = np.array([row.image_id for row in rows], dtype=np.int64)
    flux = np.full((source_ids.size, image_ids.size), np.nan)
    error = flux.copy()
    best = _best_apertures(session, facts, source_ids.tolist())
    aperture_of = np.array([best.get(source_id, -1) for source_id in source_ids.tolist()], dtype=np.int64)
    for aperture in np.unique(aperture_of[aperture_of >= 0]).tolist():
        those = np.flatnonzero(aperture_of == aperture)
        ids = source_ids[those]
        raw, _, flag = flux_matrix(session, aperture, ids, image_ids)
        relative, error[those] = relative_matrix(session, facts.calibration_pid or 0, aperture, ids, image_ids)
        flux[those] = np.where(usable(raw, flag), relative, np.nan)
    return Curves(np.array([row.jd_utc for row in rows], dtype=np.float64), flux, error)


def _best_apertures(session: Session, facts: ObservationFacts, source_ids: Sequence[int]) -> dict[int, int]:
    if not source_ids:
        return {}
    query = select(LightCurveStatistics.source_id, LightCurveStatistics.aperture).where(
        LightCurveStatistics.pid == facts.analysis_pid,
        LightCurveStatistics.source_id.between(min(source_ids), max(source_ids)),
        LightCurveStatistics.best_aperture.is_(True),
    )
    return dict(session.execute(query).tuples().all())
