"""Observations and how far they are; one of them with its steps, failures and frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import column, func, select, table
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.units import HOURS_PER_DAY
from schema.observing import LIGHT
from schema.processes import STATES
from services.alike import gather, gist
from services.operating.status import overview, status
from services.results.lightcurves.observation_facts import observation_facts
from services.results.variability.candidates import count_candidates
from services.web.answers import data, id_of, number_of, page
from services.web.forced_pages import PLACES_SHOWN, forced_csv, forced_rows
from services.web.served import served

FRAMES_A_PAGE = 200
CURVES = ("fwhm", "sky", "transparency", "airmass", "ellipticity", "star_count")
FRAME = table(
    "frame",
    *(
        column(name)
        for name in (
            *("observation_id", "frame_id", "image_id", "path", "kind", "filter", "exposure_s", "jd_utc"),
            *("good", "reason", *CURVES, "dx", "dy"),
        )
    ),
)


@dataclass(frozen=True)
class Reason:
    """Frames that were rejected alike; ``example`` is the first one's reason in full."""

    count: int
    example: str


def nights(request: Request) -> Response:
    """All observations, the newest night first."""
    shows_all = request.query_params.get("kind") == "all"
    with served(request).reading() as session:
        found = status(session)
    shown = [one for one in found if shows_all or one.kind == LIGHT]
    shown.sort(key=lambda one: (one.night, one.observation_id), reverse=True)
    by_night = [(night, list(of_night)) for night, of_night in groupby(shown, key=lambda one: one.night)]
    return page(
        request,
        "nights.html",
        by_night=by_night,
        shows_all=shows_all,
        others=len(found) - len(shown),
        moves=any(not one.finished for one in found),
        states=STATES,
    )


def observation(request: Request) -> Response:
    """One observation."""
    number = id_of(request, "observation")
    first = number_of(request, "from", 0, 10**9)
    here = served(request)
    with here.reading() as session:
        found = overview(session, number, here.settings)
        [one] = found.observations
        facts = observation_facts(session, number)
        frames, total = _frames(session, number, first)
        reasons = _reasons(session, number)
        candidates = count_candidates(session, facts.analysis_pid)
        forced = forced_rows(session, facts)
    return page(
        request,
        "observation.html",
        one=one,
        found=found,
        facts=facts,
        frames=frames,
        total=total,
        first=first,
        a_page=FRAMES_A_PAGE,
        reasons=reasons,
        candidates=candidates,
        forced=forced,
        forced_shown=PLACES_SHOWN,
        moves=not one.finished,
        states=STATES,
    )


def _frames(session: Session, number: int, first: int) -> tuple[Sequence[Any], int]:
    """A page of frames in order of time, and how many there are."""
    of_night = FRAME.c.observation_id == number
    total = session.scalar(select(func.count()).select_from(FRAME).where(of_night)) or 0
    rows = select(FRAME).where(of_night).order_by(FRAME.c.jd_utc, FRAME.c.frame_id)
    return session.execute(rows.limit(FRAMES_A_PAGE).offset(first)).all(), total


def _reasons(session: Session, number: int) -> list[Reason]:
    """Why frames were rejected, those that are alike together, the most first."""
    rejected = select(FRAME.c.reason).where(FRAME.c.observation_id == number, FRAME.c.good == 0)
    reasons = [reason or "no reason was kept" for reason in session.scalars(rejected)]
    return [Reason(len(alike), alike[0]) for alike in gather(reasons, gist)]


def frames_json(request: Request) -> Response:
    """Quality of the frames over time, as arrays of one length."""
    number = id_of(request, "observation")
    wanted = ("frame_id", "image_id", "jd_utc", "good", "reason", *CURVES)
    with served(request).reading() as session:
        observation_facts(session, number)
        query = select(*(FRAME.c[name] for name in wanted)).where(
            FRAME.c.observation_id == number, FRAME.c.jd_utc.is_not(None)
        )
        rows = session.execute(query.order_by(FRAME.c.jd_utc)).all()
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in wanted}
    columns["hours"] = [(time - columns["jd_utc"][0]) * HOURS_PER_DAY for time in columns["jd_utc"]]
    return data(request, columns)


ROUTES = (
    Route("/", nights, name="nights"),
    Route("/observation/{observation:int}", observation, name="observation"),
    Route("/observation/{observation:int}/frames.json", frames_json),
    Route("/observation/{observation:int}/forced.csv", forced_csv),
)
