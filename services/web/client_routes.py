"""What `import tianyu` asks over HTTP: named questions, as JSON, and points of light curves, as numbers.

Points come in blocks: a letter (P: points, E: the end), the length of what follows (uint64, little endian), and that.
A block of points is ``float64[columns, n]`` in the order of `schema.light_curve_rows.NUMBERS`, NULL as NaN; the end is
JSON and says of how many of the sources that were asked for these are all points: who asks goes on with the next.
"""

import json
import struct
import threading
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from schema.client_questions import QUESTIONS
from schema.light_curve_rows import NUMBERS, Points, points
from services.choices import canonical
from services.chosen import without_folders
from services.errors import TianyuError
from services.log import get_logger
from services.web.answers import BusyError, NotThereError, WrongQuestionError, data
from services.web.served import Served, served
from services.whole_numbers import LARGEST

PATH = "/api/"
ROWS_MOST = 200_000  # of a named question
POINTS_MOST = 1_000_000  # of an answer, about
BODY_MOST = 2_000_000  # bytes of a question
LIST_MOST = 20_000  # sources, observations, names
CHOICES = "choices"  # a column that names files of the machine
AT_A_TIME = 4  # answers of points
LENGTH = struct.Struct("<Q")
POINTS_TYPE = "application/x-tianyu-points"

log = get_logger("web")
_reading = threading.BoundedSemaphore(AT_A_TIME)
_Id = Annotated[int, Field(ge=0, le=LARGEST)]


class PointsWanted(BaseModel):
    """Which points."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sources: Annotated[list[_Id], Field(min_length=1, max_length=LIST_MOST)]
    observations: Annotated[list[_Id], Field(min_length=1, max_length=LIST_MOST)]
    aperture: Annotated[int, Field(ge=0, le=9999)] | Literal["best", "all"]
    usable_only: bool


async def _body(request: Request) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > BODY_MOST:
            raise WrongQuestionError(f"the question has more than {BODY_MOST} bytes: ask for fewer stars at a time")
    return bytes(content)


async def rows(request: Request) -> Response:
    """Rows of a named question; refused where there are more than are sent, never cut off."""
    name, content = request.path_params["question"], await _body(request)
    question = QUESTIONS.get(name)
    if question is None:
        raise NotThereError(f"there is no question {name[:30]!r}: expected one of {', '.join(QUESTIONS)}")
    try:
        given = json.loads(content)
    except ValueError as error:
        raise WrongQuestionError(f"the question is no JSON: {error}") from error
    if not isinstance(given, dict) or not question.fits(given) or not _are_small(given):
        words = ", ".join(f"{one} ({kind})" for one, kind in question.parameters.items()) or "nothing"
        raise WrongQuestionError(f"question {name!r} takes {words}, numbers to {LARGEST}, {LIST_MOST} in a list")
    return await run_in_threadpool(_answered, request, name, given)


def _answered(request: Request, name: str, given: dict[str, Any]) -> Response:
    with served(request).reading() as session:
        found = session.connection().execute(QUESTIONS[name].statement(), given)
        names, told = list(found.keys()), [list(map(_plain, row)) for row in found.fetchmany(ROWS_MOST + 1)]
    if CHOICES in names:
        place = names.index(CHOICES)
        for row in told:
            row[place] = None if row[place] is None else canonical(without_folders(json.loads(row[place])))
    if len(told) > ROWS_MOST:
        raise WrongQuestionError(f"the answer has more than {ROWS_MOST} rows: ask for one observation at a time")
    return data(request, {"names": names, "rows": told})


def _are_small(given: dict[str, Any]) -> bool:
    values = [one for value in given.values() for one in (value if isinstance(value, list) else [value])]
    lengths = [len(value) for value in given.values() if isinstance(value, list)]
    return max(lengths, default=0) <= LIST_MOST and all(abs(one) <= LARGEST for one in values if isinstance(one, int))


def _plain(value: Any) -> Any:
    """As JSON has it; servers give sums as decimal numbers."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    number = float(value)
    return number if np.isfinite(number) else None


async def light_curve_points(request: Request) -> Response:
    """Points, as they are read; the end says whether they are all."""
    try:
        wanted = PointsWanted.model_validate_json(await _body(request))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise WrongQuestionError(f"the question cannot be read: {problems}") from error
    if not _reading.acquire(blocking=False):
        raise BusyError(f"{AT_A_TIME} lists of light curves are being read: try it again in some seconds")
    return PointsResponse(_blocks(served(request), wanted), media_type=POINTS_TYPE)


class PointsResponse(StreamingResponse):
    """Gives back its turn however it ends: of a browser that left nothing is read, nor the end of what is read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            _reading.release()


def _blocks(here: Served, wanted: PointsWanted) -> Iterator[bytes]:
    end: dict[str, Any] = {}
    try:
        with here.reading() as session:
            done = sent = 0
            sources = list(dict.fromkeys(wanted.sources))
            for few, found in points(
                session.connection(),
                sources,
                wanted.observations,
                aperture=wanted.aperture,
                usable_only=wanted.usable_only,
            ):
                done, sent = done + len(few), sent + found["flag"].size
                yield _block(b"P", _bytes_of(found))
                if sent >= POINTS_MOST:
                    break
            end = {"sources": len(wanted.sources) if done == len(sources) else done, "points": sent}
    except (TianyuError, DBAPIError) as error:
        log.error("light curves could not be read", error=str(getattr(error, "orig", error)))
        end = {"error": "the database does not answer, or took too long; ask for fewer stars, or again"}
    yield _block(b"E", json.dumps(end).encode())


def _bytes_of(found: Points) -> bytes:
    return np.stack([found[name].astype("<f8") for name in NUMBERS]).tobytes()


def _block(kind: bytes, content: bytes) -> bytes:
    return kind + LENGTH.pack(len(content)) + content


ROUTES = (
    Route(f"{PATH}rows/{{question}}", rows, methods=["POST"]),
    Route(f"{PATH}points", light_curve_points, methods=["POST"]),
)
