"""Achieved scatter of every star against its brightness, beside its quoted error and the noise model's parts."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.statistics import FEWEST_POINTS, expected_scatter
from schema.frame import Frame
from schema.photometry import Aperture
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.star_statistics import Prediction, brightest_saturated, read_prediction, read_stars
from services.results.plots.magnitudes import brightness, mark_star, plain_log_scale, point_size, running
from services.results.plots.style import (
    BLACK,
    BLUE,
    BROWN,
    GREEN,
    GREY,
    LEGEND,
    ORANGE,
    PPT,
    PURPLE,
    RED,
    SKY,
    head,
    new_figure,
    save,
    tidy,
)

CURVE_POINTS = 200
LOWEST_PART = 0.02  # of the smallest scatter: parts below are not drawn
PARTS = {
    "source": ("source's photons", ORANGE, "--"),
    "sky": ("sky", SKY, "-."),
    "read": ("read-out", GREEN, ":"),
    "dark": ("dark current", GREY, ":"),
    "flat": ("flat field", PURPLE, "--"),
    "scintillation": ("scintillation", BROWN, "--"),
    "reference": ("reference stars", RED, "-."),
}


def scatter_against_magnitude(
    session: Session, observation: ObservationFacts, path: Path, target_source_id: int | None = None
) -> Path:
    """Draw the scatter diagram.

    Raises:
        DataError: the light curves have not been analysed yet.
    """
    figure = new_figure(10.5, 6.0)
    axes = figure.add_subplot()
    count = draw_scatter(axes, session, observation, target_source_id)
    head(figure, f"{observation.title}: {count} light curves, each in its best aperture")
    axes.legend(**LEGEND, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return save(figure, path)


def draw_scatter(axes: Axes, session: Session, observation: ObservationFacts, target_source_id: int | None) -> int:
    """Draw the diagram in a panel, without its legend; the number of stars.

    Raises:
        DataError: the light curves have not been analysed yet.
    """
    stars = read_stars(session, observation.analysis_pid)
    if not stars.source_id.size:
        raise DataError(
            f"observation {observation.observation_id} has no light curve with a scatter to draw: "
            f"it takes {FEWEST_POINTS} usable points, and `analyze`"
        )
    magnitude, label = brightness(session, observation, stars)
    is_saturated = brightest_saturated(session, observation.graph_pid, stars)
    size = point_size(magnitude.size)
    achieved, usual = stars.scatter * PPT, ~is_saturated
    axes.scatter(magnitude[usual], achieved[usual], s=size, color=BLUE, linewidths=0, alpha=0.8, label="achieved")
    axes.scatter(
        magnitude, stars.error * PPT, s=0.5 * size, color=ORANGE, linewidths=0, zorder=3, label="quoted error (median)"
    )
    if is_saturated.any():
        axes.scatter(magnitude[is_saturated], achieved[is_saturated], s=30, marker="x", color=GREY, label="saturated")
    mark_star(axes, stars, magnitude, achieved, target_source_id)
    prediction = read_prediction(session, observation.analysis_pid)
    if np.isfinite(prediction.scatter).any():
        _draw_parts(axes, magnitude, prediction, float(achieved.min()))
    else:
        _draw_expected(axes, session, observation, magnitude, stars.flux)
    tidy(axes, label, "scatter of a point (parts per thousand)")
    plain_log_scale(axes)
    return int(stars.source_id.size)


def _draw_parts(axes: Axes, magnitude: NDArray[np.float64], prediction: Prediction, lowest: float) -> None:
    """Medians that run along the stars, of the whole prediction and of its parts."""
    at, total = running(magnitude, prediction.scatter, least=1)
    axes.plot(at, total * PPT, color=BLACK, linewidth=1.8, zorder=4, label="expected, all noise")
    missing = []
    for part, (name, colour, line) in PARTS.items():
        values = prediction.parts[part]
        if not np.isfinite(values).any():
            missing.append(name)
            continue
        at, median = running(magnitude, values, least=1)
        seen = median * PPT > LOWEST_PART * lowest
        if seen.any():
            axes.plot(at[seen], median[seen] * PPT, line, color=colour, linewidth=1.3, zorder=4, label=f"  {name}")
        else:
            missing.append(f"{name} (negligible)")
    if missing:
        axes.plot([], [], " ", label="not in it:\n" + "\n".join(f"  {name}" for name in missing))


def _draw_expected(
    axes: Axes,
    session: Session,
    observation: ObservationFacts,
    magnitude: NDArray[np.float64],
    star_flux: NDArray[np.float64],
) -> None:
    """The CCD equation of a typical frame, where `analyze` kept no prediction of its own."""
    grid = np.linspace(magnitude.min() - 0.1, magnitude.max() + 0.1, CURVE_POINTS)
    zero_point = float(np.median(magnitude + 2.5 * np.log10(star_flux)))
    flux = 10.0 ** (-0.4 * (grid - zero_point))
    curve, has_gain = _expected(session, observation, flux)
    if curve is not None:
        label = "expected: source,\nsky and read noise" if has_gain else "expected: sky alone,\nthe gain is unknown"
        axes.plot(grid, curve * PPT, color=BLACK, linewidth=1.2, label=label)


def _expected(
    session: Session, observation: ObservationFacts, flux: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, bool]:
    """Relative noise of stars of these fluxes in whichever aperture is best for them; None when facts are missing."""
    images = session.execute(
        select(Frame.background_rms, Frame.gain).where(Frame.graph_pid == observation.graph_pid, Frame.good.is_(True))
    ).all()
    circles = select(Aperture).where(Aperture.graph_pid == observation.graph_pid, Aperture.kind != "kron")
    apertures = session.scalars(circles).all()
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
