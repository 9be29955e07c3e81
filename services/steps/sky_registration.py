"""One sky, many nights: which sky a template shows, which of its sources are known, and where they are on the sphere.

A template with a WCS belongs to the known sky whose field it shares, whichever telescope saw that first; its sources
are recognised by their coordinates. Without a WCS they are recognised by their pattern on the pixels of a sky that
the same camera saw before. What is known stays, what is new is appended.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from pipeline.alignment import Alignment, align
from pipeline.astrometry.sky_wcs import SkyWcs
from pipeline.astrometry.sphere import ARCSEC, separation_arcsec
from pipeline.detection import match_sources
from pipeline.errors import UnusableDataError
from pipeline.healpix import cells
from pipeline.stars import star_list
from schema.base import utc_now
from schema.images import TEMPLATE
from schema.observing import Observation, Target
from schema.processes import Process
from schema.queries.measurements import insert_rows
from schema.skies import PlateSolution, Sky, SkyImage, SkyRegistry, Source, SourcePosition
from services.errors import ConfigurationError
from services.log import get_logger
from services.steps.base import Context

log = get_logger("sky_registration")
MATCH_RADIUS_PX = 1.5  # without a WCS
MATCH_RADIUS_ARCSEC = 1.5  # the paper, section 3.3
MATCH_RADIUS_COARSE_PX = 0.75  # where pixels are coarser than what the paper had in mind
SAME_PLACE_PX = 0.01  # positions on one and the same template

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What `detect` found on a template: positions and fluxes of stars, the template's shape, and its WCS if any."""

    template_id: int
    xy: Points  # [n, 2], pixels
    flux: NDArray[np.float64]  # [n], ADU
    shape: tuple[int, int]
    wcs: SkyWcs | None
    solution: PlateSolution | None


@dataclass(frozen=True)
class _Laid:
    """The template on a known sky: its sources there, and for each the index of the known source (-1: new)."""

    sky: Sky
    known_ids: NDArray[np.int64]
    match: NDArray[np.int64]
    on_sky: Points  # [n, 2], pixels of the sky's template
    alignment: Alignment | None  # from the sky's pixels to the template's, where they were laid by pattern


@dataclass(frozen=True)
class _Known:
    ids: NDArray[np.int64]
    xy: Points
    radec: Points
    flux: NDArray[np.float64]


def solution_of(session: Session, solved: int | None) -> PlateSolution | None:
    """What the `solve` of this PID found, or None when it found no WCS, failed, or was none."""
    solution = None if solved is None else session.get(PlateSolution, solved)
    return solution if solution is not None and solution.solved else None


def wcs_of(solution: PlateSolution | None) -> SkyWcs | None:
    """Its WCS."""
    return None if solution is None or solution.wcs is None else SkyWcs.from_text(solution.wcs)


def register_sources(session: Session, context: Context, found: Found) -> list[int]:
    """Register the sources of a template, in the caller's transaction; returns the id of each.

    Raises:
        ConfigurationError: the database lacks the row that registrations hold.
    """
    _hold_registry(session)
    observation = session.get_one(Observation, context.observation_id)
    laid = _laid(session, observation, found)
    if laid is None:
        laid = _new_sky(session, context, observation, found)
    observation.sky_id = laid.sky.sky_id
    session.add(SkyImage(sky_id=laid.sky.sky_id, image_id=found.template_id, role=TEMPLATE))
    session.flush()
    if laid.sky.wcs is None and found.wcs is not None and found.solution is not None:
        wcs = found.wcs if laid.alignment is None else found.wcs.through(laid.alignment.inverse(), found.shape)
        _solve_sky(session, laid.sky, wcs, found.solution)
    ids = np.empty(found.flux.size, dtype=np.int64)
    new = laid.match < 0
    ids[~new] = laid.known_ids[laid.match[~new]]
    radec = None if found.wcs is None else found.wcs.to_sky(found.xy[new])
    ids[new] = _insert(session, context, laid.sky, laid.on_sky[new], radec)
    listed: list[int] = ids.tolist()
    return listed


