"""Which frames of a night are good enough to be stacked."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.statistics import MAD_TO_SIGMA

STAR_SIGMA = 3.0  # Tianyu paper: both sides of the star count
BACKGROUND_SIGMA = 5.0  # Tianyu paper: upper side of the background noise
SHAPE_SIGMA = 5.0  # upper side of FWHM, ellipticity and alignment rms
LINE_FRAMES = 8  # fewer make no line, and are compared with their median
TREND_FRAMES = 31  # frames of the running median that follows airmass, moon and twilight
STAR_FLOOR = 0.06  # of the count: below it scatter is no sign of a bad frame
TRANSPARENCY_SIGMA = 5.0  # lower side of the light of common stars
TRANSPARENCY_FLOOR = 0.03  # of the light: jitter and the noise of the stars; thinner clouds are divided out
POISSON_FLOOR = 0.7  # sigma in units of 1/sqrt(count): stars about the limit come and go
BACKGROUND_FLOOR = 0.05  # of the noise
FWHM_FLOOR = 0.06  # of the width
ELLIPTICITY_FLOOR = 0.04
ALIGNMENT_FLOOR = 0.06  # px
CLOUD_FRACTION = 0.4  # of the night's typical star count; a cloud longer than the running median is still a cloud
SMEARED_ELLIPTICITY = 0.6  # axes 5:2, in a trailed frame, however the others are
NIGHT_FRAMES = 3  # of two frames, nobody knows which is under a cloud: both are kept unless one lost its stars
TYPICAL_QUANTILE = 0.75  # of the star counts: what a clear sky gives

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """``good``: bool[n]; ``reason``: why a frame is not good, empty for good ones, n strings."""

    good: NDArray[np.bool_]
    reason: list[str]


@dataclass(frozen=True)
class _Test:
    name: str
    sigma: float
    lower: bool
    floor: Callable[[Array], Array]
    """Least scatter, in the measure's own unit, given the running median."""
    digits: int
    upper: bool = True


_STARS = _Test(
    "star count", STAR_SIGMA, True, lambda m: np.maximum(STAR_FLOOR * m, POISSON_FLOOR * np.sqrt(np.maximum(m, 1))), 1
)
_BACKGROUND = _Test("background rms", BACKGROUND_SIGMA, False, lambda m: BACKGROUND_FLOOR * m, 3)
_TRANSPARENCY = _Test("transparency", TRANSPARENCY_SIGMA, True, lambda m: TRANSPARENCY_FLOOR * m, 3, upper=False)
_FWHM = _Test("FWHM", SHAPE_SIGMA, False, lambda m: FWHM_FLOOR * m, 2)
_ELLIPTICITY = _Test("ellipticity", SHAPE_SIGMA, False, lambda m: np.full_like(m, ELLIPTICITY_FLOOR), 2)
_ALIGNMENT = _Test("alignment rms", SHAPE_SIGMA, False, lambda m: np.full_like(m, ALIGNMENT_FLOOR), 2)


def select(
    star_count: ArrayLike,
    background_rms: ArrayLike,
    fwhm: ArrayLike | None = None,
    ellipticity: ArrayLike | None = None,
    alignment_rms: ArrayLike | None = None,
    transparency: ArrayLike | None = None,
) -> Selection:
    """Frames worth stacking: the Tianyu paper's clips, made robust, and tests of the star images.

    All real[n], one value a frame in the order of time, NaN where a frame failed: such a frame is not good. Each
    measure is compared with its running median over 31 frames, so that a night's slow changes reject nothing, in units
    of the robust scatter about it (with a floor, so that a very even night rejects nothing either): star count within
    3 sigma, background rms, FWHM (px), ellipticity and alignment rms (px) at most 5 sigma above, transparency
    (light of common stars, NaN where it is unknown, which is no fault) at most 5 sigma below. Clouds that outlast the
    running median are found by star count and transparency against the night's, smeared frames by their ellipticity
    alone.
    """
    stars = np.asarray(star_count, np.float64)
    reasons: list[list[str]] = [[] for _ in range(stars.size)]
    measures = [
        (_STARS, stars),
        (_BACKGROUND, np.asarray(background_rms, np.float64)),
        *((test, np.asarray(values, np.float64)) for test, values in _optional(fwhm, ellipticity, alignment_rms)),
    ]
    alive = np.all([np.isfinite(values) for _, values in measures], axis=0) & (stars > 0)
    for test, values in measures:
        for i in np.flatnonzero(~np.isfinite(values)):
            reasons[i].append(f"no {test.name}")
    for i in np.flatnonzero(stars == 0):
        reasons[i].append("no star found")
    if alive.any():
        if transparency is not None:
            measures.append((_TRANSPARENCY, np.asarray(transparency, np.float64)))
        _reject_outright(measures, alive, reasons)
        # What is already rejected must not bend the running medians.
        kept = np.array([not reason for reason in reasons])
        for test, values in measures:
            _clip(test, values, kept & np.isfinite(values), reasons)
    return Selection(
        good=np.array([not reason for reason in reasons], np.bool_), reason=["; ".join(reason) for reason in reasons]
    )


