"""Jobs over HTTP: `/tap/async` and what is below it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from services.vo.query_limits import QueryLimits
from services.vo.uws_jobs import ACTIVE, COMPLETED, PHASES, Job, Jobs
from services.vo.uws_words import job_list, job_words, moment, parameters_words, results_words
from services.vo.vo_errors import NotFoundError, RefusedError
from services.vo.vo_requests import FORM_BYTES, LINKS_PATH, base_url, caller_of, parameters_of, told, xml
from services.vo.writing.votable_words import MEDIA_TYPE, error_document
from services.whole_numbers import whole_number

LONGEST_WAIT_S = 60.0
WAITING_MOST = 20  # at once, for jobs to change; others are answered as it is, as the standard allows
LOOK_S = 0.05
NUMBERS_MOST = 999_999_999  # of seconds, and of jobs
PATH = "/tap/async"
SEE_OTHER = 303


class JobService:
    """Answers about jobs."""

    def __init__(self, jobs: Jobs, limits: QueryLimits) -> None:
        self._jobs, self._limits = jobs, limits
        self._waiting = 0

    @told
    async def list(self, request: Request) -> Response:
        """All jobs, or a new one."""
        address = base_url(request) + PATH
        if request.method == "POST":
            return await self._create(request, address)
        return xml(job_list(_chosen(request, self._jobs.all(caller_of(request))), address))

    async def _create(self, request: Request, address: str) -> Response:
        parameters, files = await parameters_of(request, self._limits.upload_bytes + FORM_BYTES)
        phase, owner = parameters.pop("PHASE", [""])[0], caller_of(request)
        job = self._jobs.create(
            parameters, files, self.own_result(address, owner), f"{base_url(request)}{LINKS_PATH}", owner
        )
        if phase == "RUN":
            self._jobs.start(job)
        return RedirectResponse(f"{address}/{job.job_id}", SEE_OTHER)

    def own_result(self, address: str, owner: str) -> Callable[[str], bytes | None]:
        """What reads results of an owner's jobs, whose addresses begin with ``address``."""

        def read(wanted: str) -> bytes | None:
            start, end = f"{address}/", "/results/result"
            if not (wanted.startswith(start) and wanted.endswith(end)):
                return None
            job = self._jobs.find(wanted[len(start) : -len(end)], owner)
            if job.phase != COMPLETED or job.result is None:
                raise RefusedError(f"job {job.job_id} is {job.phase}: it has no result that could be uploaded")
            if job.result.stat().st_size > self._limits.upload_bytes:
                raise RefusedError(f"the result of job {job.job_id} is larger than {self._limits.upload_bytes} bytes")
            return Path(job.result).read_bytes()

        return read

    @told
    async def job(self, request: Request) -> Response:
        """One job; with WAIT when something of it has changed. POST changes it, or deletes it."""
        job, address = self._found(request), base_url(request) + PATH
        if request.method == "DELETE":
            return await self._deleted(job, address)
        if request.method == "POST":
            parameters, _ = await parameters_of(request, FORM_BYTES)
            action = parameters.pop("ACTION", [""])[0]
            if action == "DELETE":
                return await self._deleted(job, address)
            if action:
                raise RefusedError(f"ACTION is {action[:40]!r}: expected DELETE")
            phase = parameters.pop("PHASE", [""])[0]
            if parameters:
                self._jobs.change(job, parameters)
            if phase:
                await self._to_phase(job, phase)
            return RedirectResponse(f"{address}/{job.job_id}", SEE_OTHER)
        await self._wait(request, job)
        return xml(job_words(job, f"{address}/{job.job_id}"))

    async def _deleted(self, job: Job, address: str) -> Response:
        await anyio.to_thread.run_sync(self._jobs.delete, job)
        return RedirectResponse(address, SEE_OTHER)

    def _found(self, request: Request) -> Job:
        return self._jobs.find(request.path_params["job"], caller_of(request))

    async def _wait(self, request: Request, job: Job) -> None:
        values = {name.upper(): value for name, value in request.query_params.items()}
        if "WAIT" not in values:
            return
        try:
            seconds = float(values["WAIT"])
        except ValueError as error:
            raise RefusedError(f"WAIT is {values['WAIT'][:40]!r}: expected a number of seconds") from error
        phase = values.get("PHASE", job.phase)
        until = time.monotonic() + (LONGEST_WAIT_S if seconds < 0 else min(seconds, LONGEST_WAIT_S))
        if self._waiting >= WAITING_MOST:
            return
        self._waiting += 1
        try:
            while job.phase == phase and job.phase in ACTIVE and time.monotonic() < until:
                await anyio.sleep(LOOK_S)
        finally:
            self._waiting -= 1

    @told
    async def phase(self, request: Request) -> Response:
        """Its phase; POST starts or aborts it."""
        job = self._found(request)
        if request.method == "GET":
            return PlainTextResponse(job.phase)
        parameters, _ = await parameters_of(request, FORM_BYTES)
        await self._to_phase(job, parameters.get("PHASE", [""])[0])
        return self._back(request, job)

    async def _to_phase(self, job: Job, phase: str) -> None:
        if phase == "RUN":
            self._jobs.start(job)
        elif phase == "ABORT":
            await anyio.to_thread.run_sync(self._jobs.abort, job)
        else:
            raise RefusedError(f"PHASE is {phase[:40]!r}: expected RUN or ABORT")

    @told
    async def duration(self, request: Request) -> Response:
        """Seconds that it may run."""
        job = self._found(request)
        if request.method == "GET":
            return PlainTextResponse(f"{job.seconds:.0f}")
        parameters, _ = await parameters_of(request, FORM_BYTES)
        words = parameters.get("EXECUTIONDURATION", [""])[0]
        seconds = whole_number(words, NUMBERS_MOST)
        if seconds is None:
            raise RefusedError(f"EXECUTIONDURATION is {words[:40]!r}: expected a number of seconds")
        self._jobs.limit(job, float(seconds))
        return self._back(request, job)

    @told
    async def destruction(self, request: Request) -> Response:
        """When it is forgotten."""
        job = self._found(request)
        if request.method == "GET":
            return PlainTextResponse(moment(job.destruction))
        parameters, _ = await parameters_of(request, FORM_BYTES)
        self._jobs.expire(job, _time("DESTRUCTION", parameters.get("DESTRUCTION", [""])[0]))
        return self._back(request, job)

    @told
    async def parameters(self, request: Request) -> Response:
        """What was asked; POST changes it."""
        job = self._found(request)
        if request.method == "GET":
            return xml(parameters_words(job))
        parameters, _ = await parameters_of(request, FORM_BYTES)
        self._jobs.change(job, parameters)
        return self._back(request, job)

    @told
    async def results(self, request: Request) -> Response:
        """Where its answer is."""
        job = self._found(request)
        return xml(results_words(job, f"{base_url(request)}{PATH}/{job.job_id}"))

    @told
    async def result(self, request: Request) -> Response:
        """Its answer."""
        job = self._found(request)
        if job.phase != COMPLETED or job.result is None:
            raise NotFoundError(f"job {job.job_id} is {job.phase}: it has no result")
        return FileResponse(job.result, media_type=job.media_type)

    @told
    async def error(self, request: Request) -> Response:
        """What was wrong with it."""
        job = self._found(request)
        if not job.error:
            raise NotFoundError(f"job {job.job_id} is {job.phase}: it has no error")
        return Response(error_document(job.error), media_type=MEDIA_TYPE)

    @told
    async def nothing(self, request: Request) -> Response:
        """A quote: there is none."""
        self._found(request)
        return PlainTextResponse("")

    @told
    async def owner(self, request: Request) -> Response:
        """Who asked."""
        return PlainTextResponse(self._found(request).owner)

    def _back(self, request: Request, job: Job) -> Response:
        return RedirectResponse(f"{base_url(request)}{PATH}/{job.job_id}", SEE_OTHER)


