"""One star, one source: which stars of a template are known, which sky it shows, and where its new stars are.

A star that is known keeps its id wherever it was seen before, by whichever telescope. With a WCS it is recognised by
its coordinates among all known stars around, whichever sky registered them. A template that is not solved may have the
headers' WCS, which the known stars bear out and correct; else it is laid by its pattern of stars on a sky that the same
camera saw before: on the coordinates of that one, or on its pixels where it has none either. What is known stays, what
is new is appended.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pipeline.registration.alignment import fit_alignment
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.healpix import cells
from pipeline.stack.detection import match_sources
from schema.base import utc_now
from schema.image import TEMPLATE
from schema.observing import Observation, Target
from schema.prepared import Prepared, run
from schema.processes import Process
from schema.queries.measurements import insert_rows
from schema.skies import PlateSolution, Sky, SkyImage, SkyRegistry, Source, SourcePosition
from services.errors import ConfigurationError
from services.log import get_logger
from services.steps.shared import which_sky
from services.steps.shared.known_sources import known_stars
from services.steps.shared.step import Context

log = get_logger("sky_registration")
_IS_SOLVED = Prepared(
    select(PlateSolution.pid).where(PlateSolution.pid == bindparam("told"), PlateSolution.solved.is_(True))
)
MATCH_RADIUS_PX = 1.5  # without coordinates

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What `detect` found on a template: positions and fluxes of stars, the template's shape, and its WCS if any.

    ``claim``: the WCS of the headers, where the template is not solved (yet); nobody has verified it.
    """

    template_id: int
    xy: Points  # [n, 2], pixels
    flux: NDArray[np.float64]  # [n], ADU
    shape: tuple[int, int]
    wcs: SkyWcs | None
    solution: PlateSolution | None
    claim: SkyWcs | None = None


@dataclass(frozen=True)
class _Registered:
    """A template on its sky: for each star the known id (−1: new), its pixels there and its coordinates (None)."""

    sky: Sky
    ids: NDArray[np.int64]  # [n]
    on_sky: Points  # [n, 2]
    radec: Points | None  # [n, 2], degrees


def solution_of(session: Session, solved: int | None) -> PlateSolution | None:
    """What the `solve` of this PID found, or None when it found no WCS, failed, or was none."""
    [(_, found)] = run(session, _IS_SOLVED(told=solved))
    return session.get(PlateSolution, solved) if found else None


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
    if found.wcs is not None and found.solution is not None:
        _solve_skies_of_camera(session, observation, found, found.wcs, found.solution)
        registered = _by_coordinates(session, context, observation, found, found.wcs)
    else:
        registered = _by_pattern(session, context, observation, found)
    sky_id = observation.sky_id = registered.sky.sky_id
    session.add(SkyImage(sky_id=sky_id, image_id=found.template_id, role=TEMPLATE))
    session.flush()
    if registered.sky.wcs is None and found.wcs is not None and found.solution is not None:
        which_sky.solve_sky(session, registered.sky, found.wcs, found.shape, found.solution)
    ids = registered.ids
    new = ids < 0
    radec = None if registered.radec is None else registered.radec[new]
    ids[new] = _insert(session, context, sky_id, registered.on_sky[new], radec)
    log.info("sources registered", sky_id=sky_id, known=int((~new).sum()), new=int(new.sum()))
    listed: list[int] = ids.tolist()
    return listed


def give_coordinates(session: Session, context: Context, solution: PlateSolution) -> None:
    """Give the sky of an observation the WCS of its template, where `detect` came before it was solved.

    In the caller's transaction. A sky that has a WCS stays as it is.
    """
    wcs = wcs_of(solution)
    sky_id = session.get_one(Observation, context.observation_id).sky_id
    if wcs is None or sky_id is None:
        return
    _hold_registry(session)
    sky = session.get_one(Sky, sky_id)
    shape = which_sky.shape_of(session, sky_id)
    detect = select(Process.pid).where(Process.graph_pid == context.graph_pid, Process.command == "detect")
    query = (
        select(Source.x, Source.y, SourcePosition.x, SourcePosition.y)
        .join(SourcePosition, SourcePosition.source_id == Source.source_id)
        .where(Source.sky_id == sky_id, SourcePosition.pid.in_(detect))
    )
    places = np.array([tuple(row) for row in session.execute(query)], dtype=np.float64).reshape(-1, 4)
    if sky.wcs is not None or shape is None or not len(places):
        return
    # The template itself may have defined the sky's pixels, or lie on them by the pattern of its stars.
    from_sky = fit_alignment(places[:, :2], places[:, 2:], shape)
    which_sky.solve_sky(session, sky, wcs.through(from_sky.inverse()), shape, solution)


