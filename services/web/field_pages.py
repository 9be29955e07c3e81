"""A field: its template with its sources, and tiles of any image."""

from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.image import TEMPLATE, Image
from schema.photometry import Variability
from schema.processes import Process
from schema.skies import Source, SourceCrossmatch, SourcePosition
from services.errors import DataError
from services.own_site import why_not_here
from services.results.lightcurves.observation_facts import ObservationFacts, observation_facts
from services.results.lightcurves.sky_field import solution_of
from services.results.plots.roles import read_roles
from services.steps.detect import DETECT
from services.web.answers import NotThereError, data, id_of, page, picture
from services.web.pictures import TILE_PX, Picture
from services.web.served import Served, served

LISTED = 40  # brightest stars below the field, for who has no pointer


def field(request: Request) -> Response:
    """The page; stars and tiles come by themselves."""
    number = id_of(request, "observation")
    here = served(request)
    with here.reading() as session:
        facts = observation_facts(session, number)
        solution = solution_of(session, facts)
        template = template_of(session, facts)
        brightest = _stars(session, facts, LISTED)
        view = view_of(here, session, template)
    return page(
        request,
        "field.html",
        facts=facts,
        solution=solution,
        template=template,
        view=view,
        brightest=brightest,
    )


def template_of(session: Session, facts: ObservationFacts) -> Image | None:
    """The template of the graph that is shown."""
    wanted = select(Image).where(Image.graph_pid == facts.graph_pid, Image.kind == TEMPLATE)
    return session.scalar(wanted.limit(1))


def view_of(here: Served, session: Session, image: Image | None) -> dict[str, int] | None:
    """What the script needs to show an image; None where its file is not at this site."""
    if image is None or not (image.nx and image.ny) or why_not_here(session, here.settings.site, image):
        return None
    return {"image": image.image_id, "nx": image.nx, "ny": image.ny, "tile": TILE_PX}


def stars_json(request: Request) -> Response:
    """All sources of the template, the brightest first, as arrays of one length; pixels of the template."""
    number = id_of(request, "observation")
    with served(request).reading() as session:
        facts = observation_facts(session, number)
        rows = _stars(session, facts)
        roles = read_roles(session, facts, None)
    references, checks = set(roles.references), set(roles.checks)
    names = ("source_id", "x", "y", "ra_deg", "dec_deg", "flux", "g_mag", "candidate")
    found: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in names}
    found["candidate"] = [bool(one) for one in found["candidate"]]
    found["part"] = ["R" if one in references else "C" if one in checks else "" for one in found["source_id"]]
    return data(request, found)


def _stars(session: Session, facts: ObservationFacts, most: int | None = None) -> list[Any]:
    detect = select(Process.pid).where(Process.graph_pid == facts.graph_pid, Process.command == DETECT.command)
    matched = and_(
        SourceCrossmatch.source_id == Source.source_id,
        SourceCrossmatch.match_rank == 1,
        SourceCrossmatch.is_match.is_(True),
    )
    judged = and_(Variability.source_id == Source.source_id, Variability.pid == facts.analysis_pid)
    query = (
        select(
            Source.source_id,
            SourcePosition.x,
            SourcePosition.y,
            Source.ra_deg,
            Source.dec_deg,
            SourcePosition.flux,
            SourceCrossmatch.g_mag,
            Variability.candidate,
        )
        .join(SourcePosition, SourcePosition.source_id == Source.source_id)
        .outerjoin(SourceCrossmatch, matched)
        .outerjoin(Variability, judged)
        .where(SourcePosition.pid == detect.scalar_subquery())
        .order_by(SourcePosition.flux.desc(), Source.source_id)
        .limit(most)
    )
    return list(session.execute(query))


def picture_of_image(request: Request) -> Picture:
    """The picture of an image of the address.

    Raises:
        NotThereError: there is no such image.
        DataError, TransientError: its file is not here, or cannot be read.
    """
    here, number = served(request), id_of(request, "image")
    with here.reading() as session:
        image = session.get(Image, number)
        if image is None:
            raise NotThereError(f"there is no image {number}")
        lacking = why_not_here(session, here.settings.site, image)
    if lacking:
        raise DataError(lacking)
    return here.pictures.of(image)


def tile(request: Request) -> Response:
    """One tile of an image."""
    place = [id_of(request, name) for name in ("level", "column", "row")]
    content = picture_of_image(request).tile(*place)
    if content is None:
        raise NotThereError(f"image {request.path_params['image']} has no such tile")
    return picture(content)


ROUTES = (
    Route("/observation/{observation:int}/field", field, name="field"),
    Route("/observation/{observation:int}/stars.json", stars_json),
    Route("/image/{image:int}/{level:int}/{column:int}/{row:int}.png", tile),
)
