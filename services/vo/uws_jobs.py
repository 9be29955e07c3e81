"""Questions that are answered while nobody waits (UWS 1.1): kept in memory, their answers in files, for a time."""

import os
import queue
import secrets
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.exc import SQLAlchemyError

from services.errors import TianyuError
from services.log import get_logger
from services.vo.query_limits import QueryLimits
from services.vo.query_running import Stop
from services.vo.questions import Questions, question_of
from services.vo.uploaded_tables import OwnResult
from services.vo.vo_errors import DATABASE_AWAY, UNFORESEEN, BusyServiceError, NotFoundError, RefusedError

PENDING, QUEUED, EXECUTING = "PENDING", "QUEUED", "EXECUTING"
COMPLETED, ERROR, ABORTED = "COMPLETED", "ERROR", "ABORTED"
PHASES = (PENDING, QUEUED, EXECUTING, COMPLETED, ERROR, ABORTED)
ACTIVE = (PENDING, QUEUED, EXECUTING)
log = get_logger("vo")


@dataclass
class Job:
    """One question, and what became of it."""

    job_id: str
    parameters: dict[str, list[str]]
    files: Mapping[str, bytes]
    own_result: OwnResult
    links: str
    owner: str  # who asked; empty: nobody says
    seconds: float
    created: datetime
    destruction: datetime
    phase: str = PENDING
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    media_type: str = ""
    result: Path | None = None
    result_bytes: int = 0
    stop: Stop | None = field(default=None, repr=False)


def _length(file: BinaryIO) -> int:
    file.seek(0, os.SEEK_END)
    return file.tell()


def _contents(files: Mapping[str, BinaryIO]) -> dict[str, bytes]:
    for one in files.values():
        one.seek(0)
    return {name: one.read() for name, one in files.items()}


def _size(files: Mapping[str, bytes]) -> int:
    return sum(map(len, files.values()))


