"""TAP 1.1 over HTTP: questions that are answered at once, and VOSI."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from schema.database import READ_ONLY
from services.vo.published.published_table import Catalogue
from services.vo.query_limits import QueryLimits
from services.vo.query_running import Stop
from services.vo.questions import PUBLISHED, SCHEMAS, Question, Questions, question_of
from services.vo.tap_examples import examples_page
from services.vo.uploaded_tables import OwnResult
from services.vo.vo_errors import NotFoundError, RefusedError
from services.vo.vo_requests import (
    FORM_BYTES,
    LINKS_PATH,
    PartsResponse,
    Turns,
    base_url,
    caller_of,
    parameters_of,
    told,
    xml,
)
from services.vo.vosi_words import availability, capabilities, one_table, table_set


class TapService:
    """One database's tables; ``own_result`` reads results of jobs below an address."""

    def __init__(self, questions: Questions, limits: QueryLimits, own_result: Callable[[str, str], OwnResult]) -> None:
        self.questions, self.limits, self.own_result = questions, limits, own_result
        self.turns = Turns(limits.at_a_time)
        self._since = datetime.now(UTC)

    async def answer(self, question: Question) -> Response:
        """The document of a question, in parts."""
        await self.turns.take()
        stack = ExitStack()
        try:
            opened = self.questions.answered(question, Stop(self.limits.seconds))
            answer = await self.turns.run(stack.enter_context, opened)
        except BaseException:
            self.turns.give()
            raise
        return PartsResponse(answer.parts, answer.media_type, stack, self.turns, f"result.{answer.suffix}")

    @told
    async def sync(self, request: Request) -> Response:
        """A question that is answered at once."""
        parameters, files = await parameters_of(request, self.limits.upload_bytes + FORM_BYTES)
        base = base_url(request)
        return await self.answer(
            question_of(
                parameters, files, self.own_result(f"{base}/tap/async", caller_of(request)), f"{base}{LINKS_PATH}"
            )
        )

    @told
    async def capabilities(self, request: Request) -> Response:
        """What the service can do."""
        return xml(capabilities(base_url(request), self.limits))

    @told
    async def availability(self, _: Request) -> Response:
        """Whether the database answers."""
        try:
            await self.turns.run(self._ask)
        except SQLAlchemyError:
            return xml(availability(self._since, "the database does not answer"))
        return xml(availability(self._since))

    def _ask(self) -> None:
        with self.questions.engine.execution_options(**READ_ONLY).connect() as connection:
            connection.execute(text("SELECT 1"))

    @told
    async def tables(self, request: Request) -> Response:
        """All tables with their columns; with ``detail=min`` without."""
        detail = request.query_params.get("detail", "max")
        if detail not in ("min", "max"):
            raise RefusedError(f"detail is {detail[:40]!r}: expected min or max")
        return xml(table_set(PUBLISHED, SCHEMAS, is_detailed=detail == "max"))

    @told
    async def examples(self, _: Request) -> Response:
        """Questions to begin with."""
        return Response(examples_page(), media_type="application/xhtml+xml")

    @told
    async def table(self, request: Request) -> Response:
        """One table."""
        schema, _, name = request.path_params["table"].rpartition(".")
        try:
            return xml(one_table(Catalogue(PUBLISHED).find(schema, name)))
        except RefusedError as error:
            raise NotFoundError(str(error)) from error


def tap_routes(service: TapService) -> list[BaseRoute]:
    """Addresses below `/tap`."""
    both = ["GET", "POST"]
    return [
        Route("/tap/sync", service.sync, methods=both),
        Route("/tap/capabilities", service.capabilities),
        Route("/tap/availability", service.availability),
        Route("/tap/tables", service.tables),
        Route("/tap/examples", service.examples),
        Route("/tap/tables/{table}", service.table),
    ]
