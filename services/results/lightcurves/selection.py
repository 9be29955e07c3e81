"""Which source of an observation: by id, by pixels of the first frame, by coordinates or by its name in Gaia."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.units import ARCSEC
from schema.processes import Process
from schema.skies import Source, SourceCrossmatch, SourcePosition
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.sky_field import in_field, solution_of
from services.steps.detect import DETECT
from services.steps.shared.first_frame import name_of_first_frame, to_first_frame

XY_TOLERANCE_PX = 5.0
RADEC_TOLERANCE_ARCSEC = 5.0
RADEC_TOLERANCE_PX = 1.0  # where pixels are coarser than that


@dataclass(frozen=True)
class SourceFacts:
    """One source: its place on the observation's first frame (0-based pixels) and, where solved, on the sphere.

    ``template_x, template_y`` is its place on the observation's template, on which steps work.
    """

    source_id: int
    x: float
    y: float
    ra_deg: float | None
    dec_deg: float | None
    template_x: float
    template_y: float


def find_source(
    session: Session,
    observation: ObservationFacts,
    *,
    source_id: int | None = None,
    xy: tuple[float, float] | None = None,
    radec: tuple[float, float] | None = None,
    gaia: int | None = None,
    xy_tolerance_px: float = XY_TOLERANCE_PX,
    radec_tolerance_arcsec: float | None = None,
) -> SourceFacts:
    """The source of an observation with this id, or the one nearest to a position; exactly one of them is given.

    Args:
        session: reads only.
        observation: sources that it did not measure are not considered.
        source_id: id in table ``source``.
        xy: pixels of the observation's first frame, 0-based, as in view ``source_place`` and on plots.
        radec: right ascension and declination, degrees.
        gaia: source_id in Gaia DR3.
        xy_tolerance_px: how far from ``xy`` the source may lie.
        radec_tolerance_arcsec: how far from ``radec`` the source may lie; None: 5 arcsec, or a pixel if that is more.

    Raises:
        ConfigurationError: there is no such source, none within the tolerance, or no celestial coordinates.
        DataError: the observation has no sources yet.
    """
    if sum(given is not None for given in (source_id, xy, radec, gaia)) != 1:
        raise ConfigurationError(
            "a source is chosen by its id, by x,y, by ra,dec or by its name in Gaia: give exactly one of them"
        )
    name = f"observation {observation.observation_id} ({observation.title})"
    if radec is not None:
        radec = _on_sphere(_finite(radec, "ra,dec"))
        found = source_at(session, observation, radec, radec_tolerance_arcsec)
    elif gaia is not None:
        found = next(iter(_by_id(session, observation, sources_of_gaia(session, gaia))), None)
    elif source_id is not None:
        found = next(iter(_by_id(session, observation, ids_of_star(session, source_id))), None)
    else:
        found = None
    if found is not None:
        return found
    sources = _sources(session, observation)
    if not sources:
        raise _no_sources(observation)
    if xy is not None:
        name = f"{name}, first frame {name_of_first_frame(session, observation.graph_pid)},"
        return _nearest_by_pixels(sources, _finite(xy, "x,y"), xy_tolerance_px, name)
    if radec is not None:
        raise ConfigurationError(_not_on_sky(session, observation, sources, radec, radec_tolerance_arcsec))
    if gaia is not None:
        raise ConfigurationError(_not_in_gaia(session, observation, gaia))
    raise ConfigurationError(
        f"{name} has no source {source_id}: its {len(sources)} sources have ids from {sources[0].source_id} to "
        f"{sources[-1].source_id}, see view source_catalog"
    )


def observed_sources(session: Session, observation: ObservationFacts) -> list[SourceFacts]:
    """All sources that the observation's graph detected, in order of id.

    Raises:
        DataError: there are none yet.
    """
    sources = _sources(session, observation)
    if not sources:
        raise _no_sources(observation)
    return sources


def source_at(
    session: Session, observation: ObservationFacts, radec: tuple[float, float], tolerance_arcsec: float | None = None
) -> SourceFacts | None:
    """The observation's source nearest to ra,dec, degrees, by the index on HEALPix cells; None if none is near.

    The tolerance is 5 arcsec by default, or a pixel where that is more.
    """
    tolerance = sky_tolerance(session, observation) if tolerance_arcsec is None else tolerance_arcsec
    near = _by_id(session, observation, sources_around(session, cells_around(radec, tolerance)))
    if not near:
        return None
    distance = separation_arcsec(np.array([radec]), _radec_of(near))
    best = int(np.argmin(distance))
    return near[best] if distance[best] <= tolerance else None


def sources_around(session: Session, cells: Sequence[int]) -> list[int]:
    """Ids of all sources in these cells of column source.healpix.

    A query of its own: joined to the observation's sources, SQLite reads all of those instead of the index on cells.
    """
    return list(session.scalars(select(Source.source_id).where(Source.healpix.in_(cells))))


def ids_of_star(session: Session, source_id: int) -> list[int]:
    """This id and the others of the same star, its own first: of a star that was measured before it was recognised."""
    own = session.scalar(select(func.coalesce(Source.same_as, Source.source_id)).where(Source.source_id == source_id))
    others = session.scalars(select(Source.source_id).where(Source.same_as == own).order_by(Source.source_id))
    return [] if own is None else [own, *others]


def sources_of_gaia(session: Session, gaia: int) -> list[int]:
    """Ids of all sources that are a star of Gaia's."""
    query = select(SourceCrossmatch.source_id).where(
        SourceCrossmatch.gaia_source_id == gaia, SourceCrossmatch.match_rank == 1, SourceCrossmatch.is_match.is_(True)
    )
    return list(session.scalars(query))