def give_coordinates(session: Session, context: Context, solution: PlateSolution) -> None:
    """Give the sky of an observation the WCS of its template, where `detect` came before it was solved.

    In the caller's transaction. A sky that another template defined, or that has a WCS, stays as it is:
    `tianyu rerun --from detect` registers the template anew.
    """
    wcs = wcs_of(solution)
    sky_id = session.get_one(Observation, context.observation_id).sky_id
    if wcs is None or sky_id is None:
        return
    _hold_registry(session)
    sky = session.get_one(Sky, sky_id)
    detect = select(Process.pid).where(Process.graph_pid == context.graph_pid, Process.command == "detect")
    moved = func.max(func.abs(Source.x - SourcePosition.x) + func.abs(Source.y - SourcePosition.y))
    query = select(moved).join(SourcePosition, SourcePosition.source_id == Source.source_id)
    farthest = session.scalar(query.where(SourcePosition.pid.in_(detect)))
    if sky.wcs is not None or farthest is None:
        return
    if farthest > SAME_PLACE_PX:
        log.warning("sky of another template stays without coordinates", sky_id=sky_id, pid=context.pid)
        return
    _solve_sky(session, sky, wcs, solution)


def _hold_registry(session: Session) -> None:
    """Let nobody else register until this transaction ends: the second of two finds what the first made."""
    registry = session.scalar(select(SkyRegistry).with_for_update())
    if registry is None:
        raise ConfigurationError("table sky_registry has lost its only row: INSERT INTO sky_registry VALUES (1, 0)")
    registry.registrations += 1
    session.flush()


def _laid(session: Session, observation: Observation, found: Found) -> _Laid | None:
    """The template laid on a known sky; None where there is none for it."""
    for sky in _candidates(session, observation, found):
        known = _known(session, sky.sky_id)
        if not known.ids.size:
            continue
        if sky.wcs is not None and found.wcs is not None:
            return _by_coordinates(sky, known, found, found.wcs, SkyWcs.from_text(sky.wcs))
        laid = _by_pattern(sky, known, found)
        if laid is not None:
            return laid
    return None


def _candidates(session: Session, observation: Observation, found: Found) -> list[Sky]:
    """Skies that the template may show, the likeliest first; an observation stays on its own if that can be."""
    own = [] if observation.sky_id is None else [session.get_one(Sky, observation.sky_id)]
    if found.solution is None:
        return own or _skies_of_camera(session, observation)
    there = _skies_there(session, found.solution)
    if own and own[0] in there:
        return own
    # One that was registered by its pixels moves to the sky that others have solved meanwhile.
    return there or [sky for sky in own or _skies_of_camera(session, observation) if sky.wcs is None]


def _skies_there(session: Session, solution: PlateSolution) -> list[Sky]:
    """Skies that share the solved field: one's centre lies in the other; the nearest first."""
    here = np.array([[solution.ra_deg, solution.dec_deg]])
    found = []
    for sky in session.scalars(select(Sky).where(Sky.wcs.is_not(None)).order_by(Sky.sky_id)):
        apart = float(separation_arcsec(np.array([[sky.ra_deg, sky.dec_deg]]), here)[0]) / ARCSEC
        # A corner's distance reaches past the sides: the inscribed circle is what both surely share.
        if apart < max(sky.radius_deg or 0.0, solution.radius_deg or 0.0) / np.sqrt(2.0):
            found.append((apart, sky))
    return [sky for _, sky in sorted(found, key=lambda pair: (pair[0], pair[1].sky_id))]


def _skies_of_camera(session: Session, observation: Observation) -> list[Sky]:
    """Skies that the same camera saw under the same target's name, the newest first."""
    query = (
        select(Sky)
        .join(Observation, Observation.sky_id == Sky.sky_id)
        .where(
            Observation.target_id == observation.target_id,
            Observation.instrument_id == observation.instrument_id,
            Observation.binning == observation.binning,
        )
        .distinct()
        .order_by(Sky.sky_id.desc())
    )
    return list(session.scalars(query))


def _known(session: Session, sky_id: int) -> _Known:
    columns = (Source.source_id, Source.x, Source.y, Source.ra_deg, Source.dec_deg)
    rows = session.execute(
        select(*columns, func.max(SourcePosition.flux))
        .outerjoin(SourcePosition, SourcePosition.source_id == Source.source_id)
        .where(Source.sky_id == sky_id)
        .group_by(*columns)
        .order_by(Source.source_id)
    ).all()
    table = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 6)
    return _Known(table[:, 0].astype(np.int64), table[:, 1:3], table[:, 3:5], np.nan_to_num(table[:, 5]))


