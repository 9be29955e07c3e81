"""Achieved scatter of every star against its brightness, beside its quoted error and what the CCD equation expects."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.statistics import expected_scatter
from schema.images import CALIBRATED, Image
from schema.photometry import Aperture
from services.errors import DataError
from services.lightcurves.selection import ObservationFacts
from services.lightcurves.statistics import Stars, read_stars, saturated
from services.plots.style import BLACK, BLUE, GREY, LEGEND, ORANGE, RED, new_figure, save, tidy

ZERO_POINT = 25.0  # arbitrary, mag of a star of 1 ADU: keeps instrumental magnitudes positive
SATURATION_CHECKS = 100  # brightest stars whose flags are read
CURVE_POINTS = 200
PPT = 1000.0  # parts per thousand


def scatter_against_magnitude(
    session: Session, observation: ObservationFacts, path: Path, target_source_id: int | None = None
) -> Path:
    """Draw the scatter diagram.

    Raises:
        DataError: the light curves have not been analysed yet.
    """
    stars = read_stars(session, observation.analysis_pid)
    if not stars.source_id.size:
        raise DataError(f"observation {observation.observation_id} has no analysed light curves to draw")
    magnitude = ZERO_POINT - 2.5 * np.log10(stars.flux)
    brightest = stars.source_id[:SATURATION_CHECKS].tolist()
    is_saturated = np.isin(stars.source_id, list(saturated(session, observation.graph_pid, brightest)))
    figure = new_figure(8.0, 5.6)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    size = 14 if magnitude.size < 3000 else 5
    axes.scatter(
        magnitude, stars.error * PPT, s=0.6 * size, color=ORANGE, linewidths=0, zorder=3, label="quoted error (median)"
    )
    usual = ~is_saturated
    axes.scatter(
        magnitude[usual],
        stars.scatter[usual] * PPT,
        s=size,
        color=BLUE,
        linewidths=0,
        alpha=0.8,
        label="achieved scatter",
    )
    if is_saturated.any():
        axes.scatter(
            magnitude[is_saturated], stars.scatter[is_saturated] * PPT, s=30, marker="x", color=GREY, label="saturated"
        )
    _draw_expected(axes, session, observation, magnitude)
    _mark_target(axes, stars, magnitude, target_source_id)
    tidy(
        axes,
        f"instrumental magnitude ({ZERO_POINT:g} − 2.5 log$_{{10}}$ of the median flux in ADU)",
        "scatter of a point (parts per thousand)",
        f"{observation.title}: {stars.source_id.size} light curves",
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(**LEGEND, loc="lower right")
    return save(figure, path)


def _draw_expected(axes: Axes, session: Session, observation: ObservationFacts, magnitude: NDArray[np.float64]) -> None:
    grid = np.linspace(magnitude.min() - 0.1, magnitude.max() + 0.1, CURVE_POINTS)
    flux = 10.0 ** (-0.4 * (grid - ZERO_POINT))
    curve, has_gain = _expected(session, observation, flux)
    if curve is None:
        return
    label = "expected: source, sky and read noise" if has_gain else "expected: sky alone, the gain is unknown"
    axes.plot(grid, curve * PPT, color=BLACK, linewidth=1.2, label=label)


def _expected(
    session: Session, observation: ObservationFacts, flux: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, bool]:
    """Relative noise of stars of these fluxes in whichever aperture is best for them; None when facts are missing."""
    images = session.execute(
        select(Image.background_rms, Image.gain).where(
            Image.graph_pid == observation.graph_pid, Image.kind == CALIBRATED, Image.good.is_(True)
        )
    ).all()
    apertures = session.scalars(select(Aperture).where(Aperture.graph_pid == observation.graph_pid)).all()
    noise = [row.background_rms for row in images if row.background_rms is not None]
    gains = [row.gain for row in images if row.gain is not None]
    if not noise or not apertures:
        return None, False
    radius = np.array([a.radius for a in apertures])[:, None]
    annulus = np.array([np.pi * (a.annulus_outer**2 - a.annulus_inner**2) for a in apertures])[:, None]
    curves = expected_scatter(
        flux[None, :],
        float(np.median(noise)) ** 2,
        np.pi * radius**2,
        gain=float(np.median(gains)) if gains else None,
        sky_area=annulus,
    )
    return np.asarray(curves.min(axis=0)), bool(gains)


def _mark_target(axes: Axes, stars: Stars, magnitude: NDArray[np.float64], source_id: int | None) -> None:
    index = np.flatnonzero(stars.source_id == source_id)
    if index.size:
        axes.scatter(
            magnitude[index],
            stars.scatter[index] * PPT,
            s=110,
            facecolors="none",
            edgecolors=RED,
            linewidths=1.6,
            label=f"source {source_id}",
        )
