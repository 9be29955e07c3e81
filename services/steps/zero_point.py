"""`zero_point`: what turns fluxes into Gaia's G and into a standard band, for each frame and aperture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.errors import UnusableDataError
from pipeline.sky.astrometry.sphere import pixel_scale
from pipeline.zero_points import (
    ENOUGH,
    MAX_CALIBRATORS,
    Places,
    ZeroPoints,
    calibrators,
    fit_zero_points,
    measured_well,
    with_colours,
)
from schema.observing import Observation
from schema.photometry import Aperture, StandardTransformation, StandardZeroPoint, ZeroPoint, ZeroPointStar
from schema.queries.measurements import insert_rows, none_for_nan
from services.log import get_logger
from services.steps.shared.apertures import CIRCLE
from services.steps.shared.graph_fluxes import GraphAxes, graph_axes, raw_fluxes
from services.steps.shared.needs import KNOWN, optional, required, some_of
from services.steps.shared.shown_results import show
from services.steps.shared.standard_stars import StandardStar, standard_stars, wanted_band
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.shared.template_shape import across, template_shape

log = get_logger("zero_point")
FIELD_COLUMNS = ("field_u", "field_v", "field_uu", "field_uv", "field_vv")

Floats = NDArray[np.float64]


class ZeroPointParameters(Parameters):
    """PID of the `crossmatch` that names the stars."""

    crossmatch: int


@dataclass(frozen=True)
class _Stars:
    """All sources of the graph, and those that may calibrate, brightest first."""

    axes: GraphAxes
    places: Places
    colour_error: Floats
    candidates: NDArray[np.intp]
    relaxed: bool


def run(context: Context, _: ZeroPointParameters) -> Outputs | None:
    """Fit each aperture by itself; a field without matches gets no zero points, which is no failure."""
    with context.reading() as session:
        axes = graph_axes(session, context.graph_pid, context.pid)
        if not axes.gaia.matched.any():
            log.warning("no zero points: no source is matched to Gaia")
            return None
        stars = _stars(session, context.graph_pid, axes)
        band = wanted_band(session, context.observation_id, context.choices)
        standard = None if band is None else standard_stars(session, axes, band, context.choices)
        found: dict[int, ZeroPoints] = {}
        in_band: dict[int, ZeroPoints] = {}
        used = np.zeros(axes.source_ids.size, dtype=bool)
        for aperture, known in _calibrators(context, session, stars).items():
            try:
                found[aperture] = _fit(stars, known)
            except UnusableDataError as error:
                log.warning("no zero points of this aperture", aperture=aperture, reason=str(error))
                continue
            used[known.chosen[found[aperture].used]] = True
            if standard is not None:
                try:
                    in_band[aperture] = _fit_band(stars, known, standard.magnitude)
                except UnusableDataError as error:
                    log.warning(
                        "no standard magnitudes of this aperture",
                        aperture=aperture,
                        band=standard.band,
                        reason=str(error),
                    )
    if not found:
        return None

    def write(session: Session) -> None:
        for aperture, points in found.items():
            _write_points(session, context, aperture, axes.image_ids, points)
        for aperture, points in in_band.items():
            assert standard is not None
            _write_standard(session, context, aperture, axes.image_ids, points, standard)
        _write_stars(session, context.pid, stars, used)
        show(session, context, Observation.zero_point_pid)

    return write


def _stars(session: Session, graph_pid: int, axes: GraphAxes) -> _Stars:
    gaia = axes.gaia
    u, v = across(template_shape(session, graph_pid), axes.xy)
    colour, colour_error = with_colours(gaia.colour, gaia.g_mag)
    radius = session.scalar(
        select(func.max(Aperture.radius)).where(Aperture.graph_pid == graph_pid, Aperture.kind == CIRCLE)
    )
    neighbours = gaia.neighbour_light(float(radius or 0.0) * pixel_scale(axes.xy, axes.radec))
    allowed, relaxed = calibrators(gaia.g_mag, gaia.colour, gaia.variable, gaia.distance_ratio, neighbours)
    if relaxed:
        log.warning("crowded field: stars with neighbours count for the zero points too", stars=int(allowed.sum()))
    candidates = np.flatnonzero(allowed)
    candidates = candidates[np.argsort(gaia.g_mag[candidates], kind="stable")]
    return _Stars(axes, Places(u, v, colour), colour_error, candidates, relaxed)


@dataclass(frozen=True)
class _Calibrators:
    """Stars that may tell zero points: places among the sources [n], fluxes and errors [n, t], and which count."""

    chosen: NDArray[np.intp]
    flux: Floats
    error: Floats
    usable: NDArray[np.bool_]


def _fit(stars: _Stars, known: _Calibrators) -> ZeroPoints:
    chosen = known.chosen
    places = Places(stars.places.u[chosen], stars.places.v[chosen], stars.places.colour[chosen])
    good, g_mag = stars.axes.good, stars.axes.gaia.g_mag[chosen]
    return fit_zero_points(known.flux, known.error, known.usable, good, g_mag, places, stars.places)


def _fit_band(stars: _Stars, known: _Calibrators, magnitude: Floats) -> ZeroPoints:
    """The same fit to magnitudes in a standard band, of the calibrators that have one."""
    has = np.isfinite(magnitude[known.chosen])
    some = _Calibrators(known.chosen[has], known.flux[has], known.error[has], known.usable[has])
    chosen = some.chosen
    places = Places(stars.places.u[chosen], stars.places.v[chosen], stars.places.colour[chosen])
    return fit_zero_points(some.flux, some.error, some.usable, stars.axes.good, magnitude[chosen], places, stars.places)


def _calibrators(context: Context, session: Session, stars: _Stars) -> dict[int, _Calibrators]:
    """The calibrators of each aperture."""
    found = _read(context, session, stars, stars.axes.apertures, stars.relaxed)
    few = [aperture for aperture, known in found.items() if known.chosen.size < ENOUGH]
    if few and not stars.relaxed:
        # A camera may find a field crowded in which Gaia's stars stand apart.
        for aperture, crowded in _read(context, session, stars, few, relaxed=True).items():
            if crowded.chosen.size > found[aperture].chosen.size:
                found[aperture] = crowded
    return found


def _read(
    context: Context, session: Session, stars: _Stars, apertures: Sequence[int], relaxed: bool
) -> dict[int, _Calibrators]:
    """Candidates, a block at a time until there are enough: memory and time do not grow with a field's stars."""
    axes = stars.axes
    none = np.empty((0, axes.image_ids.size))
    parts = {aperture: [(np.empty(0, dtype=np.intp), none, none, none.astype(bool))] for aperture in apertures}
    missing = dict.fromkeys(apertures, MAX_CALIBRATORS)
    for start in range(0, stars.candidates.size, MAX_CALIBRATORS):
        block = stars.candidates[start : start + MAX_CALIBRATORS]
        wanted = [aperture for aperture in apertures if missing[aperture]]
        for aperture, raw in raw_fluxes(context, session, axes, block, wanted):
            usable = measured_well(raw.flux, raw.error, raw.flag, axes.good, relaxed)
            rows = np.flatnonzero(usable.any(axis=1))[: missing[aperture]]
            parts[aperture].append((block[rows], raw.flux[rows], raw.error[rows], usable[rows]))
            missing[aperture] -= rows.size
    return {
        aperture: _Calibrators(*(np.concatenate(part) for part in zip(*blocks, strict=True)))
        for aperture, blocks in parts.items()
    }


