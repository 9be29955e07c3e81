"""All services of the Virtual Observatory, as routes of a web service."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine
from starlette.routing import BaseRoute

from schema.read_only import allow_cross_joins, forbid_writing
from services.image_store import ImageStore, open_store
from services.settings import Settings
from services.setup import open_database
from services.vo.cone_search import cone_routes
from services.vo.datalink import link_routes
from services.vo.query_limits import QueryLimits
from services.vo.questions import Questions
from services.vo.site_images import SiteImages
from services.vo.soda import cutout_routes
from services.vo.tap_routes import TapService, tap_routes
from services.vo.uws_jobs import Jobs
from services.vo.uws_routes import JobService, job_routes
from services.vo.vo_requests import CUTOUTS_PATH, LINKS_PATH

WRITING = ("/tap/", LINKS_PATH, CUTOUTS_PATH)  # addresses to which forms are sent begin so


def vo_routes(engine: Engine, limits: QueryLimits, store: ImageStore, site: str) -> list[BaseRoute]:
    """Routes of a database that ``engine`` cannot write to, and of the images of a site."""
    questions, images = Questions(engine, limits, site), SiteImages(engine, store, site)
    jobs = JobService(Jobs(questions, limits), limits)
    tap = TapService(questions, limits, jobs.own_result)
    return [
        *tap_routes(tap),
        *job_routes(jobs),
        *cone_routes(tap),
        *link_routes(tap, images),
        *cutout_routes(tap, images),
    ]


def limits_of(engine: Engine) -> QueryLimits:
    """How much an answer of a database may take."""
    return QueryLimits() if engine.dialect.name == "sqlite" else QueryLimits.of_server(engine.url.host)


@dataclass(frozen=True)
class VoServices:
    """The services of one database, by connections of their own: pages do not wait for questions."""

    engine: Engine
    routes: Sequence[BaseRoute]

    @classmethod
    def open(cls, settings: Settings) -> "VoServices":
        """Of a database that is set up for this version.

        Raises:
            ConfigurationError: the URL is wrong, or the schema is missing or of another version.
            TransientError: the database does not answer.
        """
        engine = open_database(settings)
        limits = limits_of(engine)
        forbid_writing(engine, int(limits.job_seconds))
        allow_cross_joins(engine)
        store = open_store(settings.root, settings.frame_bounds)
        return cls(engine, vo_routes(engine, limits, store, settings.site))

    def close(self) -> None:
        """Give up the connections."""
        self.engine.dispose()
