"""All services of the Virtual Observatory, as routes of a web service."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine
from starlette.routing import BaseRoute

from schema import database
from services.settings import Settings
from services.setup import open_database
from services.vo.cone_search import cone_routes
from services.vo.datalink import link_routes
from services.vo.query_limits import QueryLimits
from services.vo.questions import Questions
from services.vo.tap_routes import TapService, tap_routes
from services.vo.uws_jobs import Jobs
from services.vo.uws_routes import JobService, job_routes
from services.vo.vo_requests import LINKS_PATH

WRITING = ("/tap/", LINKS_PATH)  # addresses to which forms are sent begin so


def vo_routes(engine: Engine, limits: QueryLimits) -> list[BaseRoute]:
    """Routes of a database that ``engine`` cannot write to."""
    questions = Questions(engine, limits)
    jobs = JobService(Jobs(questions, limits), limits)
    tap = TapService(questions, limits, jobs.own_result)
    return [*tap_routes(tap), *job_routes(jobs), *cone_routes(tap), *link_routes(tap)]


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
        limits = QueryLimits()
        engine = open_database(settings)
        database.forbid_writing(engine, int(limits.job_seconds))
        return cls(engine, vo_routes(engine, limits))

    def close(self) -> None:
        """Give up the connections."""
        self.engine.dispose()
