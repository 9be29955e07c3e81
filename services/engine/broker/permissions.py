"""What each role may do at the broker: RabbitMQ's three patterns of names, of one virtual host.

Publishers and readers have no user there: work goes from the database to the queues by the manager alone. What may send
may send to every queue, for all goes by the default exchange, which knows no rights of its own. A message only says
where to look, and the claim in the database decides: a false one is dropped.
"""

from typing import NamedTuple

OURS = r"^tianyu\..+$"
WORK = r"^tianyu\.[^.]+\.(?!events$)[^.]+(\.dead)?$"  # queues of groups and their dead letters, and not the events
DEFAULT_EXCHANGE = r"^amq\.default$"


class Permission(NamedTuple):
    """Names that a user may declare and delete, send to or bind, and receive from."""

    configure: str
    write: str
    read: str


PERMISSIONS = {
    # Makes all queues, sends work, hears of ends.
    "manager": Permission(OURS, DEFAULT_EXCHANGE, OURS),
    # Receives work and tells of its end. It may come first, and then makes its queue.
    "consumer": Permission(WORK, DEFAULT_EXCHANGE, WORK),
    # `tianyu doctor` sends each queue a message that means nothing.
    "operator": Permission(OURS, DEFAULT_EXCHANGE, OURS),
}
