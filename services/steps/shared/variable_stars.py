"""What `analyze` says of variability: stars in their best apertures, the ranked list, periods of those that lead it."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.aperture.crowding import contamination
from pipeline.errors import UnusableDataError
from pipeline.light_curves import LightCurves
from pipeline.variability import (
    Periodicity,
    RepeatedBox,
    VariableSearch,
    field_maxima,
    frequency_grid,
    lomb_scargle,
    neighbour_correlation,
    noise_spectrum,
    nuisance,
    repeated_box,
    search_variables,
    shortlist,
    suspicions,
    without,
)
from pipeline.variability.ranking import Suspicion
from pipeline.variability.variable_search import SCATTER, TESTS
from schema.frame import Frame
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.image_columns import column

Floats = NDArray[np.float64]

# Airmass and drift are left out: smooth over a night as an eclipse or a slow pulsation is, they would explain those.
COVARIATES = ("fwhm", "background", "transparency", "ellipticity")
NEIGHBOUR_RADII = 3.0  # of the largest aperture
EDGE_RADII = 2.0  # of the largest aperture: nearer to the edge its pixels and its sky are not those of the rest
MOSTLY = 0.5  # of its points near the edge: a star that is only sometimes there does without these
LEADERS = 100  # stars at most that get periodograms, some 5 ms each
LEADER_CHANCE = 0.01  # of a constant star to be among them
MAGNITUDE_GROUPS = 2  # bright stars show red noise that faint ones do not
SINE_COLUMNS = ("sine_period_d", "sine_period_error_d", "sine_amplitude", "sine_false_alarm")
COMPARISONS = 25  # constant stars of a group, from whose periodograms its red noise is told


class BestCurves:
    """Relative light curves of n sources on t frames, each in its best aperture.

    Attributes:
        flux, error: float64[n, t]; the flux is NaN where not usable.
        excess: float64[n], relative standard deviation beyond the quoted errors; 0 for less.
    """

    def __init__(self, sources: int, frames: int) -> None:
        """Nothing measured yet."""
        self.flux, self.error = np.full((sources, frames), np.nan), np.full((sources, frames), np.nan)
        self.excess = np.full(sources, np.nan)

    def keep(self, rows: slice, chosen: NDArray[np.bool_], curves: LightCurves) -> None:
        """Those of some of the sources in one aperture; ``chosen``: bool[m], for which it is the best."""
        at = rows.start + np.flatnonzero(chosen)
        self.flux[at], self.error[at] = curves.flux[chosen], curves.error[chosen]
        self.excess[at] = _excess(self.flux[at], self.error[at])


def _excess(flux: Floats, error: Floats) -> Floats:
    present = np.isfinite(flux)
    count = present.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(present, flux, 0.0).sum(axis=1) / count
        variance = np.where(present, (flux - mean[:, None]) ** 2, 0.0).sum(axis=1) / (count - 1)
        quoted = np.where(present, error**2, 0.0).sum(axis=1) / count
        return np.asarray(np.sqrt(np.maximum(variance - quoted, 0.0)) / mean)


@dataclass(frozen=True)
class Variables:
    """The search's result, periods and boxes of its leaders, by their number among the sources."""

    search: VariableSearch
    sines: dict[int, Periodicity]
    boxes: dict[int, RepeatedBox]
    first: float  # day of the light curves
    last: float


def find_variables(curves: LightCurves, magnitude: Floats, radius: float, frames: list[Frame]) -> Variables:
    """Rank the stars of a night by variability.

    Args:
        curves: relative, of n sources in their best apertures on t > 0 frames; times finite, unusable fluxes NaN.
        magnitude: float64[n], any zero point.
        radius: of the largest aperture, pixels.
        frames: t of them, whose FWHM, sky and transparency no variable should follow.
    """
    xy, time = curves.xy, curves.time
    at_edge = near_edge(frames, xy, EDGE_RADII * radius)
    mostly = at_edge.mean(axis=1) > MOSTLY
    curves = replace(curves, flux=np.where(at_edge & ~mostly[:, None], np.nan, curves.flux))
    beside = _covariates(frames)
    cleaned = without(curves, nuisance(time, beside).all)
    doubt = suspicions(
        neighbour_correlation=neighbour_correlation(cleaned, NEIGHBOUR_RADII * radius),
        near_edge=mostly,
        covered_share=np.isfinite(curves.flux).mean(axis=1),
    )
    light = neighbours_light(magnitude, xy, radius, beside[0])
    search = search_variables(curves, magnitude, doubt, covariates=beside, contamination=light)
    # Squares of Julian dates leave no digits for the spread of the times, on which false alarms rest.
    start = float(time[0])
    leaders = shortlist(search.ranking, LEADERS, LEADER_CHANCE)
    sines, boxes = _periods(replace(curves, time=time - start), magnitude, search, leaders)
    boxes = {star: replace(box, epoch=box.epoch + start) for star, box in boxes.items()}
    return Variables(search, sines, boxes, start, float(time[-1]))


def near_edge(frames: list[Frame], xy: Floats, reach: float) -> NDArray[np.bool_]:
    """Which stars lie nearer to the edge of which frame than ``reach`` pixels: bool[n, t].

    Frames of unknown size or alignment say nothing.
    """
    near = np.zeros((len(xy), len(frames)), dtype=bool)
    for number, frame in enumerate(frames):
        if frame.dx is not None and frame.dy is not None and frame.nx and frame.ny:
            place = alignment_of(frame).to_frame(xy)
            near[:, number] = np.minimum(place, (frame.nx - 1, frame.ny - 1) - place).min(axis=1) < reach
    return near


