"""The transits of a planet on all nights of its star: one fit, mid-times, and how they differ from the ephemeris."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.transit.ephemeris import Ephemeris, Residuals, refined, residuals
from pipeline.transit.joint import JointFit, NightFit, TransitNight, fit_transits
from pipeline.transit.joint_priors import PlanetPrior
from pipeline.transit.trapezoid import MIN_POINTS
from pipeline.units import HOURS_PER_DAY, MINUTES_PER_DAY
from services.errors import DataError
from services.results.lightcurves.reading import LightCurve
from services.results.variability.planet_table import MOST_ECCENTRIC, PlanetFacts
from services.results.variability.transit import detrended_table

ESTIMATES = ("radius_ratio", "axis_ratio", "impact", "inclination_deg", "duration")
TRUSTED_SAMPLES = 500.0  # independent ones; fewer do not tell the ends of an interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FittedNight:
    """A light curve's points ``[t]`` by time, BJD (TDB), and what was found of it."""

    curve: LightCurve
    time: Floats
    flux: Floats
    error: Floats
    fit: NightFit

    def table(self) -> Table:
        """The detrended light curve."""
        mid_time = self.fit.mid_time
        facts = {"mid_time": mid_time.median, "mid_time_error": mid_time.error}
        return detrended_table(self.curve, self.time, self.flux, self.error, self.fit, facts)