def _by_coordinates(sky: Sky, known: _Known, found: Found, wcs: SkyWcs, sky_wcs: SkyWcs) -> _Laid:
    """Match where the known sources should be on the template, after the mean offset of the two solutions is taken off.

    On the template's own plane neither the pole nor right ascension zero is special.
    """
    expected = wcs.to_pixels(known.radec)
    there = np.flatnonzero(np.isfinite(expected).all(axis=1))
    scale = wcs.pixel_scale(found.shape)
    coarser = max(scale, sky_wcs.pixel_scale(found.shape))
    radius = max(MATCH_RADIUS_ARCSEC, MATCH_RADIUS_COARSE_PX * coarser) / scale
    near = match_sources(expected[there], found.xy, 2.0 * radius)
    both = near >= 0
    if both.any():
        expected += np.median(found.xy[both] - expected[there[near[both]]], axis=0)
    match = match_sources(expected[there], found.xy, radius)
    match = np.where(match >= 0, there[match], -1)
    return _Laid(sky, known.ids, match, sky_wcs.to_pixels(wcs.to_sky(found.xy)), None)


def _by_pattern(sky: Sky, known: _Known, found: Found) -> _Laid | None:
    """Match on the pixels of the sky's template; None where the pattern of stars is another one."""
    try:
        laid = align(star_list(known.xy, known.flux), star_list(found.xy, found.flux), found.shape)
    except UnusableDataError as error:
        log.warning("template does not fit a known sky", sky_id=sky.sky_id, reason=str(error))
        return None
    on_sky = laid.to_reference(found.xy)
    return _Laid(sky, known.ids, match_sources(known.xy, on_sky, MATCH_RADIUS_PX), on_sky, laid)


def _new_sky(session: Session, context: Context, observation: Observation, found: Found) -> _Laid:
    name = session.get_one(Target, observation.target_id).name
    sky = Sky(name=name, pid=context.pid, created_at=utc_now())
    session.add(sky)
    session.flush()
    return _Laid(sky, np.empty(0, np.int64), np.full(found.flux.size, -1), found.xy, None)


def _solve_sky(session: Session, sky: Sky, wcs: SkyWcs, solution: PlateSolution) -> None:
    """Write the WCS of the sky's own pixels, and the coordinates of the sources that it has."""
    sky.ra_deg, sky.dec_deg, sky.radius_deg = solution.ra_deg, solution.dec_deg, solution.radius_deg
    sky.wcs, sky.solve_pid = wcs.text(), solution.pid
    sky.wcs_rms_arcsec, sky.wcs_matches = solution.rms_arcsec, solution.matches
    query = select(Source.source_id, Source.x, Source.y).where(Source.sky_id == sky.sky_id).order_by(Source.source_id)
    rows: list[Row[Any]] = list(session.execute(query))
    if rows:
        radec = wcs.to_sky(np.array([(row.x, row.y) for row in rows], dtype=np.float64))
        places = zip([row.source_id for row in rows], radec.tolist(), cells(radec).tolist(), strict=True)
        session.execute(
            update(Source),
            [
                {"source_id": source_id, "ra_deg": ra, "dec_deg": dec, "healpix": cell}
                for source_id, (ra, dec), cell in places
            ],
        )
    session.flush()


def _insert(session: Session, context: Context, sky: Sky, xy: Points, radec: Points | None) -> NDArray[np.int64]:
    """Insert new sources by their places on the sky's pixels and on the sphere; returns their ids, in order."""
    if radec is None and sky.wcs is not None:
        radec = SkyWcs.from_text(sky.wcs).to_sky(xy)
    unknown: list[Any] = [None] * len(xy)
    places = [(None, None)] * len(xy) if radec is None else radec.tolist()
    healpix = unknown if radec is None else cells(radec).tolist()
    insert_rows(
        session,
        Source.__table__,
        ("sky_id", "pid", "x", "y", "ra_deg", "dec_deg", "healpix"),
        (
            (sky.sky_id, context.pid, x, y, ra, dec, cell)
            for (x, y), (ra, dec), cell in zip(xy.tolist(), places, healpix, strict=True)
        ),
    )
    # Ids are read back by their process: no engine promises that a bulk insert's ids are without gaps.
    query = select(Source.source_id).where(Source.pid == context.pid).order_by(Source.source_id)
    return np.array(session.scalars(query).all(), dtype=np.int64)
