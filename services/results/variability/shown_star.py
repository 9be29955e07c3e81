"""The star that plots show when nobody named one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from pipeline.flags import OF_THE_STAR, SPOILING, Flag
from schema.frame import Frame
from schema.observing import Observation
from schema.photometry import Flux, LightCurveStatistics, Variability
from schema.processes import Process
from schema.skies import SourcePosition
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.selection import source_at
from services.results.lightcurves.star_statistics import Stars, read_stars
from services.results.variability.excess import excess_significance
from services.steps.detect import DETECT

MIN_EPOCHS = 10
MIN_EPOCH_SHARE = 0.5  # of the epochs of the best covered star
MAX_ERROR = 0.05  # quoted, relative: fainter stars show nothing on a plot
MIN_USABLE_SHARE = 0.5  # of a star's points on good frames
LOOKED_AT = 25  # stars whose fluxes are read in one query


@dataclass(frozen=True)
class ShownStar:
    """A source, and why it is the one that is shown."""

    source_id: int
    why: str


def shown_star(session: Session, observation: ObservationFacts) -> ShownStar | None:
    """The star at the headers' coordinates, else the likeliest variable, else the one that scatters most.

    Only stars that are measured well and stand free are chosen: a blend, a star at the edge of the field and one whose
    points are spoiled (saturation, trails) look variable for another reason. Where no star stands free it is the
    brightest, with a word; None where no star is measured well.
    """
    stars = read_stars(session, observation.analysis_pid)
    if not stars.source_id.size:
        return None
    return next(_choices(session, observation, stars), None)


def _choices(session: Session, observation: ObservationFacts, stars: Stars) -> Iterator[ShownStar]:
    """All choices, the best first; each is made only when those before it came to nothing."""
    enough = max(min(MIN_EPOCHS, int(stars.epochs.max())), MIN_EPOCH_SHARE * float(stars.epochs.max()))
    measured = (stars.epochs >= enough) & (stars.error <= MAX_ERROR)
    well = set(stars.source_id[measured].tolist())
    pointed_at = _at_header_coordinates(session, observation)
    if pointed_at is not None and pointed_at in well:
        yield from _free(session, observation, [pointed_at], "it lies at the coordinates of the frames' headers")
    candidates = [one for one in _candidates(session, observation) if one in well]
    yield from _free(session, observation, candidates, "the likeliest variable")
    ranked = stars.source_id[measured][np.argsort(-excess_significance(stars)[measured], kind="stable")].tolist()
    yield from _free(session, observation, ranked, "it scatters most beyond its errors; no star is a candidate")
    if ranked:
        brightest = int(stars.source_id[measured][0])
        yield ShownStar(
            brightest, "the brightest; no star that is measured well is free of neighbours, edges and flags"
        )


def _at_header_coordinates(session: Session, observation: ObservationFacts) -> int | None:
    row = session.get_one(Observation, observation.observation_id)
    if row.ra_deg is None or row.dec_deg is None:
        return None
    star = source_at(session, observation, (row.ra_deg, row.dec_deg))
    return None if star is None else star.source_id


def _candidates(session: Session, observation: ObservationFacts) -> list[int]:
    query = select(Variability.source_id).where(
        Variability.pid == observation.analysis_pid, Variability.candidate.is_(True)
    )
    return list(session.scalars(query.order_by(Variability.variability_rank)))


def _free(session: Session, observation: ObservationFacts, ranked: list[int], why: str) -> Iterator[ShownStar]:
    for start in range(0, len(ranked), LOOKED_AT):
        part = ranked[start : start + LOOKED_AT]
        free = _standing_free(session, observation, part)
        yield from (ShownStar(source_id, why) for source_id in part if source_id in free)


def _standing_free(session: Session, observation: ObservationFacts, source_ids: list[int]) -> set[int]:
    """Those that no neighbour touches, that lie within the template, and whose points are mostly usable."""
    detect = select(Process.pid).where(Process.graph_pid == observation.graph_pid, Process.command == DETECT.command)
    marred = int(Flag.BLENDED | Flag.EDGE)
    whole = select(SourcePosition.source_id).where(
        SourcePosition.pid == detect.scalar_subquery(),
        SourcePosition.source_id.in_(source_ids),
        SourcePosition.flag.bitwise_and(marred) == 0,
    )
    # Of the aperture that is shown: a larger one takes in neighbours that this one does not.
    touched = func.sum(case((Flux.flag.bitwise_and(OF_THE_STAR) > 0, 1), else_=0))
    usable = func.sum(case((Flux.flux.is_not(None) & (Flux.flag.bitwise_and(SPOILING) == 0), 1), else_=0))
    alone = (
        select(Flux.source_id)
        .join(Frame, Frame.image_id == Flux.image_id)
        .join(
            LightCurveStatistics,
            (LightCurveStatistics.source_id == Flux.source_id) & (LightCurveStatistics.aperture == Flux.aperture),
        )
        .where(
            LightCurveStatistics.pid == observation.analysis_pid,
            LightCurveStatistics.best_aperture.is_(True),
            Flux.source_id.in_(source_ids),
            Frame.graph_pid == observation.graph_pid,
            Frame.good.is_(True),
        )
        .group_by(Flux.source_id)
        .having(touched == 0, usable >= MIN_USABLE_SHARE * func.count())
    )
    return set(session.scalars(whole)) & set(session.scalars(alone))
