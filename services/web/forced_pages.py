"""Fluxes at places that were asked for, on the page of their night: told apart from what was detected."""

from dataclasses import dataclass
from io import StringIO

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from services.results.lightcurves.export import write_stream
from services.results.lightcurves.observation_facts import ObservationFacts, observation_facts
from services.results.lists.forced_curves import placed, points_at, read_forced, weighted_mean
from services.web.answers import NotThereError, file, id_of
from services.web.served import served

PLACES_SHOWN = 200  # on the page; the file has all


@dataclass(frozen=True)
class Forced:
    """A place, and what came of it."""

    name: str
    ra_deg: float
    dec_deg: float
    state: str
    usable: int
    mean: float | None  # ADU, on the night's median good frame
    error: float | None
    detections: int
    deepest: float | None  # G
    source: int | None
    arcsec: float | None
    is_source: bool


def forced_rows(session: Session, observation: ObservationFacts) -> list[Forced]:
    """The first places of a night, in the order in which they were asked for."""
    found = []
    places = placed(session, [observation])[:PLACES_SHOWN]
    points = points_at(session, places)
    for place in places:
        good = [one for one in points[place.observation_id, place.name] if one.usable]
        mean, error = weighted_mean(good)
        limits = [one.mag_limit for one in good if one.mag_limit is not None]
        state = "outside of the field" if not place.inside else "not measured" if not good else "measured"
        detections = sum(one.flux_limit is None and one.flux_forced is not None for one in good)
        near = (place.nearest_source_id, place.nearest_arcsec, place.is_source)
        at = (place.name, place.ra_deg, place.dec_deg)
        found.append(Forced(*at, state, len(good), mean, error, detections, max(limits, default=None), *near))
    return found


def forced_csv(request: Request) -> Response:
    """All points of a night's places, the good and the bad ones."""
    number = id_of(request, "observation")
    with served(request).reading() as session:
        table = read_forced(session, [], [observation_facts(session, number)], "all").table
    if not len(table):
        raise NotThereError(f"observation {number} has no fluxes at places that were asked for")
    text = StringIO()
    write_stream(table, text)
    return file(text.getvalue().encode(), f"forced-{number}.csv", "text/csv")
