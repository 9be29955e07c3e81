"""What goes through the pipe between a consumer and its worker process."""

from dataclasses import dataclass
from multiprocessing.connection import Connection

from schema.attempts import Failure, Usage
from services.deployment import Deployment

READY = "ready"  # the worker's first word
SAVING = "saving"  # the step is done, what it found is about to be committed: another claim may wait in the pipe


@dataclass(frozen=True)
class Report:
    """What the worker tells the consumer at the end of an attempt; ``failure`` None means that it is committed.

    ``killed``: the worker itself ended, and with it the attempt.
    """

    usage: Usage
    failure: Failure | None = None
    killed: bool = False


def serve(connection: Connection, deployment: Deployment) -> None:
    """Main of the worker process. The steps and their libraries are imported here, in the child alone."""
    from services.consumer.worker import serve as serve_worker

    serve_worker(connection, deployment)
