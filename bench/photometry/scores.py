"""Scatter by magnitude, each tool in the aperture that serves it best, beside the CCD equation's bound."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.photometry.light_curves import Floats, LightCurves
from bench.photometry.night import Night
from pipeline.statistics import robust_scatter, row_median

BIN_MAG = 1.0
DRAWS = 1000
FEWEST_STARS = 3  # for a standard error
FEWEST_EPOCHS = 20  # for a scatter that means something
OUTLIER_SIGMA = 5.0  # robust sigma: cosmic rays, trails
MEASURED = 0.95  # of the compared frames; a star seen in fewer was perhaps seen when noise helped


@dataclass(frozen=True)
class Bin:
    """Stars of one range of magnitude; ``scatter``: float64[star], NaN where the tool lacks a star."""

    low: float  # magnitude
    high: float
    stars: NDArray[np.int64]
    floor: Floats
    scatter: dict[str, Floats]
    deviation: dict[str, Floats]  # plain standard deviation, float64[star]
    radius: dict[str, float]  # FWHM


def bins(night: Night, tools: list[LightCurves]) -> list[Bin]:
    """One entry for each magnitude that has stars."""
    stars = night.compared()
    mag = night.truth.stars.mag
    clear = night.clear(stars)
    floor = night.floor(stars, clear)
    scatters = {tool.tool: _scatters(tool.flux[stars], clear) for tool in tools}
    result = []
    for low in np.arange(night.truth.spec.mag_min, night.truth.spec.mag_max, BIN_MAG):
        here = np.flatnonzero((mag[stars] >= low) & (mag[stars] < low + BIN_MAG))
        if not here.size:
            continue
        chosen = {tool.tool: _best(scatters[tool.tool][0][here]) for tool in tools}
        clipped, plain = ({name: scatters[name][i][here, k] for name, k in chosen.items()} for i in (0, 1))
        radius = {tool.tool: tool.radii[chosen[tool.tool]] for tool in tools}
        result.append(Bin(float(low), float(low + BIN_MAG), stars[here], floor[here], clipped, plain, radius))
    return result


def ratio(one: Bin, tool: str, other: Floats) -> float:
    """Median of a tool's scatter over that of another, of the stars that both have."""
    return median(one.scatter[tool] / other)


def ratio_error(one: Bin, tool: str, other: Floats) -> float:
    """Standard error of that median, by drawing the stars again and again."""
    values = one.scatter[tool] / other
    values = values[np.isfinite(values)]
    if values.size < FEWEST_STARS:
        return float("nan")
    draws = np.random.default_rng(values.size).choice(values, (DRAWS, values.size))
    return float(np.median(draws, axis=1).std())


def median(values: Floats) -> float:
    """Of the finite values; NaN without one."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _scatters(flux: Floats, clear: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Relative scatter without outliers, and plain, float64[star, aperture]; NaN for stars measured too rarely."""
    clipped, plain = np.full((2, flux.shape[0], flux.shape[2]), np.nan)
    for k in range(flux.shape[2]):
        values = np.where(clear, flux[:, :, k], np.nan)
        values /= row_median(values)[:, None]
        enough = np.isfinite(values).sum(axis=1) >= np.maximum(MEASURED * clear.sum(axis=1), FEWEST_EPOCHS)
        sigma = robust_scatter(values[enough])[:, None]
        kept = np.where(np.abs(values[enough] - 1) < OUTLIER_SIGMA * sigma, values[enough], np.nan)
        clipped[enough, k] = np.nanstd(kept, axis=1, ddof=1)
        plain[enough, k] = np.nanstd(values[enough], axis=1, ddof=1)
    return clipped, plain


def _best(scatter: Floats) -> int:
    """Aperture with the smallest median scatter of these stars; one for all, so that luck chooses nothing."""
    medians = [median(column) for column in scatter.T]
    return int(np.nanargmin(medians)) if np.isfinite(medians).any() else 0
