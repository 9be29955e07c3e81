"""Sessions of others on a MySQL or MariaDB server: one that a failed test left open may hold a lock for ever."""

from pymysql.constants import ER  # type: ignore[import-untyped]
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError


def end_sessions(connection: Connection, database: str) -> None:
    """Have the server end all sessions on a database but ours."""
    query = text("SELECT id FROM information_schema.processlist WHERE db = :name AND id <> CONNECTION_ID()")
    for session in connection.execute(query, {"name": database}).scalars().all():
        _end(connection, int(session))


def _end(connection: Connection, session: int) -> None:
    """One that left by itself since it was listed is what was wanted."""
    try:
        connection.execute(text(f"KILL {session}"))
    except OperationalError as error:
        if error.orig is None or error.orig.args[0] != ER.NO_SUCH_THREAD:
            raise
