"""Light at places that were asked for: flux with its error, which may be none, and magnitudes and upper limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from sqlalchemy.orm import Session

from pipeline.units import HOURS_PER_DAY
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lists.forced_curves import placed, points_at, weighted_mean
from services.results.plots.style import BLUE, GREY, LEGEND, ORANGE, head, new_figure, note, save, tidy
from services.results.plots.time_bins import Values, view_limits

PLACES_MOST = 6  # of one figure, in the order in which they were asked for


def draw_forced(session: Session, observation: ObservationFacts, path: Path) -> Path:
    """Draw a row for each place: flux at the left, magnitudes at the right, limits as triangles that point down.

    Raises:
        DataError: nothing usable was measured at any place.
    """
    places = placed(session, [observation])
    points = points_at(session, places)
    found = {one.name: [row for row in points[one.observation_id, one.name] if row.usable] for one in places}
    measured = {name: rows for name, rows in found.items() if rows}
    if not measured:
        raise DataError(f"observation {observation.observation_id} has no usable flux at places that were asked for")
    few = list(measured)[:PLACES_MOST]
    figure = new_figure(9.5, 1.2 + 1.9 * len(few))
    panels = figure.subplots(len(few), 2, sharex=True, squeeze=False)
    start = min(row.jd_utc for name in few for row in measured[name])
    for (left, right), name in zip(panels, few, strict=True):
        hours = HOURS_PER_DAY * (_values(measured[name], "jd_utc") - start)
        _draw_flux(left, hours, measured[name])
        _draw_magnitudes(right, hours, measured[name])
        left.set_title(name, fontsize=9.5, loc="left", parse_math=False)
    for axes in panels[-1]:
        axes.set_xlabel(f"hours since JD {start:.4f} (UTC)")
    marks = {name: mark for axes in panels.flat for mark, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(marks.values(), marks.keys(), **LEGEND, ncols=4, loc="outside lower left")
    more = f", the first {len(few)} of {len(measured)} places" if len(few) < len(measured) else ""
    caution = "Measured whatever is there: a point is no detection"
    head(figure, f"{observation.title}: light at places that were asked for{more}\n{caution}")
    return save(figure, path)


def _values(rows: Sequence[Any], name: str) -> Values:
    return np.array([getattr(row, name) for row in rows], dtype=np.float64)  # None is NaN


def _draw_flux(axes: Axes, hours: Values, rows: Sequence[Any]) -> None:
    """Flux on the median good frame, or that of each frame where nothing divides it."""
    name = "flux_forced" if any(row.flux_forced is not None for row in rows) else "flux_raw"
    flux, error = _values(rows, name), _values(rows, f"{name}_error")
    known = np.isfinite(flux + error)
    axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
    axes.errorbar(
        hours[known], flux[known], error[known], fmt="o", color=BLUE, markersize=3, elinewidth=0.6, label="flux"
    )
    mean, mean_error = weighted_mean(rows)
    if mean is not None and mean_error is not None:
        axes.axhline(mean, color=ORANGE, linewidth=1.2, label="mean of the night")
        words = f"mean {mean:.1f} ± {mean_error:.1f}".replace("-", "−")
        axes.set_title(words, fontsize=9.5, loc="right")  # above the panel, where it hides no point
    low, high = view_limits(flux[known], error[known])
    axes.set_ylim(min(low, 0.0), max(high, 0.0))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    tidy(axes, "", "flux (ADU)")


def _draw_magnitudes(axes: Axes, hours: Values, rows: Sequence[Any]) -> None:
    """Brighter is higher, so that a limit points to where the light may be."""
    mag, error, limit = (_values(rows, name) for name in ("mag", "mag_error", "mag_limit"))
    seen, limited = np.isfinite(mag), np.isfinite(limit)
    if not (seen | limited).any():
        axes.set_axis_off()
        note(axes, "no magnitudes: the night has no zero points", y=0.6)
        return
    if seen.any():
        points = hours[seen], mag[seen], np.nan_to_num(error[seen])
        axes.errorbar(*points, fmt="o", color=BLUE, markersize=3.5, elinewidth=0.6, label="above three errors")
    if limited.any():
        axes.plot(hours[limited], limit[limited], "v", color=GREY, markersize=5, label="upper limit")
    axes.invert_yaxis()
    axes.yaxis.set_major_locator(MaxNLocator(4))
    tidy(axes, "", "G (mag)")
