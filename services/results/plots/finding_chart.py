"""Finding chart: the target, the reference stars that count most and the check stars, in the field and close by."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, ConnectionPatch, Rectangle
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from services.image_store import ImageStore
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.reading import analysed_best, aperture_name, read_apertures
from services.results.lightcurves.selection import SourceFacts
from services.results.lightcurves.sky_field import SolvedField, gaia_names, solved_field
from services.results.plots.compass import draw_compass, sky_axes
from services.results.plots.gaia_names import draw_gaia_names
from services.results.plots.labels import place_labels
from services.results.plots.roles import COLOURS, XY, Roles, read_positions, read_roles, short_names
from services.results.plots.sky_grid import draw_sky_grid, place_name
from services.results.plots.style import BLUE, GREEN, GREY, LEGEND, ORANGE, RED, head, new_figure, save, tidy
from services.results.plots.template_picture import (
    X_LABEL,
    Y_LABEL,
    circles,
    draw_image,
    mark_target,
    on_first_frame,
    read_template,
)
from services.steps.shared.first_frame import to_first_frame

MOST_REFERENCES = 15
MOST_CHECKS = 8
PANEL_IN = 5.2  # height of both panels
PAD_IN = 0.14  # between panels and legend
LEAST_ASPECT = 0.6  # width over height of the field's panel
WIDE_ASPECT = 2.0  # a wider field gets a row of its own, above the close-up and the names
SIDE_DRAWN_PX = 900  # longest, of the field: the panel has no more dots
CIRCLE_SHARE = 0.012  # radius, of the template's longer side
ZOOM_ANNULI = 2.0  # half the close-up's side, in outer radii of the sky annulus
TABLE_IN = 2.9  # width of the table of names
GRID_IN = 1.3  # width of the names of the grid's lines, of both panels
ZOOM_PX = 40.0  # half its side where no aperture is known


def finding_chart(
    session: Session, images: ImageStore | None, observation: ObservationFacts, target: SourceFacts, path: Path
) -> Path:
    """Draw the chart.

    Raises:
        DataError: there is no template yet, or its file cannot be read.
    """
    pixels, _ = read_template(session, images, observation)
    place, roles = read_positions(session, observation), read_roles(session, observation, target)
    here = (target.x, target.y)
    names = short_names(roles, place, target.source_id, MOST_REFERENCES, MOST_CHECKS)
    sky = solved_field(session, observation)
    gaia = gaia_names(session, [target.source_id, *names.values()])
    first = to_first_frame(session, observation.graph_pid)
    wcs = None if sky is None else sky.wcs.through(first)
    figure, field, close, beside = _panels(pixels.shape[1] / pixels.shape[0], bool(gaia), wcs)
    norm = draw_image(field, pixels, first, SIDE_DRAWN_PX)
    radius = CIRCLE_SHARE * max(pixels.shape)
    _mark_field(field, names, place, here, radius)
    half = _close_up(session, close, observation, target, place, first.scale)
    moved = on_first_frame(first) + close.transData
    close.imshow(pixels, origin="lower", cmap="gray_r", norm=norm, interpolation="nearest", transform=moved)
    close.set_xlim(here[0] - half, here[0] + half)
    close.set_ylim(here[1] - half, here[1] + half)
    _mark_close(close, names, place, here, half)
    field.add_patch(Rectangle((here[0] - half, here[1] - half), 2 * half, 2 * half, fill=False, ec=RED, lw=0.8))
    _join(figure, field, close, here, half)
    for axes in (field, close):
        if wcs is not None:
            stars = [here, *(place[source_id] for source_id in names.values())]
            draw_compass(axes, sky_axes(wcs, here), stars)
            draw_sky_grid(axes, wcs)
        else:
            tidy(axes, X_LABEL, Y_LABEL)
            axes.grid(visible=False)
    if beside is not None:
        draw_gaia_names(beside, {"T": target.source_id, **names}, gaia, COLOURS)
    _name_marks(field, roles, names, target)
    figure.get_layout_engine().set(h_pad=PAD_IN)  # type: ignore[call-arg, union-attr]
    figure.legend(**LEGEND, loc="outside lower left", ncols=3, columnspacing=1.5)
    head(figure, f"{observation.title}\n{_place(target, sky)}")
    return save(figure, path)


def _panels(aspect: float, has_names: bool, wcs: SkyWcs | None) -> tuple[Figure, Axes, Axes, Axes | None]:
    """Figure, field, close-up, and the table of names: in a row, or below a field that is wide and low."""
    on_sky: dict[str, Any] = {} if wcs is None else {"projection": wcs.astropy}
    grid, table = GRID_IN if on_sky else 0.0, TABLE_IN if has_names else 0.0
    widths = [PANEL_IN, *([table] if table else [])]
    if aspect <= WIDE_ASPECT:
        widths = [max(aspect, LEAST_ASPECT) * PANEL_IN, *widths]
        figure = new_figure(sum(widths) + 1.4 + grid, PANEL_IN + 1.5)
        places = figure.add_gridspec(1, len(widths), width_ratios=widths)
        field, close = (figure.add_subplot(places[number], **on_sky) for number in (0, 1))
        return figure, field, close, figure.add_subplot(places[2]) if table else None
    width = max(sum(widths), WIDE_ASPECT * PANEL_IN)
    low = width / aspect
    figure = new_figure(width + 0.7 + 0.5 * grid, low + PANEL_IN + 2.2)
    rows = figure.add_gridspec(2, 1, height_ratios=(low + 0.6, PANEL_IN))
    below = rows[1].subgridspec(1, 2, width_ratios=(PANEL_IN, max(width - PANEL_IN, TABLE_IN)))
    names = figure.add_subplot(below[1]) if table else None
    return figure, figure.add_subplot(rows[0], **on_sky), figure.add_subplot(below[0], **on_sky), names


def _join(figure: Figure, field: Axes, close: Axes, here: XY, half: float) -> None:
    """Lines from the square in the field, as far as it is seen, to the close-up beside or below it."""
    x, y = here
    beside = field.get_position().y0 < close.get_position().y1
    low, left, right = (max(y - half, field.get_ylim()[0]), *np.clip((x - half, x + half), *field.get_xlim()))
    ends = (
        [((right, low), (x - half, y - half)), ((right, min(y + half, field.get_ylim()[1])), (x - half, y + half))]
        if beside
        else [((left, low), (x - half, y + half)), ((right, low), (x + half, y + half))]
    )
    for start, end in ends:
        join = ConnectionPatch(start, end, "data", "data", axesA=field, axesB=close)
        join.set(color=RED, linewidth=0.6, alpha=0.6, in_layout=False)
        figure.add_artist(join)


def _place(target: SourceFacts, sky: SolvedField | None) -> str:
    words = f"source {target.source_id} at ({target.x:.1f}, {target.y:.1f}) on the first frame"
    if target.ra_deg is not None and target.dec_deg is not None:
        words += f", {place_name(target.ra_deg, target.dec_deg)} ({target.ra_deg:.5f}, {target.dec_deg:+.5f})"
    return words if sky else f"{words}; directions and angles are not known: the template is not solved"


def _of(names: dict[str, int], letter: str, place: dict[int, XY]) -> list[XY]:
    return [place[source_id] for name, source_id in names.items() if name.startswith(letter)]


def _mark_field(axes: Axes, names: dict[str, int], place: dict[int, XY], here: XY, radius: float) -> None:
    circles(axes, _of(names, "R", place), radius, BLUE, 1.5)
    for x, y in _of(names, "C", place):
        axes.add_patch(Rectangle((x - radius, y - radius), 2 * radius, 2 * radius, fill=False, ec=GREEN, lw=1.6))
    mark_target(axes, here, 0.6 * radius)
    spots = [here, *(place[source_id] for source_id in names.values())]
    place_labels(axes, ["T", *names], spots, radius, COLOURS)


def _close_up(
    session: Session,
    axes: Axes,
    observation: ObservationFacts,
    target: SourceFacts,
    place: dict[int, XY],
    step: float,
) -> float:
    """Draw apertures and neighbours; returns half the side. ``step``: pixels of the file in one of the template."""
    number = analysed_best(session, observation, target)
    apertures = read_apertures(session, observation)
    aperture = apertures.get(number) if number is not None else next(iter(apertures.values()), None)
    if aperture is None:
        return step * ZOOM_PX
    here = (target.x, target.y)
    # A Kron aperture follows the star's own ellipse: its factor is no radius.
    if aperture.kind != "kron":
        axes.add_patch(Circle(here, step * aperture.radius, fill=False, ec=RED, lw=1.5))
    for radius in (aperture.annulus_inner, aperture.annulus_outer):
        axes.add_patch(Circle(here, step * radius, fill=False, ec=RED, lw=1.0, ls=(0, (4, 3))))
    axes.plot([], [], "o", mfc="none", mec=RED, mew=1.5, markersize=7, label=f"aperture {aperture_name(aperture)}")
    annulus = f"sky from {aperture.annulus_inner:g} to {aperture.annulus_outer:g} px"
    axes.plot([], [], "--", color=RED, linewidth=1.0, label=annulus)
    half = step * ZOOM_ANNULI * aperture.annulus_outer
    others = np.array([xy for source_id, xy in place.items() if source_id != target.source_id]).reshape(-1, 2)
    near = others[(np.abs(others - here) < half).all(axis=1)]
    if near.size:
        axes.plot(*near.T, "x", color=ORANGE, markersize=5, markeredgewidth=1.2, label=f"{len(near)} other sources")
    return half


def _mark_close(axes: Axes, names: dict[str, int], place: dict[int, XY], here: XY, half: float) -> None:
    inside = {
        name: place[source_id]
        for name, source_id in names.items()
        if max(abs(place[source_id][0] - here[0]), abs(place[source_id][1] - here[1])) < 0.95 * half
    }
    place_labels(axes, list(inside), list(inside.values()), 0.04 * half, COLOURS)


def _name_marks(axes: Axes, roles: Roles, names: dict[str, int], target: SourceFacts) -> None:
    axes.plot([], [], "+", color=RED, markersize=9, markeredgewidth=1.6, label=f"T: source {target.source_id}")
    shown = [source_id for name, source_id in names.items() if name.startswith("R")]
    shares = [roles.references[source_id] for source_id in shown]
    words = f"{len(shown)} of {len(roles.references)} reference stars"
    if shares and None not in shares:
        words += f", {sum(share or 0.0 for share in shares):.0%} of the weight"
    axes.plot([], [], "o", mfc="none", mec=BLUE, mew=1.5, markersize=8, label=words)
    checks = len(names) - len(shown)
    words = f"{checks} of {len(roles.checks)} check stars" if checks else "no check stars chosen"
    axes.plot([], [], "s", mfc="none", mec=GREEN if checks else GREY, mew=1.5, markersize=8, label=words)
