"""Who works on what, the graph of an observation, and one process with its attempts and errors."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.operating.graph import find_dot, read_graph, render, to_dot
from services.operating.logs import read_log
from services.operating.status import overview
from services.results.lightcurves.observation_facts import observation_facts
from services.web.answers import NotThereError, id_of, page
from services.web.served import served

DRAWING_S = 20.0


def work(request: Request) -> Response:
    """What runs, what waits, what is stuck, and the services."""
    here = served(request)
    with here.reading() as session:
        found = overview(session, None, here.settings)
    return page(request, "work.html", found=found, moves=bool(found.running) or any(q.unstarted for q in found.queues))


def graph(request: Request) -> Response:
    """Steps of an observation and their states."""
    number = id_of(request, "observation")
    with served(request).reading() as session:
        facts = observation_facts(session, number)
        found = read_graph(session, number)
    needs: dict[str, list[str]] = {}
    titles = {node.name: node.title for node in found.nodes}
    for edge in found.edges:
        needs.setdefault(edge.child, []).append(titles[edge.parent] + ("" if edge.required else " (optional)"))
    return page(request, "graph.html", facts=facts, graph=found, needs=needs, is_drawn=find_dot() is not None)


def drawing(request: Request) -> Response:
    """The graph as SVG, by Graphviz."""
    number, program = id_of(request, "observation"), find_dot()
    if program is None:
        raise NotThereError("this machine has no Graphviz to draw with")
    with served(request).reading() as session:
        found = read_graph(session, number)
    return Response(render(program, to_dot(found), DRAWING_S), media_type="image/svg+xml")


def process(request: Request) -> Response:
    """One process."""
    number = id_of(request, "process")
    with served(request).reading() as session:
        found = read_log(session, number)
    return page(request, "process.html", log=found)


ROUTES = (
    Route("/work", work, name="work"),
    Route("/observation/{observation:int}/graph", graph),
    Route("/observation/{observation:int}/graph.svg", drawing),
    Route("/process/{process:int}", process),
)
