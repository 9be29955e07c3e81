"""Skies: which one an image shows, what their coordinates are, and the sources that have only their pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from pipeline.errors import UnusableDataError
from pipeline.frame.stars import star_list
from pipeline.registration.alignment import Alignment, align
from pipeline.sky.astrometry.footprint import shared
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.sky.astrometry.wcs_claims import confirmed
from pipeline.sky.healpix import cells
from pipeline.units import ARCSEC
from schema.image import Image
from schema.observing import Observation
from schema.queries.scheduling import chunks
from schema.skies import PlateSolution, Sky, SkyImage, Source, SourcePosition
from services.log import get_logger
from services.steps.shared.known_sources import call_same, known_stars, near, seen_by

log = get_logger("skies")
LEAST_SHARE = 0.5  # of the smaller field, that makes an image one of a sky

Points = NDArray[np.float64]
Shape = tuple[int, int]


@dataclass(frozen=True)
class OnPixels:
    """Sources on a sky's own pixels, n of them."""

    ids: NDArray[np.int64]
    xy: Points  # float64[n, 2]
    flux: NDArray[np.float64]  # ADU, 0 where it was not measured


def of_field(session: Session, wcs: SkyWcs, shape: Shape, xy: Points, own: int | None) -> Sky | None:
    """The sky that shares most with an image, at least LEAST_SHARE of the smaller field; its own if that is one.

    A sky's pixels must reach all places xy float64[n, 2] of the image: its distortion may end outside of its field.
    """
    places = wcs.to_sky(xy)
    best: tuple[float, Sky] | None = None
    for sky, sky_shape in _around(session, wcs, shape):
        sky_wcs = SkyWcs.from_text(sky.wcs or "")
        smaller, both = shared(wcs, shape, sky_wcs, sky_shape)
        if smaller >= LEAST_SHARE and np.isfinite(sky_wcs.to_pixels(places)).all():
            if sky.sky_id == own:
                return sky
            if best is None or both > best[0]:
                best = both, sky
    return None if best is None else best[1]


def _around(session: Session, wcs: SkyWcs, shape: Shape) -> list[tuple[Sky, Shape]]:
    """Skies whose circles touch the image's, and their shapes, by id."""
    rows = session.execute(select(Sky.sky_id, Sky.ra_deg, Sky.dec_deg, Sky.radius_deg).where(Sky.wcs.is_not(None)))
    table = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 4)
    table = table[np.argsort(table[:, 0])]
    apart = separation_arcsec(np.array([wcs.centre(shape)]), table[:, 1:3]) / ARCSEC
    touching = table[apart < np.nan_to_num(table[:, 3]) + wcs.radius(shape), 0].astype(np.int64).tolist()
    found = [(session.get_one(Sky, sky_id), shape_of(session, sky_id)) for sky_id in touching]
    return [(sky, its) for sky, its in found if its is not None]


def shape_of(session: Session, sky_id: int) -> Shape | None:
    """(ny, nx) of the template that first showed a sky: its pixels are the sky's."""
    first = select(func.min(SkyImage.image_id)).where(SkyImage.sky_id == sky_id).scalar_subquery()
    row = session.execute(select(Image.ny, Image.nx).where(Image.image_id == first)).one_or_none()
    return None if row is None or not row.ny or not row.nx else (row.ny, row.nx)


def of_camera(session: Session, observation: Observation) -> list[Sky]:
    """Skies that the same camera saw under the same target's name: the observation's own, then the newest first."""
    query = (
        select(Sky)
        .join(Observation, Observation.sky_id == Sky.sky_id)
        .where(
            Observation.target_id == observation.target_id,
            Observation.instrument_id == observation.instrument_id,
            Observation.binning == observation.binning,
        )
        .distinct()
    )
    own = observation.sky_id
    return sorted(session.scalars(query), key=lambda sky: (sky.sky_id == own, sky.sky_id), reverse=True)


def laid_on(session: Session, sky: Sky, xy: Points, flux: NDArray[np.float64], shape: Shape) -> Alignment | None:
    """From a sky's pixels to those of an image of the same camera, by the pattern of its stars; None if it has none."""
    known = on_pixels(session, sky)
    if not known.ids.size:
        return None
    try:
        return align(star_list(known.xy, known.flux), star_list(xy, flux), shape)
    except UnusableDataError as error:
        log.info("template does not fit a known sky", sky_id=sky.sky_id, reason=str(error))
        return None


