"""DataLink 1.1: what there is of a star besides its row: its light curves as files, and its page."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from sqlalchemy import Engine, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from schema.base import table_of
from schema.database import READ_ONLY
from schema.skies import Source, SourcePosition
from services.vo.fields import Field, Kind
from services.vo.tap_routes import TapService
from services.vo.vo_errors import RefusedError
from services.vo.vo_requests import FORM_BYTES, LINKS_PATH, PartsResponse, base_url, parameters_of, told
from services.vo.writing.row_writers import TableData, written
from services.vo.writing.votable_words import LINKS, MEDIA_TYPE, around
from services.whole_numbers import whole_number

IDS_MOST = 1000
CONTENT_TYPE = f"{MEDIA_TYPE};content=datalink"
FIELDS = (
    Field("ID", Kind.TEXT, "star", ucd="meta.id;meta.main"),
    Field("access_url", Kind.CHAR, "address of the file or page", ucd="meta.ref.url"),
    Field("service_def", Kind.CHAR, "description of a service", ucd="meta.ref"),
    Field("error_message", Kind.TEXT, "why there is none", ucd="meta.code.error"),
    Field("semantics", Kind.CHAR, "what it is to the star", ucd="meta.code"),
    Field("description", Kind.TEXT, "what it is", ucd="meta.note"),
    Field("content_type", Kind.CHAR, "media type", ucd="meta.code.mime"),
    Field("content_length", Kind.LONG, "bytes", "byte", "phys.size;meta.file"),
)
# Of a star, below its page: suffix, media type.
FILES = (("vot", MEDIA_TYPE), ("fits", "application/fits"), ("csv", "text/csv"))
_WHOLE = "light curves of all nights, in the best aperture of each"
Row = tuple[Any, ...]


def rows_of(wanted: str, has_curves: bool | None, base: str) -> list[Row]:
    """Links of one star; ``has_curves`` is None where there is no such star."""
    if has_curves is None:
        return [(wanted, None, None, f"NotFoundFault: there is no star {wanted[:40]!r}", "#this", None, None, None)]
    page = f"{base}/star/{wanted}"
    shown = (wanted, page, None, None, "#auxiliary", "page of the star", "text/html", None)
    if not has_curves:
        return [shown]
    files = [
        (wanted, f"{page}/curve.{suffix}", None, None, "#this", _WHOLE, media_type, None)
        for suffix, media_type in FILES
    ]
    return [*files, shown]


def stars_that_are(engine: Engine, numbers: Sequence[int]) -> dict[int, bool]:
    """Of these numbers those of stars, and whether they were measured."""
    star, measured = table_of(Source).c.source_id, table_of(SourcePosition).c.source_id
    with engine.execution_options(**READ_ONLY).connect() as connection:
        known = set(connection.scalars(select(star).where(star.in_(numbers))))
        seen = set(connection.scalars(select(measured).where(measured.in_(numbers)).distinct()))
    return {number: number in seen for number in known}


class Links:
    """Answers about stars, by the database of TAP."""

    def __init__(self, tap: TapService) -> None:
        self._tap = tap

    @told
    async def links(self, request: Request) -> Response:
        """Links of the stars that the parameters ID name."""
        parameters, _ = await parameters_of(request, FORM_BYTES)
        wanted = parameters.get("ID", [])
        if len(wanted) > IDS_MOST:
            raise RefusedError(f"{len(wanted)} stars are asked for: expected at most {IDS_MOST}")
        base, turns = base_url(request), self._tap.turns
        await turns.take()
        try:
            known = await turns.run(
                stars_that_are, self._tap.questions.engine, [one for one in map(_number, wanted) if one]
            )
        except BaseException:
            turns.give()
            raise
        rows = [row for one in wanted for row in rows_of(one, known.get(_number(one)), base)]
        facts = {"standardID": LINKS, "service_protocol": LINKS}
        parts: Iterator[bytes] = written(
            TableData(FIELDS, around(FIELDS, facts)), iter([rows]), len(rows), len(rows) * 10**6
        )
        return PartsResponse(parts, CONTENT_TYPE, ExitStack(), turns, "links.vot")


def _number(words: str) -> int:
    """The star that is meant; 0, which none has, where it is no number."""
    return whole_number(words) or 0


def link_routes(tap: TapService) -> list[BaseRoute]:
    """The address `/datalink`."""
    return [Route(LINKS_PATH, Links(tap).links, methods=["GET", "POST"])]
