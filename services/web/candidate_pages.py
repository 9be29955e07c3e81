"""Stars that vary, the surest first, to page through."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.queries import judging
from services.results.lightcurves.observation_facts import observation_facts, with_light_curves
from services.results.variability.candidates import count_candidates, read_candidates
from services.web.answers import id_of, number_of, page
from services.web.served import form_key, served

A_PAGE = 50
MOST = 5000  # of a list


def nights_with_candidates(request: Request) -> Response:
    """Observations by how many candidates they have."""
    with served(request).reading() as session:
        found = [(one, count_candidates(session, one.analysis_pid)) for one in with_light_curves(session)]
    found.sort(key=lambda one: (one[0].night, one[0].observation_id), reverse=True)
    return page(request, "candidate_nights.html", found=found)


def candidates(request: Request) -> Response:
    """The list of one observation."""
    number, first = id_of(request, "observation"), number_of(request, "from", 0, MOST)
    with served(request).reading() as session:
        facts = observation_facts(session, number)
        listed = read_candidates(session, facts, min(first + A_PAGE, MOST) + 1)
        total = count_candidates(session, facts.analysis_pid)
        judged = judging.of_observation(session, number)
    shown = listed[first : first + A_PAGE]
    return page(
        request,
        "candidates.html",
        facts=facts,
        listed=shown,
        total=total,
        first=first,
        a_page=A_PAGE,
        judged=judged,
        form_key=form_key(request),
        more=len(listed) > first + A_PAGE,
    )


ROUTES = (
    Route("/candidates", nights_with_candidates, name="candidates"),
    Route("/observation/{observation:int}/candidates", candidates),
)