@dataclass(frozen=True)
class PlanetTransits:
    """A fit of several nights; ``left_out`` are observations with the reason."""

    planet: PlanetFacts
    nights: tuple[FittedNight, ...]
    left_out: tuple[tuple[int, str], ...]
    fit: JointFit
    residuals: Residuals
    refined: Ephemeris | None
    given: Mapping[str, tuple[float, float]]  # limb darkening by filter, as it was given
    seed: int

    @property
    def notes(self) -> list[str]:
        """What a reader must know of it."""
        said = [f"observation {number} is left out: {reason}" for number, reason in self.left_out]
        if self.planet.eccentricity > MOST_ECCENTRIC:
            said.append(f"the orbit is taken as a circle, but its eccentricity is {self.planet.eccentricity:g}")
        if self.fit.effective < TRUSTED_SAMPLES:
            said.append(f"the samples are worth {self.fit.effective:.0f} independent ones: try more --steps")
        return said

    def mid_times(self) -> Table:
        """One row a night: mid-time, O - C and their errors."""
        found = self.residuals
        return Table(
            {
                "observation_id": [night.curve.observation.observation_id for night in self.nights],
                "filter": [night.curve.observation.filter for night in self.nights],
                "epoch": found.epoch,
                "mid_time": [night.fit.mid_time.median for night in self.nights],
                "mid_time_error": found.observed_error,
                "o_minus_c_min": found.difference * MINUTES_PER_DAY,
                "o_minus_c_error_min": found.observed_error * MINUTES_PER_DAY,
                "predicted_error_min": found.predicted_error * MINUTES_PER_DAY,
                "red_noise_mag": [night.fit.red_noise.median for night in self.nights],
                "beta": [night.fit.beta for night in self.nights],
                "residual_scatter": [night.fit.residual_scatter for night in self.nights],
                "points": [int(night.fit.used.sum()) for night in self.nights],
            },
            units={
                "mid_time": "d",
                "mid_time_error": "d",
                **dict.fromkeys(("o_minus_c_min", "o_minus_c_error_min"), "min"),
            },
            meta={"planet": self.planet.name, "time": "BJD_TDB"},
        )

    def rows(self) -> list[dict[str, Any]]:
        """The same as numbers and texts, a row a night."""
        table = self.mid_times()
        columns = [table[name].tolist() for name in table.colnames]
        return [dict(zip(table.colnames, values, strict=True)) for values in zip(*columns, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Numbers and texts only."""
        fit, by = self.fit, self.planet.ephemeris
        return {
            "planet": self.planet.name,
            "source_ids": sorted({night.curve.source.source_id for night in self.nights}),
            "seed": self.seed,
            "ephemeris": _ephemeris(by),
            "refined_ephemeris": None if self.refined is None else _ephemeris(self.refined),
            **{name: asdict(getattr(fit, name)) for name in ESTIMATES},
            "filters": [
                {
                    "filter": name,
                    "depth": asdict(fit.depth[name]),
                    "u": asdict(u),
                    "v": asdict(v),
                    "given": name in self.given,
                }
                for name, (u, v) in fit.limb_darkening.items()
            ],
            "nights": self.rows(),
            "acceptance": fit.acceptance,
            "effective_samples": fit.effective,
            "notes": self.notes,
        }


def fit_planet(
    curves: Sequence[LightCurve],
    planet: PlanetFacts,
    limb_darkening: Mapping[str, tuple[float, float]],
    *,
    window_h: float,
    seed: int,
    steps: int,
) -> PlanetTransits:
    """Fit the usable points of all nights with a transit in them.

    Args:
        curves: of the star, one an observation.
        planet: its ephemeris and what is known of its orbit.
        limb_darkening: u and v by filter, of which they are given.
        window_h: how far from the ephemeris a transit may be.
        seed, steps: of the sampler.

    Raises:
        DataError: no night has a transit, or one cannot be fitted.
    """
    chosen: list[tuple[LightCurve, Floats, Floats, Floats, float]] = []
    left_out: list[tuple[int, str]] = []
    for curve in curves:
        time, flux, error = curve.bjd, curve.values("flux_relative"), curve.values("flux_relative_error")
        good = curve.usable & np.isfinite(time) & np.isfinite(flux) & np.isfinite(error) & (flux > 0) & (error > 0)
        time, flux, error = time[good], flux[good], error[good]
        number = curve.observation.observation_id
        if time.size < MIN_POINTS:
            left_out.append((number, f"{time.size} usable points with times, expected {MIN_POINTS} or more"))
            continue
        mid = float(planet.ephemeris.predicted(planet.ephemeris.epoch(np.array([0.5 * (time[0] + time[-1])])))[0][0])
        if not time[0] < mid < time[-1]:
            away = min(abs(mid - time[0]), abs(mid - time[-1])) * HOURS_PER_DAY
            left_out.append((number, f"no transit in it, the nearest is {away:.1f} h away from its times"))
            continue
        chosen.append((curve, time, flux, error, mid))
    if not chosen:
        reasons = "; ".join(f"{number}: {reason}" for number, reason in left_out)
        raise DataError(f"no night of the star has a transit of {planet.name} ({reasons or 'it was seen in none'})")
    nights = [
        TransitNight(time, flux, error, curve.observation.filter, mid, window_h / HOURS_PER_DAY)
        for curve, time, flux, error, mid in chosen
    ]
    given = {name: pair for name, pair in limb_darkening.items() if name in {night.filter_name for night in nights}}
    known = tuple((name, u, v) for name, (u, v) in given.items())
    prior = PlanetPrior(planet.ephemeris.period, planet.axis_ratio, planet.impact, known)
    try:
        fit = fit_transits(nights, prior, seed=seed, steps=steps)
    except UnusableDataError as error:
        numbers = ", ".join(str(curve.observation.observation_id) for curve, *_ in chosen)
        raise DataError(f"observations {numbers} cannot be fitted: {error}") from error
    mid_times = np.array([one.mid_time.median for one in fit.nights])
    errors = np.array([one.mid_time.error for one in fit.nights])
    by = planet.ephemeris
    return PlanetTransits(
        planet=planet,
        nights=tuple(
            FittedNight(curve, time, flux, error, found)
            for (curve, time, flux, error, _), found in zip(chosen, fit.nights, strict=True)
        ),
        left_out=tuple(left_out),
        fit=fit,
        residuals=residuals(mid_times, errors, by),
        refined=refined(mid_times, errors, by) if by.mid_time_error > 0 and by.period_error > 0 else None,
        given=given,
        seed=seed,
    )


def _ephemeris(by: Ephemeris) -> dict[str, float]:
    return {
        "mid_time": by.mid_time,
        "mid_time_error": by.mid_time_error,
        "period_d": by.period,
        "period_error_d": by.period_error,
    }
