"""How precise a night was: CDPP and scatter, promised and reached, of the brightest stars and of the check stars."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.variability.cdpp import PPM
from schema.photometry import LightCurveStatistics, ReferenceStar
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.star_statistics import brightest_saturated, read_prediction, read_stars

BRIGHTEST = 20


@dataclass(frozen=True)
class CheckStar:
    """A star that `calibrate_relative` set aside to judge its result by; relative."""

    source_id: int
    scatter: float | None
    error: float | None
    cdpp_ppm: float | None


@dataclass(frozen=True)
class Precision:
    """Medians over stars in their best apertures; None where nothing is known.

    Attributes:
        stars: light curves with a scatter.
        brightest: unsaturated stars that the next two are of.
        cdpp_ppm, expected_cdpp_ppm: over half an hour, reached and promised by the quoted errors.
        cdpp_ratio: of the two, over all stars.
        scatter_ratio: scatter over what the noise model promises, over all stars; over the quoted error without one.
    """

    stars: int
    brightest: int
    cdpp_ppm: float | None
    expected_cdpp_ppm: float | None
    cdpp_ratio: float | None
    scatter_ratio: float | None
    checks: tuple[CheckStar, ...]

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists only."""
        return asdict(self)


def read_precision(session: Session, observation: ObservationFacts) -> Precision:
    """What the observation's analysis says of its precision."""
    stars = read_stars(session, observation.analysis_pid)
    prediction = read_prediction(session, observation.analysis_pid)
    usual = ~brightest_saturated(session, observation.graph_pid, stars)
    bright = np.flatnonzero(usual & np.isfinite(prediction.cdpp_achieved))[:BRIGHTEST]
    promised = np.where(np.isfinite(prediction.scatter), prediction.scatter, stars.error)
    return Precision(
        stars=int(stars.source_id.size),
        brightest=int(bright.size),
        cdpp_ppm=_median(prediction.cdpp_achieved[bright] * PPM),
        expected_cdpp_ppm=_median(prediction.cdpp[bright] * PPM),
        cdpp_ratio=_median((prediction.cdpp_achieved / prediction.cdpp)[usual]),
        scatter_ratio=_median((stars.scatter / promised)[usual]),
        checks=_checks(session, observation),
    )


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _checks(session: Session, observation: ObservationFacts) -> tuple[CheckStar, ...]:
    rows = session.execute(
        select(
            LightCurveStatistics.source_id,
            LightCurveStatistics.scatter,
            LightCurveStatistics.error_median,
            LightCurveStatistics.cdpp,
        )
        .join(
            ReferenceStar,
            (ReferenceStar.source_id == LightCurveStatistics.source_id)
            & (ReferenceStar.aperture == LightCurveStatistics.aperture)
            & (ReferenceStar.pid == LightCurveStatistics.calibration_pid),
        )
        .where(
            LightCurveStatistics.pid == observation.analysis_pid,
            LightCurveStatistics.best_aperture.is_(True),
            ReferenceStar.role == "check",
        )
        .order_by(LightCurveStatistics.source_id)
    )
    return tuple(CheckStar(s, scatter, error, None if c is None else c * PPM) for s, scatter, error, c in rows)
