"""The application: all routes, and who may ask."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import anyio.to_thread
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from services.web import (
    candidate_pages,
    client_routes,
    comparison_pages,
    field_pages,
    frame_pages,
    night_pages,
    process_pages,
    star_pages,
    verdicts,
)
from services.web.answers import HANDLERS, prepare
from services.web.guard import Guard, Rules
from services.web.served import Served

AT_A_TIME = 8  # pages that are made at once: each holds a connection

ROUTES: tuple[BaseRoute, ...] = (
    *night_pages.ROUTES,
    *field_pages.ROUTES,
    *star_pages.ROUTES,
    *candidate_pages.ROUTES,
    *comparison_pages.ROUTES,
    *process_pages.ROUTES,
    *frame_pages.ROUTES,
    *verdicts.ROUTES,
    *client_routes.ROUTES,
    Mount("/static", StaticFiles(packages=[("services.web", "static")]), name="static"),
)


def application(served: Served, rules: Rules, more: Sequence[BaseRoute] = ()) -> Guard:
    """All pages of a database, guarded; ``more`` are further routes, such as another service's under its own path."""

    @contextlib.asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = AT_A_TIME
        yield

    prepare()
    app = Starlette(routes=[*ROUTES, *more], exception_handlers=HANDLERS, lifespan=living)
    app.state.served, app.state.rules = served, rules
    own = (verdicts.PATH,) if served.reviewing is not None else ()
    return Guard(app, replace(rules, writing=(*rules.writing, client_routes.PATH, *own)))
