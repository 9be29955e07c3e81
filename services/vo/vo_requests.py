"""Requests and answers of HTTP: parameters by any of its ways, documents in parts, errors as VOTables."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from typing import Any, BinaryIO, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.errors import TianyuError
from services.log import get_logger
from services.vo.vo_errors import DATABASE_AWAY, UNFORESEEN, BusyServiceError, NotFoundError
from services.vo.writing.votable_words import MEDIA_TYPE, error_document

LINKS_PATH = "/datalink"
CALLER = "tianyu.caller"  # of a request's scope: who asks, as the guard before the services knows
CUTOUTS_PATH = "/soda/sync"
FORM_BYTES = 1_000_000  # of all that is no file
FILES_MOST = 10
RETRY_S = "5"  # after which who asks may find the service less busy
FIELDS_MOST = 50
_END = object()
Result = TypeVar("Result")
Handler = Callable[[Any, Request], Awaitable[Response]]
log = get_logger("vo")


def told(handler: Handler) -> Handler:
    """Errors as documents that only say what is wrong; what Tianyu did not foresee goes to the log alone."""

    @wraps(handler)
    async def careful(service: Any, request: Request) -> Response:
        try:
            return await handler(service, request)
        except BusyServiceError as error:
            return _failed(503, str(error), {"Retry-After": RETRY_S})
        except NotFoundError as error:
            return _failed(404, str(error))
        except TianyuError as error:
            return _failed(400, str(error))
        except HTTPException as error:
            return _failed(error.status_code, str(error.detail))
        except SQLAlchemyError:
            return _failed(503, DATABASE_AWAY, {"Retry-After": RETRY_S})
        except Exception as error:
            log.error("an error of Tianyu", path=request.url.path, exc_info=error)
            return _failed(500, UNFORESEEN)

    return careful


def _failed(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    return Response(error_document(words), status, headers, MEDIA_TYPE)


async def parameters_of(request: Request, most_bytes: int) -> tuple[dict[str, list[str]], dict[str, BinaryIO]]:
    """Parameters by their names in capitals, of the address and the form, and files by the names of their parts.

    Files lie on the disk, but for small ones: many that wait for their turn would fill the memory.

    Raises:
        HTTPException: they are too large, or no form.
    """
    found: dict[str, list[str]] = {}
    files: dict[str, BinaryIO] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name.upper(), []).append(value)
    if request.method == "POST":
        limited = Request(request.scope, _at_most(request.receive, most_bytes))
        form = await limited.form(max_files=FILES_MOST, max_fields=FIELDS_MOST, max_part_size=FORM_BYTES)
        for name, part in form.multi_items():
            if isinstance(part, UploadFile):
                files[name] = part.file
            else:
                found.setdefault(name.upper(), []).append(part)
    return found, files


def _at_most(receive: Receive, most: int) -> Receive:
    taken = 0

    async def counted() -> Any:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, f"the request is larger than {most} bytes")
        return message

    return counted


def caller_of(request: Request) -> str:
    """Who asks; empty where nobody says."""
    return str(request.scope.get(CALLER, ""))


def base_url(request: Request) -> str:
    """Address of the service as who asks sees it, without a slash at the end."""
    scheme = "https" if request.headers.get("x-forwarded-proto") == "https" else request.url.scheme
    return f"{scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def xml(words: str, media_type: str = "text/xml") -> Response:
    """A document that is there."""
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{words}', media_type=media_type)


class Turns:
    """So many questions at a time, each in a thread of this service's own; who waits too long is told so."""

    def __init__(self, at_a_time: int, patience_s: float = 10.0) -> None:
        self._slots = anyio.Semaphore(at_a_time)
        self._threads = anyio.CapacityLimiter(at_a_time + 1)
        self._patience_s = patience_s

    async def take(self) -> None:
        """Wait for a turn.

        Raises:
            BusyServiceError: there was none in time.
        """
        with anyio.move_on_after(self._patience_s):
            await self._slots.acquire()
            return
        raise BusyServiceError("as many questions are being answered as may be at a time: try it again")

    def give(self) -> None:
        """End it."""
        self._slots.release()

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do something in a thread."""
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._threads)


class PartsResponse(StreamingResponse):
    """A document in parts, made in threads; ``stack`` is closed and the turn given back however it ends."""

    def __init__(self, parts: Iterator[bytes], media_type: str, stack: ExitStack, turns: Turns, name: str) -> None:
        self._stack, self._turns = stack, turns
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        super().__init__(self._taken(parts), headers=headers, media_type=media_type)

    async def _taken(self, parts: Iterator[bytes]) -> Any:
        while (part := await self._turns.run(next, parts, _END)) is not _END:
            yield part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._turns.run(self._stack.close)
            self._turns.give()
