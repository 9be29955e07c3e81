"""The worker: a long-lived child process that runs one step after the other.

A crash, an out-of-memory kill or an endless loop takes this process and one attempt with it, never the consumer.
Outputs and status are committed together here, guarded by the attempt.
"""

import ctypes
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database
from schema.attempts import Claim, Failure, Usage
from schema.queries import choices, life
from services import log
from services.choices import Choices, read_choices
from services.deployment import Deployment
from services.engine.consumer.cutoff import Cutoff
from services.engine.consumer.messages import ASK_TO_END, Ready, Report, Saving
from services.engine.consumer.usage import Meter, RowsInserted, give_back
from services.engine.forked import call_yourself, keep_what_is_imported
from services.engine.presence import VERSION
from services.errors import OF_SURROUNDINGS, ConfigurationError, SurroundingsError, TianyuError, TransientError
from services.image_store import open_store
from services.steps import STEPS, preload
from services.steps.shared.step import Context, Kept

NAME = "tianyu-worker"  # as `top` shows it
# glibc gives large arrays back to the system at once and asks for them again at the next line, page by page; a worker
# that keeps them saves 5-10 ms a frame of 2048 x 2048. Numbers of malloc.h, and bytes.
KEPT = {-3: 32 * 1024**2, -1: 384 * 1024**2}  # M_MMAP_THRESHOLD (the largest that is accepted), M_TRIM_THRESHOLD
# Of an attempt, from which on freed memory is given back: what is kept for frames of 2048 x 2048 (`KEPT`)
# is of no use to far larger ones, and each step needs room for its own.
LARGE_BYTES = 800_000_000


class LostLeaseError(TransientError):
    """Another worker holds the process by now: nothing was committed."""


class Worker:
    """Connections that live as long as the child process, and what the machine sets; choices come with each claim."""

    def __init__(
        self,
        deployment: Deployment,
        tell: Callable[[Saving], object] = repr,
        asked_to_end: Callable[[], bool] = bool,
    ) -> None:
        """``tell`` hears ``Saving`` when a step is done and its outputs are about to be committed."""
        url = deployment.database_url.get_secret_value()
        engine = database.connect(url)  # a step may compute for long between its questions, and locks nothing by them
        committing = database.connect(url, database.SILENCE_S)
        self._writing = database.KeptConnection(committing)
        self._inserted = RowsInserted(committing)
        self._reading = database.reading_factory(engine)
        self._cutoff = Cutoff(database.KeptConnection(engine.execution_options(**database.READ_ONLY)), self._writing)
        self._images = open_store(deployment.root, deployment.frame_bounds)
        self._kept = Kept()
        self._deployment = deployment
        self._choices: dict[int, Choices] = {}  # by their row, which never changes
        self._tell = tell
        self._asked_to_end = asked_to_end

    def run(self, claim: Claim) -> Report:
        """Run one attempt to its end; never raises what a step raises. What it logs meanwhile names the attempt."""
        with log.context(**log.facts_of(claim)):
            report = self._run(claim)
        if (report.usage.max_rss_bytes or 0) > LARGE_BYTES:
            give_back()
        return report

    def _run(self, claim: Claim) -> Report:
        meter = Meter.start()
        try:
            return Report(self._attempt(claim, meter))
        except Exception as error:  # the boundary of a step: whatever it was is classified, and keeps its traceback
            # Cut here: a report that fills the pipe, while a claim fills it from the other end, would never arrive.
            trace = traceback.format_exc()[-life.TRACEBACK_CHARACTERS :]
            message = _message(claim, error)[: life.ERROR_CHARACTERS]
            return Report(meter.stop(), Failure(_error_class(error), message, trace))

    def _attempt(self, claim: Claim, meter: Meter) -> Usage:
        step = STEPS.get(claim.command)
        if step is None:
            raise ConfigurationError(
                f"process {claim.pid} has the command {claim.command!r}, which this consumer does not know: "
                "run consumers of the version that published it"
            )
        context = Context(
            claim.pid,
            claim.graph_pid,
            claim.observation_id,
            self._reading,
            self._images,
            self._deployment,
            self._choices_of(claim),
            self._kept,
            last_attempt=claim.attempt >= claim.max_attempts and not claim.beside,
            attempt=claim.attempt,
            asked_to_end=self._asked_to_end,
        )
        outputs = self._cutoff.made_before(step, claim, context.choices) or step.start(context, claim.parameters)
        self._tell(Saving())

        def finish(connection: Connection) -> Usage:
            usage = meter.stop()
            # The guard comes first, and nothing behind it may be committed without it.
            success = life.succeed(claim.pid, claim.attempt, usage)
            if not (success.run if outputs else success.commit)(connection):
                raise LostLeaseError(f"process {claim.pid} is no longer held by attempt {claim.attempt}")
            self._inserted.reset()
            if outputs is not None:
                with Session(connection, expire_on_commit=False) as session:
                    outputs(session)
                    session.commit()  # hands over what is left; the connection's own transaction goes on
            return replace(usage, rows=self._inserted.number)

        return database.transact(self._writing, finish)

    def _choices_of(self, claim: Claim) -> Choices:
        """Those that the process was published by: read once, for all its graph has the same.

        Raises:
            ConfigurationError: none were stored, or this version cannot read them.
        """
        remedy = "publish it again"
        if claim.observation_id is not None:
            remedy = f"`tianyu publish {claim.observation_id} --again` publishes its observation again"
        if claim.choices_id is None:
            raise ConfigurationError(
                f"process {claim.pid} ({claim.command}) was published by a Tianyu that did not store the choices with "
                f"it: {remedy}"
            )
        if claim.choices_id not in self._choices:
            with self._reading() as session:
                stored = choices.by_id(session, claim.choices_id)
            try:
                self._choices[claim.choices_id] = read_choices(stored.choices)
            except ConfigurationError as error:
                raise ConfigurationError(
                    f"process {claim.pid} ({claim.command}) was published by Tianyu {stored.version} with choices that "
                    f"this consumer's {VERSION} cannot read ({error}): run consumers of that version, or {remedy}"
                ) from error
        return self._choices[claim.choices_id]


