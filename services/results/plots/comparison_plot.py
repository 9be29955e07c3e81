"""The target's light curve above those of the stars that it is compared with, on one scale."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.statistics import FEWEST_POINTS, robust_scatter
from services.errors import DataError
from services.results.lightcurves.reading import LightCurve, read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.plots.light_curve_plot import time_axis
from services.results.plots.roles import COLOURS, Roles, read_positions, read_roles, short_names
from services.results.plots.style import GREY, PPT, head, new_figure, save, tidy
from services.results.plots.time_bins import view_limits

MOST_REFERENCES = 6
MOST_CHECKS = 4
ROW_IN = 0.85
LEAST_SPAN = 0.01  # relative flux in view, so that stars of one part in a thousand are not drawn as noise

Values = NDArray[np.float64]


def draw_comparison(session: Session, curve: LightCurve, path: Path) -> Path:
    """Draw the target, its heaviest reference stars and its check stars, all in the target's aperture.

    A dip that the reference stars show too is the sky's or the instrument's, not the star's.

    Raises:
        DataError: the target has no usable point, or no star to be compared with.
    """
    roles = read_roles(session, curve.observation, curve.source)
    place = read_positions(session, curve.observation)
    names = short_names(roles, place, curve.source.source_id, MOST_REFERENCES, MOST_CHECKS)
    if not names:
        raise DataError(f"observation {curve.observation.observation_id} has no reference or check star to draw")
    [aperture] = curve.radii
    curves = {"T": curve}
    for name, source_id in names.items():
        star = find_source(session, curve.observation, source_id=source_id)
        curves[name] = read_light_curve(session, curve.observation, star, aperture)
    span = _span(curve)
    figure = new_figure(9.5, 1.5 + ROW_IN * len(curves))
    panels = figure.subplots(len(curves), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (name, one) in zip(panels, curves.items(), strict=True):
        _draw(axes, name, one, roles)
    panels[0].set_ylim(*span)
    _, origin, scale = time_axis(curve)
    panels[-1].set_xlabel(f"{scale} − {origin:.0f} (days)")
    figure.supylabel("relative flux", fontsize=10)
    words = "R: reference stars and their share of the weight, each without itself; C: check stars"
    head(figure, f"{curve.observation.title}\nT: source {curve.source.source_id}; {words}")
    return save(figure, path)


def _usable(curve: LightCurve, time: Values) -> NDArray[np.bool_]:
    flux = curve.values("flux_relative")
    return np.asarray(np.isfinite(flux + time) & curve.usable)


def _span(curve: LightCurve) -> tuple[float, float]:
    """Limits of relative flux that suit the target; the other stars are shown on the same."""
    time, _, _ = time_axis(curve)
    usable = _usable(curve, time)
    if not usable.any():
        raise DataError(f"source {curve.source.source_id} has no usable point to compare")
    low, high = view_limits(curve.values("flux_relative")[usable], curve.values("flux_relative_error")[usable])
    room = max(LEAST_SPAN - (high - low), 0.0) / 2.0
    return low - room, high + room


def _draw(axes: Axes, name: str, curve: LightCurve, roles: Roles) -> None:
    time, _, _ = time_axis(curve)
    flux, error = curve.values("flux_relative"), curve.values("flux_relative_error")
    usable = _usable(curve, time)
    measured = np.isfinite(flux + time)
    axes.plot(time[measured & ~usable], flux[measured & ~usable], "o", color=GREY, markersize=3.5, mfc="white")
    axes.errorbar(
        time[usable], flux[usable], np.nan_to_num(error[usable]), fmt="o", color=COLOURS[name[0]], ms=2.4, lw=0.5
    )
    tidy(axes, "", "")
    words, share = name, None
    if name != "T":  # the title names the target, and nothing is compared with itself
        words, share = f"{name}: source {curve.source.source_id}", roles.references.get(curve.source.source_id)
    if share is not None:
        words += f", {share:.0%}"
    if np.count_nonzero(usable) >= FEWEST_POINTS:
        words += f"; scatter {float(robust_scatter(flux[None, usable])[0]) * PPT:.3g} ‰"
    axes.set_title(words, fontsize=8.5, loc="left", pad=2, color=COLOURS[name[0]])
