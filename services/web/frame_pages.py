"""One calibrated frame with the apertures in which its stars were measured."""

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.frame import Frame
from schema.image import CALIBRATED, Image
from services.own_site import why_not_here
from services.results.lightcurves.observation_facts import observation_facts
from services.results.lightcurves.reading import read_apertures
from services.results.plots.roles import read_spots
from services.steps.shared.apertures import on_frame
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.raw_frames import frame_path
from services.web.answers import NotThereError, data, id_of, number_of, page
from services.web.field_pages import view_of
from services.web.served import served
from services.whole_numbers import LARGEST


def frame(request: Request) -> Response:
    """The page; apertures and tiles come by themselves."""
    number = id_of(request, "frame")
    star = number_of(request, "star", 0, LARGEST) or None
    here = served(request)
    with here.reading() as session:
        found = _frame(session, number)
        facts = observation_facts(session, found.observation_id or 0)
        image = session.get_one(Image, number)
        beside = _beside(session, found)
        return page(
            request,
            "frame.html",
            frame=found,
            facts=facts,
            star=star,
            file=frame_path(session, found),
            view=view_of(here, session, image),
            lacking=why_not_here(session, here.settings.site, image),
            apertures=read_apertures(session, facts),
            beside=beside,
        )


def _frame(session: Session, number: int) -> Frame:
    found = session.get(Frame, number)
    if found is None or found.observation_id is None:
        raise NotThereError(f"there is no calibrated frame {number}")
    return found


def _beside(session: Session, frame: Frame) -> tuple[int | None, int | None]:
    """The frames before and after, in order of time."""
    ids = list(
        session.scalars(
            select(Image.image_id)
            .where(Image.graph_pid == frame.graph_pid, Image.kind == CALIBRATED)
            .order_by(Image.jd_utc, Image.image_id)
        )
    )
    place = ids.index(frame.image_id)
    return (ids[place - 1] if place else None), (ids[place + 1] if place + 1 < len(ids) else None)


def apertures_json(request: Request) -> Response:
    """Where the template's stars lie on the frame, and the radii of its apertures; pixels of the frame."""
    number = id_of(request, "frame")
    with served(request).reading() as session:
        found = _frame(session, number)
        facts = observation_facts(session, found.observation_id or 0)
        spots = read_spots(session, facts)
        alignment = alignment_of(found)
        apertures = read_apertures(session, facts)
    places = alignment.to_frame(np.array([spot.xy for spot in spots.values()], dtype=np.float64).reshape(-1, 2))
    drawn = on_frame(list(apertures.values()), found.fwhm, None) if apertures else None
    return data(
        request,
        {
            "source_id": list(spots),
            "x": np.round(places[:, 0], 3).tolist(),
            "y": np.round(places[:, 1], 3).tolist(),
            "flux": [spot.flux for spot in spots.values()],
            "radii": [] if drawn is None else list(drawn.radii),
            "annulus": None if drawn is None else list(drawn.annulus),
        },
    )


ROUTES = (
    Route("/frame/{frame:int}", frame, name="frame"),
    Route("/frame/{frame:int}/apertures.json", apertures_json),
)