def _error_class(error: Exception) -> str:
    if isinstance(error, TianyuError):
        return error.error_class
    if isinstance(error, DBAPIError) and database.is_denied(error):
        return ConfigurationError.error_class
    if isinstance(error, DBAPIError) and database.is_away(error):
        return SurroundingsError.error_class
    if isinstance(error, OSError) and error.errno in OF_SURROUNDINGS:
        return SurroundingsError.error_class
    if isinstance(error, DBAPIError | OSError | MemoryError):
        return TransientError.error_class
    return "bug"


def _message(claim: Claim, error: Exception) -> str:
    if isinstance(error, TianyuError):
        return str(error)
    # The driver's own words: SQLAlchemy's carry the statement with all its rows.
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"process {claim.pid} ({claim.command}): {type(cause).__name__}: {cause}"


def _keep_large_arrays() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have none
        for parameter, size in KEPT.items():
            mallopt(parameter, size)


def serve(pipe: Pipe, deployment: Deployment) -> None:
    """Main of the child process: take claims until the consumer closes its end of the pipe."""
    # The consumer decides when to stop; a terminal's Ctrl-C and a service manager's SIGTERM go to the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    call_yourself(NAME)
    _keep_large_arrays()
    log.configure(deployment.log_format, deployment.log_level)
    asked: list[int] = []
    signal.signal(ASK_TO_END, lambda number, _: asked.append(number))
    consumer = os.getppid()
    worker = Worker(deployment, pipe.send, lambda: bool(asked) or os.getppid() != consumer)
    preload()
    keep_what_is_imported()
    log.hear_libraries()
    # What was committed stays, and the manager frees the rest, when the consumer is gone.
    with suppress(EOFError, OSError):
        pipe.send(Ready())
        while True:
            pipe.send(worker.run(pipe.recv()))