class Jobs:
    """All jobs of this service; they are lost when it ends."""

    def __init__(self, questions: Questions, limits: QueryLimits) -> None:
        self._questions, self._limits = questions, limits
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._folder = tempfile.TemporaryDirectory(prefix="tianyu-jobs-")
        self._threads = 0

    def create(
        self,
        parameters: dict[str, list[str]],
        files: Mapping[str, BinaryIO],
        own_result: OwnResult,
        links: str,
        owner: str = "",
    ) -> Job:
        """A job that does not run yet.

        Raises:
            BusyServiceError: as many are kept as may be.
        """
        now = datetime.now(UTC)
        with self._lock:
            self._tidy(now)
            if len(self._jobs) >= self._limits.jobs:
                raise BusyServiceError(f"{len(self._jobs)} jobs are kept, which is the most: delete some, or wait")
            held = sum(_size(one.files) for one in self._jobs.values())
            if held + sum(map(_length, files.values())) > self._limits.job_upload_bytes:
                raise BusyServiceError("uploaded tables of jobs take as much memory as they may: wait until some end")
            kept = timedelta(seconds=self._limits.job_kept_s)
            seconds = self._limits.job_seconds
            job = Job(
                secrets.token_hex(12), parameters, _contents(files), own_result, links, owner, seconds, now, now + kept
            )
            self._jobs[job.job_id] = job
        return job

    def find(self, job_id: str, owner: str) -> Job:
        """A job of this owner that is kept.

        Raises:
            NotFoundError: there is none of this name, or no more.
        """
        with self._lock:
            self._tidy(datetime.now(UTC))
            if job_id not in self._jobs or self._jobs[job_id].owner != owner:
                raise NotFoundError(f"there is no job {job_id[:40]!r}, or no more")
            return self._jobs[job_id]

    def all(self, owner: str) -> list[Job]:
        """An owner's, the newest first."""
        with self._lock:
            self._tidy(datetime.now(UTC))
            return sorted(
                (one for one in self._jobs.values() if one.owner == owner), key=lambda job: job.created, reverse=True
            )

    def change(self, job: Job, parameters: Mapping[str, list[str]]) -> None:
        """Other parameters.

        Raises:
            RefusedError: it runs, or did.
        """
        with self._lock:
            if job.phase != PENDING:
                raise RefusedError(f"job {job.job_id} is {job.phase}: only one that is PENDING can be changed")
            job.parameters.update(parameters)

    def start(self, job: Job) -> None:
        """Have it answered; one that was started is left alone."""
        with self._lock:
            if job.phase != PENDING:
                return
            job.phase = QUEUED
            if self._threads < self._limits.jobs_at_a_time:
                self._threads += 1
                # A daemon: no job keeps the service from ending.
                threading.Thread(target=self._work, daemon=True, name="vo-jobs").start()
        self._waiting.put(job)

    def abort(self, job: Job) -> None:
        """End it, unless it has ended."""
        with self._lock:
            if job.phase not in ACTIVE:
                return
            job.phase, job.ended = ABORTED, datetime.now(UTC)
            job.files = {}
            if job.stop is not None:
                job.stop.tell()

    def delete(self, job: Job) -> None:
        """Forget it, and its answer."""
        self.abort(job)
        with self._lock:
            self._forget(job)

    def limit(self, job: Job, seconds: float) -> None:
        """How long it may run: at most what any may."""
        most = self._limits.job_seconds
        job.seconds = min(seconds, most) if seconds > 0 else most

    def expire(self, job: Job, when: datetime) -> None:
        """When it is forgotten: not later than any is."""
        job.destruction = min(when, job.created + timedelta(seconds=self._limits.job_kept_s))

    def _tidy(self, now: datetime) -> None:
        for job in [one for one in self._jobs.values() if one.destruction < now]:
            if job.stop is not None:
                job.stop.tell()
            self._forget(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.job_id, None)
        if job.result is not None:
            job.result.unlink(missing_ok=True)

    def _work(self) -> None:
        while True:
            self._run(self._waiting.get())

    def _run(self, job: Job) -> None:
        with self._lock:
            if job.phase != QUEUED:
                return
            job.phase, job.started, job.stop = EXECUTING, datetime.now(UTC), Stop(job.seconds)
        try:
            self._answer(job, job.stop)
        except TianyuError as error:
            self._end(job, ERROR, str(error))
        except SQLAlchemyError:
            self._end(job, ERROR, DATABASE_AWAY)
        except Exception as error:
            log.error("an error of Tianyu", job=job.job_id, exc_info=error)
            self._end(job, ERROR, UNFORESEEN)

    def _answer(self, job: Job, stop: Stop) -> None:
        files = {name: BytesIO(content) for name, content in job.files.items()}
        question = question_of(job.parameters, files, job.own_result, job.links)
        path = Path(self._folder.name) / job.job_id
        with self._questions.answered(question, stop, is_whole=True) as answer, path.open("wb") as file:
            taken = 0
            for part in answer.parts:
                taken += len(part)
                if taken + self._result_bytes() > self._limits.job_result_bytes:
                    path.unlink()
                    raise RefusedError(
                        "results of jobs take as much of the disk as they may: delete some, or ask for less"
                    )
                file.write(part)
        with self._lock:
            job.media_type, job.result, job.result_bytes = answer.media_type, path, taken
            if job.job_id not in self._jobs or job.phase != EXECUTING:
                path.unlink(missing_ok=True)
        self._end(job, COMPLETED)

    def _result_bytes(self) -> int:
        """Of all jobs that have ended."""
        with self._lock:
            return sum(one.result_bytes for one in self._jobs.values())

    def _end(self, job: Job, phase: str, error: str = "") -> None:
        with self._lock:
            if job.phase == EXECUTING:
                job.phase, job.ended, job.error = phase, datetime.now(UTC), error
                job.files = {}
