"""Which observation and which source: by id, by template pixels or by celestial coordinates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.observing import LIGHT, Filter, Instrument, Observation, Target
from schema.processes import Process
from schema.skies import Source, SourcePosition
from services.errors import ConfigurationError, DataError
from services.steps.detect import DETECT

XY_TOLERANCE_PX = 5.0
RADEC_TOLERANCE_ARCSEC = 5.0
ARCSEC_PER_DEGREE = 3600.0
IDS_IN_A_MESSAGE = 10


@dataclass(frozen=True)
class ObservationFacts:
    """What titles and file headers say of an observation, and the processes whose results the views show."""

    observation_id: int
    target: str
    filter: str
    instrument: str
    night: date
    sky_id: int | None
    graph_pid: int | None
    calibration_pid: int | None
    analysis_pid: int | None

    @property
    def title(self) -> str:
        """Target, filter and night, as plots show them."""
        return f"{self.target or 'no target'}, filter {self.filter or 'none'}, night {self.night.isoformat()}"


@dataclass(frozen=True)
class SourceFacts:
    """One source: its place in the sky's template (0-based pixels) and, where solved, on the celestial sphere.

    ``own_x, own_y`` is its place in the observation's own template, which differs when another night defined the sky.
    """

    source_id: int
    x: float
    y: float
    ra_deg: float | None
    dec_deg: float | None
    own_x: float
    own_y: float


def _observations() -> Any:
    return (
        select(
            Observation.observation_id,
            Target.name,
            Filter.name,
            Instrument.name,
            Observation.night,
            Observation.sky_id,
            Observation.graph_pid,
            Observation.calibration_pid,
            Observation.analysis_pid,
        )
        .join(Target, Target.target_id == Observation.target_id)
        .join(Filter, Filter.filter_id == Observation.filter_id)
        .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
    )


def observation_facts(session: Session, observation_id: int) -> ObservationFacts:
    """The observation with this id.

    Raises:
        ConfigurationError: there is none.
    """
    row = session.execute(_observations().where(Observation.observation_id == observation_id)).one_or_none()
    if row is None:
        raise ConfigurationError(
            f"there is no observation {observation_id}: `tianyu status` lists the observations with their ids"
        )
    return ObservationFacts(*row)


def find_observation(session: Session, observation_id: int | None = None) -> ObservationFacts:
    """The observation with this id, or without an id the only one that has light curves.

    Raises:
        ConfigurationError: there is no such observation, or several could be meant.
        DataError: no observation has light curves yet.
    """
    if observation_id is not None:
        return observation_facts(session, observation_id)
    calibrated = _observations().where(Target.kind == LIGHT, Observation.calibration_pid.is_not(None))
    found = [ObservationFacts(*row) for row in session.execute(calibrated.order_by(Observation.observation_id))]
    if not found:
        raise DataError("no observation has light curves yet: `tianyu status` shows what is still to be done")
    if len(found) > 1:
        named = "; ".join(f"{one.observation_id} ({one.title})" for one in found[:IDS_IN_A_MESSAGE])
        more = f" and {len(found) - IDS_IN_A_MESSAGE} more" if len(found) > IDS_IN_A_MESSAGE else ""
        raise ConfigurationError(f"several observations have light curves: {named}{more}; choose one (--observation)")
    return found[0]


def find_source(
    session: Session,
    observation: ObservationFacts,
    *,
    source_id: int | None = None,
    xy: tuple[float, float] | None = None,
    own_xy: tuple[float, float] | None = None,
    radec: tuple[float, float] | None = None,
    xy_tolerance_px: float = XY_TOLERANCE_PX,
    radec_tolerance_arcsec: float = RADEC_TOLERANCE_ARCSEC,
) -> SourceFacts:
    """The source of an observation with this id, or the one nearest to a position; exactly one of them is given.

    Args:
        session: reads only.
        observation: sources that it did not measure are not considered.
        source_id: id in table ``source``.
        xy: pixels of the sky's template, 0-based, as in view ``source_catalog``.
        own_xy: pixels of the observation's own template, 0-based, as on its plot of the stack.
        radec: right ascension and declination, degrees.
        xy_tolerance_px: how far from ``xy`` or ``own_xy`` the source may lie.
        radec_tolerance_arcsec: how far from ``radec`` the source may lie.

    Raises:
        ConfigurationError: there is no such source, none within the tolerance, or no celestial coordinates.
        DataError: the observation has no sources yet.
    """
    if sum(given is not None for given in (source_id, xy, own_xy, radec)) != 1:
        raise ConfigurationError("a source is chosen by its id, by x,y or by ra,dec: give exactly one of the three")
    sources = _sources(session, observation)
    name = f"observation {observation.observation_id} ({observation.title})"
    if not sources:
        raise DataError(f"{name} has no sources yet: `tianyu status {observation.observation_id}` shows how far it is")
    if xy is not None:
        places = [(source.x, source.y) for source in sources]
        return _nearest_by_pixels(sources, places, _finite(xy, "x,y"), xy_tolerance_px, name)
    if own_xy is not None:
        places = [(source.own_x, source.own_y) for source in sources]
        return _nearest_by_pixels(sources, places, _finite(own_xy, "x,y"), xy_tolerance_px, name)
    if radec is not None:
        return _nearest_by_radec(sources, _finite(radec, "ra,dec"), radec_tolerance_arcsec, name)
    for source in sources:
        if source.source_id == source_id:
            return source
    raise ConfigurationError(
        f"{name} has no source {source_id}: its {len(sources)} sources have ids from {sources[0].source_id} to "
        f"{sources[-1].source_id}, see view source_catalog"
    )


def _sources(session: Session, observation: ObservationFacts) -> list[SourceFacts]:
    """Sources that the observation's graph detected, in order of id."""
    rows = session.execute(
        select(
            Source.source_id,
            Source.x,
            Source.y,
            Source.ra_deg,
            Source.dec_deg,
            SourcePosition.x,
            SourcePosition.y,
        )
        .join(SourcePosition, SourcePosition.source_id == Source.source_id)
        .join(Process, Process.pid == SourcePosition.pid)
        .where(Process.graph_pid == observation.graph_pid, Process.command == DETECT.command)
        .order_by(Source.source_id)
    )
    return [SourceFacts(*row) for row in rows]


