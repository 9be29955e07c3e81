"""A database with a site, a group and one process that is queued, of which a test does the rest."""

from sqlalchemy import Engine, update

from schema import database
from schema.processes import QUEUED, Process, ProcessGroup, Site
from schema.queries import publishing
from schema.queries.publishing import NewProcess

PID, SITE, GROUP = 1, "here", "cpu"


def queue_one(engine: Engine, command: str = "check") -> None:
    """Publish it, as if the manager had sent its message."""
    with database.session_factory(engine).begin() as session:
        session.add_all([Site(name=SITE, root="/nowhere"), ProcessGroup(name=GROUP)])
        new = NewProcess(pid=PID, graph_pid=PID, command=command, parameters="{}", group=GROUP, observation_id=None)
        publishing.publish(session, [new], site=SITE, choices_id=None)
        session.execute(update(Process).values(status=QUEUED))
