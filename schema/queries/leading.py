"""Who leads, on a database server: the manager whose connection holds the lock that a row names.

A lock of the server is anybody's who comes first, a reader's too, and a row says nothing of who is alive. Together they
do: the name of the lock is drawn by chance, its holder has it before the row names it, and one who takes it when
the holder's connection is gone is not the connection that the row names.
"""

import secrets

from sqlalchemy import Connection, and_, func, insert, select, update

from schema.base import table_of, utc_now
from schema.processes import Leader

LEADER_ID = 1
_leader = table_of(Leader)
_lives = func.is_used_lock(_leader.c.lock_name) == _leader.c.connection_id


def take_lock(connection: Connection) -> str:
    """Take a lock that no other knows; returns its name. The server frees it with the connection."""
    name = f"tianyu-{secrets.token_hex(16)}"
    connection.execute(select(func.get_lock(name, 0)))
    return name


def take_over(connection: Connection, lock_name: str, host: str) -> str | None:
    """Lead from now on, by a lock that this connection holds; the host that leads where there is one.

    Of several that find nobody the first one changes the row; the others find another term.
    """
    row = connection.execute(select(_leader.c.term, _leader.c.host, _lives.label("lives"))).one_or_none()
    if row is not None and row.lives:
        return str(row.host)
    mine = {"lock_name": lock_name, "connection_id": func.connection_id(), "host": host, "since": utc_now()}
    if row is None:
        connection.execute(insert(_leader).values(leader_id=LEADER_ID, term=1, **mine))
        return None
    this_term = and_(_leader.c.leader_id == LEADER_ID, _leader.c.term == row.term)
    changed = connection.execute(update(_leader).where(this_term).values(term=row.term + 1, **mine))
    return None if changed.rowcount == 1 else "another host, which was faster"


def leads(connection: Connection, lock_name: str) -> bool:
    """Whether this connection still holds the lock of that name, and the row still names it."""
    return connection.scalar(select(_lives).where(_leader.c.lock_name == lock_name)) == 1
