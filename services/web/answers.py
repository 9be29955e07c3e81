"""What requests are answered by: pages of templates, data as JSON, files, and errors in a sentence."""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.errors import TianyuError, TransientError
from services.log import get_logger
from services.shown import shown
from services.vo.vo_requests import RETRY_S
from services.web.served import served
from services.whole_numbers import LARGEST, whole_number

COMPRESSED_FROM = 2_000  # bytes of JSON
NO_NUMBER = "–"
DAY_IMMUTABLE = "private, max-age=86400, immutable"  # of what never changes under its address

log = get_logger("web")


def _finalized(value: Any) -> Any:
    """What a template shows of a value; names from headers keep no control characters or marks of direction."""
    if value is None:
        return NO_NUMBER
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _rounded(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits."""
    return NO_NUMBER if value is None or not isfinite(value) else f"{value:.{digits}g}"


def _fixed(value: float | None, digits: int = 2) -> str:
    """A number with so many digits behind the point."""
    return NO_NUMBER if value is None or not isfinite(value) else f"{value:.{digits}f}"


def _utc(time: datetime | None) -> str:
    return NO_NUMBER if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


_templates = Environment(
    loader=PackageLoader("services.web"),
    autoescape=True,
    finalize=_finalized,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"rounded": _rounded, "fixed": _fixed, "utc": _utc}
_templates.globals |= {"version": version("tianyu")}


def prepare() -> None:
    """Compile all templates, which the first one to ask for a page would wait for."""
    for name in _templates.list_templates():
        _templates.get_template(name)


def page(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """A page; values reach it escaped."""
    site = served(request).settings.site
    found = _templates.get_template(template).render(path=request.url.path, site=site, **values)
    return HTMLResponse(found, status)


def data(request: Request, found: Mapping[str, Any] | Sequence[Any]) -> Response:
    """JSON, compressed where the browser takes that: a night's stars are a megabyte."""
    content = json.dumps(found, allow_nan=False, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json", "Vary": "Accept-Encoding"}
    if len(content) > COMPRESSED_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = gzip.compress(content, 5, mtime=0), "gzip"
    return Response(content, headers=headers)


def file(content: bytes, name: str, media_type: str) -> Response:
    """Something to be saved under a name of letters, digits, dots and dashes."""
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def picture(content: bytes) -> Response:
    """A PNG that never changes under its address."""
    return Response(content, media_type="image/png", headers={"Cache-Control": DAY_IMMUTABLE})


def id_of(request: Request, name: str) -> int:
    """A number of the address; one that no row can have is not there."""
    number = int(request.path_params[name])
    if number > LARGEST:
        raise NotThereError(f"there is no {name.replace('_', ' ')} {str(number)[:30]}…")
    return number


def number_of(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query, from 0 to ``most``."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    number = whole_number(text, most)
    if number is None:
        raise WrongQuestionError(f"{name} is {text[:30]!r}: expected a whole number from 0 to {most}")
    return number


class NotThereError(TianyuError):
    """No such row, file or page."""


class WrongQuestionError(TianyuError):
    """A part of the query cannot be read."""


class RefusedError(TianyuError):
    """Who asks may not do that."""


class BusyError(TianyuError):
    """The service does as much at a time as it may."""


# A path that begins a word, or stands in quotes and may have blanks then; no address of a page has two folders there.
_QUOTED = re.compile(r"""(?P<mark>['"])/[^'"]*/(?P<name>[^'"/]*)(?P=mark)""")
_BARE = re.compile(r"(?<![\w/:.'\"])/(?:[^\s/'\"]+/)+(?P<name>[^\s/'\"]*)")


def path_free(words: str, root: Path) -> str:
    """A sentence with files below the image folder as they are called there, and others by their names alone."""
    below = words.replace(f"{root.absolute()}/", "").replace(f"{root}/", "")
    return _BARE.sub(r"\g<name>", _QUOTED.sub(r"\g<mark>\g<name>\g<mark>", below))


STATUS: dict[type[TianyuError], int] = {WrongQuestionError: 400, RefusedError: 403, BusyError: 503}


def _explained(request: Request, status: int, words: str) -> Response:
    answer: Response
    if request.url.path.endswith(".json") or request.url.path.startswith("/api/"):
        answer = Response(json.dumps({"error": shown(words)}), status, media_type="application/json")
    else:
        answer = page(request, "error.html", status, words=words)
    if status == 503:
        answer.headers["Retry-After"] = RETRY_S
    return answer


def not_made(request: Request, error: Exception) -> Response:
    """What Tianyu says on purpose: what was asked for is not there, or not yet."""
    if isinstance(error, TransientError):
        log.warning("not answered", path=request.url.path, error=str(error))
        return _explained(request, 503, "the database or the disk does not answer at the moment; try it again")
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 404)
    return _explained(request, status, path_free(str(error), served(request).settings.root))


def database_away(request: Request, error: Exception) -> Response:
    """Nothing of the driver's words reaches the browser."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    log.error("the database failed", path=request.url.path, error=str(cause))
    return _explained(request, 503, "the database does not answer, or took too long; `tianyu doctor` looks closer")


def refused(request: Request, error: Exception) -> Response:
    """No such address, or no such method."""
    assert isinstance(error, HTTPException)
    words = "there is no such page" if error.status_code == 404 else str(error.detail)
    answer = _explained(request, error.status_code, words)
    answer.headers.update(error.headers or {})
    return answer


def broken(request: Request, _: Exception) -> Response:
    """An error of Tianyu itself: whoever called this one tells the log of it, and nobody else."""
    return _explained(request, 500, "this page could not be made; what happened is in the log of `tianyu serve`")


HANDLERS: dict[Any, Any] = {
    TianyuError: not_made,
    DBAPIError: database_away,
    PoolTimeoutError: database_away,
    HTTPException: refused,
    Exception: broken,
}
