"""Is the noise what was promised? Achieved over predicted scatter and CDPP of every star, against brightness."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.star_statistics import brightest_saturated, read_prediction, read_stars
from services.results.plots.magnitudes import brightness, mark_star, plain_log_scale, point_size, running
from services.results.plots.style import BLACK, BLUE, LEGEND, ORANGE, head, new_figure, save, tidy

PPM = 1e6
CENTRAL = (16.0, 84.0)  # percentiles: one standard deviation on both sides of a Gaussian
VIEW_PERCENTILES = (1.0, 99.0)  # of the ratios in view
VIEW_MARGIN = 1.3

Values = NDArray[np.float64]


def precision(session: Session, observation: ObservationFacts, path: Path, target_source_id: int | None = None) -> Path:
    """Draw the panels: CDPP, its ratio to the prediction, and the scatter's.

    Raises:
        DataError: the light curves have not been analysed yet.
    """
    stars = read_stars(session, observation.analysis_pid)
    if not stars.source_id.size:
        raise DataError(f"observation {observation.observation_id} has no analysed light curves to draw")
    prediction = read_prediction(session, observation.analysis_pid)
    magnitude, axis = brightness(session, observation, stars)
    usual = ~brightest_saturated(session, observation.graph_pid, stars)
    modelled = bool(np.isfinite(prediction.scatter).any())
    promised, name = (prediction.scatter, "prediction") if modelled else (stars.error, "quoted error")
    has_cdpp = bool(np.isfinite(prediction.cdpp_achieved).any())
    has_ratio = bool(np.isfinite(prediction.cdpp_achieved / prediction.cdpp).any())
    figure = new_figure(9.5, 4.2 + 2.6 * has_cdpp + 2.0 * has_ratio)
    heights = [1.6] * has_cdpp + [1.0] * has_ratio + [1.0]
    panels = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    last = panels[-1]
    if has_cdpp:
        axes = panels.pop(0)
        _draw_cdpp(axes, magnitude, prediction.cdpp_achieved * PPM, prediction.cdpp * PPM)
        mark_star(axes, stars, magnitude, prediction.cdpp_achieved * PPM, target_source_id)
        axes.legend(**LEGEND, loc="lower right")
    if has_ratio:
        _draw_ratio(
            panels.pop(0), magnitude, prediction.cdpp_achieved / prediction.cdpp, usual, "CDPP over\nprediction"
        )
    _draw_ratio(last, magnitude, stars.scatter / promised, usual, f"scatter over\n{name}")
    last.set_xlabel(axis)
    figure.align_ylabels()
    missing = "" if has_cdpp else "; CDPP is not known"
    bright = np.count_nonzero(~usual)
    left_out = f"; {bright} saturated left out of the ratios" if bright else ""
    head(figure, f"{observation.title}: {stars.source_id.size} light curves{left_out}{missing}")
    return save(figure, path)


def _draw_cdpp(axes: Axes, magnitude: Values, achieved: Values, predicted: Values) -> None:
    size = point_size(magnitude.size)
    axes.scatter(magnitude, achieved, s=size, color=BLUE, linewidths=0, alpha=0.8, label="achieved")
    if np.isfinite(predicted).any():
        axes.scatter(magnitude, predicted, s=0.5 * size, color=ORANGE, linewidths=0, label="predicted")
        axes.plot(
            *running(magnitude, predicted, least=1), color=BLACK, linewidth=1.4, label="predicted, running median"
        )
    tidy(axes, "", "CDPP of 0.5 h (ppm)")
    plain_log_scale(axes)


def _draw_ratio(axes: Axes, magnitude: Values, ratio: Values, usual: NDArray[np.bool_], label: str) -> None:
    known = usual & np.isfinite(ratio) & (ratio > 0)
    magnitude, ratio = magnitude[known], ratio[known]
    if not ratio.size:
        return
    axes.axhline(1.0, color=ORANGE, linewidth=1.6, zorder=1)
    axes.scatter(magnitude, ratio, s=point_size(ratio.size), color=BLUE, linewidths=0, alpha=0.7)
    at, median = running(magnitude, ratio)
    low, high = (running(magnitude, ratio, percentile)[1] for percentile in CENTRAL)
    axes.fill_between(at, low, high, color=BLACK, alpha=0.12, linewidth=0)
    axes.plot(at, median, color=BLACK, linewidth=1.6)
    bottom, top = np.percentile(ratio, VIEW_PERCENTILES)
    axes.set_ylim(min(bottom, 0.8) / VIEW_MARGIN, max(top, 1.25) * VIEW_MARGIN)
    plain_log_scale(axes)
    tidy(axes, "", label)
    bottom, top = axes.get_ylim()
    outside = np.count_nonzero((ratio < bottom) | (ratio > top))
    beyond = f"; {outside} outside the plot" if outside else ""
    axes.set_title(f"median {np.median(ratio):.2f}; band: central 68%{beyond}", fontsize=9, loc="right", pad=3)
