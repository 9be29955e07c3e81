"""Sessions of others on a MySQL or MariaDB server that have a transaction open, and with it locks."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

LISTED = 3
_OPEN = text(
    "SELECT p.id AS number, p.user AS user, p.host AS host, "
    "UTC_TIMESTAMP() - INTERVAL TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) SECOND AS since "
    "FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
    "WHERE p.id <> CONNECTION_ID() ORDER BY p.db = DATABASE() DESC, t.trx_started LIMIT :listed"
)


@dataclass(frozen=True)
class OpenTransaction:
    """Who has had a transaction open since when (UTC); ``number`` is the one for KILL."""

    number: int
    user: str
    host: str
    since: datetime

    def __str__(self) -> str:
        return f"session {self.number} of {self.user}@{self.host}, in a transaction since {self.since:%F %T} UTC"


def open_transactions(connection: Connection) -> list[OpenTransaction]:
    """Those that may hold up a change of tables and views: of this database, then of others, the oldest first."""
    return [OpenTransaction(*row) for row in connection.execute(_OPEN, {"listed": LISTED})]
