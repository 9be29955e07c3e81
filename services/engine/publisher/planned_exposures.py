"""Exposures as processes of an observation: what they wait for, and the graph that they are of."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.processes import Process
from schema.queries import capturing, choices, publishing
from schema.queries.publishing import NewProcess
from services.engine.presence import VERSION
from services.errors import ConfigurationError
from services.settings import Settings
from services.steps.capture import CAPTURE_FRAME, CaptureParameters
from services.steps.shared.told import digest


class ExposurePublisher:
    """Publishes exposures of one plan, one behind the other, in the caller's transaction.

    Nothing is taken before ``begin`` (None: now), and nothing before the exposures of plans that begin no later.
    """

    def __init__(self, session: Session, settings: Settings, priority: int, begin: datetime | None) -> None:
        self._session, self._settings, self._priority = session, settings, priority
        self._pids: Iterator[int] = publishing.new_pids(session)
        self._begin = None if begin is None else begin.astimezone(UTC).replace(tzinfo=None)
        group = settings.telescope_group
        last = capturing.last_to_come(session, settings.site, group, self._begin, priority)
        self._last: tuple[int, ...] = () if last is None else (last,)

    def publish(self, observation_id: int, wanted: Sequence[CaptureParameters]) -> list[int]:
        """Insert the exposures of an observation; returns their PIDs.

        Each waits for the end of the one before it, with success or without: one that is tried again is not overtaken.

        Raises:
            ConfigurationError: the group of the telescope is not registered.
        """
        newest = self._session.scalar(
            select(func.max(Process.graph_pid)).where(Process.observation_id == observation_id)
        )
        processes: list[NewProcess] = []
        for parameters in wanted:
            pid = next(self._pids)
            process = NewProcess(
                pid=pid,
                graph_pid=newest or (processes[0].pid if processes else pid),
                command=CAPTURE_FRAME.command,
                parameters=parameters.model_dump_json(exclude_defaults=True),
                group=self._settings.telescope_group,
                observation_id=observation_id,
                optional=self._last,
                priority=self._priority,
                max_attempts=self._settings.max_attempts,
                result_key=digest({"command": CAPTURE_FRAME.command, "pid": pid}),  # an event, and none is like another
                not_before=self._begin,
            )
            processes.append(process)
            self._last = (pid,)
        choices_id = choices.keep(self._session, VERSION, self._settings.choices.text())
        try:
            publishing.publish(self._session, processes, site=self._settings.site, choices_id=choices_id)
        except LookupError as error:
            raise ConfigurationError(str(error)) from error
        return [process.pid for process in processes]
