"""The period of one star over all its nights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.units import MAG_PER_LN
from pipeline.variability.many_nights import PeriodSearch, search_periods
from services.errors import DataError
from services.results.lightcurves.reading import LightCurve
from services.results.lightcurves.star_nights import Nights

SHOWN_ALTERNATIVES = 8
FEWEST_POINTS_A_NIGHT = 3  # fewer say nothing beside a level of their own

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StarPeriods:
    """A search and its points, ``[t]`` by time.

    Attributes:
        curves: of the nights that were joined, in the order of `night`.
        left_out: observations of which no point could be used.
        time: BJD (TDB), days; JD (UTC) where no night has BJD.
        barycentric: whether it is BJD.
        magnitude, error: relative to each night's normalisation, mag.
        night: int64, number of the light curve.
        search: its result.
    """

    curves: tuple[LightCurve, ...]
    left_out: tuple[int, ...]
    time: Floats
    barycentric: bool
    magnitude: Floats
    error: Floats
    night: NDArray[np.int64]
    search: PeriodSearch

    def to_json(self) -> dict[str, Any]:
        """Numbers and texts only."""
        best = self.search.best
        return {
            "source_ids": sorted({curve.source.source_id for curve in self.curves}),
            "observations": [curve.observation.observation_id for curve in self.curves],
            "left_out": list(self.left_out),
            "points": int(self.time.size),
            "time": "BJD_TDB" if self.barycentric else "JD_UTC",
            "period_d": best.period,
            "period_error_d": best.period_error,
            "amplitude_mag": best.amplitude,
            "amplitude_error_mag": best.amplitude_error,
            "faintest": best.epoch,
            "harmonics": best.harmonics,
            "noise": best.noise,
            "false_alarm": self.search.false_alarm,
            "alternatives": [
                {
                    "period_d": other.fit.period,
                    "period_error_d": other.fit.period_error,
                    "relative_evidence": other.relative_evidence,
                    "relation": other.relation,
                }
                for other in self.search.alternatives[1 : SHOWN_ALTERNATIVES + 1]
            ],
        }


def find_periods(nights: Nights) -> StarPeriods:
    """Join the usable points of all nights, in magnitudes: each night's normalisation is then a level that is fitted.

    Raises:
        DataError: too few points, or none that can be used.
    """
    chosen = [(curve, _usable(curve)) for curve in nights.curves]
    barycentric = any(np.isfinite(curve.bjd[usable]).any() for curve, usable in chosen)
    parts: list[Floats] = []
    kept: list[LightCurve] = []
    left_out: list[int] = []
    for curve, usable in chosen:
        time = curve.bjd if barycentric else curve.values("jd_utc")
        # Never BJD of one night beside JD of another: they are up to eight minutes apart.
        usable &= np.isfinite(time)
        if usable.sum() < FEWEST_POINTS_A_NIGHT:
            left_out.append(curve.observation.observation_id)
            continue
        flux, error = (curve.values(name)[usable] for name in ("flux_relative", "flux_relative_error"))
        magnitude, night = -MAG_PER_LN * np.log(flux), np.full(flux.size, len(kept))
        parts.append(np.stack([time[usable], magnitude, MAG_PER_LN * error / flux, night]))
        kept.append(curve)
    star = nights.curves[0].source.source_id
    if not parts:
        raise DataError(f"source {star} has no night of {FEWEST_POINTS_A_NIGHT} usable points with times")
    joined = np.concatenate(parts, axis=1)
    time, magnitude, error, number = joined[:, np.argsort(joined[0], kind="stable")]
    night = number.astype(np.int64)
    try:
        search = search_periods(time, magnitude, error, night)
    except UnusableDataError as problem:
        raise DataError(f"source {star} has no period: {problem}") from problem
    return StarPeriods(tuple(kept), tuple(left_out), time, barycentric, magnitude, error, night, search)


def _usable(curve: LightCurve) -> NDArray[np.bool_]:
    """Usable points that are brighter than their error: others have no magnitude."""
    flux, error = curve.values("flux_relative"), curve.values("flux_relative_error")
    with np.errstate(invalid="ignore"):
        return np.asarray(curve.usable & (error > 0) & (flux > error))