def _write_points(
    session: Session, context: Context, aperture: int, image_ids: NDArray[np.int64], points: ZeroPoints
) -> None:
    known = np.isfinite(points.zero_point) & np.isfinite(points.error) & np.isfinite(points.scatter)
    n = int(np.count_nonzero(known))
    columns: dict[str, list[Any]] = {
        "pid": [context.pid] * n,
        "image_id": image_ids[known].tolist(),
        "aperture": [aperture] * n,
        "observation_id": [context.observation_id] * n,
        "zero_point": points.zero_point[known].tolist(),
        "zero_point_error": points.error[known].tolist(),
        "colour_term": [points.colour_term] * n,
        "colour_reference": [points.colour_reference] * n,
        **dict(zip(FIELD_COLUMNS, points.field[known].T.tolist(), strict=True)),
        "scatter": points.scatter[known].tolist(),
        "stars": points.stars[known].tolist(),
        "transparency": none_for_nan(points.transparency[known]),
    }
    insert_rows(session, ZeroPoint.__table__, tuple(columns), zip(*columns.values(), strict=True))


def _write_standard(
    session: Session,
    context: Context,
    aperture: int,
    image_ids: NDArray[np.int64],
    points: ZeroPoints,
    standard: StandardStar,
) -> None:
    known = np.isfinite(points.zero_point) & np.isfinite(points.error) & np.isfinite(points.scatter)
    n = int(np.count_nonzero(known))
    if not n:
        return
    session.add(
        StandardTransformation(
            pid=context.pid,
            aperture=aperture,
            observation_id=context.observation_id,
            band=standard.band,
            origin=standard.origin,
            colour_term=points.colour_term,
            colour_term_error=points.colour_term_error,
            colour_reference=points.colour_reference,
            colour_low=points.colours[0],
            colour_high=points.colours[1],
            systematic=standard.systematic,
            scatter=float(np.median(points.scatter[known])),
            stars=int(np.count_nonzero(points.used)),
        )
    )
    columns: dict[str, list[Any]] = {
        "pid": [context.pid] * n,
        "image_id": image_ids[known].tolist(),
        "aperture": [aperture] * n,
        "zero_point": points.zero_point[known].tolist(),
        "zero_point_error": points.error[known].tolist(),
        **dict(zip(FIELD_COLUMNS, points.field[known].T.tolist(), strict=True)),
        "scatter": points.scatter[known].tolist(),
        "stars": points.stars[known].tolist(),
    }
    insert_rows(session, StandardZeroPoint.__table__, tuple(columns), zip(*columns.values(), strict=True))


def _write_stars(session: Session, pid: int, stars: _Stars, used: NDArray[np.bool_]) -> None:
    columns: dict[str, list[Any]] = {
        "pid": [pid] * used.size,
        "source_id": stars.axes.source_ids.tolist(),
        "u": stars.places.u.tolist(),
        "v": stars.places.v.tolist(),
        "colour": stars.places.colour.tolist(),
        "colour_error": stars.colour_error.tolist(),
        "used": used.tolist(),
        "colour_known": np.isfinite(stars.axes.gaia.colour).tolist(),
    }
    insert_rows(session, ZeroPointStar.__table__, tuple(columns), zip(*columns.values(), strict=True))


ZERO_POINT = Step(
    "zero_point",
    ZeroPointParameters,
    run,
    gives="zero point, colour and field terms of each frame, for Gaia's G and a standard band",
    needs=(
        required("crossmatch", "crossmatch"),
        optional("select", template=KNOWN),  # which is behind `extract` elsewhere
        some_of("extract"),
        optional("place_frames"),
    ),
    reads=("catalog_file", "standard_bands", "standard_columns", "standard_file"),
    anywhere=True,
    tables=(ZeroPoint, ZeroPointStar, StandardTransformation, StandardZeroPoint),
    joins=True,
    missing="no catalogue",
)