def cells_around(radec: tuple[float, float], tolerance_arcsec: float) -> list[int]:
    """Cells of column source.healpix that a circle touches."""
    from pipeline.sky.healpix import cells_of_cone

    found: list[int] = cells_of_cone(*radec, tolerance_arcsec / ARCSEC).tolist()
    return found


def sky_tolerance(session: Session, observation: ObservationFacts) -> float:
    """How far from a place its source may be, arcsec."""
    solution = solution_of(session, observation)
    scale = None if solution is None else solution.pixel_scale_arcsec
    return max(RADEC_TOLERANCE_ARCSEC, RADEC_TOLERANCE_PX * (scale or 0.0))


def _no_sources(observation: ObservationFacts) -> DataError:
    number = observation.observation_id
    return DataError(
        f"observation {number} ({observation.title}) has no sources yet: `tianyu status {number}` shows how far it is"
    )


def _by_id(session: Session, observation: ObservationFacts, source_ids: Sequence[int]) -> list[SourceFacts]:
    """Those of the sources that the observation's graph detected."""
    return _sources(session, observation, SourcePosition.source_id.in_(source_ids)) if source_ids else []


def _sources(session: Session, observation: ObservationFacts, *conditions: ColumnElement[bool]) -> list[SourceFacts]:
    """Sources that the observation's graph detected, in order of id."""
    rows = session.execute(
        select(
            Source.source_id,
            Source.ra_deg,
            Source.dec_deg,
            SourcePosition.x,
            SourcePosition.y,
        )
        .join(SourcePosition, SourcePosition.source_id == Source.source_id)
        .join(Process, Process.pid == SourcePosition.pid)
        .where(Process.graph_pid == observation.graph_pid, Process.command == DETECT.command, *conditions)
        .order_by(Source.source_id)
    )
    found = rows.all()
    if not found:
        return []
    on_template = np.array([(row.x, row.y) for row in found], dtype=np.float64)
    first = to_first_frame(session, observation.graph_pid).to_frame(on_template).tolist()
    return [
        SourceFacts(row.source_id, x, y, row.ra_deg, row.dec_deg, row.x, row.y)
        for row, (x, y) in zip(found, first, strict=True)
    ]


def _radec_of(sources: Sequence[SourceFacts]) -> NDArray[np.float64]:
    return np.array([(source.ra_deg, source.dec_deg) for source in sources], dtype=np.float64)


def _finite(pair: tuple[float, float], name: str) -> tuple[float, float]:
    if not all(math.isfinite(value) for value in pair):
        raise ConfigurationError(f"{name} is {pair[0]},{pair[1]}: expected two finite numbers")
    return pair


def _nearest_by_pixels(
    sources: Sequence[SourceFacts], xy: tuple[float, float], tolerance: float, name: str
) -> SourceFacts:
    distance = np.hypot(*(np.array([(source.x, source.y) for source in sources]) - xy).T)
    best = int(np.argmin(distance))
    if distance[best] > tolerance:
        near = sources[best]
        raise ConfigurationError(
            f"{name} has no source within {tolerance:g} px of ({xy[0]:g}, {xy[1]:g}): the nearest, source "
            f"{near.source_id} at ({near.x:.2f}, {near.y:.2f}), is {distance[best]:.1f} px away; pixels are 0-based, "
            "of the first frame"
        )
    return sources[best]


def _on_sphere(radec: tuple[float, float]) -> tuple[float, float]:
    if not -90.0 <= radec[1] <= 90.0:
        raise ConfigurationError(f"declination {radec[1]:g} is no latitude: expected degrees from -90 to 90")
    return radec[0] % 360.0, radec[1]


def _not_on_sky(
    session: Session,
    observation: ObservationFacts,
    sources: Sequence[SourceFacts],
    radec: tuple[float, float],
    tolerance_arcsec: float | None,
) -> str:
    """Why no source is at a place: no coordinates, outside of the field, or nothing near enough."""
    name = f"observation {observation.observation_id} ({observation.title})"
    solved = [source for source in sources if source.ra_deg is not None and source.dec_deg is not None]
    if not solved:
        solution = solution_of(session, observation)
        reason = "" if solution is None or solution.reason is None else f" ({solution.reason})"
        return (
            f"{name} has no celestial coordinates, for its template was not solved{reason}: choose the source by its "
            "pixels on the first frame (--xy X,Y) or by its id (--source S)"
        )
    tolerance = sky_tolerance(session, observation) if tolerance_arcsec is None else tolerance_arcsec
    distance = separation_arcsec(np.array([radec]), _radec_of(solved))
    best = int(np.argmin(distance))
    near = solved[best]
    away = f'{distance[best]:.1f}"' if distance[best] < ARCSEC else f"{distance[best] / ARCSEC:.1f} degrees"
    nearest = f"the nearest, source {near.source_id} at ({near.ra_deg:.5f}, {near.dec_deg:.5f}), is {away} away"
    if in_field(session, observation, radec) is False:
        return f"({radec[0]:g}, {radec[1]:g}) lies outside of the field of {name}: {nearest}"
    return f'{name} has no source within {tolerance:g}" of ({radec[0]:g}, {radec[1]:g}): {nearest}'


def _not_in_gaia(session: Session, observation: ObservationFacts, gaia: int) -> str:
    name = f"observation {observation.observation_id} ({observation.title})"
    matched = select(SourceCrossmatch.source_id).where(SourceCrossmatch.is_match.is_(True))
    if not _sources(session, observation, Source.source_id.in_(matched)):
        return (
            f"{name} has no source that is matched to Gaia: `tianyu status {observation.observation_id}` shows whether "
            "`solve` and `crossmatch` ended well; choose the source by its pixels (--xy X,Y) or its id (--source S)"
        )
    return f"{name} has no source that is Gaia DR3 {gaia}: it may be too faint, blended, or outside of the field"