def _chosen(request: Request, jobs: list[Job]) -> list[Job]:
    """Jobs of a list that PHASE, AFTER and LAST choose."""
    values = [(name.upper(), value) for name, value in request.query_params.multi_items()]
    phases = {value for name, value in values if name == "PHASE"}
    if phases - set(PHASES):
        raise RefusedError(f"PHASE is {', '.join(sorted(phases))[:60]}: expected some of {', '.join(PHASES)}")
    found = [job for job in jobs if not phases or job.phase in phases]
    for name, value in values:
        if name == "AFTER":
            after = _time(name, value)
            found = [job for job in found if job.created > after]
    last = dict(values).get("LAST", "")
    number = whole_number(last, NUMBERS_MOST)
    if last and number is None:
        raise RefusedError(f"LAST is {last[:40]!r}: expected a number of jobs")
    return found[:number]


def _time(name: str, words: str) -> datetime:
    """A time, which is UTC unless it says otherwise."""
    try:
        time = datetime.fromisoformat(words)
    except ValueError as error:
        raise RefusedError(f"{name} is {words[:40]!r}: expected a time such as 2030-01-31T12:00:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def job_routes(service: JobService) -> list[BaseRoute]:
    """Addresses below `/tap/async`."""
    both, one = ["GET", "POST"], PATH + "/{job}"
    return [
        Route(PATH, service.list, methods=both),
        Route(one, service.job, methods=[*both, "DELETE"]),
        Route(f"{one}/phase", service.phase, methods=both),
        Route(f"{one}/executionduration", service.duration, methods=both),
        Route(f"{one}/destruction", service.destruction, methods=both),
        Route(f"{one}/parameters", service.parameters, methods=both),
        Route(f"{one}/results", service.results),
        Route(f"{one}/results/result", service.result),
        Route(f"{one}/error", service.error),
        Route(f"{one}/quote", service.nothing),
        Route(f"{one}/owner", service.owner),
    ]
