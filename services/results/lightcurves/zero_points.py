"""The zero points of a night as arrays, and how the stars of known magnitude lie about them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.flags import usable
from pipeline.zero_points import night_residuals
from schema.frame import Frame
from schema.observing import Observation
from schema.photometry import ZeroPoint, ZeroPointStar
from schema.queries.measurements import flux_matrix
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.star_statistics import Stars
from services.steps.shared.gaia_stars import gaia_stars

MAX_STARS = 1500  # brightest that are matched to Gaia; more would only darken a plot
FIELD = ("field_u", "field_v", "field_uu", "field_uv", "field_vv")

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class NightZeroPoints:
    """One aperture of a night; t frames in order of time, n stars of Gaia's."""

    aperture: int
    jd_utc: Floats  # [t], NaN where unknown
    good: Bools  # [t]
    zero_point: Floats  # [t], mag
    error: Floats  # [t], mag
    transparency: Floats  # [t]
    colour_term: float
    colour_reference: float
    g_mag: Floats  # [n]
    colour: Floats  # [n], BP - RP
    used: Bools  # [n]
    residual: Floats  # [n], G - mag, median over the good frames; NaN where it was never usable


def zero_point_pid(session: Session, observation: ObservationFacts) -> int | None:
    """PID of the zero points that the views show; None where there are none."""
    query = select(Observation.zero_point_pid).where(Observation.observation_id == observation.observation_id)
    return session.scalar(query)


def catalogue_magnitudes(session: Session, observation: ObservationFacts, stars: Stars) -> Floats | None:
    """Gaia's G of stars by their median flux and the mean zero point of the good frames: float64[n], magnitudes.

    Field terms, hundredths of a magnitude, are left out. None where an aperture has no zero point.
    """
    pid = zero_point_pid(session, observation)
    rows = session.execute(
        select(
            ZeroPoint.aperture,
            func.avg(ZeroPoint.zero_point),
            func.max(ZeroPoint.colour_term),
            func.max(ZeroPoint.colour_reference),
        )
        .join(Frame, Frame.image_id == ZeroPoint.image_id)
        .where(ZeroPoint.pid == pid, Frame.good.is_(True))
        .group_by(ZeroPoint.aperture)
    ).all()
    fits = {row[0]: row[1:] for row in rows}
    if not stars.aperture.size or not set(stars.aperture.tolist()) <= fits.keys():
        return None
    colours = select(ZeroPointStar.source_id, ZeroPointStar.colour).where(ZeroPointStar.pid == pid)
    colour_of = {row.source_id: row.colour for row in session.execute(colours)}
    zero_point, term, reference = np.array([fits[number] for number in stars.aperture.tolist()]).T
    colour = np.array([colour_of.get(one, np.nan) for one in stars.source_id.tolist()])
    offset = np.where(np.isfinite(colour), term * (colour - reference), 0.0)
    return np.asarray(zero_point - 2.5 * np.log10(stars.flux) + offset)


def read_zero_points(session: Session, observation: ObservationFacts) -> NightZeroPoints:
    """Those that the views show, in the aperture in which the stars lie closest about them.

    Raises:
        DataError: the observation has none.
    """
    pid = zero_point_pid(session, observation)
    rows = session.execute(
        select(ZeroPoint, Frame.jd_utc, Frame.good)
        .join(Frame, Frame.image_id == ZeroPoint.image_id)
        .where(ZeroPoint.pid == pid)
        .order_by(Frame.jd_utc, ZeroPoint.image_id)
    ).all()
    if not rows:
        raise DataError(
            f"observation {observation.observation_id} has no zero points: was its template solved and matched to Gaia?"
        )
    scatter: dict[int, list[float]] = {}
    for point, _, _ in rows:
        scatter.setdefault(point.aperture, []).append(point.scatter)
    aperture = min(scatter, key=lambda number: float(np.median(scatter[number])))
    points, times, good = zip(*(row for row in rows if row[0].aperture == aperture), strict=True)
    stars = session.scalars(
        select(ZeroPointStar).where(ZeroPointStar.pid == pid).order_by(ZeroPointStar.source_id)
    ).all()
    source_ids = np.array([star.source_id for star in stars], dtype=np.int64)
    gaia = gaia_stars(session, source_ids)
    chosen = np.argsort(gaia.g_mag)[: min(MAX_STARS, int(gaia.matched.sum()))]  # NaN is last
    flux, _, flag = flux_matrix(session, aperture, source_ids[chosen], np.array([p.image_id for p in points]))
    good_frames = np.array([bool(value) for value in good])
    counted = good_frames if good_frames.any() else np.ones(len(points), dtype=bool)
    places = np.array([(star.u, star.v, star.colour) for star in stars], dtype=np.float64)[chosen]
    zero_point = np.array([p.zero_point for p in points])
    residual = night_residuals(
        np.where(usable(flux, flag, counted), flux, np.nan),
        gaia.g_mag[chosen],
        places,
        zero_point,
        points[0].colour_term,
        points[0].colour_reference,
        np.array([[getattr(p, name) for name in FIELD] for p in points]),
    )
    return NightZeroPoints(
        aperture=aperture,
        jd_utc=np.array(times, dtype=np.float64),
        good=good_frames,
        zero_point=zero_point,
        error=np.array([p.zero_point_error for p in points]),
        transparency=np.array([p.transparency for p in points], dtype=np.float64),
        colour_term=points[0].colour_term,
        colour_reference=points[0].colour_reference,
        g_mag=gaia.g_mag[chosen],
        colour=gaia.colour[chosen],
        used=np.array([star.used for star in stars], dtype=bool)[chosen],
        residual=residual,
    )
