"""One star on many nights: which observations have it, and its light curve over all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import separation_arcsec
from schema.light_curve_rows import ApertureChoice
from schema.observing import Observation
from schema.processes import Process
from schema.skies import PlateSolution, SourcePosition
from services.errors import ConfigurationError
from services.masters import masters_used
from services.results.lightcurves.observation_facts import ObservationFacts, with_light_curves, without_copies
from services.results.lightcurves.reading import LightCurve, read_light_curve
from services.results.lightcurves.selection import (
    RADEC_TOLERANCE_ARCSEC,
    RADEC_TOLERANCE_PX,
    SourceFacts,
    cells_around,
    find_source,
    ids_of_star,
    source_at,
    sources_around,
    sources_of_gaia,
)
from services.steps.detect import DETECT

if TYPE_CHECKING:
    from astropy.table import Table

RaDec = tuple[float, float]
Seen = tuple[ObservationFacts, SourceFacts]
SAME_PLACE_ARCSEC = 0.01  # of a star that does not move from night to night


@dataclass(frozen=True)
class Nights:
    """Light curves of one star, one an observation; ``table`` has the rows of all, by time, and their filters.

    ``copies`` are left out: of the same frames at another site.
    """

    curves: tuple[LightCurve, ...]
    table: "Table"
    copies: tuple[ObservationFacts, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What was left out, and how to have it."""
        return [
            f"observation {one.observation_id} of site {one.site} has the same frames: left out, --observation "
            f"{one.observation_id} takes it"
            for one in self.copies
        ]

    @property
    def in_magnitudes(self) -> bool:
        """Whether every night has magnitudes: these are on one scale, relative fluxes are not."""
        return all(np.isfinite(curve.values("mag")).any() for curve in self.curves)


def seen_as(session: Session, *, source_id: int | None = None, gaia: int | None = None) -> list[Seen]:
    """Observations with light curves in which this source, or a source of this name in Gaia, was measured."""
    wanted = [] if source_id is None else ids_of_star(session, source_id)
    within = _observations_with(session, wanted if gaia is None else sources_of_gaia(session, gaia))
    return [
        (observation, find_source(session, observation, source_id=source_id, gaia=gaia))
        for observation in with_light_curves(session)
        if observation.observation_id in within
    ]


def seen_at(session: Session, place: Callable[[date], RaDec]) -> list[Seen]:
    """Observations with light curves that have a source at a place on the sky, which may move from night to night."""
    observations = with_light_curves(session)
    coarsest = session.scalar(select(func.max(PlateSolution.pixel_scale_arcsec))) or 0.0
    reach = max(RADEC_TOLERANCE_ARCSEC, RADEC_TOLERANCE_PX * coarsest)
    cells: set[int] = set()
    last: RaDec | None = None
    for observation in sorted(observations, key=lambda one: one.night):
        radec = place(observation.night)
        if last is None or separation_arcsec(np.array([last]), np.array([radec]))[0] > SAME_PLACE_ARCSEC:
            cells.update(cells_around(radec, reach))
            last = radec
    within = _observations_with(session, sources_around(session, sorted(cells)))
    found = []
    for observation in observations:
        if observation.observation_id in within:
            star = source_at(session, observation, place(observation.night))
            if star is not None:
                found.append((observation, star))
    return found


def _observations_with(session: Session, source_ids: Sequence[int]) -> set[int]:
    """Observations whose graph detected one of the sources."""
    query = (
        select(Observation.observation_id)
        .join(Process, Process.graph_pid == Observation.graph_pid)
        .join(SourcePosition, SourcePosition.pid == Process.pid)
        .where(Process.command == DETECT.command, SourcePosition.source_id.in_(source_ids))
        .distinct()
    )
    return set(session.scalars(query)) if source_ids else set()


def read_nights(session: Session, seen: Sequence[Seen], aperture: ApertureChoice = "best") -> Nights:
    """Read the light curves, each in its own best aperture or in the given one; a frame counts once.

    Raises:
        ConfigurationError: there is no such aperture, or ``seen`` is empty.
        DataError: an observation has no light curves yet.
    """
    from astropy.table import MaskedColumn, vstack

    if not seen:
        raise ConfigurationError("no observation with light curves has this star")
    kept, copies = without_copies(session, [facts for facts, _ in seen])
    curves = tuple(read_light_curve(session, *one, aperture) for one in seen if one[0] in kept)
    parts = []
    for curve in curves:
        curve.table.meta["masters"] = "; ".join(map(str, masters_used(session, curve.observation.graph_pid)))
        part = curve.table.copy()
        part["filter"] = MaskedColumn([curve.observation.filter] * len(part), description="of the observation")
        parts.append(part)
    table = vstack(parts, metadata_conflicts="silent")
    dates = np.ma.filled(np.ma.asarray(table["jd_utc"]).astype(np.float64), np.inf)
    table = table[np.lexsort((table["aperture"], table["image_id"], dates))]
    first = curves[0].table.meta
    table.meta = {
        name: value if all(curve.table.meta.get(name) == value for curve in curves) else _all(curves, name)
        for name, value in first.items()
    }
    return Nights(curves, table, tuple(copies))


def _all(curves: Sequence[LightCurve], name: str) -> str:
    """What the nights say of one fact, in their order."""
    return "; ".join(str(curve.table.meta.get(name, "")) for curve in curves)
