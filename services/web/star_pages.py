"""A star: its light curves, its facts, its comparison stars, and files of it; and the search for one."""

import threading
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.photometry import LightCurveStatistics
from schema.queries import judging
from schema.skies import Source, SourceCrossmatch
from services.results.lightcurves.calibrations import calibrations
from services.results.lightcurves.export import write_file, write_stream
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.selection import SourceFacts
from services.results.lightcurves.sky_field import gaia_names
from services.results.lightcurves.star_nights import Seen, read_nights, seen_as
from services.results.plots.roles import read_roles, read_spots, short_names
from services.results.variability.periods import find_periods
from services.web.answers import BusyError, NotThereError, data, file, id_of, number_of, page
from services.web.field_pages import template_of, view_of
from services.web.served import form_key, served
from services.web.star_curves import aperture_of, apertures_of, curves_data, within_limit
from services.web.star_search import found_stars
from services.whole_numbers import LARGEST

MOST_REFERENCES, MOST_CHECKS = 15, 8  # that are listed, as finding charts name them
MOST_VERDICTS = 50
PERIOD_SEARCHES = 1  # at a time: each takes a core for seconds
FORMATS = {
    "csv": ("csv", "text/csv"),
    "vot": ("votable", "application/x-votable+xml"),
    "ecsv": ("ecsv", "text/plain"),
    "fits": ("fits", "application/fits"),
}
_searching = threading.BoundedSemaphore(PERIOD_SEARCHES)


def star(request: Request) -> Response:
    """The page; its curves come by themselves."""
    number = id_of(request, "star")
    here = served(request)
    with here.reading() as session:
        source = session.get(Source, number)
        if source is None:
            raise NotThereError(f"there is no star {number}: the search finds stars by name, place and number")
        seen = seen_as(session, source_id=number)
        gaia = session.scalars(
            select(SourceCrossmatch)
            .where(SourceCrossmatch.source_id == number, SourceCrossmatch.is_match.is_(True))
            .order_by(SourceCrossmatch.match_rank)
            .limit(1)
        ).one_or_none()
        verdicts = judging.of_star(session, number, MOST_VERDICTS)
        shown: dict[str, Any] = {"names": {}, "gaia_of": {}, "view": None, "marks": [], "statistics": None}
        if seen:
            shown |= _on_newest(request, session, max(seen, key=lambda one: (one[0].night, one[0].observation_id)))
    shown |= {"verdicts": verdicts, "form_key": form_key(request)}
    return page(request, "star.html", star=number, source=source, seen=seen, gaia=gaia, formats=FORMATS, **shown)


def _on_newest(request: Request, session: Session, seen: Seen) -> dict[str, Any]:
    """What the newest night says: comparison stars, scatter, and where all lie on the template."""
    facts, place = seen
    roles = read_roles(session, facts, place)
    spots = read_spots(session, facts, {place.source_id, *roles.heaviest(MOST_REFERENCES), *roles.checks})
    positions = {source_id: spot.xy for source_id, spot in spots.items()}
    names = short_names(roles, positions, place.source_id, MOST_REFERENCES, MOST_CHECKS)
    marks = [{"name": name, "star": one, "x": positions[one][0], "y": positions[one][1]} for name, one in names.items()]
    return {
        "facts": facts,
        "place": place,
        "names": names,
        "weights": roles.references,
        "gaia_of": gaia_names(session, list(names.values())),
        "view": view_of(served(request), session, template_of(session, facts)),
        "marks": marks,
        "methods": list(calibrations(session, facts)),
        "apertures": apertures_of(session, [facts]),
        "statistics": _statistics(session, facts, place),
    }


def _statistics(session: Session, facts: ObservationFacts, place: SourceFacts) -> LightCurveStatistics | None:
    return session.scalar(
        select(LightCurveStatistics).where(
            LightCurveStatistics.pid == facts.analysis_pid,
            LightCurveStatistics.source_id == place.source_id,
            LightCurveStatistics.best_aperture.is_(True),
        )
    )


def _seen(session: Session, number: int) -> list[Seen]:
    found = seen_as(session, source_id=number)
    if not found:
        raise NotThereError(f"star {number} has no light curves")
    return found


def curve_json(request: Request) -> Response:
    """The light curves of all nights, in one aperture."""
    number, aperture = id_of(request, "star"), aperture_of(request.query_params.get("aperture", ""))
    with served(request).reading() as session:
        method = request.query_params.get("method", "")
        return data(request, curves_data(session, _seen(session, number), aperture, method))


def download(request: Request) -> Response:
    """The same rows as `tianyu lightcurve` writes."""
    number, aperture = id_of(request, "star"), aperture_of(request.query_params.get("aperture", ""))
    suffix, only = request.path_params["suffix"], number_of(request, "observation", 0, LARGEST)
    if suffix not in FORMATS:
        raise NotThereError(f"light curves are not written as {suffix[:20]!r}: expected {', '.join(FORMATS)}")
    format_name, media_type = FORMATS[suffix]
    with served(request).reading() as session:
        seen = [one for one in _seen(session, number) if only in (0, one[0].observation_id)]
        if not seen:
            raise NotThereError(f"star {number} has no light curve in observation {only}")
        taken, _ = within_limit(session, seen)
        nights = read_nights(session, taken, aperture)
    table = nights.table if len(nights.curves) > 1 else nights.curves[0].table
    if format_name in ("csv", "ecsv"):
        text = StringIO()
        write_stream(table, text, format_name)
        content = text.getvalue().encode()
    else:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"curve.{suffix}"
            write_file(table, path, format_name)
            content = path.read_bytes()
    return file(content, f"star-{number}.{suffix}", media_type)


def period_json(request: Request) -> Response:
    """The period of the star over all its nights, as `tianyu analyze` finds it."""
    number, aperture = id_of(request, "star"), aperture_of(request.query_params.get("aperture", ""))
    if not _searching.acquire(blocking=False):
        raise BusyError("another period is being looked for: try it again in some seconds")
    try:
        with served(request).reading() as session:
            taken, _ = within_limit(session, _seen(session, number))
            nights = read_nights(session, taken, aperture)
        return data(request, find_periods(nights).to_json())
    finally:
        _searching.release()


def search(request: Request) -> Response:
    """Stars by name, place, number, or number in Gaia; a single one is shown at once."""
    question = request.query_params.get("q", "").strip()
    with served(request).reading() as session:
        found = found_stars(session, question)
    return page(request, "search.html", 200 if found.stars or not question else 404, question=question, found=found)


ROUTES = (
    Route("/star/{star:int}", star, name="star"),
    Route("/star/{star:int}/curve.json", curve_json),
    Route("/star/{star:int}/period.json", period_json),
    Route("/star/{star:int}/curve.{suffix}", download),
    Route("/search", search, name="search"),
)