def _covariates(frames: list[Frame]) -> Floats:
    """What stars' fluxes may follow of the frames, float64[c, t]: first the FWHM and, as wings grow so, its square."""
    columns = [column(frames, name) for name in COVARIATES]
    width = columns[0]
    middle = float(np.median(width[np.isfinite(width)])) if np.isfinite(width).any() else 0.0
    return np.stack([width, np.square(width - middle), *columns[1:]])


def neighbours_light(magnitude: Floats, xy: Floats, radius: float, fwhm: Floats) -> Floats | None:
    """Neighbours' light in each star's aperture over its own, float64[n]; None where no frame knows its FWHM."""
    known = fwhm[np.isfinite(fwhm)]
    if not known.size or radius <= 0:
        return None
    return contamination(xy, 10.0 ** (-0.4 * magnitude), radius, float(np.median(known)))


def _periods(
    curves: LightCurves, magnitude: Floats, search: VariableSearch, leaders: NDArray[np.int64]
) -> tuple[dict[int, Periodicity], dict[int, RepeatedBox]]:
    """Periodograms of the leaders that have enough points, judged by constant stars of like magnitude.

    A trend as long as the night has neither a period nor a dip.
    """
    leaders = leaders[(search.ranking.suspicion[leaders] & Suspicion.TREND) == 0]
    time, span = curves.time, float(np.ptp(curves.time))
    sines: dict[int, Periodicity] = {}
    boxes: dict[int, RepeatedBox] = {}
    group_of, constant = _groups(magnitude, search, leaders)
    for group in np.unique(group_of):
        members = leaders[group_of == group].tolist()
        steady = curves.stars(constant[group])
        with suppress(UnusableDataError):  # too few frames for any period
            frequencies = frequency_grid(time)
            noise = noise_spectrum(steady, frequencies)
            for star in members:
                with suppress(UnusableDataError):  # too few points of this star
                    sine = lomb_scargle(time, curves.flux[star], curves.error[star], frequencies, noise=noise)
                    if sine.period <= span:  # of less than a cycle nobody knows the period
                        sines[star] = sine
        with suppress(UnusableDataError):
            maxima = field_maxima(steady)
            for star in members:
                with suppress(UnusableDataError):
                    boxes[star] = repeated_box(time, curves.flux[star], curves.error[star], maxima)
    return sines, boxes


def _groups(
    magnitude: Floats, search: VariableSearch, leaders: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Each leader's group by magnitude, int64[leaders], and some constant stars of each group."""
    tested = np.flatnonzero((search.ranking.test >= 0) & np.isfinite(magnitude))
    rest = np.setdiff1d(tested, leaders)
    groups = np.array_split(rest[np.argsort(magnitude[rest], kind="stable")], MAGNITUDE_GROUPS)
    limits = [magnitude[group[-1]] for group in groups[:-1] if group.size]
    thinned = [group[:: max(1, group.size // COMPARISONS)][:COMPARISONS] for group in groups]
    return np.searchsorted(limits, magnitude[leaders]), thinned


def _repeats(box: RepeatedBox, variables: Variables) -> bool:
    """Whether two boxes or more lie in the time observed: of one alone nobody knows the period."""
    cycles = np.floor((np.array([variables.first, variables.last]) - box.epoch) / box.period)
    return bool(np.diff(cycles)[0] >= 2)


def variability_columns(variables: Variables, excess: Floats) -> dict[str, list[Any]]:
    """Columns of table variability, ``[n]`` each: without ids, in the order of the sources; ``excess``: float64[n]."""
    ranking, indices = variables.search.ranking, variables.search.indices
    n = ranking.order.size
    rank = np.empty(n, dtype=np.int64)
    rank[ranking.order] = np.arange(1, n + 1)
    measured = {
        "false_alarm": ranking.family_wise,
        "excess_scatter": excess,
        "excess_significance": variables.search.significance[SCATTER],
        "stetson_j": indices.stetson_j,
        "stetson_k": indices.stetson_k,
        "von_neumann": indices.von_neumann,
        "night_trend": variables.search.trend,
        **{name: np.full(n, np.nan) for name in SINE_COLUMNS},
        **{f"box_{name}": np.full(n, np.nan) for name in ("period_d", "depth", "duration_d", "mid_bjd", "snr")},
        "box_false_alarm": np.full(n, np.nan),
    }
    for star, sine in variables.sines.items():
        measured["sine_period_d"][star] = sine.period
        measured["sine_period_error_d"][star] = sine.period_error
        measured["sine_amplitude"][star] = sine.amplitude
        measured["sine_false_alarm"][star] = sine.false_alarm
    for star, box in variables.boxes.items():
        measured["box_period_d"][star] = box.period if _repeats(box, variables) else np.nan
        measured["box_depth"][star] = box.depth
        measured["box_duration_d"][star] = box.duration
        measured["box_mid_bjd"][star] = box.epoch
        measured["box_snr"][star] = box.snr
        measured["box_false_alarm"][star] = box.false_alarm
    listed: dict[str, list[Any]] = {
        "variability_rank": rank.tolist(),
        "candidate": ranking.significant.tolist(),
        "leading_test": [TESTS[test] if test >= 0 else None for test in ranking.test.tolist()],
        "suspicion": ranking.suspicion.tolist(),
    }
    for name, values in measured.items():
        listed[name] = [value if np.isfinite(value) else None for value in values.tolist()]
    return listed
