"""The Bayesian fit of a transit in one star's light curve, as facts and as a table."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.transit import TransitFit, fit_transit
from pipeline.transit.joint import NightFit
from pipeline.units import HOURS_PER_DAY
from services.errors import DataError
from services.results.lightcurves.reading import LightCurve

DURATION_FACTOR = 2.0  # how much shorter or longer than expected a transit may be
PARAMETERS = ("mid_time", "duration", "depth", "radius_ratio", "impact", "limb_darkening", "jitter")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Expectation:
    """What is known before: BJD (TDB), hours; None leaves it to the light curve."""

    mid_bjd: float | None = None
    mid_window_h: float | None = None
    duration_h: float | None = None

    @property
    def duration_range_d(self) -> tuple[float, float] | None:
        """Shortest and longest, days."""
        if self.duration_h is None:
            return None
        days = self.duration_h / HOURS_PER_DAY
        return days / DURATION_FACTOR, days * DURATION_FACTOR


def detrended_table(
    curve: LightCurve, time: Floats, flux: Floats, error: Floats, fit: TransitFit | NightFit, facts: dict[str, float]
) -> Table:
    """Points ``[t]`` of a fit with its trend, model and residuals; ``facts`` stand beside those of the light curve."""
    return Table(
        {
            "bjd_tdb": time,
            "flux_relative": flux,
            "flux_relative_error": error,
            "trend": fit.trend,
            "flux_detrended": fit.detrended,
            "flux_detrended_error": error / fit.trend,
            "model": fit.model,
            "residual": fit.detrended - fit.model,
            "used": fit.used,
        },
        units={"bjd_tdb": "d"},
        meta={**curve.table.meta, **facts},
    )


@dataclass(frozen=True)
class StarTransit:
    """A fit and the points it was made of, ``[t]`` by time: BJD (TDB), relative flux and error."""

    curve: LightCurve
    time: Floats
    flux: Floats
    error: Floats
    fit: TransitFit
    expectation: Expectation
    seed: int

    @property
    def residual(self) -> Floats:
        """Detrended flux minus the model's, of the points used: float64[m]."""
        return (self.fit.detrended - self.fit.model)[self.fit.used]

    @property
    def residual_scatter(self) -> float:
        """Standard deviation of the residuals."""
        return float(np.std(self.residual))

    def table(self) -> Table:
        """The detrended light curve."""
        estimates = {name: getattr(self.fit, name).median for name in PARAMETERS}
        return detrended_table(self.curve, self.time, self.flux, self.error, self.fit, estimates)

    def to_json(self) -> dict[str, Any]:
        """Numbers and texts only."""
        fit = self.fit
        return {
            "observation_id": self.curve.observation.observation_id,
            "source_id": self.curve.source.source_id,
            "points": int(fit.used.sum()),
            "expectation": asdict(self.expectation),
            "seed": self.seed,
            **{name: asdict(getattr(fit, name)) for name in PARAMETERS},
            "log_bayes_factor": fit.log_bayes_factor,
            "log_bayes_factor_error": fit.log_bayes_factor_error,
            "effective_draws": fit.effective_draws,
            "red_noise": fit.red_noise,
            "acceptance": fit.acceptance,
            "residual_scatter": self.residual_scatter,
        }


def fit_star(curve: LightCurve, expectation: Expectation, *, seed: int, steps: int) -> StarTransit:
    """Fit the usable points.

    Raises:
        DataError: too few such points, times unknown, or none near the expected mid-time.
    """
    time, flux, error = curve.bjd, curve.values("flux_relative"), curve.values("flux_relative_error")
    chosen = curve.usable
    name = f"source {curve.source.source_id} of observation {curve.observation.observation_id}"
    if chosen.any() and not np.isfinite(time[chosen]).any():
        raise DataError(
            f"{name} has no barycentric times, for nothing tells its pointing or its date: a fit needs them"
        )
    chosen = chosen & np.isfinite(time) & np.isfinite(flux) & np.isfinite(error)
    time, flux, error = time[chosen], flux[chosen], error[chosen]
    try:
        fit = fit_transit(
            time,
            flux,
            error,
            seed=seed,
            mid_time_guess=expectation.mid_bjd,
            mid_time_window=None if expectation.mid_window_h is None else expectation.mid_window_h / HOURS_PER_DAY,
            duration_range=expectation.duration_range_d,
            steps=steps,
        )
    except UnusableDataError as problem:
        raise DataError(f"{name} cannot be fitted: {problem}") from problem
    return StarTransit(curve, time, flux, error, fit, expectation, seed)
