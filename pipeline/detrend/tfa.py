"""The trend filtering algorithm: other stars' light curves as trends (Kovács, Bakos & Noyes 2005, MNRAS 356, 557)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.detrend.detrended_field import Detrended, Field, divide, unchanged
from pipeline.light_curves import blocks
from pipeline.statistics import robust_scatter

MAX_TEMPLATES = 30
EPOCHS_PER_TEMPLATE = 10
GRID = 4  # cells in x and y, which give templates in turn: a field's corners are not its middle
NEIGHBOUR_PX = 20.0  # nearer templates share light with the star
LEAST = 1e-9  # of the mean diagonal, added to it: templates that are all but alike


def detrend_tfa(field: Field) -> Detrended:
    """Fit each light curve with those of template stars, and divide it by the fit.

    Templates are constant stars, the brightest of each cell of the field in turn; for each star, itself and templates
    within NEIGHBOUR_PX are left out. The fit knows no signal: a variation is weakened by what m templates can imitate
    of it, at least m / t, and much more when it is slow. Use it to find signals, not to measure them.
    """
    result = unchanged(field)
    templates = _templates(field)
    if not templates.size:
        return result
    trends, _ = field.residuals(templates)
    m = len(trends)
    products = (trends[:, None] * trends[None]).reshape(m * m, -1).T
    for rows in blocks(len(field.curves), max(field.curves.good.size, m * m)):
        residual, weight = field.residuals(rows)
        far = np.hypot(*(field.curves.xy[rows, None] - field.curves.xy[templates]).transpose(2, 0, 1)) > NEIGHBOUR_PX
        matrix = (weight @ products).reshape(-1, m, m) * far[:, :, None] * far[:, None, :]
        side = ((weight * residual) @ trends.T) * far
        mean = np.trace(matrix, axis1=1, axis2=2) / m
        diagonal = np.where(far, LEAST * mean[:, None], 1.0) + (mean == 0)[:, None]
        matrix[:, np.arange(m), np.arange(m)] += diagonal
        coefficients = np.linalg.solve(matrix, side[:, :, None])[:, :, 0]
        divide(field, coefficients @ trends, rows, result)
    return replace(result, trends=trends)


def _templates(field: Field) -> NDArray[np.int64]:
    """Numbers of the template stars, in turn the least scattering of each cell of the field."""
    teachers = field.teachers()
    most = min(MAX_TEMPLATES, int(field.curves.good.sum()) // EPOCHS_PER_TEMPLATE, teachers.size // 2)
    if most < 1:
        return teachers[:0]
    scatter = robust_scatter(
        np.where(field.telling(teachers), field.curves.flux[teachers], np.nan)[:, field.curves.good]
    )
    ordered = teachers[np.argsort(scatter, kind="stable")]
    low, high = (edge(field.curves.xy[ordered], axis=0) for edge in (np.nanmin, np.nanmax))
    inside = np.nan_to_num((field.curves.xy[ordered] - low) / np.maximum(high - low, 1.0))
    column, row = np.minimum(inside * GRID, GRID - 1).astype(np.int64).T
    cell = row * GRID + column
    turn = np.zeros(ordered.size, dtype=np.int64)
    for number in np.unique(cell):
        here = cell == number
        turn[here] = np.arange(here.sum())
    return ordered[np.argsort(turn, kind="stable")][:most]
