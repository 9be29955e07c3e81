"""`tianyu health`."""

from enum import StrEnum
from typing import Annotated

import typer

from services.cli.console import friendly, out, start


class Kind(StrEnum):
    """What can be alive."""

    MANAGER = "manager"
    CONSUMER = "consumer"


@friendly
def health(
    kind: Annotated[Kind | None, typer.Argument(help="Which of the two; else any.")] = None,
) -> None:
    """Whether a manager or consumer of this host is alive and the database answers: a cheap probe for containers.

    It says nothing of the work; that is for `tianyu doctor`. The exit code is 0 when all is well, else 1.

    Example: `tianyu health consumer`
    """
    from schema import database
    from schema.queries.services import alive_on
    from services.engine.presence import HOST
    from services.errors import TransientError
    from services.setup import open_database

    with database.reading_factory(open_database(start()))() as session:
        alive = alive_on(session, HOST, None if kind is None else kind.value)
    if not alive:
        raise TransientError(
            f"no {kind.value if kind else 'manager or consumer'} of host {HOST} has said within its lease that it is "
            "alive: look at its log"
        )
    out.print(f"alive on {HOST}: {', '.join(alive)}")