def _hold_registry(session: Session) -> None:
    """Let nobody else register until this transaction ends: the second of two finds what the first made."""
    registry = session.scalar(select(SkyRegistry).with_for_update())
    if registry is None:
        raise ConfigurationError("table sky_registry has lost its only row: INSERT INTO sky_registry VALUES (1, 0)")
    registry.registrations += 1
    session.flush()


def _solve_skies_of_camera(
    session: Session, observation: Observation, found: Found, wcs: SkyWcs, solution: PlateSolution
) -> None:
    """Give coordinates to the skies of this camera that have none yet and show the same pattern of stars."""
    for sky in which_sky.of_camera(session, observation):
        laid = which_sky.laid_on(session, sky, found.xy, found.flux, found.shape) if sky.wcs is None else None
        if laid is not None:
            shape = which_sky.shape_of(session, sky.sky_id) or found.shape
            which_sky.solve_sky(session, sky, wcs.through(laid.inverse()), shape, solution)


def _by_coordinates(
    session: Session, context: Context, observation: Observation, found: Found, wcs: SkyWcs
) -> _Registered:
    """All known stars around, whichever sky registered them, are recognised by their coordinates."""
    radec = wcs.to_sky(found.xy)
    ids = known_stars(session, wcs, found.shape, found.xy)
    sky = which_sky.of_field(session, wcs, found.shape, found.xy, observation.sky_id)
    if sky is None or sky.wcs is None:
        return _Registered(_new_sky(session, context, observation), ids, found.xy, radec)
    return _Registered(sky, ids, SkyWcs.from_text(sky.wcs).to_pixels(radec), radec)


def _by_pattern(session: Session, context: Context, observation: Observation, found: Found) -> _Registered:
    """A template that is not solved: by its headers' WCS if known stars bear it out, else laid on its camera's skies.

    Either way the coordinates of what is known are the template's too.
    """
    claim = found.claim
    wcs = None if claim is None else which_sky.confirmed_claim(session, claim, found.xy, found.flux, found.shape)
    if wcs is not None:
        return _by_coordinates(session, context, observation, found, wcs)
    for sky in which_sky.of_camera(session, observation):
        laid = which_sky.laid_on(session, sky, found.xy, found.flux, found.shape)
        if laid is None:
            continue
        if sky.wcs is not None:
            wcs = SkyWcs.from_text(sky.wcs).through(laid)
            on_sky = laid.to_reference(found.xy)
            return _Registered(sky, known_stars(session, wcs, found.shape, found.xy), on_sky, wcs.to_sky(found.xy))
        known, on_sky = which_sky.on_pixels(session, sky), laid.to_reference(found.xy)
        match = match_sources(known.xy, on_sky, MATCH_RADIUS_PX)
        return _Registered(sky, np.where(match >= 0, known.ids[match], -1), on_sky, None)
    return _Registered(_new_sky(session, context, observation), np.full(found.flux.size, -1), found.xy, None)


def _new_sky(session: Session, context: Context, observation: Observation) -> Sky:
    name = session.get_one(Target, observation.target_id).name
    sky = Sky(name=name, pid=context.pid, created_at=utc_now())
    session.add(sky)
    session.flush()
    return sky


def _insert(session: Session, context: Context, sky_id: int, xy: Points, radec: Points | None) -> NDArray[np.int64]:
    """Insert new sources by their places on the sky's pixels and on the sphere; returns their ids, in order."""
    unknown: list[Any] = [None] * len(xy)
    places = [(None, None)] * len(xy) if radec is None else radec.tolist()
    healpix = unknown if radec is None else cells(radec).tolist()
    insert_rows(
        session,
        Source.__table__,
        ("sky_id", "pid", "x", "y", "ra_deg", "dec_deg", "healpix"),
        (
            (sky_id, context.pid, x, y, ra, dec, cell)
            for (x, y), (ra, dec), cell in zip(xy.tolist(), places, healpix, strict=True)
        ),
    )
    # Ids are read back by their process: no engine promises that a bulk insert's ids are without gaps.
    query = select(Source.source_id).where(Source.pid == context.pid).order_by(Source.source_id)
    return np.array(session.scalars(query).all(), dtype=np.int64)