def on_pixels(session: Session, sky: Sky) -> OnPixels:
    """Sources on a sky's own pixels; of a solved one all that its field shows, whichever sky registered them."""
    shape = shape_of(session, sky.sky_id)
    if sky.wcs is None or shape is None:
        query = select(Source.source_id, Source.x, Source.y).where(Source.sky_id == sky.sky_id)
        rows = session.execute(query.order_by(Source.source_id)).all()
        ids, xy = np.array([row.source_id for row in rows], dtype=np.int64), np.array([row[1:] for row in rows])
    else:
        wcs = SkyWcs.from_text(sky.wcs)
        known = near(session, wcs, shape)
        xy = wcs.to_pixels(known.radec)
        with np.errstate(invalid="ignore"):
            inside = (xy > 0.0).all(axis=1) & (xy < np.array([shape[1], shape[0]])).all(axis=1)
        ids, xy = known.ids[inside], xy[inside]
    return OnPixels(ids, xy.reshape(-1, 2), _fluxes(session, ids))


def _fluxes(session: Session, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """The largest flux of each source on any template, ADU; 0 where it was not measured."""
    measured = select(SourcePosition.source_id, func.max(SourcePosition.flux)).group_by(SourcePosition.source_id)
    fluxes: dict[int, float | None] = {}
    for part in chunks(ids.tolist()):
        rows = session.execute(measured.where(SourcePosition.source_id.in_(part)))
        fluxes |= {row[0]: row[1] for row in rows}
    return np.array([fluxes.get(one) or 0.0 for one in ids.tolist()], dtype=np.float64)


def confirmed_claim(
    session: Session, claim: SkyWcs, xy: Points, flux: NDArray[np.float64], shape: Shape
) -> SkyWcs | None:
    """A WCS of the headers as the known stars correct it; None where they do not bear it out, or none is known."""
    known = near(session, claim, shape)
    fluxes = _fluxes(session, known.ids)
    bright = np.flatnonzero(fluxes > 0)
    if not bright.size:
        return None
    try:
        magnitude = -2.5 * np.log10(fluxes[bright])
        return confirmed(claim, xy, flux, known.radec[bright], magnitude, shape).wcs
    except UnusableDataError as error:
        log.info("known stars do not bear the header's WCS out", reason=str(error))
        return None


def solve_sky(session: Session, sky: Sky, wcs: SkyWcs, shape: Shape, solution: PlateSolution) -> None:
    """Write the WCS of a sky's own pixels, of shape (ny, nx), and the coordinates of the sources that it has.

    A star that others knew by its coordinates is theirs from now on: ``source.same_as`` says so.
    """
    sky.ra_deg, sky.dec_deg = wcs.centre(shape)
    sky.radius_deg, sky.wcs, sky.solve_pid = wcs.radius(shape), wcs.text(), solution.pid
    sky.wcs_rms_arcsec, sky.wcs_matches = solution.rms_arcsec, solution.matches
    query = select(Source.source_id, Source.x, Source.y).where(Source.sky_id == sky.sky_id).order_by(Source.source_id)
    rows: list[Row[Any]] = list(session.execute(query))
    if not rows:
        session.flush()
        return
    xy = np.array([(row.x, row.y) for row in rows], dtype=np.float64)
    radec = wcs.to_sky(xy)
    ids = [row.source_id for row in rows]
    session.execute(
        update(Source),
        [
            {"source_id": source_id, "ra_deg": ra, "dec_deg": dec, "healpix": cell}
            for source_id, (ra, dec), cell in zip(ids, radec.tolist(), cells(radec).tolist(), strict=True)
        ],
    )
    session.flush()
    others = known_stars(session, wcs, shape, xy, but_of=sky.sky_id).tolist()
    pairs = [(one, other) for one, other in zip(ids, others, strict=True) if other >= 0]
    seen = seen_by(session, (one for pair in pairs for one in pair))
    call_same(session, {one: other for one, other in pairs if not seen[one] & seen[other]})