def _finite(pair: tuple[float, float], name: str) -> tuple[float, float]:
    if not all(math.isfinite(value) for value in pair):
        raise ConfigurationError(f"{name} is {pair[0]},{pair[1]}: expected two finite numbers")
    return pair


def _nearest_by_pixels(
    sources: Sequence[SourceFacts],
    places: Sequence[tuple[float, float]],
    xy: tuple[float, float],
    tolerance: float,
    name: str,
) -> SourceFacts:
    distance = np.hypot(*(np.array(places) - xy).T)
    best = int(np.argmin(distance))
    if distance[best] > tolerance:
        near = sources[best]
        raise ConfigurationError(
            f"{name} has no source within {tolerance:g} px of ({xy[0]:g}, {xy[1]:g}): the nearest, source "
            f"{near.source_id} at ({places[best][0]:.2f}, {places[best][1]:.2f}), is {distance[best]:.1f} px away; "
            "pixels are 0-based, of the template"
        )
    return sources[best]


def _nearest_by_radec(
    sources: Sequence[SourceFacts], radec: tuple[float, float], tolerance: float, name: str
) -> SourceFacts:
    if not -90.0 <= radec[1] <= 90.0:
        raise ConfigurationError(f"declination {radec[1]:g} is no latitude: expected degrees from -90 to 90")
    solved = [source for source in sources if source.ra_deg is not None and source.dec_deg is not None]
    if not solved:
        raise ConfigurationError(
            f"{name} has no celestial coordinates, for its template was not solved: choose the source by its template "
            "pixels (--xy X,Y) or by its id (--source S)"
        )
    places = np.array([(source.ra_deg, source.dec_deg) for source in solved], dtype=np.float64)
    distance = _separation_arcsec(places, radec)
    best = int(np.argmin(distance))
    if distance[best] > tolerance:
        near = solved[best]
        raise ConfigurationError(
            f'{name} has no source within {tolerance:g}" of ({radec[0]:g}, {radec[1]:g}): the nearest, source '
            f'{near.source_id} at ({near.ra_deg:.5f}, {near.dec_deg:.5f}), is {distance[best]:.1f}" away'
        )
    return solved[best]


def _separation_arcsec(places: NDArray[np.float64], radec: tuple[float, float]) -> NDArray[np.float64]:
    """Haversine: exact for small separations, where the cosine formula is not. places: float64[n, 2], degrees."""
    ra, dec = np.radians(places).T
    ra0, dec0 = np.radians(radec)
    half = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin((ra - ra0) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.minimum(half, 1.0)))) * ARCSEC_PER_DEGREE)
