"""The stack's point spread function with apertures and sky annulus: picture, radial profile, curve of growth."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm
from matplotlib.patches import Circle
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.frame import Frame
from schema.photometry import Aperture, ApertureCorrection
from services.errors import DataError
from services.image_store import ImageStore
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.reading import read_apertures
from services.results.lightcurves.star_statistics import saturated
from services.results.plots.roles import read_spots
from services.results.plots.star_profile import CANDIDATES, StarProfile, isolated, star_profile
from services.results.plots.style import BLACK, BLUE, GREY, LEGEND, ORANGE, RED, SKY, head, new_figure, note, save, tidy
from services.results.plots.template_picture import read_template

LINES = ("-", "--", "-.", ":")  # of the apertures
FLOOR = 1e-6  # share of the flux in a pixel: lowest of the logarithmic scale
SOFTENING = 0.002  # of the peak; below it the picture's stretch is linear


def point_spread(session: Session, images: ImageStore | None, observation: ObservationFacts, path: Path) -> Path:
    """Draw it.

    Raises:
        DataError: there is no template, no aperture, or no bright star with room around it.
    """
    pixels, _ = read_template(session, images, observation)
    apertures = [one for one in read_apertures(session, observation).values() if one.kind != "kron"]
    if not apertures:
        raise DataError(f"observation {observation.observation_id} has no apertures to draw: no source was detected")
    inner, outer = apertures[0].annulus_inner, apertures[0].annulus_outer
    widest = max(one.radius for one in apertures)
    profile = _profile(session, observation, pixels, widest, inner, outer)
    if profile is None:
        raise DataError(
            f"observation {observation.observation_id} has no bright unsaturated star without neighbours within "
            f"{outer:g} px on its template"
        )
    figure = new_figure(13.0, 4.9)
    picture, radial, growth = figure.subplots(1, 3, width_ratios=(1.0, 1.15, 1.15))
    _draw_picture(picture, profile, apertures)
    _draw_radial(radial, profile, apertures)
    _draw_growth(growth, profile, apertures, _corrections(session, observation))
    figure.legend(*radial.get_legend_handles_labels(), **LEGEND, loc="outside lower left", ncols=8)
    stars = f"median of {profile.stars} bright stars" if profile.stars > 1 else "one bright star"
    head(figure, f"{observation.title}: point spread of the template, {stars}, FWHM {profile.fwhm:.2f} px")
    return save(figure, path)


def _profile(
    session: Session,
    observation: ObservationFacts,
    pixels: NDArray[np.float32],
    widest: float,
    inner: float,
    outer: float,
) -> StarProfile | None:
    spots = read_spots(session, observation)
    brightest = list(spots)[:CANDIDATES]
    unusable = saturated(session, observation.graph_pid, brightest)
    usable = np.array([source_id in brightest and source_id not in unusable for source_id in spots], dtype=bool)
    xy = np.array([spot.xy for spot in spots.values()]).reshape(-1, 2)
    flux = np.array([spot.flux for spot in spots.values()], dtype=np.float64)
    reach = int(np.ceil(outer))
    shown = xy[isolated(xy, flux, usable, pixels.shape, reach)]
    return star_profile(pixels, shown, reach, inner, xy, widest)


def _corrections(session: Session, observation: ObservationFacts) -> dict[int, tuple[float, float, float]]:
    """Share of the flux in each aperture by the frames' own curves of growth: median, 16th and 84th percentile."""
    rows = session.execute(
        select(ApertureCorrection.aperture, ApertureCorrection.correction)
        .join(Frame, Frame.image_id == ApertureCorrection.image_id)
        .where(Frame.graph_pid == observation.graph_pid, Frame.good.is_not(False))
    ).all()
    table = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 2)
    table = table[table[:, 1] > 0]
    return {
        int(number): tuple(np.percentile(1.0 / table[table[:, 0] == number, 1], (50, 16, 84)).tolist())
        for number in np.unique(table[:, 0])
    }


def _draw_picture(axes: Axes, profile: StarProfile, apertures: list[Aperture]) -> None:
    side = profile.reach + 0.5
    peak = float(profile.image.max())
    norm = AsinhNorm(SOFTENING * peak, vmin=0.0, vmax=peak)
    axes.imshow(profile.image, origin="lower", extent=(-side, side, -side, side), cmap="gray_r", norm=norm)
    for aperture, line in zip(apertures, LINES, strict=False):
        axes.add_patch(Circle((0, 0), aperture.radius, fill=False, ec=RED, lw=1.4, ls=line))
    for radius in (apertures[0].annulus_inner, apertures[0].annulus_outer):
        axes.add_patch(Circle((0, 0), radius, fill=False, ec=BLUE, lw=1.2))
    axes.set_xlim(-1.04 * side, 1.04 * side)
    axes.set_ylim(-1.04 * side, 1.04 * side)
    tidy(axes, "x from the centre (pixels)", "y from the centre (pixels)")
    axes.grid(visible=False)


def _draw_radial(axes: Axes, profile: StarProfile, apertures: list[Aperture]) -> None:
    axes.set_yscale("log")
    seen = profile.value > FLOOR
    axes.plot(profile.radius[seen], profile.value[seen], ".", color=GREY, markersize=1.5)
    axes.plot([], [], ".", color=GREY, label="pixels")
    at, value = profile.median
    axes.plot(at, np.where(value > FLOOR, value, np.nan), "-", color=BLACK, linewidth=1.6, label="median")
    _mark_radii(axes, profile, apertures)
    top = float(profile.value.max())
    axes.set_ylim(max(FLOOR, 1e-5 * top), 2.0 * top)
    tidy(axes, "distance from the centre (pixels)", "share of the flux in a pixel")


def _draw_growth(
    axes: Axes,
    profile: StarProfile,
    apertures: list[Aperture],
    corrections: dict[int, tuple[float, float, float]],
) -> None:
    axes.plot(profile.grid, profile.growth, "-", color=BLACK, linewidth=1.6)
    _mark_radii(axes, profile, apertures)
    words = []
    for aperture in apertures:
        inside = float(np.interp(aperture.radius, profile.grid, profile.growth))
        words.append(f"template, {aperture.radius:g} px: {inside:.1%}")
        if aperture.aperture in corrections:
            middle, low, high = corrections[aperture.aperture]
            words[-1] += f", frames: {middle:.1%}"
            bars = [[middle - low], [high - middle]]
            axes.errorbar(aperture.radius, middle, bars, fmt="o", color=ORANGE, markersize=5, capsize=3, zorder=4)
    words.append("bars: median of the frames, central 68%" if corrections else "no aperture corrections of the frames")
    note(axes, "\n".join(words), y=0.06 + 0.05 * len(words))
    axes.set_ylim(0.0, max(1.08, float(profile.growth.max()) * 1.02))
    tidy(axes, "aperture radius (pixels)", "share of the flux within (1 where the annulus begins)")


def _mark_radii(axes: Axes, profile: StarProfile, apertures: list[Aperture]) -> None:
    for aperture, line in zip(apertures, LINES, strict=False):
        axes.axvline(
            aperture.radius, color=RED, linewidth=1.3, linestyle=line, label=f"aperture {aperture.radius:g} px"
        )
    inner, outer = apertures[0].annulus_inner, apertures[0].annulus_outer
    axes.axvspan(inner, outer, color=SKY, alpha=0.25, linewidth=0, label=f"sky annulus {inner:g} to {outer:g} px")
    axes.set_xlim(0.0, profile.reach + 0.5)