def _optional(
    fwhm: ArrayLike | None, ellipticity: ArrayLike | None, alignment_rms: ArrayLike | None
) -> list[tuple[_Test, ArrayLike]]:
    given = ((_FWHM, fwhm), (_ELLIPTICITY, ellipticity), (_ALIGNMENT, alignment_rms))
    return [(test, values) for test, values in given if values is not None]


def _reject_outright(measures: list[tuple[_Test, Array]], alive: NDArray[np.bool_], reasons: list[list[str]]) -> None:
    for test, values in measures:
        known = alive & np.isfinite(values)
        if test is _STARS or (test is _TRANSPARENCY and known.sum() >= NIGHT_FRAMES):
            limit = CLOUD_FRACTION * float(np.quantile(values[known], TYPICAL_QUANTILE))
            for i in np.flatnonzero(known & (values < limit)):
                found = f"{test.name} {values[i]:.4g} below {limit:.{test.digits}f}"
                reasons[i].append(f"{found} ({CLOUD_FRACTION:.0%} of the night's)")
        if test is _ELLIPTICITY:
            for i in np.flatnonzero(alive & (values > SMEARED_ELLIPTICITY)):
                reasons[i].append(f"ellipticity {values[i]:.2f} above {SMEARED_ELLIPTICITY} (smeared)")


def _clip(test: _Test, values: Array, kept: NDArray[np.bool_], reasons: list[list[str]]) -> None:
    places = np.flatnonzero(kept)
    if not places.size:
        return
    series = values[places]
    centre = _trend(series)
    spread = MAD_TO_SIGMA * float(np.median(np.abs(series / np.maximum(centre, 1e-9) - 1)))
    scale = np.maximum(test.floor(centre), spread * centre)
    low, high = centre - test.sigma * scale, centre + test.sigma * scale
    for i, value, lowest, highest in zip(places, series, low, high, strict=True):
        if test.upper and value > highest:
            reasons[i].append(f"{test.name} {value:.4g} above {highest:.{test.digits}f} ({test.sigma:g} sigma)")
        elif test.lower and value < lowest:
            reasons[i].append(f"{test.name} {value:.4g} below {lowest:.{test.digits}f} ({test.sigma:g} sigma)")


def _trend(series: Array) -> Array:
    """What each frame is compared with: the running median, and robust lines where that has no frames on one side."""
    n = series.size
    if n < LINE_FRAMES:
        return np.full(n, float(np.median(series)))
    if n < TREND_FRAMES:
        return _line(series)
    half = TREND_FRAMES // 2
    windows = np.lib.stride_tricks.sliding_window_view(series, TREND_FRAMES)
    start, end = _line(series[:TREND_FRAMES])[:half], _line(series[-TREND_FRAMES:])[-half:]
    return np.concatenate([start, np.asarray(np.median(windows, axis=1), np.float64), end])


def _line(series: Array) -> Array:
    """Theil's line: the median of all slopes, which three bad frames of ten do not move."""
    i, j = np.triu_indices(series.size, 1)
    slope = float(np.median((series[j] - series[i]) / (j - i)))
    places = np.arange(series.size)
    return np.asarray(slope * places + float(np.median(series - slope * places)), np.float64)
