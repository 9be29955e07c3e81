"""Scatter by magnitude, each tool in the aperture that serves it best, beside the CCD equation's bound."""

from collections.abc import Sequence
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
class Stars:
    """The compared stars of one night or more; ``scatter``, ``deviation``: float64[star, aperture], by tool."""

    mag: Floats
    floor: Floats
    scatter: dict[str, Floats]  # without outliers; NaN where the tool lacks a star
    deviation: dict[str, Floats]  # plain standard deviation
    radii: dict[str, tuple[float, ...]]  # FWHM, of the first night


@dataclass(frozen=True)
class Bin:
    """Stars of one range of magnitude; ``scatter``: float64[star], NaN where the tool lacks a star."""

    low: float  # magnitude
    high: float
    floor: Floats
    scatter: dict[str, Floats]
    deviation: dict[str, Floats]  # plain standard deviation, float64[star]
    radius: dict[str, float]  # FWHM


def measure(night: Night, tools: Sequence[LightCurves]) -> Stars:
    """The scatter of one night's compared stars by every tool."""
    stars = night.compared()
    clear = night.clear(stars)
    scatters = {tool.tool: _scatters(tool.flux[stars], clear) for tool in tools}
    return Stars(
        mag=night.truth.stars.mag[stars],
        floor=night.floor(stars, clear),
        scatter={name: clipped for name, (clipped, _) in scatters.items()},
        deviation={name: plain for name, (_, plain) in scatters.items()},
        radii={tool.tool: tool.radii for tool in tools},
    )


def together(nights: Sequence[Stars]) -> Stars:
    """All stars of nights that the same tools measured."""

    def joined(name: str) -> dict[str, Floats]:
        return {tool: np.concatenate([getattr(night, name)[tool] for night in nights]) for tool in nights[0].radii}

    mag, floor = (np.concatenate([getattr(night, name) for night in nights]) for name in ("mag", "floor"))
    return Stars(mag, floor, joined("scatter"), joined("deviation"), nights[0].radii)


def bins(stars: Stars, brightest: float, faintest: float) -> list[Bin]:
    """One entry for each magnitude that has stars."""
    result = []
    for low in np.arange(brightest, faintest, BIN_MAG):
        here = np.flatnonzero((stars.mag >= low) & (stars.mag < low + BIN_MAG))
        if not here.size:
            continue
        floor = stars.floor[here]
        chosen = {name: _best(values[here] / floor[:, None]) for name, values in stars.scatter.items()}
        clipped, plain = (
            {name: values[name][here, k] for name, k in chosen.items()} for values in (stars.scatter, stars.deviation)
        )
        radius = {name: stars.radii[name][k] for name, k in chosen.items()}
        result.append(Bin(float(low), float(low + BIN_MAG), floor, clipped, plain, radius))
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


def _best(over_floor: Floats) -> int:
    """Aperture with the smallest median scatter over the floor; one for all stars, so that luck chooses nothing.

    The median of the scatter itself is that of the few stars amid the bin's magnitudes, whatever the others say.
    """
    medians = [median(column) for column in over_floor.T]
    return int(np.nanargmin(medians)) if np.isfinite(medians).any() else 0
