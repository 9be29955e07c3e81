"""The same no-op in Celery, set up as its documentation says for work that must not be lost.

Late acknowledgement, quorum queues, confirmed publishing and results in the database, as Tianyu has; all else is
Celery's default. ``track_started`` makes it write the start too, as Tianyu's claim does.
"""

import os
import time
from dataclasses import asdict, dataclass

from celery import Celery

PREFIX = "BENCH_CELERY_"
TASK = "bench.noop"


@dataclass(frozen=True)
class Place:
    """Where client and worker meet."""

    broker: str
    backend: str
    queue: str
    track_started: str = ""  # anything, or nothing for no

    def environment(self) -> dict[str, str]:
        """Variables that tell a worker."""
        return {PREFIX + name.upper(): value for name, value in asdict(self).items()}

    @classmethod
    def of_environment(cls) -> "Place":
        """What ``environment`` told."""
        return cls(*(os.environ[PREFIX + name.upper()] for name in cls.__dataclass_fields__))


def make_app(place: Place) -> Celery:
    """An application with the task that does nothing."""
    app = Celery("bench", broker=place.broker, backend=f"db+{place.backend}")
    app.conf.update(
        task_default_queue=place.queue,
        task_default_queue_type="quorum",
        broker_transport_options={"confirm_publish": True},
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_track_started=bool(place.track_started),
    )
    app.task(noop, name=TASK)
    return app


def noop() -> list[float]:
    """When it began and ended (Unix time, s)."""
    return [time.time(), time.time()]
